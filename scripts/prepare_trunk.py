"""Turn phantoms and public shapes of spine, pelvis and hip into shape sources for training.

    python scripts/prepare_trunk.py SHAPES CACHE [shapes] [SITE ...]

SHAPES holds ``spl_abdomen/seg.nrrd``, ``spl_head_neck/seg.nrrd`` and ``lhdl/*.vtp``; what is
missing is left out. CACHE is a folder outside the repository. Phantoms of every site are made anew
from seeds that no test and no table uses (1000 and above).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from prepare_pelvis import (
    SPACING_MM,
    pelvis_source,
    with_flesh,
    with_ligaments,
    with_lumbar_end,
    with_muscles,
    with_thin_wing,
    with_wide_canal,
)
from scipy import ndimage

from bmepipe.phantom.tissue_map import tissue_map
from bmepipe.training.arches import with_arches
from bmepipe.training.sources import make_source, save_source
from bmepipe.training.tissues import TISSUES

FIRST_SEED = 1000
# How many phantoms of each site, and the side of the cube that is taken from them.
PHANTOMS = {
    "lumbar": (22, 250.0), "sacroiliac": (24, 220.0), "hip": (24, 190.0), "knee": (8, 170.0),
    "ankle": (14, 150.0), "shoulder": (30, 160.0), "cervical": (30, 190.0),
}  # fmt: skip
NECK_SPACING_MM = 1.0  # its vertebrae are small, and their transverse processes thin
PELVES = range(3, 13)  # seeds of the soft tissue around the one pelvis
NARROW = range(1000, 1008)  # lumbar phantoms that come with narrow discs too
NARROW_ATLASES = range(1, 4)
MUSCLED = range(1000, 1024)  # sacroiliac phantoms that come with a patient's soft tissue too
BONES = {
    "femur": "femur", "tibia": "tibia", "patella": "patella", "fibula": "fibula",
    "sacrum": "sacrum", "ilium": "hip_bone", "ischium": "hip_bone", "pubis": "hip_bone",
    "ilium_left": "hip_bone", "ilium_right": "hip_bone", "C2": "axis",
    "humerus": "humerus", "scapula": "scapula", "clavicle": "clavicle",
    "talus": "talus", "calcaneus": "calcaneus", "navicular": "navicular", "cuboid": "cuboid",
}  # fmt: skip
SOFT = {
    "skin": "skin", "fat": "fat", "septum": "fat", "muscle": "muscle_a", "fascia": "tendon",
    "tendon": "tendon", "ligament": "tendon", "meniscus": "meniscus", "cartilage": "cartilage",
    "fluid": "fluid", "synovium": "fluid", "vein": "vein", "artery": "artery", "nerve": "nerve",
    "disc": "disc", "disc_dry": "disc", "annulus": "annulus", "csf": "csf", "cord": "cord",
    "labrum": "meniscus", "growth_plate": "cartilage",
    "red_marrow": "other_bone",  # of bones without a label
}  # fmt: skip
# Numbers of the abdominal atlas -> our tissues.
ABDOMEN = {
    "vertebra": (*range(409, 413), *range(501, 506)), "sacrum": (600,), "hip_bone": (299,),
    "disc": range(551, 560), "artery": (7, *range(71, 77)), "vein": (8, *range(81, 87)),
    "organ_a": (3, 4), "organ_b": (9, 13), "organ_c": (10, 51, 52, 145, 146),
    "muscle_a": (131, 231, 138, 238), "muscle_b": (137, 237, 133, 233),
    "muscle_c": (135, 136, 235, 236, 32), "muscle_d": (139, 140, 143, 239, 240, 241),
}  # fmt: skip
# Numbers of the atlas of head and neck -> our tissues.
NECK = {
    "axis": (12,), "vertebra": (*range(13, 18), 21), "other_bone": (10, 11, *range(22, 37)),
    "muscle_a": (51, 52, 53, 54), "muscle_b": (55, 56, 57, 58), "muscle_c": (59, 60, 63, 64),
    "muscle_d": (61, 62), "artery": (*range(101, 109), 111, 112), "vein": (109, 110, 113, 114),
    "organ_a": (115, 116, 117), "organ_b": (118, 119, 120), "organ_c": (9, 28, 49, 50),
}  # fmt: skip


def spacing_mm(site: str) -> float:
    """Return the spacing of a site's sources."""
    return NECK_SPACING_MM if site == "cervical" else SPACING_MM


