"""Turn phantoms and public shapes of spine, pelvis and hip into shape sources for training.

    python scripts/prepare_trunk.py SHAPES CACHE [shapes] [SITE ...]

SHAPES holds ``spl_abdomen/seg.nrrd``, ``spl_head_neck/seg.nrrd`` and ``lhdl/*.vtp``; what is
missing is left out. CACHE is a folder outside the repository. Phantoms of every site are made anew
from seeds that no test and no table uses (1000 and above).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nrrd
import numpy as np
from prepare_shapes import fill_mesh
from scipy import ndimage
from skimage.morphology import convex_hull_image

from bmepipe.phantom.tissue_map import tissue_map
from bmepipe.training.sources import make_source, save_source
from bmepipe.training.tissues import TISSUES

SPACING_MM = 1.5
FIRST_SEED = 1000
# How many phantoms of each site, and the side of the cube that is taken from them.
PHANTOMS = {
    "lumbar": (8, 250.0), "sacroiliac": (8, 220.0), "hip": (8, 190.0), "knee": (8, 170.0),
    "ankle": (10, 150.0), "shoulder": (10, 160.0), "cervical": (10, 190.0),
}  # fmt: skip
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


def phantom_source(site: str, seed: int, field_mm: float) -> np.ndarray:
    """Return a phantom's tissues in our numbers, axes RAS."""
    labels, _, names = tissue_map(site, seed, SPACING_MM, field_mm)
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
    labels = with_canal(atlas(path, NECK))
    bodies = np.isin(labels, (TISSUES["axis"], TISSUES["vertebra"]))
    # A disc is what a closing along the column adds in front of the canal.
    tall = ndimage.binary_closing(bodies, np.ones((1, 1, 9)))
    canal = labels == TISSUES["csf"]
    front = np.where(canal.any(1), canal.shape[1] - canal[:, ::-1].argmax(1), labels.shape[1])
    middle = np.median(front[canal.any(1)])
    ahead = np.arange(labels.shape[1])[None, :, None] > middle - 4
    labels[tall & ~bodies & (labels == 0) & ahead] = TISSUES["disc"]
    return with_arches(labels)


def atlas(path: Path, names: dict[str, tuple[int, ...] | range]) -> np.ndarray:
    """Return an atlas's label map in our numbers and spacing, axes RAS."""
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
    zoom = np.abs(steps) / SPACING_MM
    index = [np.minimum((np.arange(round(n * z)) / z).astype(int), n - 1)
             for n, z in zip(labels.shape, zoom, strict=True)]  # fmt: skip
    return np.ascontiguousarray(labels[np.ix_(*index)])


def with_canal(labels: np.ndarray) -> np.ndarray:
    """Return labels with the holes of the vertebrae's arches, slice by slice, made fluid."""
    column = np.isin(labels, (TISSUES["vertebra"], TISSUES["sacrum"], TISSUES["disc"]))
    tall = ndimage.binary_closing(column, np.ones((1, 1, 15)))
    for k in range(labels.shape[2]):
        hole = ndimage.binary_fill_holes(tall[:, :, k]) & ~tall[:, :, k]
        labels[:, :, k][hole & (labels[:, :, k] == 0)] = TISSUES["csf"]
    return labels


def with_arches(labels: np.ndarray) -> np.ndarray:
    """Return labels whose vertebrae behind the front of the canal are arches, axes RAS."""
    canal = np.isin(labels, (TISSUES["csf"], TISSUES["cord"]))
    depth = ndimage.distance_transform_edt(canal)  # roots of nerves leave it sideways: thin
    canal = ndimage.binary_opening(canal, iterations=2) if depth.max() > 3 else canal
    heights = np.flatnonzero(canal.any((0, 1)))
    if not len(heights):
        return labels
    front = [np.flatnonzero(canal[:, :, k].any(0))[-1] for k in heights]
    front = ndimage.median_filter(np.array(front, float), 15, mode="nearest")
    front = np.interp(np.arange(labels.shape[2]), heights, front)
    behind = np.arange(labels.shape[1])[None, :, None] < front
    bony = np.isin(labels, (TISSUES["vertebra"], TISSUES["axis"]))
    return np.where(bony & behind, TISSUES["arch"], labels)


