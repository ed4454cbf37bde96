"""What the numbers of a label map mean: from a CSV, or from the label map's own file."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from bmepipe.errors import BadSettings, StudyNotFound

_MOST_BYTES = 1_000_000
# The label table that TotalSegmentator, Connectome Workbench and others store in a NIfTI header.
_ENTRY = re.compile(r'<Label Key="(\d{1,5})"[^>]{0,200}>\s*<!\[CDATA\[([^\]]{1,100})\]\]>')
_REMEDY = "give lines of label,name, for instance 1,femur"


def names_of_csv(path: Path) -> dict[int, str]:
    """Return the names of labels from a CSV with two columns, `label` and `name`.

    A heading is allowed but not asked for.

    Raises
    ------
    StudyNotFound
        If there is no such file.
    BadSettings
        Naming the first line that is no label and name, or a label that comes twice; or if there is
        no line at all.
    """
    if not path.is_file():
        raise StudyNotFound(f"a CSV of label,name at {path}", "no such file", _REMEDY)
    if path.stat().st_size > _MOST_BYTES:
        raise BadSettings(f"a short CSV of label,name in {path.name}", "a large file", _REMEDY)
    names: dict[int, str] = {}
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for number, row in enumerate(csv.reader(text.splitlines()), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and cells[0].lower() == "label"):
            continue
        if len(cells) < 2 or not cells[0].isdecimal() or not cells[1]:
            raise BadSettings(f"label,name in line {number} of {path.name}", ",".join(row), _REMEDY)
        if int(cells[0]) in names:
            raise BadSettings(f"each label once in {path.name}", f"{cells[0]} twice", _REMEDY)
        names[int(cells[0])] = cells[1]
    if not names:
        # Without a name the numbers would be taken as the site's own: other bones, and no word.
        raise BadSettings(f"lines of label,name in {path.name}", "none", _REMEDY)
    return names


def names_of_nifti(path: Path) -> dict[int, str]:
    """Return the names of labels that a NIfTI file stores in its header; empty if it has none."""
    import nibabel

    found: dict[int, str] = {}
    image = nibabel.load(path)
    for extension in getattr(image.header, "extensions", ()):
        try:
            content = extension.get_content()
        except (ValueError, TypeError):  # an extension of another kind that is damaged
            continue
        raw = content if isinstance(content, bytes) else str(content).encode()
        if len(raw) <= _MOST_BYTES:
            text = raw.decode("utf-8", errors="replace")
            found |= {int(key): name.strip() for key, name in _ENTRY.findall(text)}
    return {key: name for key, name in found.items() if key > 0}
