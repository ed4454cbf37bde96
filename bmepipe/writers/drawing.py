"""Panels: a slice in grey with thin contours, hatching, letters and a scale bar.

Colours are from the palette of Okabe and Ito (2008), told apart with any kind of colour vision;
edema is a line and never a fill, so that the signal below stays visible.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bmepipe.writers.display import View

if TYPE_CHECKING:
    from PIL import Image, ImageFont

EDEMA = (255, 176, 0)  # amber: the brightest of the palette beside a blue
BONE = (86, 180, 233)  # sky blue
EXCLUDED = (230, 140, 190)  # reddish purple, hatched
INK = (236, 239, 241)
FAINT_INK = (150, 160, 168)
WARNING_INK = (240, 228, 66)
PAPER = (17, 20, 23)

_FINER = 3  # contours are drawn this many times finer and then averaged: smooth thin lines
_SCALE_BARS_MM = (100, 50, 20, 10, 5, 2, 1)


@dataclass(frozen=True)
class Crop:
    """A box of voxels and the pixels it is shown on; proportions are true in millimetres."""

    top: int
    bottom: int
    left: int
    right: int
    width_px: int
    height_px: int
    px_per_mm: float

    @classmethod
    def fitted(cls, box: tuple[int, int, int, int], view: View, size_px: tuple[int, int]) -> Crop:
        """Return the crop of a box (top, bottom, left, right) that fits a width and a height."""
        top, bottom, left, right = box
        height_mm = (bottom - top) * view.pixel_mm[0]
        width_mm = (right - left) * view.pixel_mm[1]
        px_per_mm = min(size_px[0] / width_mm, size_px[1] / height_mm)
        size = max(round(width_mm * px_per_mm), 1), max(round(height_mm * px_per_mm), 1)
        return cls(top, bottom, left, right, *size, px_per_mm)

    def of(self, plane: NDArray) -> NDArray:
        """Return the cropped part of a slice, shape (rows, columns)."""
        return plane[self.top : self.bottom, self.left : self.right]


@lru_cache(maxsize=16)
def font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, which needs no file and no network."""
    from PIL import ImageFont

    return ImageFont.load_default(size_px)


def text_width(text: str, size_px: int) -> float:
    """Return the width of `text` in pixels."""
    return font(size_px).getlength(text)


def shortened(text: str, size_px: int, width_px: float) -> str:
    """Return `text`, cut with an ellipsis where it is wider than `width_px`."""
    if text_width(text, size_px) <= width_px:
        return text
    while text and text_width(text + "...", size_px) > width_px:
        text = text[:-1]
    return text.rstrip() + "..."


def wrapped(text: str, size_px: int, width_px: float) -> list[str]:
    """Return the lines of `text`, none wider than `width_px`; at least one."""
    lines = [""]
    for word in text.split():
        word = shortened(word, size_px, width_px)
        joined = f"{lines[-1]} {word}".strip()
        if text_width(joined, size_px) <= width_px:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def outline(mask: NDArray, crop: Crop) -> list[NDArray[np.float64]]:
    """Return the closed contours of a mask as pixel coordinates, each of shape (n, 2) as x, y."""
    from skimage.measure import find_contours

    part = crop.of(mask)
    if not part.any():
        return []
    per_row, per_column = crop.height_px / part.shape[0], crop.width_px / part.shape[1]
    padded = np.pad(part.astype(np.float32), 1)
    lines = find_contours(padded, 0.5)
    return [(line[:, ::-1] - 0.5) * (per_column, per_row) for line in lines]  # -1 pad, +0.5 centre


def stroke(lines: list[NDArray[np.float64]], crop: Crop, width_px: float) -> Image.Image:
    """Return an 8-bit coverage mask of lines drawn smoothly, of the crop's size."""
    from PIL import Image, ImageDraw

    fine = Image.new("L", (crop.width_px * _FINER, crop.height_px * _FINER))
    pen = ImageDraw.Draw(fine)
    for line in lines:
        pen.line((line * _FINER).ravel().tolist(), 255, round(width_px * _FINER), joint="curve")
    return fine.reduce(_FINER)


