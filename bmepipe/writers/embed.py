"""What the report's viewer shows, as JSON values: slices as data URIs, candidates as places."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmepipe.result import EdemaResult, Lesion
from bmepipe.volume import Volume
from bmepipe.writers import summary
from bmepipe.writers.display import Layers, View, fat_suppressed_window, t1_window

_EDEMA, _EXCLUDED, _DISAGREEMENT = 1, 2, 4
_LOSSLESS_VOXELS = 12_000_000  # beyond this, JPEG keeps the page small
_HEADROOM = 1.75  # signal above the usual window that brightness can still reach
# Ten steps of the viridis map, which rises in lightness for any kind of colour vision.
_VIRIDIS = (
    (68, 1, 84),
    (72, 40, 120),
    (62, 74, 137),
    (49, 104, 142),
    (38, 130, 142),
    (31, 158, 137),
    (53, 183, 121),
    (110, 206, 88),
    (181, 222, 43),
    (253, 231, 37),
)


def viewer_data(result: EdemaResult) -> dict[str, Any]:
    """Return everything that the viewer's script reads.

    Parameters
    ----------
    result : EdemaResult

    Returns
    -------
    dict
        JSON values. Slices are data URIs in display orientation: `series` grey, `labels` with the
        bone in red and bits in green (1 edema, 2 not judged, 4 disagreement), `probability` times
        255; None where a slice holds nothing. Places are in voxels from the top left corner.
    """
    layers = Layers.of(result)
    count, rows, columns = layers.bones.shape
    pair = result.pair
    shown = [("Fat-suppressed", pair.t2fs, fat_suppressed_window(result))]
    if pair.t1 is not None:
        shown.insert(0, ("T1", pair.t1, t1_window(result)))
    lossless = count * rows * columns * len(shown) <= _LOSSLESS_VOXELS
    with ThreadPoolExecutor(2) as pool:  # PNG coding leaves the interpreter's lock
        series = [_series(*each, layers.view, lossless, pool) for each in shown]
        labels = list(pool.map(_png_or_none, _label_pictures(result, layers)))
        shades = np.rint(layers.view.slices(result.probability.data) * 255).astype(np.uint8)
        probability = list(pool.map(_png_or_none, shades))
    candidates = (*result.lesions, *result.rejected)
    return {
        "rows": rows,
        "columns": columns,
        "sliceCount": count,
        "pixelMm": list(layers.view.pixel_mm),
        "letters": dict(zip(("left", "right", "top", "bottom"), layers.view.letters, strict=True)),
        "firstSlice": _first_slice(layers),
        "series": series,
        "labels": labels,
        "probability": probability,
        "probabilityColours": [list(colour) for colour in _VIRIDIS],
        "candidates": [_place(lesion, pair.t2fs, layers.view) for lesion in candidates],
        "keptCount": len(result.lesions),
    }


def _first_slice(layers: Layers) -> int:
    area = layers.edema.sum(axis=(1, 2))
    if area.any():
        return int(area.argmax())
    return summary.representative_slices(layers.bones, 1)[0]


def _series(
    name: str,
    volume: Volume,
    limits: tuple[float, float],
    view: View,
    lossless: bool,
    pool: ThreadPoolExecutor,
) -> dict[str, Any]:
    """Return one series as 8-bit slices, with the window at which it is first shown."""
    low, high = limits
    top = low + (high - low) * _HEADROOM
    scaled = (np.nan_to_num(volume.data) - np.float32(low)) * np.float32(255.0 / (top - low))
    slices = view.slices(np.clip(scaled + 0.5, 0, 255).astype(np.uint8))
    width = round(255 / _HEADROOM)
    return {
        "name": name,
        "images": list(pool.map(_png if lossless else _jpeg, slices)),
        "level": round(width / 2),
        "width": width,
    }


def _label_pictures(result: EdemaResult, layers: Layers) -> NDArray[np.uint8]:
    """Return labels and bits as pictures, shape [slice, row, column, 3]."""
    bits = layers.edema * np.uint8(_EDEMA) + layers.excluded * np.uint8(_EXCLUDED)
    if result.disagreement is not None:
        bits = bits + (layers.view.slices(result.disagreement.data) > 0) * np.uint8(_DISAGREEMENT)
    return np.stack([layers.bones.astype(np.uint8), bits, np.zeros_like(bits)], axis=-1)


def _png_or_none(picture: NDArray[np.uint8]) -> str | None:
    return _png(picture) if picture.any() else None


def _png(picture: NDArray[np.uint8]) -> str:
    return _data_uri(picture, "png", {"compress_level": 4})


def _jpeg(picture: NDArray[np.uint8]) -> str:
    return _data_uri(picture, "jpeg", {"quality": 90})


def _data_uri(picture: NDArray[np.uint8], kind: str, settings: dict[str, int]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format=kind, **settings)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _place(lesion: Lesion, volume: Volume, view: View) -> dict[str, Any]:
    """Return where a candidate lies on its slice, and the radius of the ring around it."""
    index = volume.grid.to_index(lesion.centre_mm)[0]
    row, column = float(index[view.row_axis]), float(index[view.column_axis])
    shape = volume.grid.shape
    row = shape[view.row_axis] - 1 - row if view.flip_rows else row
    column = shape[view.column_axis] - 1 - column if view.flip_columns else column
    return {
        "slice": lesion.slice_index,
        "x": column + 0.5,
        "y": row + 0.5,
        "radiusMm": 0.6 * lesion.extent_mm + 3.0,
    }