def phantom_source(site: str, seed: int, field_mm: float) -> np.ndarray:
    """Return a phantom's tissues in our numbers, axes RAS."""
    labels, _, names = tissue_map(site, seed, spacing_mm(site), field_mm)
    table = np.zeros(256, np.uint8)
    for number, name in names.items():
        _, _, bone = name.partition(".")
        if bone:
            table[number] = TISSUES[BONES.get(bone, "vertebra")]
        elif name in SOFT:
            table[number] = TISSUES[SOFT[name]]
    return with_arches(table[labels])


def abdomen_source(path: Path) -> np.ndarray:
    """Return the abdominal atlas on our spacing, axes RAS, with fluid in the spinal canal."""
    return with_arches(grown_bones(with_canal(atlas(path, ABDOMEN))))


def neck_source(path: Path) -> np.ndarray:
    """Return the atlas of head and neck on our spacing, axes RAS, with canal and discs."""
    labels = with_canal(atlas(path, NECK, NECK_SPACING_MM), NECK_SPACING_MM)
    bodies = np.isin(labels, (TISSUES["axis"], TISSUES["vertebra"]))
    # A disc is what a closing along the column adds in front of the canal.
    tall = ndimage.binary_closing(bodies, np.ones((1, 1, odd(13.0 / NECK_SPACING_MM))))
    canal = labels == TISSUES["csf"]
    front = np.where(canal.any(1), canal.shape[1] - canal[:, ::-1].argmax(1), labels.shape[1])
    middle = np.median(front[canal.any(1)])
    ahead = np.arange(labels.shape[1])[None, :, None] > middle - 6.0 / NECK_SPACING_MM
    labels[tall & ~bodies & (labels == 0) & ahead] = TISSUES["disc"]
    return with_arches(labels)


def odd(length: float) -> int:
    """Return the nearest odd number of voxels."""
    return 2 * round((length - 1) / 2) + 1


def atlas(
    path: Path, names: dict[str, tuple[int, ...] | range], spacing_mm: float = SPACING_MM
) -> np.ndarray:
    """Return an atlas's label map in our numbers and a spacing of ours, axes RAS."""
    import nrrd  # what is made of phantoms alone does without

    data, header = nrrd.read(str(path))
    table = np.zeros(1024, np.uint8)
    for name, numbers in names.items():
        table[list(numbers)] = TISSUES[name]
    steps = np.diag(header["space directions"])  # LPS; the axes are the patient's
    labels = table[data]
    for axis, step in enumerate(steps):
        if step < 0:
            labels = np.flip(labels, axis)
    labels = labels[::-1, ::-1]  # to RAS
    zoom = np.abs(steps) / spacing_mm
    index = [np.minimum((np.arange(round(n * z)) / z).astype(int), n - 1)
             for n, z in zip(labels.shape, zoom, strict=True)]  # fmt: skip
    return np.ascontiguousarray(labels[np.ix_(*index)])


def with_canal(labels: np.ndarray, spacing_mm: float = SPACING_MM) -> np.ndarray:
    """Return labels with the holes of the vertebrae's arches, slice by slice, made fluid."""
    column = np.isin(labels, (TISSUES["vertebra"], TISSUES["sacrum"], TISSUES["disc"]))
    tall = ndimage.binary_closing(column, np.ones((1, 1, odd(22.0 / spacing_mm))))
    for k in range(labels.shape[2]):
        hole = ndimage.binary_fill_holes(tall[:, :, k]) & ~tall[:, :, k]
        labels[:, :, k][hole & (labels[:, :, k] == 0)] = TISSUES["csf"]
    return labels


def grown_bones(labels: np.ndarray) -> np.ndarray:
    """Return labels whose bones, drawn somewhat small, are larger by a voxel in free space."""
    free = labels == 0
    for name in ("vertebra", "sacrum", "hip_bone"):
        grown = ndimage.binary_dilation(labels == TISSUES[name])
        labels[grown & free & (labels == 0)] = TISSUES[name]
    return labels


