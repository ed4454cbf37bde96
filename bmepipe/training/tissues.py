"""The tissues of a training label map, and the greys that a contrast gives them."""

from __future__ import annotations

TISSUES: dict[str, int] = {
    "air": 0,
    # 1 to 15 are kept for bones, in the numbers of the network's labels. Bones of joints that no
    # source holds together share a number.
    "femur": 1,
    "tibia": 2,
    "patella": 3,
    "fibula": 4,
    "vertebra": 5,
    "sacrum": 6,
    "hip_bone": 7,
    "arch": 8,  # of a vertebra, with its processes
    "axis": 9,  # the second vertebra of the neck, with its dens
    "humerus": 9,
    "scapula": 10,
    "clavicle": 11,
    "talus": 9,
    "calcaneus": 10,
    "navicular": 11,
    "cuboid": 12,
    "other_bone": 15,  # painted as bone, but nothing to be found
    "fat": 16,
    "fat_pad": 17,
    "muscle_a": 18,
    "muscle_b": 19,
    "muscle_c": 20,
    "muscle_d": 21,
    "tendon": 22,
    "cartilage": 23,
    "meniscus": 24,
    "artery": 25,
    "vein": 26,
    "nerve": 27,
    "skin": 28,
    "fluid": 29,
    "cortex": 30,
    "disc": 31,
    "csf": 32,
    "organ_a": 33,
    "organ_b": 34,
    "organ_c": 35,
    "annulus": 36,
    "cord": 37,
}
TISSUE_COUNT = 40
LAST_BONE = 15
# Numbered apart, but one bone: no cortex between them.
ONE_BONE = (("vertebra", "arch"),)
SHAFTS = ("femur", "tibia", "fibula", "humerus")  # their cortex thickens away from the joint
# Tissues that share the greys of another.
LIKE = {"fat_pad": "fat", "annulus": "meniscus", "cord": "nerve"}
MUSCLES = ("muscle_a", "muscle_b", "muscle_c", "muscle_d")

# Where there may be anything: bowel, vessels, scars.
SOFT = ("fat", *MUSCLES, "organ_a", "organ_b", "organ_c")


def label_table(targets: tuple[str, ...]) -> list[int]:
    """Return the network's label of each tissue number.

    Parameters
    ----------
    targets : tuple of str
        What each label from 1 is: a tissue, or several joined by "+". Without any, bones keep their
        numbers.
    """
    if not targets:
        return [n if n < TISSUES["other_bone"] else 0 for n in range(TISSUE_COUNT)]
    table = [0] * TISSUE_COUNT
    for label, names in enumerate(targets, start=1):
        for name in names.split("+"):
            table[TISSUES[name]] = label
    return table


# Signal ranges (low, high). "marrow" stands for the bones. T1 and plain T2 or PD are relative to
# fat; the fat-suppressed ones are relative to marrow. From the two-pool spin-echo signal table of
# docs/method.md, widened for other parameters, fields and vendors.
GREYS: dict[str, dict[str, tuple[float, float]]] = {
    "t1": {
        "marrow": (0.75, 1.05), "fat": (0.9, 1.1), "muscle": (0.25, 0.48),
        "tendon": (0.02, 0.15), "cartilage": (0.28, 0.55), "meniscus": (0.04, 0.22),
        "artery": (0.02, 0.45), "vein": (0.1, 0.55), "nerve": (0.3, 0.6), "skin": (0.3, 0.9),
        "fluid": (0.12, 0.32), "cortex": (0.0, 0.1),
        "disc": (0.2, 0.5), "csf": (0.08, 0.3), "organ": (0.1, 0.9),
    },
    "fat_suppressed": {
        "marrow": (0.8, 1.2), "fat": (0.7, 1.25), "muscle": (1.2, 3.6),
        "tendon": (0.2, 0.9), "cartilage": (1.5, 4.5), "meniscus": (0.3, 1.2),
        "artery": (0.3, 5.0), "vein": (2.0, 9.0), "nerve": (1.5, 4.5), "skin": (1.0, 4.0),
        "fluid": (4.0, 12.0), "cortex": (0.1, 0.6),
        "disc": (0.6, 6.0), "csf": (4.0, 14.0), "organ": (0.4, 8.0),
    },
    "plain_t2": {
        "marrow": (0.65, 1.05), "fat": (0.85, 1.1), "muscle": (0.2, 0.6),
        "tendon": (0.02, 0.18), "cartilage": (0.35, 0.95), "meniscus": (0.04, 0.25),
        "artery": (0.02, 0.6), "vein": (0.1, 1.4), "nerve": (0.3, 0.8), "skin": (0.2, 0.8),
        "fluid": (0.7, 2.0), "cortex": (0.0, 0.12),
        "disc": (0.15, 1.3), "csf": (0.9, 2.4), "organ": (0.1, 1.3),
    },
}  # fmt: skip
