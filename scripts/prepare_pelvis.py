"""The pelvis of `prepare_trunk`: a public mesh with canal, spine, muscles and organs around it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from prepare_shapes import fill_mesh
from scipy import ndimage
from skimage.morphology import convex_hull_image

from bmepipe.training.tissues import TISSUES

SPACING_MM = 1.5


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
    disc_mm, body_mm = rng.uniform(3, 13), rng.uniform(25, 31)
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


def with_thin_wing(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a pelvis whose iliac wings are thinner away from the joint, axes RAS.

    In many people the middle of the wing is two plates of cortex on each other, dark on every
    image; a network that has seen thick wings only looks for marrow beside them, in iliacus.
    What is taken away becomes muscle.
    """
    rng = np.random.default_rng(seed)
    hip = labels == TISSUES["hip_bone"]
    depth_mm = ndimage.distance_transform_edt(hip) * SPACING_MM
    knots = ndimage.zoom(rng.normal(size=(5, 5, 5)), np.array(labels.shape) / 5, order=1)
    off_mm = ndimage.distance_transform_edt(labels != TISSUES["sacrum"]) * SPACING_MM
    heights = np.argwhere(hip)[:, 2]
    rise = (np.arange(labels.shape[2]) - heights.min()) / np.ptp(heights)
    high = np.clip((rise - 0.45) / 0.15, 0, 1)  # not at the hip joint
    share = np.clip((off_mm - rng.uniform(12, 30)) / 15, 0, 1) * high
    taken_mm = share * np.clip(rng.uniform(0, 7) + 2.0 * knots, 0, 9)
    # The middle sheet stays, one voxel or two thick: cortex alone.
    sheet = depth_mm >= ndimage.maximum_filter(depth_mm, 3)
    gone = hip & (depth_mm <= taken_mm) & ~ndimage.binary_closing(sheet)
    return np.where(gone, TISSUES["muscle_a"], labels).astype(labels.dtype)


def with_wide_canal(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a pelvis whose sacral canal is wider by up to 5 mm, fat taking the room."""
    rng = np.random.default_rng(seed)
    canal = labels == TISSUES["csf"]
    off_mm = ndimage.distance_transform_edt(~canal) * SPACING_MM
    wider = (labels == TISSUES["sacrum"]) & (off_mm < rng.uniform(1, 7))
    kind = rng.choice(["fat", "csf"], p=[0.7, 0.3])
    return np.where(wider, TISSUES[kind], labels).astype(labels.dtype)


def with_ligaments(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return a pelvis with streaked fat between sacrum and ilium behind the joint, axes RAS.

    On T1 it is as mottled as marrow, and a network that has not seen it calls it sacrum.
    """
    rng = np.random.default_rng(seed)
    hip, sacrum = labels == TISSUES["hip_bone"], labels == TISSUES["sacrum"]
    between = ndimage.distance_transform_edt(~hip) + ndimage.distance_transform_edt(~sacrum)
    reach = rng.uniform(20, 34) / SPACING_MM
    soft = [TISSUES[name] for name in ("fat", "muscle_a", "muscle_b", "muscle_c", "muscle_d",
                                       "organ_a", "organ_b", "organ_c")]  # fmt: skip
    rows = np.argwhere(sacrum)[:, 1]
    behind = np.arange(labels.shape[1])[None, :, None] < np.quantile(rows, rng.uniform(0.3, 0.6))
    cleft = (between < reach) & behind & np.isin(labels, soft)
    streaks = ndimage.gaussian_filter(rng.normal(size=labels.shape), (0.6, 1.2, 1.2))
    dark = streaks > np.quantile(streaks[::4, ::4, ::4], rng.uniform(0.5, 0.8))
    made = np.where(dark, TISSUES["tendon"], TISSUES["fat"])
    return np.where(cleft, made, labels).astype(labels.dtype)


def put(labels: np.ndarray, solid: np.ndarray, start: np.ndarray, value: int) -> None:
    """Write `solid` into `labels` at `start`, as far as it fits and where nothing is yet."""
    here = tuple(slice(max(s, 0), min(s + n, m))
                 for s, n, m in zip(start, solid.shape, labels.shape, strict=True))  # fmt: skip
    there = tuple(slice(h.start - s, h.stop - s) for h, s in zip(here, start, strict=True))
    part = labels[here]
    part[solid[there] & (part == 0)] = value
