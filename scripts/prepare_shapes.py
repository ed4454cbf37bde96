"""Turn public knee label maps into shape sources for training: one .npz per knee.

    python scripts/prepare_shapes.py SHAPES CACHE

SHAPES holds ``spl_knee/seg.nrrd``, ``knee_dess_labels.nrrd`` and, if wanted,
``pymskt_femur/*.vtk``; CACHE is a folder outside the repository. Where a source knows only the
bones, the surroundings are carried over from the 49-tissue knee by registering bone to bone.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from bmepipe.training.sources import make_source, save_source
from bmepipe.training.tissues import TISSUES

SPACING_MM = 1.0
BONES = (1, 2, 3, 4)
# Numbers of the 49-tissue knee -> our tissues.
SPL_TISSUES = {
    "femur": (95,), "tibia": (96,), "patella": (98,), "fibula": (97,),
    "fat_pad": (9,),
    "muscle_a": (12, 13), "muscle_b": (15, 16, 17, 18, 19),
    "muscle_c": (20, 21, 22, 23), "muscle_d": (24, 25, 26),
    "tendon": (3, 31, 32, 33, 34, 35, 41, 42, 43, 44, 46, 47, 48),
    "nerve": (61, 62, 63, 64), "artery": (71, 73, 74, 75), "vein": (72, 77, 78),
    "meniscus": (81, 82), "cartilage": (83, 84, 85, 86),
}  # fmt: skip
DESS_TISSUES = {
    "femur": (5,), "tibia": (6,), "patella": (7,), "fibula": (8,),
    "cartilage": (1, 2, 3, 4), "meniscus": (9, 10),
}  # fmt: skip


def read_labels(path: Path, table: dict[str, tuple[int, ...]]) -> sitk.Image:
    """Return the tissues of an NRRD label map, resampled to 1 mm and to RAS axes."""
    import nrrd  # not asked for where only a mesh is filled

    data, header = nrrd.read(str(path))
    lut = np.zeros(256, np.uint8)
    for name, values in table.items():
        lut[list(values)] = TISSUES[name]
    image = sitk.GetImageFromArray(np.ascontiguousarray(lut[data].T))
    directions = np.asarray(header["space directions"], float)  # rows are axes, LPS
    spacing = np.linalg.norm(directions, axis=1)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((directions / spacing[:, None]).T.ravel().tolist())
    image.SetOrigin(np.asarray(header["space origin"], float).tolist())
    image = sitk.DICOMOrient(image, "LPS")  # x to the left, y to the back, z up
    size = [
        round(n * s / SPACING_MM) for n, s in zip(image.GetSize(), image.GetSpacing(), strict=True)
    ]
    origin = image.TransformContinuousIndexToPhysicalPoint(
        [-0.5 + 0.5 * SPACING_MM / s for s in image.GetSpacing()]
    )
    return sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkNearestNeighbor, origin, [SPACING_MM] * 3,
        image.GetDirection(), 0,
    )  # fmt: skip


def level(image: sitk.Image) -> sitk.Image:
    """Return the image with its axes made the world's: a knee lies straight in its own scan."""
    image = sitk.Image(image)
    image.SetSpacing([SPACING_MM] * 3)
    image.SetDirection(np.eye(3).ravel().tolist())
    image.SetOrigin([-(n - 1) * SPACING_MM / 2 for n in image.GetSize()])
    return image


def prolonged(image: sitk.Image, by_mm: float) -> sitk.Image:
    """Return the leg cut to its fully drawn slices, whose ends are then repeated for `by_mm`."""
    labels = sitk.GetArrayFromImage(image)
    area = (labels > 0).sum(axis=(1, 2))
    drawn = np.flatnonzero(area > 0.6 * np.median(area[area > 0]))
    pad = round(by_mm / SPACING_MM)
    out = np.pad(labels[drawn[0] : drawn[-1] + 1], ((pad, pad), (0, 0), (0, 0)), mode="edge")
    return level(sitk.GetImageFromArray(out))


