"""What a user would otherwise chain by hand, every library at its defaults.

    python scripts/hand_chain.py STUDY OUT

Reads a phantom knee with SimpleITK, corrects both series with N4, registers the T1, finds the bones
with the shipped weights in 32-bit sliding windows, calls marrow edema that lies four spreads above
the bone's median, labels it with scikit-image, and writes NIfTI, a table and figures. Seconds per
step go to OUT/seconds.json. `scripts/bench_run.py` compares it with `bmepipe run`.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

SECONDS: dict[str, float] = {}
SPREADS = 4.0


@contextmanager
def step(name: str) -> Iterator[None]:
    """Note how long a step takes."""
    start = time.perf_counter()
    yield
    SECONDS[name] = time.perf_counter() - start


def read(study: Path, description: str) -> sitk.Image:
    """Return the series of that description."""
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(study)):
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(study), uid)
        header = sitk.ImageFileReader()
        header.SetFileName(files[0])
        header.ReadImageInformation()
        if header.GetMetaData("0008|103e").strip() == description:
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(files)
            return sitk.Cast(reader.Execute(), sitk.sitkFloat32)
    raise SystemExit(f"expected a series {description!r} in {study}")


def n4(image: sitk.Image) -> sitk.Image:
    """Return the image without its bias field: N4 at its defaults, shrunk by 4 within slices."""
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    mask = sitk.OtsuThreshold(image, 0, 1, 200)
    corrector.Execute(sitk.Shrink(image, [4, 4, 1]), sitk.Shrink(mask, [4, 4, 1]))
    return image / sitk.Exp(corrector.GetLogBiasFieldAsImage(image))


def register(moving: sitk.Image, fixed: sitk.Image) -> sitk.Image:
    """Return `moving` on the grid of `fixed`: the settings of SimpleITK's registration tutorial."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.01, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsGradientDescent(1.0, 100, 1e-6, 10)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method.SetInitialTransform(start, inPlace=False)
    return sitk.Resample(moving, fixed, method.Execute(fixed, moving), sitk.sitkLinear)


def on_grid_of_network(image: sitk.Image, spacing_mm: float) -> sitk.Image:
    """Return the image with equal spacing, x to the right, y to the front, z up."""
    turned = sitk.DICOMOrient(image, "RAS")
    size = [
        int(np.ceil(n * s / spacing_mm))
        for n, s in zip(turned.GetSize(), turned.GetSpacing(), strict=True)
    ]
    return sitk.Resample(
        turned, size, sitk.Transform(), sitk.sitkLinear, turned.GetOrigin(), [spacing_mm] * 3,
        turned.GetDirection(), 0.0,
    )  # fmt: skip


def bones_of(t1: sitk.Image, t2fs: sitk.Image) -> sitk.Image:
    """Return bone labels on the grid of `t2fs`."""
    import torch
    from monai.inferers import sliding_window_inference

    from bmepipe.models.bundle import load_bundle
    from bmepipe.models.stored import model_folder

    bundle = load_bundle(model_folder("bones_knee"))
    total = 0.0
    for image in (t1, t2fs):
        coarse = on_grid_of_network(image, bundle.spacing_mm)
        signal = np.ascontiguousarray(sitk.GetArrayFromImage(coarse).transpose(2, 1, 0))
        signal = np.clip(signal / np.percentile(signal, 99), 0, 2).astype(np.float32)
        with torch.no_grad():
            logits = sliding_window_inference(
                torch.from_numpy(signal)[None, None], (64, 64, 64), 1, bundle.network
            )
        total = total + logits.softmax(1)[0]
    labels = sitk.GetImageFromArray(total.argmax(0).numpy().astype(np.uint8).transpose(2, 1, 0))
    labels.CopyInformation(coarse)
    return sitk.Resample(labels, t2fs, sitk.Transform(), sitk.sitkNearestNeighbor, 0)


def edema_of(signal: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """Return marrow brighter than its bone's median by so many spreads; specks removed."""
    from scipy import ndimage
    from skimage.measure import label, regionprops

    edema = np.zeros(bones.shape, bool)
    for bone in np.unique(bones[bones > 0]):
        marrow = ndimage.binary_erosion(bones == bone, iterations=2)
        values = signal[marrow]
        if values.size:
            centre = np.median(values)
            spread = 1.4826 * np.median(np.abs(values - centre))
            edema |= marrow & (signal > centre + SPREADS * spread)
    lesions = label(edema)
    for region in regionprops(lesions):
        if region.area < 20:
            lesions[lesions == region.label] = 0
    return lesions


def write(out: Path, t2fs: sitk.Image, bones: np.ndarray, lesions: np.ndarray) -> None:
    """Write NIfTI files, a table and a figure per slice with edema."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import nibabel

    affine = np.eye(4)
    direction = np.reshape(t2fs.GetDirection(), (3, 3))
    affine[:3, :3], affine[:3, 3] = direction * t2fs.GetSpacing(), t2fs.GetOrigin()
    affine = np.diag([-1, -1, 1, 1]) @ affine
    for name, data in (
        ("bones", bones.astype(np.uint8)),
        ("lesions", lesions.astype(np.uint16)),
        ("edema_mask", (lesions > 0).astype(np.uint8)),
        ("edema_signal", sitk.GetArrayFromImage(t2fs)),
    ):
        nibabel.save(nibabel.Nifti1Image(data.transpose(2, 1, 0), affine), out / f"{name}.nii.gz")
    with (out / "measurements.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["bone", "edema_ml"])
        voxel_ml = float(np.prod(t2fs.GetSpacing())) / 1000
        for bone in np.unique(bones[bones > 0]):
            rows.writerow([bone, np.count_nonzero(lesions[bones == bone]) * voxel_ml])
    for k, signal in enumerate(sitk.GetArrayFromImage(t2fs)):
        if lesions[k].any():
            figure, axis = plt.subplots(figsize=(6, 6))
            axis.imshow(signal, cmap="gray")
            axis.contour(lesions[k] > 0, [0.5], colors="r")
            axis.axis("off")
            figure.savefig(out / f"slice_{k:03d}.png", dpi=100)
            plt.close(figure)


def main(study: Path, out: Path) -> None:
    """Run the chain."""
    out.mkdir(parents=True)
    with step("read"):
        t1, t2fs = read(study, "SAG T1"), read(study, "SAG PD FS")
    with step("N4 of both"):
        t1, t2fs = n4(t1), n4(t2fs)
    with step("registration"):
        t1 = register(t1, t2fs)
    with step("import torch, monai"):
        import monai.inferers  # noqa: F401
        import torch  # noqa: F401
    with step("bones"):
        bones = sitk.GetArrayFromImage(bones_of(t1, t2fs))
    with step("edema and labels"):
        lesions = edema_of(sitk.GetArrayFromImage(t2fs), bones)
    with step("write"):
        write(out, t2fs, bones, lesions)
    (out / "seconds.json").write_text(json.dumps(SECONDS, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