def with_narrow_discs(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a spine some of whose discs are narrow, down to one voxel, the bodies taking the room.

    Beside such discs the marrow is most often diseased, and a network that has not seen them draws
    one body into the next.
    """
    rng = np.random.default_rng(seed)
    discs = labels == TISSUES["disc"]
    bodies = np.isin(labels, (TISSUES["vertebra"], TISSUES["sacrum"]))
    off, (x, y, z) = ndimage.distance_transform_edt(~bodies, return_indices=True)
    deepest = ndimage.maximum_filter(np.where(discs, off, 0), (5, 5, 15))
    knots = ndimage.zoom(rng.normal(size=(5, 5, 5)), np.array(labels.shape) / 5, order=1)
    parts, count = ndimage.label(ndimage.binary_opening(discs, iterations=1))
    nearest = ndimage.distance_transform_edt(
        parts == 0, return_distances=False, return_indices=True
    )
    lost = np.concatenate([[0.0], rng.uniform(-2.0, 4.0, count)])[parts[tuple(nearest)]]
    taken = discs & (off <= lost + 0.5 * knots) & (off < deepest - 0.4)
    return np.where(taken, labels[x, y, z], labels).astype(labels.dtype)


def with_soft_tissue(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a pelvis as patients have it: thin wings, a wide canal, muscles and ligaments."""
    labels = with_wide_canal(with_thin_wing(labels, seed), seed)
    return with_ligaments(with_muscles(labels, seed), seed)


def atlases(shapes: Path, cache: Path) -> None:
    """Write the sources of the public shapes that are there."""
    if (shapes / "spl_abdomen/seg.nrrd").is_file():
        labels = abdomen_source(shapes / "spl_abdomen/seg.nrrd")
        save_source(cache / "shape_abdomen.npz", make_source(labels, SPACING_MM, column=True))
        for seed in NARROW_ATLASES:
            source = make_source(with_narrow_discs(labels, seed), SPACING_MM, column=True)
            save_source(cache / f"narrow_abdomen_{seed}.npz", source)
    if (shapes / "spl_head_neck/seg.nrrd").is_file():
        labels = neck_source(shapes / "spl_head_neck/seg.nrrd")
        save_source(cache / "shape_neck.npz", make_source(labels, NECK_SPACING_MM))
    if (shapes / "lhdl").is_dir():
        bones = pelvis_source(shapes / "lhdl")
        for seed in PELVES:
            labels = with_flesh(with_lumbar_end(bones, seed), seed)
            source = make_source(with_soft_tissue(labels, seed), SPACING_MM)
            save_source(cache / f"shape_pelvis_{seed}.npz", source)


def phantom(site: str, seed: int, field_mm: float, cache: Path) -> None:
    """Write the source of a phantom, and those of its variants."""
    labels = phantom_source(site, seed, field_mm)
    column = site == "lumbar"
    source = make_source(labels, spacing_mm(site), complete=True, column=column)
    save_source(cache / f"phantom_{site}_{seed}.npz", source)
    if column and seed in NARROW:
        source = make_source(
            with_narrow_discs(labels, seed), SPACING_MM, complete=True, column=True
        )
        save_source(cache / f"narrow_lumbar_{seed}.npz", source)
    if site == "sacroiliac" and seed in MUSCLED:
        source = make_source(with_soft_tissue(labels, seed), SPACING_MM, complete=True)
        save_source(cache / f"muscled_sacroiliac_{seed}.npz", source)


def main(shapes: Path, cache: Path, sites: tuple[str, ...]) -> None:
    """Write every source that SHAPES allows to CACHE; phantoms that are there are kept."""
    cache.mkdir(parents=True, exist_ok=True)
    if "shapes" in sites:
        atlases(shapes, cache)
    for site, (count, field_mm) in PHANTOMS.items():
        for seed in range(FIRST_SEED, FIRST_SEED + count) if site in sites else ():
            if not (cache / f"phantom_{site}_{seed}.npz").exists():
                phantom(site, seed, field_mm, cache)
                print(site, seed, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), tuple(sys.argv[3:]) or ("shapes", *PHANTOMS))
