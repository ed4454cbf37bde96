"""Turn a public skeleton into shape sources of ankle and shoulder, for training.

    python scripts/prepare_skeleton.py SHAPES CACHE [SITE ...]

SHAPES holds ``myosim/*.stl``, bone by bone, each in a frame of its own. Every bone is laid where
the like bone of a phantom lies (`placed`), so that joints and soft tissue are a phantom's and the
bones are a person's. CACHE is a folder outside the repository.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prepare_shapes import fill_mesh
from prepare_trunk import PHANTOMS, SPACING_MM, phantom_source
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from bmepipe.analysis.region import largest_piece
from bmepipe.analysis.walker import signed_depth_mm
from bmepipe.training.sources import make_source, save_source
from bmepipe.training.tissues import LAST_BONE, TISSUES

SEEDS = range(1040, 1048)  # of the phantoms around the bones; no other training has them
MARGIN_MM = 4.0  # kept around a bone when it is filled
END_MM = 45.0  # of a long bone: the part beside its joint that lays it
SCALES = (0.85, 1.2)
ROUNDS = 60
TRIMMED = 0.9  # of the nearest points: a phantom's bone has no spur where a person's has one
APART_MM = 1.5  # between two bones
JOINT_MM = 3.0  # where two bones are as near as this there is cartilage


@dataclass(frozen=True)
class Part:
    """A bone of the skeleton: its file, the piece of that file, and which end lies in the joint.

    `end` is +1 for the upper end of a long bone, -1 for the lower, 0 for the whole.
    """

    bone: str
    file: str
    piece: int = 0
    end: int = 0


PARTS = {
    "shoulder": (
        Part("humerus", "humerus", end=1), Part("scapula", "ground_r_scapula"),
        Part("clavicle", "ground_r_clavicle"),
    ),
    "ankle": (
        Part("tibia", "r_tibia", end=-1), Part("fibula", "r_fibula", end=-1),
        Part("talus", "r_talus"), Part("calcaneus", "r_foot", 0), Part("cuboid", "r_foot", 1),
        Part("navicular", "r_foot", 3),
    ),
}  # fmt: skip


def read_stl(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return points in mm, axes RAS, and triangles of a binary STL of the skeleton.

    Its axes are front, up and right; some files are in metres.
    """
    raw = path.read_bytes()
    kind = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("spare", "<u2")])
    corners = np.frombuffer(raw[84:], kind)["corners"].astype(float).reshape(-1, 3)
    corners *= 1000 if np.ptp(corners, axis=0).max() < 3 else 1
    points, triangles = np.unique(np.round(corners, 2), axis=0, return_inverse=True)
    return points[:, [2, 0, 1]], triangles.reshape(-1, 3)


