"""The overlay sheet of a case and a picture of each slice with edema."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bmepipe.result import RESEARCH_ONLY, EdemaResult
from bmepipe.writers import summary
from bmepipe.writers.display import Layers, View, crop_box
from bmepipe.writers.drawing import (
    BONE,
    EDEMA,
    EXCLUDED,
    FAINT_INK,
    INK,
    PAPER,
    WARNING_INK,
    Crop,
    Marks,
    annotate,
    font,
    panel,
    shortened,
    text_width,
    wrapped,
)

if TYPE_CHECKING:
    from PIL import Image

_WIDTH_PX = 1800
_MARGIN_PX = 36
_INNER_PX = _WIDTH_PX - 2 * _MARGIN_PX
_PANEL_HEIGHT_PX = 620  # at most, so that two rows of slices fit a screen
_MOST_PER_ROW = 4
_SLICE_PANEL_PX = 640
_GAP_PX = 6
_CONTEXT_MM = 12.0  # shown around the bones on the sheet
_MOST_CELLS = 12
_LEAST_ASPECT = 0.6  # width to height of what is shown


def write(result: EdemaResult, folder: Path) -> list[Path]:
    """Write ``overlay.png`` and, for each slice with edema, ``overlays/slice_NNN.png``.

    Slices are numbered from 1 in the order of the NIfTI files.
    """
    layers = Layers.of(result)
    with_edema = np.flatnonzero(layers.edema.any(axis=(1, 2)))
    if with_edema.size:
        (folder / "overlays").mkdir(exist_ok=True)
    with ThreadPoolExecutor(1) as pool:  # PNG coding leaves the interpreter's lock
        saved = [pool.submit(_save, sheet(result, layers), folder / "overlay.png")]
        for index in with_edema:
            path = folder / "overlays" / f"slice_{index + 1:03d}.png"
            saved.append(pool.submit(_save, slice_picture(result, layers, int(index)), path))
        return [each.result() for each in saved]


def _save(picture: Image.Image, path: Path) -> Path:
    picture.save(path, compress_level=1)
    return path


def sheet(result: EdemaResult, layers: Layers) -> Image.Image:
    """Return the whole sheet: what was found, the table, the doubts, the telling slices."""
    crop, per_row = sheet_crop(layers)
    indices, caption = _shown_slices(layers, per_row)
    cells = [_cell(result, layers, index, crop) for index in indices]
    blocks = [
        _header(result),
        _table(result),
        _lines([f"! {note}" for note in summary.notes(result)], WARNING_INK, 18),
        _lines([caption], INK, 19),
        *(_row(cells[i : i + per_row]) for i in range(0, len(cells), per_row)),
        _legend(),
        _lines([f"{RESEARCH_ONLY}   {'; '.join(summary.origin_lines(result))}"], FAINT_INK, 16),
    ]
    return _stacked(blocks)


def sheet_crop(layers: Layers) -> tuple[Crop, int]:
    """Return the box shown of each slice, and how many slices fill a row of the sheet.

    The box holds every bone. A row holds as few slices as the height of a panel allows.
    """
    view = layers.view
    margin = tuple(ceil(_CONTEXT_MM / mm) for mm in view.pixel_mm)
    box = crop_box(layers.bones > 0, (margin[0], margin[1]))
    box = widened(box, view, layers.bones.shape[2])
    panels = 1 if layers.t1 is None else 2
    for per_row in range(1, _MOST_PER_ROW + 1):
        pair_px = (_INNER_PX - (per_row - 1) * 2 * _GAP_PX) // per_row
        width_px = (pair_px - (panels - 1) * _GAP_PX) // panels
        crop = Crop.fitted(box, view, (width_px, _PANEL_HEIGHT_PX))
        if crop.height_px < _PANEL_HEIGHT_PX:
            break
    return crop, per_row


def widened(box: tuple[int, int, int, int], view: View, columns: int) -> tuple[int, int, int, int]:
    """Return the box with what lies beside a tall narrow one, as of vertebral bodies."""
    top, bottom, left, right = box
    wanted = ceil((bottom - top) * view.pixel_mm[0] * _LEAST_ASPECT / view.pixel_mm[1])
    wanted = min(max(wanted, right - left), columns)
    left = min(max((left + right - wanted) // 2, 0), columns - wanted)
    return top, bottom, left, left + wanted


def _shown_slices(layers: Layers, per_row: int) -> tuple[list[int], str]:
    total = layers.bones.shape[0]
    if not layers.edema.any():
        indices = summary.representative_slices(layers.bones, max(per_row * 2, 6))
        return indices, f"Representative slices, {len(indices)} of {total}, spread over the bones:"
    bones = len(np.unique(layers.bones[layers.edema]))
    indices = summary.telling_slices(layers, {1: 4, 2: 3, 3: 2}.get(bones, 1))
    area = layers.edema.sum(axis=(1, 2))
    others = sorted(set(np.flatnonzero(area).tolist()) - set(indices), key=lambda i: -area[i])
    by_area = [*sorted(indices, key=lambda i: -area[i]), *others]
    full_rows = ceil(len(indices) / per_row) * per_row
    places = min(full_rows, _MOST_CELLS)
    count = int((area > 0).sum())
    if count <= places:
        shown = with_neighbours(by_area, places, total)
        what = "The one slice with edema" if count == 1 else f"All {count} slices with edema"
        beside = " and what lies beside" if len(shown) > count else ""
        return shown, f"{what}{beside}; slices are numbered 1 to {total}:"
    return sorted(by_area[:places]), (
        f"The {places} most telling of {count} slices with edema (all {count}: overlays/);"
        f" slices are numbered 1 to {total}:"
    )


def with_neighbours(indices: list[int], places: int, total: int) -> list[int]:
    """Return the slices and the nearest to them that fill the places left, in order.

    >>> with_neighbours([4], 3, 20), with_neighbours([0], 2, 1)
    ([3, 4, 5], [0])
    """
    others = [i for i in range(total) if i not in indices]
    others.sort(key=lambda i: min(abs(i - index) for index in indices))
    return sorted([*indices, *others[: max(places - len(indices), 0)]])


def _cell(result: EdemaResult, layers: Layers, index: int, crop: Crop) -> Image.Image:
    """Return T1 and fat-suppressed slice side by side over a caption."""
    from PIL import Image, ImageDraw

    marks = Marks.of(layers.bones[index], layers.edema[index], layers.excluded[index], crop)
    planes = [("FS", layers.t2fs[index])]
    if layers.t1 is not None:
        planes.insert(0, ("T1", layers.t1[index]))
    width = len(planes) * (crop.width_px + _GAP_PX) - _GAP_PX
    cell = Image.new("RGB", (width, crop.height_px + 30), PAPER)
    for place, (name, plane) in enumerate(planes):
        picture = panel(plane, crop, marks)
        annotate(picture, layers.view, crop, name)
        cell.paste(picture, (place * (crop.width_px + _GAP_PX), 28))
    text = shortened(_slice_caption(result, layers, index), 18, width - 4)
    ImageDraw.Draw(cell).text((2, 4), text, INK, font(18))
    return cell


def _slice_caption(result: EdemaResult, layers: Layers, index: int) -> str:
    labels = np.unique(layers.bones[index][layers.edema[index]])
    names = [summary.spaced(result.site.bone(int(label)).name) for label in labels if label]
    where = f": edema in {', '.join(names)}" if names else ""
    return f"Slice {index + 1} of {layers.bones.shape[0]}{where}"


def slice_picture(result: EdemaResult, layers: Layers, index: int) -> Image.Image:
    """Return one slice, whole field of view, T1 and fat-suppressed side by side."""
    box = (0, layers.bones.shape[1], 0, layers.bones.shape[2])
    crop = Crop.fitted(box, layers.view, (_SLICE_PANEL_PX, _SLICE_PANEL_PX))
    cell = _cell(result, layers, index, crop)
    width = max(cell.width, _SLICE_PANEL_PX)
    case = shortened(f"{result.site.title}, case {result.case}", 18, width - 8)
    head = _lines([case], INK, 18, width, 4)
    return _stacked([head, cell, _lines([RESEARCH_ONLY], FAINT_INK, 15, width, 4)])


def _stacked(blocks: list[Image.Image | None]) -> Image.Image:
    from PIL import Image

    parts = [block for block in blocks if block is not None]
    width = max(part.width for part in parts)
    page = Image.new("RGB", (width, sum(part.height for part in parts)), PAPER)
    y = 0
    for part in parts:
        page.paste(part, (0, y))
        y += part.height
    return page


def _lines(
    texts: list[str],
    colour: tuple[int, int, int],
    size_px: int,
    width_px: int = _WIDTH_PX,
    margin_px: int = _MARGIN_PX,
) -> Image.Image | None:
    """Return paragraphs broken into lines, or None if there are none."""
    from PIL import Image, ImageDraw

    lines = [line for text in texts for line in wrapped(text, size_px, width_px - 2 * margin_px)]
    if not lines:
        return None
    step = round(size_px * 1.4)
    block = Image.new("RGB", (width_px, step * len(lines) + 8), PAPER)
    pen = ImageDraw.Draw(block)
    for number, line in enumerate(lines):
        pen.text((margin_px, 4 + number * step), line, colour, font(size_px))
    return block


def _header(result: EdemaResult) -> Image.Image:
    title = f"Bone marrow edema, {result.site.title}: {summary.verdict(result)}"
    pair = result.pair
    t1 = summary.series_line(pair.t1_series, "T1") if pair.t1 is not None else "T1: none in use"
    fat_suppressed = summary.series_line(pair.t2fs_series, f"FS ({pair.sequence_class})")
    return _stacked(
        [
            _lines([""], INK, 10),
            _lines([title], INK, 32),
            _lines([f"Case {result.case}", t1, fat_suppressed], FAINT_INK, 19),
            _lines([""], INK, 4),
        ]
    )


def _table(result: EdemaResult) -> Image.Image:
    """Return the table of bones; the note takes the width that is left and is broken into lines."""
    from PIL import Image, ImageDraw

    size_px, pad = 18, 26
    rows = [summary.BONE_HEADINGS, *(summary.bone_row(row) for row in result.measurements)]
    widths = [max(text_width(row[c], size_px) for row in rows) + pad for c in range(10)]
    note_px = _INNER_PX - sum(widths)
    broken = [wrapped(row[10], size_px, note_px) for row in rows]
    step = round(size_px * 1.5)
    block = Image.new("RGB", (_WIDTH_PX, step * sum(map(len, broken)) + 24), PAPER)
    pen = ImageDraw.Draw(block)
    y = 6
    for number, (row, notes) in enumerate(zip(rows, broken, strict=True)):
        colour = FAINT_INK if number == 0 else INK
        x: float = _MARGIN_PX
        for column in range(10):
            place, anchor = (x, "la") if column == 0 else (x + widths[column] - pad, "ra")
            pen.text((place, y), row[column], colour, font(size_px), anchor)
            x += widths[column]
        for line, text in enumerate(notes):
            pen.text((x, y + line * step), text, colour, font(size_px))
        y += step * len(notes)
        if number == 0:
            pen.line((_MARGIN_PX, y - 2, _WIDTH_PX - _MARGIN_PX, y - 2), FAINT_INK)
            y += 4
    return block


def _row(cells: list[Image.Image]) -> Image.Image:
    from PIL import Image

    row = Image.new("RGB", (_WIDTH_PX, cells[0].height + 10), PAPER)
    for place, cell in enumerate(cells):
        row.paste(cell, (_MARGIN_PX + place * (cell.width + 2 * _GAP_PX), 2))
    return row


def _legend() -> Image.Image:
    from PIL import Image, ImageDraw

    block = Image.new("RGB", (_WIDTH_PX, 36), PAPER)
    pen = ImageDraw.Draw(block)
    x: float = _MARGIN_PX
    for kind, text in (
        ("edema", "edema"),
        ("bone", "bone"),
        ("excluded", "not judged (hatched)"),
        ("", "same grey scale for all slices of a series"),
        ("", "L R left and right, A P front and back, H F head and feet of the patient"),
    ):
        if kind == "excluded":
            for offset in range(0, 28, 7):
                pen.line((x + offset, 25, x + offset + 14, 11), EXCLUDED, 2)
        elif kind:
            pen.line((x, 18, x + 36, 18), EDEMA if kind == "edema" else BONE, 3)
        x += 46 if kind else 0
        pen.text((x, 18), text, FAINT_INK, font(17), "lm")
        x += text_width(text, 17) + 34
    return block