def read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return points in mm, shape (n, 3), and triangles, shape (m, 3), of an ASCII VTK file."""
    words = path.read_text().split()
    at = words.index("POINTS")
    count = int(words[at + 1])
    points = np.array(words[at + 3 : at + 3 + 3 * count], float).reshape(-1, 3)
    at = words.index("POLYGONS")
    if words[at + 3] == "OFFSETS":
        at = words.index("CONNECTIVITY")
        end = words.index("CELL_DATA") if "CELL_DATA" in words else None
        numbers = [int(w) for w in words[at + 2 : end] if w.lstrip("-").isdigit()]
        offsets = int(words[words.index("POLYGONS") + 2])
        return points, np.array(numbers[:offsets]).reshape(-1, 3)
    total = int(words[at + 2])
    return points, np.array(words[at + 3 : at + 3 + total], int).reshape(-1, 4)[:, 1:]


def fill_mesh(points: np.ndarray, triangles: np.ndarray, margin_mm: float) -> np.ndarray:
    """Return the inside of a closed mesh as bool voxels of 1 mm: parity along rays in z."""
    low = points.min(0) - margin_mm
    size = np.ceil(points.max(0) - points.min(0) + 2 * margin_mm).astype(int)
    crossings = np.zeros([*size[:2], size[2] + 1], np.int32)
    # A shift by an odd fraction keeps rays off the vertices.
    corners = points[triangles] - low + [1.3e-4, 2.7e-4, 0]
    for a, b, c in corners:
        x0, y0 = np.ceil(np.minimum(np.minimum(a, b), c)[:2] - 0.5).astype(int)
        x1, y1 = np.floor(np.maximum(np.maximum(a, b), c)[:2] - 0.5).astype(int)
        if x1 < x0 or y1 < y0:
            continue
        x, y = np.meshgrid(np.arange(x0, x1 + 1), np.arange(y0, y1 + 1), indexing="ij")
        px, py = x + 0.5, y + 0.5
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if abs(area) < 1e-12:
            continue
        v = ((px - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (py - a[1])) / area
        w = ((b[0] - a[0]) * (py - a[1]) - (px - a[0]) * (b[1] - a[1])) / area
        hit = (v >= 0) & (w >= 0) & (v + w <= 1)
        z = a[2] + v * (b[2] - a[2]) + w * (c[2] - a[2])
        np.add.at(crossings, (x[hit], y[hit], np.ceil(z[hit] - 0.5).astype(int)), 1)
    return (np.cumsum(crossings, axis=2) % 2 == 1)[:, :, :-1]


def femur_image(path: Path) -> sitk.Image:
    """Return a femur's mesh as a label map, in LPS axes, with room for the rest of a knee."""
    points, triangles = read_mesh(path)
    solid = fill_mesh(points, triangles, 12.0)
    print(" ", path.name, "femur of", round(float(solid.sum()) / 1000, 1), "mL")
    top = int(np.flatnonzero(solid.any(axis=(0, 1)))[-1]) - 3  # below the cut end of the mesh
    solid = np.pad(solid[:, :, : top + 1], ((15, 15), (25, 25), (80, 0)))
    solid = np.pad(solid, ((0, 0), (0, 0), (0, 40)), mode="edge")
    return level(sitk.GetImageFromArray(solid.transpose(2, 1, 0).astype(np.uint8)))


def centroids(image: sitk.Image, bones: tuple[int, ...]) -> np.ndarray:
    """Return the centres of the bones in mm, shape (n, 3)."""
    stats = sitk.LabelShapeStatisticsImageFilter()
    stats.Execute(image)
    return np.array([stats.GetCentroid(bone) for bone in bones])


def bone_field(image: sitk.Image, bones: tuple[int, ...]) -> sitk.Image:
    """Return a smooth image whose level sets are the bones: each has its own height."""
    total = sitk.Image(image.GetSize(), sitk.sitkFloat32)
    total.CopyInformation(image)
    for height, bone in zip((1.0, -1.0, 1.6, -1.6), bones, strict=False):
        total = total + sitk.Cast(image == bone, sitk.sitkFloat32) * height
    return sitk.DiscreteGaussian(total, 2.0)