def hatch(mask: NDArray, crop: Crop) -> Image.Image:
    """Return an 8-bit coverage mask of diagonal lines inside `mask`."""
    from PIL import Image

    inside = Image.fromarray(crop.of(mask).astype(np.uint8) * 255)
    inside = inside.resize((crop.width_px, crop.height_px), Image.Resampling.NEAREST)
    x, y = np.meshgrid(np.arange(crop.width_px), np.arange(crop.height_px))
    stripes = np.where((x + y) % 9 < 2, 255, 0).astype(np.uint8)
    return Image.fromarray(np.minimum(np.asarray(inside), stripes))


@dataclass(frozen=True, eq=False)
class Marks:
    """What is drawn over a slice, as coverage masks; made once for both series."""

    bones: Image.Image
    excluded: Image.Image
    halo: Image.Image
    edema: Image.Image

    @classmethod
    def of(cls, bones: NDArray, edema: NDArray, excluded: NDArray, crop: Crop) -> Marks:
        """Return the marks of a slice's labels and masks, each of shape (rows, columns)."""
        labels = [int(label) for label in np.unique(crop.of(bones)) if label]
        around_bones = [line for label in labels for line in outline(bones == label, crop)]
        around_edema = outline(edema, crop)
        return cls(
            stroke(around_bones, crop, 1.0),
            hatch(excluded, crop),
            stroke(around_edema, crop, 3.0),
            stroke(around_edema, crop, 1.6),
        )


def panel(plane: NDArray[np.uint8], crop: Crop, marks: Marks | None) -> Image.Image:
    """Return a slice as an RGB picture of the crop's size, with the marks on it."""
    from PIL import Image

    grey = Image.fromarray(np.ascontiguousarray(crop.of(plane)))
    picture = grey.resize((crop.width_px, crop.height_px), Image.Resampling.BICUBIC).convert("RGB")
    if marks is None:
        return picture
    for colour, coverage, strength in (
        (EXCLUDED, marks.excluded, 0.6),
        (BONE, marks.bones, 0.55),
        ((0, 0, 0), marks.halo, 0.55),
        (EDEMA, marks.edema, 1.0),
    ):
        picture.paste(colour, (0, 0), coverage.point([round(v * strength) for v in range(256)]))
    return picture


def annotate(picture: Image.Image, view: View, crop: Crop, name: str, size_px: int = 17) -> None:
    """Write the series' name, the orientation letters and a scale bar onto a panel."""
    from PIL import ImageDraw

    pen = ImageDraw.Draw(picture)
    width, height = picture.size
    left, right, top, bottom = view.letters
    middle_x, middle_y = width / 2, height / 2
    places = [
        (left, (6, middle_y), "lm"),
        (right, (width - 6, middle_y), "rm"),
        (top, (middle_x, 5), "ma"),
        (bottom, (middle_x, height - 5), "md"),
        (name, (7, 5), "la"),
    ]
    for text, place, anchor in places:
        pen.text(place, text, INK, font(size_px), anchor, stroke_width=2, stroke_fill=(0, 0, 0))
    _scale_bar(picture, crop, size_px - 2)


def scale_bar_mm(crop: Crop) -> int:
    """Return the longest bar that takes at most a quarter of the panel's width."""
    fitting = [mm for mm in _SCALE_BARS_MM if mm * crop.px_per_mm <= crop.width_px / 4]
    return fitting[0] if fitting else _SCALE_BARS_MM[-1]


def _scale_bar(picture: Image.Image, crop: Crop, size_px: int) -> None:
    from PIL import ImageDraw

    pen = ImageDraw.Draw(picture)
    length_mm = scale_bar_mm(crop)
    right, y = crop.width_px - 9, crop.height_px - 11
    left = right - round(length_mm * crop.px_per_mm)
    pen.rectangle((left - 1, y - 2, right + 1, y + 3), (0, 0, 0))
    pen.rectangle((left, y - 1, right, y + 2), INK)
    place, text = (right, y - 4), f"{length_mm} mm"
    pen.text(place, text, INK, font(size_px), "rd", stroke_width=2, stroke_fill=(0, 0, 0))