def pieces(points: np.ndarray, triangles: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the connected pieces of a mesh, in the order of their first points."""
    edges = np.concatenate([triangles[:, :2], triangles[:, 1:]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), (len(points), len(points)))
    count, owner = connected_components(graph, directed=False)
    found = []
    for piece in range(count):
        kept = triangles[owner[triangles[:, 0]] == piece]
        used, renamed = np.unique(kept, return_inverse=True)
        found.append((points[used], renamed.reshape(-1, 3)))
    return found


def dense(points: np.ndarray, triangles: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return random points of a mesh's surface, shape (count, 3)."""
    rng = np.random.default_rng(seed)
    a, b, c = (points[triangles[:, n]] for n in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    drawn = rng.choice(len(triangles), count, p=area / area.sum())
    v, w = rng.random((2, count, 1))
    v, w = np.where(v + w > 1, 1 - v, v), np.where(v + w > 1, 1 - w, w)
    return a[drawn] + v * (b - a)[drawn] + w * (c - a)[drawn]


def surface_mm(mask: np.ndarray) -> np.ndarray:
    """Return the outermost voxels of a mask in mm, but those at the end of the field."""
    inner = ndimage.binary_erosion(mask, border_value=1)
    return np.argwhere(mask & ~inner) * SPACING_MM


def placed(
    skeleton: np.ndarray, bone: np.ndarray, end: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the linear map, the shift and the residual in mm that lay a bone on a phantom's.

    Parameters
    ----------
    skeleton : ndarray, shape (n, 3)
        Points of the skeleton's surface, in about the phantom's posture.
    bone : ndarray, shape (m, 3)
        Points of the phantom's.
    end : int
        Of `Part`.
    """
    linear, near = np.eye(3), skeleton
    if end:
        top = (end * skeleton[:, 2]).max()
        near = skeleton[end * skeleton[:, 2] > top - END_MM]
        bone = bone[end * bone[:, 2] > (end * bone[:, 2]).max() - END_MM]
        skeleton = skeleton[end * skeleton[:, 2] > top - 1.6 * END_MM]
    shift = bone.mean(0) - near.mean(0)
    for _ in range(ROUNDS):
        moved = skeleton @ linear.T + shift
        far, index = KDTree(moved).query(bone)
        kept = far <= np.quantile(far, TRIMMED)
        source, target = skeleton[index[kept]], bone[kept]
        a, b = source - source.mean(0), target - target.mean(0)
        u, s, vt = np.linalg.svd(b.T @ a)
        sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
        scale = float(np.clip((s * sign.diagonal()).sum() / (a**2).sum(), *SCALES))
        linear = scale * u @ sign @ vt
        shift = target.mean(0) - linear @ source.mean(0)
    return linear, shift, float(far[kept].mean())


def filled(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return the inside of a mesh that may be open, as bool voxels of 1 mm.

    A ray through a hole is wrong along its whole length, so that rays along x, y and z vote.
    """
    votes = 0
    for turn in range(3):
        axes = np.roll(np.arange(3), turn)
        solid = fill_mesh(points[:, axes], triangles, MARGIN_MM)
        votes = votes + solid.transpose(np.argsort(axes)).astype(np.uint8)
    return votes >= 2


def inside_mm(points: np.ndarray, triangles: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the signed distance in mm (negative inside) of a mesh on a phantom's grid."""
    solid = ndimage.median_filter(filled(points, triangles), 3)
    soft = ndimage.gaussian_filter(solid.astype(np.float32), 0.7)  # its triangles are large
    low = points.min(0) - MARGIN_MM
    at = [(np.arange(n) * SPACING_MM - low[axis] - 0.5) for axis, n in enumerate(shape)]
    grid = np.stack(np.meshgrid(*at, indexing="ij"))
    mask = ndimage.map_coordinates(soft, grid, order=1, cval=0.0) > 0.5
    return -signed_depth_mm(largest_piece(mask), np.full(3, SPACING_MM))


def with_bones(labels: np.ndarray, distances: dict[str, np.ndarray]) -> np.ndarray:
    """Return a phantom's tissues with other bones in the place of its own."""
    own = (labels > 0) & (labels <= LAST_BONE)
    replaced = np.isin(labels, [TISSUES[name] for name in distances])
    nearest = ndimage.distance_transform_edt(own, return_distances=False, return_indices=True)
    labels = np.where(replaced, labels[tuple(nearest)], labels)
    stacked = np.stack(list(distances.values()))
    order = np.argsort(stacked, axis=0)
    first, second = (np.take_along_axis(stacked, order[n : n + 1], 0)[0] for n in (0, 1))
    numbers = np.array([TISSUES[name] for name in distances], np.uint8)[order[0]]
    soft = (labels == 0) | (labels > LAST_BONE)
    joint = soft & (first < JOINT_MM) & (second < JOINT_MM)
    labels = np.where(joint, TISSUES["cartilage"], labels)
    bone = (first < 0) & (second > APART_MM) & soft
    return np.where(bone, numbers, labels).astype(np.uint8)


def skeleton_source(folder: Path, site: str, seed: int) -> tuple[np.ndarray, list[float]]:
    """Return tissues with the skeleton's bones, axes RAS, and each bone's residual in mm."""
    labels = phantom_source(site, seed, PHANTOMS[site][1])
    best: tuple[float, dict[str, np.ndarray], list[float]] | None = None
    for side in (1, -1):  # a left bone is a mirrored right one
        meshes, errors = {}, []
        for part in PARTS[site]:
            points, triangles = pieces(*read_stl(folder / f"{part.file}.stl"))[part.piece]
            points = points * [side, 1, 1]
            bone = surface_mm(labels == TISSUES[part.bone])
            linear, shift, far = placed(dense(points, triangles, 6000, seed), bone, part.end)
            meshes[part.bone] = (points @ linear.T + shift, triangles)
            errors.append(far)
        if best is None or sum(errors) < best[0]:
            best = sum(errors), meshes, errors
    assert best is not None
    distances = {name: inside_mm(*mesh, labels.shape) for name, mesh in best[1].items()}
    return with_bones(labels, distances), best[2]


def main(shapes: Path, cache: Path, sites: tuple[str, ...]) -> None:
    """Write the sources to CACHE; those that are there are kept."""
    cache.mkdir(parents=True, exist_ok=True)
    for site in sites:
        for seed in SEEDS:
            path = cache / f"skeleton_{site}_{seed}.npz"
            if not path.exists():
                labels, errors = skeleton_source(shapes / "myosim", site, seed)
                save_source(path, make_source(labels, SPACING_MM, complete=True))
                print(site, seed, "residual", *(f"{far:.1f}" for far in errors), "mm", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), tuple(sys.argv[3:]) or tuple(PARTS))
