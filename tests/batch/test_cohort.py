"""The tables of a batch: what was not measured is never a silent zero."""

from __future__ import annotations

import csv
from pathlib import Path

from bmepipe.batch.cohort import write_tables
from bmepipe.batch.gallery import write_gallery
from bmepipe.result import BoneMeasurement, column_names


def row(bone: str, edema_ml: str) -> list[str]:
    cells = dict.fromkeys(column_names(BoneMeasurement), "") | {"bone": bone, "edema_ml": edema_ml}
    return list(cells.values())


def test_bones_that_were_not_measured_stand_beside_the_total(tmp_path: Path) -> None:
    rows = {
        "all": [row("femur", "0.000"), row("tibia", "1.250")],
        "some": [row("femur", "0.000"), row("tibia", ""), row("patella", "")],
        "none": [row("femur", "")],
    }
    records = [{"case": name, "status": "done", "rows": cells} for name, cells in rows.items()]
    write_tables(tmp_path, [*records, {"case": "refused", "status": "refused", "reason": "x"}])
    write_gallery(tmp_path, records)
    page = (tmp_path / "index.html").read_text()
    assert "not measured: tibia, patella</td>" in page
    with (tmp_path / "cases.csv").open(encoding="utf-8", newline="") as file:
        found = {r["case"]: (r["edema_ml"], r["not_measured"]) for r in csv.DictReader(file)}
    assert found == {
        "all": ("1.250", ""),
        "some": ("0.000", "tibia | patella"),
        "none": ("", "femur"),
        "refused": ("", ""),
    }
