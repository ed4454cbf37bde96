"""Whether fat is bright or dark in an image, judged by a T1 of the same place.

On a T1 without fat suppression fat is the brightest tissue and muscle is dark, at every field
strength. Where headers do not settle whether a fluid-sensitive series is fat-suppressed, its signal
in the T1's bright voxels against that in the T1's dark ones does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bmepipe.analysis.local_mean import local_mean
from bmepipe.analysis.tissue import is_tissue
from bmepipe.volume import Volume

# Measured on 13 fat-suppressed and unsuppressed real series at 0.3 to 3 T: -0.9 to 0.5 with
# suppression, 0.9 to 1.5 without.
DARK, BRIGHT = 0.6, 0.8
_SAMPLE_MM = 2.0
_SHADING_MM = 30.0
_MIN_SAMPLES = 500
_MIN_T1_CONTRAST = 1.3


def fat_brightness(image: Volume, t1: Volume) -> float | None:
    """Return how bright fat is in an image on a scale that the T1 sets.

    Parameters
    ----------
    image : Volume
        Signal of unknown fat suppression.
    t1 : Volume
        T1 without fat suppression; it need not share the grid, only the place.

    Returns
    -------
    float or None
        Logarithm of fat over muscle, divided by the same on the T1: 1 is as bright as there, 0 as
        dark as muscle, negative darker. None if the two share too little tissue, or if the T1 shows
        no contrast of fat itself.
    """
    values, reference = _on_common_samples(image, t1)
    body = is_tissue(reference) & is_tissue(values)
    if body.sum() < _MIN_SAMPLES:
        return None
    flat_t1, flat = _without_shading(reference, body), _without_shading(values, body)
    low, middle, high = np.percentile(flat_t1[body], (20, 45, 85))
    fat, muscle = body & (flat_t1 > high), body & (flat_t1 > low) & (flat_t1 < middle)
    contrast, t1_contrast = (
        float(np.median(signal[fat])) / max(float(np.median(signal[muscle])), 1e-6)
        for signal in (flat, flat_t1)
    )
    if t1_contrast < _MIN_T1_CONTRAST or contrast <= 0:
        return None
    return float(np.log(contrast) / np.log(t1_contrast))


def _on_common_samples(image: Volume, t1: Volume) -> tuple[NDArray, NDArray]:
    """Return both signals on a coarse subset of the image's voxels, nearest voxel, 0 outside."""
    strides = [max(1, round(_SAMPLE_MM / mm)) for mm in image.grid.spacing_mm]
    axes = [np.arange(0, n, s) for n, s in zip(image.data.shape, strides, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = image.data[np.ix_(*axes)].astype(np.float32)
    other = np.round(t1.grid.to_index(image.grid.to_world(index.reshape(-1, 3)))).astype(int)
    inside = ((other >= 0) & (other < np.array(t1.data.shape))).all(axis=1)
    reference = np.zeros(len(other), np.float32)
    reference[inside] = t1.data[tuple(other[inside].T)]
    return values, reference.reshape(values.shape)


def _without_shading(values: NDArray, body: NDArray[np.bool_]) -> NDArray:
    """Return signal over its local mean in the body, which takes the coil's shading away."""
    sigma = (_SHADING_MM / _SAMPLE_MM,) * 2 + (0.0,)
    return values / np.maximum(local_mean(values, body, sigma), 1e-6)