def carry_surroundings(
    donor: sitk.Image, receiver: sitk.Image, bones: tuple[int, ...], restore: tuple[int, ...]
) -> sitk.Image:
    """Return the donor warped bone onto bone, with the receiver's own `restore` tissues kept."""
    own, other = centroids(receiver, bones), centroids(donor, bones)
    fixed, moving = bone_field(receiver, bones), bone_field(donor, bones)
    affine = sitk.AffineTransform(3)
    affine.SetTranslation((other - own)[: 3 if len(bones) > 2 else 1].mean(axis=0).tolist())
    affine.SetCenter(own.mean(axis=0).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 200)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2])
    method.SetSmoothingSigmasPerLevel([4, 2])
    method.SetInitialTransform(affine, inPlace=True)
    method.Execute(fixed, moving)
    linear = sitk.Resample(moving, fixed, affine, sitk.sitkLinear)
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfIterations(150)
    demons.SetStandardDeviations(2.5)
    field = demons.Execute(fixed, linear)
    warp = sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(field)])
    out = sitk.GetArrayFromImage(sitk.Resample(donor, receiver, warp, sitk.sitkNearestNeighbor))
    kept = sitk.GetArrayFromImage(receiver)
    dice = [2 * ((out == b) & (kept == b)).sum() / ((out == b).sum() + (kept == b).sum())
            for b in bones]  # fmt: skip
    print("  bone overlap after warping", [round(float(d), 3) for d in dice])
    # A bone of the donor that sticks out of the receiver's becomes whatever lies nearest.
    out[np.isin(out, restore)] = 0
    out[np.isin(kept, restore)] = kept[np.isin(kept, restore)]
    result = sitk.GetImageFromArray(out)
    result.CopyInformation(receiver)
    return result


def mirrored(image: sitk.Image) -> sitk.Image:
    """Return the label map of the other leg."""
    array = sitk.GetArrayFromImage(image)[:, :, ::-1]
    out = sitk.GetImageFromArray(np.ascontiguousarray(array))
    out.CopyInformation(image)
    return out


def same_side(donor: sitk.Image, receiver: sitk.Image) -> sitk.Image:
    """Return the donor, mirrored if its fibula lies on the other side than the receiver's."""
    side = [centroids(i, (4,))[0, 0] - centroids(i, (2,))[0, 0] for i in (donor, receiver)]
    return donor if side[0] * side[1] > 0 else mirrored(donor)


def to_array(image: sitk.Image) -> np.ndarray:
    """Return labels [x, y, z] with x to the right, y to the front, z up."""
    return np.ascontiguousarray(sitk.GetArrayFromImage(image).transpose(2, 1, 0)[::-1, ::-1])


def main(shapes: Path, cache: Path) -> None:
    """Write every source that SHAPES allows to CACHE."""
    cache.mkdir(parents=True, exist_ok=True)
    spl = level(read_labels(shapes / "spl_knee/seg.nrrd", SPL_TISSUES))
    dess = level(read_labels(shapes / "knee_dess_labels.nrrd", DESS_TISSUES))
    spl = prolonged(spl, 0.0)
    save_source(cache / "spl_knee.npz", make_source(to_array(spl), SPACING_MM))
    print("spl_knee", spl.GetSize())
    spl = prolonged(spl, 40.0)
    own = (*BONES, TISSUES["cartilage"], TISSUES["meniscus"])
    whole = carry_surroundings(same_side(spl, dess), dess, BONES, own)
    save_source(cache / "dess_knee.npz", make_source(to_array(whole), SPACING_MM))
    print("dess_knee", whole.GetSize())
    for number, path in enumerate(sorted((shapes / "pymskt_femur").glob("*.vtk")), 1):
        donor = (same_side(spl, dess), prolonged(whole, 40.0))[number % 2]
        femur = femur_image(path)
        knee = carry_surroundings(donor, femur, (1,), (1,))
        save_source(cache / f"femur_{number}.npz", make_source(to_array(knee), SPACING_MM))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