def grown_bones(labels: np.ndarray) -> np.ndarray:
    """Return labels whose bones, drawn somewhat small, are larger by a voxel in free space."""
    free = labels == 0
    for name in ("vertebra", "sacrum", "hip_bone"):
        grown = ndimage.binary_dilation(labels == TISSUES[name])
        labels[grown & free & (labels == 0)] = TISSUES[name]
    return labels


def read_vtp(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return points in mm and triangles of an ASCII VTK XML mesh."""
    text = path.read_text()

    def numbers(pattern: str, kind: type) -> np.ndarray:
        found = re.search(pattern, text, re.DOTALL)
        assert found is not None, f"{path.name}: {pattern}"
        return np.array(found[1].split(), kind).reshape(-1, 3)

    points = numbers(r"<Points>.*?<DataArray[^>]*>(.*?)</DataArray>", float)
    return points, numbers(r'<Polys>.*?Name="connectivity"[^>]*>(.*?)</DataArray>', int)


def pelvis_source(folder: Path) -> np.ndarray:
    """Return sacrum, hip bones and the upper part of both femurs, axes RAS."""
    meshes = {name: read_vtp(folder / f"LHDL_{name}.vtp")
              for name in ("Iliac_L", "Iliac_R", "Sacrum", "femur_r")}  # fmt: skip
    low = np.min([p.min(0) for n, (p, _) in meshes.items() if n != "femur_r"], axis=0) - 12
    low[2] -= 60  # the femurs' shafts
    high = np.max([p.max(0) for n, (p, _) in meshes.items() if n != "femur_r"], axis=0) + 12
    low[0], high[0] = low[0] - 20, high[0] + 20
    labels = np.zeros(np.ceil(high - low).astype(int), np.uint8)
    for name, bone in (("Iliac_L", "hip_bone"), ("Iliac_R", "hip_bone"), ("Sacrum", "sacrum"),
                       ("femur_r", "femur")):  # fmt: skip
        points, triangles = meshes[name]
        solid = ndimage.binary_fill_holes(fill_mesh(points, triangles, 2.0))
        start = np.round(points.min(0) - 2 - low).astype(int)
        put(labels, solid, start, TISSUES[bone])
        if name == "femur_r":  # the left one is its mirror image
            start[0] = labels.shape[0] - start[0] - solid.shape[0]
            put(labels, solid[::-1], start, TISSUES[bone])
        print("  ", name, f"{solid.sum() / 1000:.0f} mL")
    step = SPACING_MM
    index = [np.minimum((np.arange(int(n / step)) * step).astype(int), n - 1) for n in labels.shape]
    return with_sacral_roots(np.ascontiguousarray(labels[np.ix_(*index)][::-1, ::-1]))


def with_sacral_roots(labels: np.ndarray) -> np.ndarray:
    """Return labels whose sacral canal holds fluid, and whose foramina roots in fat, axes RAS.

    Both are bright on fat-suppressed images; a network that has not seen them calls them bone.
    """
    sacrum = labels == TISSUES["sacrum"]
    reach = round(9.0 / SPACING_MM)
    solid = ndimage.distance_transform_edt(~sacrum) <= reach
    solid = ndimage.distance_transform_edt(solid) > reach
    pocket = solid & (labels == 0)
    depth_mm = ndimage.distance_transform_edt(pocket) * SPACING_MM
    middle = np.argwhere(sacrum)[:, 0].mean()
    aside_mm = np.abs(np.arange(labels.shape[0]) - middle)[:, None, None] * SPACING_MM
    canal = (aside_mm < 12.0) & (depth_mm > 1.5)
    root = (aside_mm >= 12.0) & (depth_mm > 2.5)
    names = np.select([canal, root], [TISSUES["csf"], TISSUES["nerve"]], TISSUES["fat"])
    return np.where(pocket, names, labels).astype(labels.dtype)


def with_lumbar_end(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a pelvis with a simple spine on it, axes RAS: discs, bodies and a canal."""
    rng = np.random.default_rng(seed)
    sacrum = labels == TISSUES["sacrum"]
    x, y, z = np.nonzero(sacrum)
    middle = x.mean()
    # The endplate: a plane through the top of the sacrum near the middle, falling to the front.
    near = (np.abs(x - middle) * SPACING_MM < 14) & (z > z.max() - 22 / SPACING_MM)
    tops = {}
    for row, height in zip(y[near], z[near], strict=True):
        tops[row] = max(tops.get(row, 0), height)
    rows = np.array(sorted(tops))[-int(34 / SPACING_MM) :]  # the front: behind lies the canal
    slope, level = np.polyfit(rows, [tops[row] for row in rows], 1)
    norm = np.hypot(1.0, slope)
    at = np.stack(np.meshgrid(*(np.arange(n) for n in labels.shape), indexing="ij"))
    above_mm = (at[2] - level - slope * at[1]) / norm * SPACING_MM
    back_row, back_z = rows.mean(), level + slope * rows.mean()
    along_mm = ((at[1] - back_row) + slope * (at[2] - back_z)) / norm * SPACING_MM
    along_mm = along_mm - above_mm * rng.uniform(-0.3, 0.1)  # the lordosis leans back again
    aside_mm = (at[0] - middle) * SPACING_MM
    disc_mm, body_mm = rng.uniform(5, 13), rng.uniform(25, 31)
    column = (aside_mm / rng.uniform(23, 28)) ** 2 + (along_mm / rng.uniform(16, 20)) ** 2 < 1
    canal = (aside_mm / 12) ** 2 + ((along_mm + 30) / 9) ** 2 < 1
    phase = above_mm % (disc_mm + body_mm)
    level_of = np.where(phase < disc_mm, TISSUES["disc"], TISSUES["vertebra"])
    made = np.where(column, level_of, np.where(canal, TISSUES["csf"], 0))
    free = (labels == 0) & (above_mm > 0) & (made > 0)
    return np.where(free, made, labels).astype(labels.dtype)


def with_flesh(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return bones embedded in fat, muscle and organs of random places, out to their hull."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.zoom(rng.normal(size=(8, 7, 8)), np.array(labels.shape) / (8, 7, 8), order=1)
              for _ in range(5)]  # fmt: skip
    flesh = np.array([TISSUES[n] for n in ("organ_a", "organ_b", "organ_c", "muscle_a", "fat")],
                     np.uint8)[np.argmax(fields, axis=0)]  # fmt: skip
    # One outline for all heights: a body does not narrow to the bones that a slice happens to hold.
    hull = ndimage.binary_dilation(convex_hull_image((labels > 0).any(2)), iterations=12)
    out = np.where(hull[:, :, None] & (labels == 0), flesh, labels)
    near = ndimage.binary_dilation(labels > 0, iterations=3) & (labels == 0)
    out[near & (fields[0] < 0.3)] = TISSUES["fat"]
    return out


def with_muscles(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a pelvis whose soft tissue next to the bones is muscle where a body has it, axes RAS.

    Iliacus on the inner face of each hip bone, glutei on the outer one, multifidus behind the
    sacrum with streaks of fat, psoas beside the spine: all random in thickness, and parted from the
    bones by fat here and there. Without them a network takes iliacus for ilium.
    """
    rng = np.random.default_rng(seed)

    def field(knots: int) -> np.ndarray:
        zoom = np.array(labels.shape) / knots
        return ndimage.zoom(rng.normal(size=(knots, knots, knots)), zoom, order=1)

    soft = [TISSUES[name] for name in ("fat", "muscle_a", "organ_a", "organ_b", "organ_c")]
    body = ndimage.binary_erosion(labels > 0, iterations=8, border_value=1)  # not below the skin
    free = np.isin(labels, soft) & body
    hip, sacrum = labels == TISSUES["hip_bone"], labels == TISSUES["sacrum"]
    middle = int(np.argwhere(sacrum)[:, 0].mean())
    # Towards the middle from a hip bone, in the same row.
    inner = np.zeros(labels.shape, bool)
    inner[:middle] = np.maximum.accumulate(hip[:middle], axis=0)
    inner[middle:] = np.maximum.accumulate(hip[middle:][::-1], axis=0)[::-1]
    from_hip_mm = ndimage.distance_transform_edt(~hip) * SPACING_MM
    x, y, z = np.ogrid[tuple(slice(n) for n in labels.shape)]
    iliacus = inner & (from_hip_mm < 14.0 + 5.0 * field(7))
    glutei = ~inner & (from_hip_mm < 28.0 + 9.0 * field(7))
    # Behind the sacrum: nothing of it lies further back in the same column.
    back = ~np.maximum.accumulate(sacrum, axis=1) & sacrum.any(1, keepdims=True)
    multifidus = back & (ndimage.distance_transform_edt(~sacrum) * SPACING_MM < 38.0)
    top = np.argwhere(sacrum)[:, 2].max()
    front = np.argwhere(sacrum[:, :, top - 12 :])[:, 1].max()
    radius_mm, aside_mm, slope = rng.uniform(17, 27), rng.uniform(38, 52), rng.uniform(0.1, 0.5)
    lower_mm = np.clip(top - z, 0, None) * SPACING_MM  # it runs outwards and to the front
    off_mm = np.abs(x - middle) * SPACING_MM - aside_mm - slope * lower_mm
    fore_mm = (y - front) * SPACING_MM + rng.uniform(0, 15) - slope * lower_mm
    psoas = off_mm**2 + 0.7 * fore_mm**2 < radius_mm**2
    names = ["muscle_b", "muscle_c", "muscle_d", "muscle_a"]
    rng.shuffle(names)
    made = np.select([psoas, iliacus, multifidus, glutei], [TISSUES[n] for n in names])
    streaks = multifidus & (field(24) > rng.uniform(0.8, 1.6))
    border = ndimage.maximum_filter(made, 3) != ndimage.minimum_filter(made, 3)
    near_bone = (ndimage.distance_transform_edt(~(hip | sacrum)) < 2.5) & (field(9) > 0.4)
    made[streaks | near_bone | (border & (field(9) > 0))] = TISSUES["fat"]
    return np.where(free & (made > 0), made, labels).astype(labels.dtype)


def put(labels: np.ndarray, solid: np.ndarray, start: np.ndarray, value: int) -> None:
    """Write `solid` into `labels` at `start`, as far as it fits and where nothing is yet."""
    here = tuple(slice(max(s, 0), min(s + n, m))
                 for s, n, m in zip(start, solid.shape, labels.shape, strict=True))  # fmt: skip
    there = tuple(slice(h.start - s, h.stop - s) for h, s in zip(here, start, strict=True))
    part = labels[here]
    part[solid[there] & (part == 0)] = value


def main(shapes: Path, cache: Path, sites: tuple[str, ...]) -> None:
    """Write every source that SHAPES allows to CACHE."""
    cache.mkdir(parents=True, exist_ok=True)
    if "shapes" in sites:
        if (shapes / "spl_abdomen/seg.nrrd").is_file():
            labels = abdomen_source(shapes / "spl_abdomen/seg.nrrd")
            save_source(cache / "shape_abdomen.npz", make_source(labels, SPACING_MM, column=True))
        if (shapes / "spl_head_neck/seg.nrrd").is_file():
            labels = neck_source(shapes / "spl_head_neck/seg.nrrd")
            save_source(cache / "shape_neck.npz", make_source(labels, SPACING_MM))
        if (shapes / "lhdl").is_dir():
            bones = pelvis_source(shapes / "lhdl")
            for seed in range(3):
                source = make_source(with_flesh(bones, seed), SPACING_MM)
                save_source(cache / f"shape_pelvis_{seed}.npz", source)
    for site, (count, field_mm) in PHANTOMS.items():
        for seed in range(FIRST_SEED, FIRST_SEED + count) if site in sites else ():
            path = cache / f"phantom_{site}_{seed}.npz"
            if not path.exists():
                labels = phantom_source(site, seed, field_mm)
                column = site == "lumbar"
                source = make_source(labels, SPACING_MM, complete=True, column=column)
                save_source(path, source)
                print(path.name, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), tuple(sys.argv[3:]) or ("shapes", *PHANTOMS))
