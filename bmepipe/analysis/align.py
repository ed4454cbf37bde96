"""Bring a second image onto the grid of the first: resampling and rigid registration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bmepipe.volume import Grid, Volume

if TYPE_CHECKING:
    import SimpleITK as sitk

SEED = 20  # of the registration's sampling, so that a study gives one answer
MOTION_CAP_MM = 15.0  # within one frame of reference; patients move, but not out of the coil
MOTION_CAP_OTHER_FRAME_MM = 40.0
NOT_BELIEVED = "not believed"
LEAST_GAIN = 0.01  # of mutual information, in nats; less is no reason to move
NOTABLE_MOTION_MM = 1.0
WORKING_SPACING_MM = 1.5


def resample(volume: Volume, grid: Grid) -> Volume:
    """Return `volume` on `grid`.

    Float signal is interpolated linearly, masks and labels by the nearest voxel, as their dtype
    says. Outside the volume the result is 0, which for signal means "not imaged". Where the target
    is coarser than the source by half or more, signal is first blurred to the target's voxels, so
    that fine detail does not alias.

    Parameters
    ----------
    volume : Volume
    grid : Grid

    Returns
    -------
    Volume
        Fortran-ordered, of the same dtype.

    Examples
    --------
    >>> source = Grid((3, 1, 1), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> affine = np.diag([1.0, 2.0, 2.0, 1.0])
    >>> signal = Volume(np.array([0.0, 10.0, 20.0]).reshape(3, 1, 1), source)
    >>> resample(signal, Grid((5, 1, 1), affine)).data.ravel().tolist()
    [0.0, 5.0, 10.0, 15.0, 20.0]
    """
    import SimpleITK as sitk

    return _resample(volume, grid, sitk.Transform(3, sitk.sitkIdentity))


def _resample(volume: Volume, grid: Grid, transform: sitk.Transform) -> Volume:
    import SimpleITK as sitk

    is_signal = volume.data.dtype.kind == "f"
    image = to_itk(volume)
    if is_signal:
        sigma_mm = antialias_sigma_mm(volume.grid, grid)
        for axis in range(3):
            if sigma_mm[axis] > 0:
                image = sitk.RecursiveGaussian(image, sigma_mm[axis], direction=axis)
    interpolator = sitk.sitkLinear if is_signal else sitk.sitkNearestNeighbor
    target = to_itk(Volume(np.zeros(grid.shape, np.uint8, order="F"), grid))
    moved = sitk.Resample(image, target, transform, interpolator, 0.0, image.GetPixelID())
    return Volume(sitk.GetArrayFromImage(moved).T.astype(volume.data.dtype, copy=False), grid)


def to_itk(volume: Volume) -> sitk.Image:
    """Return a SimpleITK image (LPS) of a volume; bool becomes uint8."""
    import SimpleITK as sitk

    data = volume.data.astype(np.uint8) if volume.data.dtype == bool else volume.data
    if data.dtype == np.float16:
        data = data.astype(np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    affine = volume.grid.lps_affine
    image.SetSpacing(volume.grid.spacing_mm)
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / volume.grid.spacing_mm).ravel().tolist())
    return image


def antialias_sigma_mm(source: Grid, target: Grid) -> tuple[float, float, float]:
    """Return the blur in mm along each axis of `source` that the voxels of `target` call for.

    0 where the target is not coarser by half; else the Gaussian that widens a source voxel to a
    target voxel (full widths at half maximum taken as the spacings).
    """
    cosines = np.abs(source.directions.T @ target.directions)
    wanted = (cosines * target.spacing_mm).max(axis=1)
    sigma = [
        float(np.sqrt(w**2 - s**2) / 2.355) if w > 1.5 * s else 0.0
        for w, s in zip(wanted, source.spacing_mm, strict=True)
    ]
    return sigma[0], sigma[1], sigma[2]


def align(t1: Volume, t2fs: Volume, same_frame: bool) -> tuple[Volume, tuple[str, ...]]:
    """Return the T1 on the grid of the fat-suppressed series, and notes on how it got there.

    Nothing is done where both share a frame of reference and a grid. Else a rigid motion is sought
    by mutual information (Mattes 2003, 10.1109/TMI.2003.809072), starting from where the headers
    put the images, and kept only if it gains information and stays below a cap: registrations
    diverge without an error.

    Parameters
    ----------
    t1, t2fs : Volume of float
    same_frame : bool
        Whether both have the same FrameOfReferenceUID.

    Returns
    -------
    Volume
        The T1 on the grid of `t2fs`; 0 where it was not imaged.
    tuple of str

    The caller has seen that the two overlap.
    """
    if same_frame and t1.grid.matches(t2fs.grid):
        return t1, ()
    cap_mm = MOTION_CAP_MM if same_frame else MOTION_CAP_OTHER_FRAME_MM
    transform, why = register(t1, t2fs, cap_mm)
    return _resample(t1, t2fs.grid, transform), (why,)


def register(moving: Volume, fixed: Volume, cap_mm: float) -> tuple[sitk.Transform, str]:
    """Return the rigid transform from `fixed` to `moving` points, and one line on it.

    The identity where the search fails, gains less than `LEAST_GAIN` or moves a corner of `fixed`
    by more than `cap_mm`.
    """
    import SimpleITK as sitk

    identity = sitk.Transform(3, sitk.sitkIdentity)
    target, source = (sitk.Cast(to_itk(shrink(v)), sitk.sitkFloat32) for v in (fixed, moving))
    start = sitk.Euler3DTransform()
    centre_lps = target.TransformContinuousIndexToPhysicalPoint(
        [(n - 1) / 2 for n in target.GetSize()]
    )
    start.SetCenter(centre_lps)
    method = _method()
    method.SetInitialTransform(start, inPlace=False)
    before = method.MetricEvaluate(target, source)
    try:
        found = method.Execute(target, source)
    except RuntimeError as error:  # SimpleITK's only error class; too little overlap ends here
        return (
            identity,
            f"Registration failed ({str(error).splitlines()[-1].strip()}); headers kept.",
        )
    gain = before - method.GetMetricValue()
    moved_mm = corner_motion_mm(found, fixed.grid)
    if moved_mm > cap_mm:
        return identity, f"Registration moved by {moved_mm:.0f} mm, {NOT_BELIEVED}; headers kept."
    if gain < LEAST_GAIN:
        return identity, "Registration gained nothing; headers kept."
    return found, f"The T1 was registered to the fat-suppressed series, moving {moved_mm:.1f} mm."


def _method() -> sitk.ImageRegistrationMethod:
    """Return the registration with its settings: coarse to fine, seeded, linear."""
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.25, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(0.5, 1e-3, 60)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([1, 1, 1])
    method.SetSmoothingSigmasPerLevel([4, 2, 1])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    return method


def shrink(volume: Volume, spacing_mm: float = WORKING_SPACING_MM) -> Volume:
    """Return the volume with voxels averaged to about `spacing_mm`, as float32."""
    factors = [max(1, round(spacing_mm / step)) for step in volume.grid.spacing_mm]
    shape = [n // f for n, f in zip(volume.grid.shape, factors, strict=True)]
    used = tuple(slice(0, n * f) for n, f in zip(shape, factors, strict=True))
    blocks = volume.data[used].reshape(
        [v for pair in zip(shape, factors, strict=True) for v in pair]
    )
    affine = volume.grid.affine.copy()
    affine[:3, 3] = volume.grid.to_world([[(f - 1) / 2 for f in factors]])[0]
    affine[:3, :3] *= factors
    mean = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    return Volume(mean, Grid((shape[0], shape[1], shape[2]), affine))


def corner_motion_mm(transform: sitk.Transform, grid: Grid) -> float:
    """Return the farthest that `transform` moves a corner of `grid`, in mm."""
    corners: NDArray = grid.corners_mm * [-1, -1, 1]
    moved = np.array([transform.TransformPoint(corner.tolist()) for corner in corners])
    return float(np.linalg.norm(moved - corners, axis=1).max())
