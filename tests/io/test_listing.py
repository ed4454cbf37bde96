"""The listing of series: everything in it, nothing that a file could smuggle in."""

from __future__ import annotations

import io
import json

from rich.console import Console

from bmepipe.analysis.pairing import choose_pair
from bmepipe.errors import BmepipeError
from bmepipe.io.listing import series_rows, series_table
from bmepipe.io.scan import scan


def listed(folder):
    study = scan(folder)
    try:
        choice = choose_pair(study, None)
    except BmepipeError as refusal:
        choice = refusal
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=False).print(series_table(study, choice))
    return series_rows(study, choice), out.getvalue()


def test_a_narrow_terminal_gets_the_evidence_below_the_table(series):
    study = scan(series("study/a", SeriesNumber=6).folder.parent)
    out = io.StringIO()
    refusal = BmepipeError("expected", "came", "do")
    Console(file=out, width=80).print(series_table(study, refusal, 80))
    table, _, below = out.getvalue().partition("└")
    assert "evidence" not in table
    assert any(line.startswith("6: ") for line in below.splitlines())
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_rows_and_table_name_the_pair(series):
    a = series("study/a", SeriesNumber=6)
    series(
        "study/b", SeriesNumber=3, SeriesDescription="PD FS", ScanOptions="FS", RepetitionTime=3000
    )
    rows, table = listed(a.folder.parent)
    json.dumps(rows)
    fs, t1 = rows["series"]
    assert (fs["chosen_as"], t1["chosen_as"]) == ("T2FS", "T1")
    assert rows["chosen"] == {"t2fs": fs["key"], "t1": t1["key"]}
    assert (fs["tr_ms"], fs["te_ms"], fs["slices"], fs["matrix"]) == (3000, 12, 7, [13, 17])
    assert fs["spacing_mm"] == [0.7, 0.5, 3.3]
    assert "ScanOptions FS" in fs["evidence"]
    assert "PD FS" in table
    assert "3000/12/-" in table
    assert "fat-suppressed: 3 'PD FS' (sagittal, PD-FS)" in table


def test_refused_series_are_listed_with_the_reason(series):
    rows, table = listed(series(skip=(3,)).folder)
    assert "1 slice is missing" in rows["series"][0]["refusal"]
    assert rows["chosen"] is None
    assert "expected a fat-suppressed" in rows["refusal"]
    assert "REFUSED" in table


def test_descriptions_are_text_and_not_markup(series):
    made = series(SeriesDescription="[red]T1[/red]\x1b[31m [link=x]", PatientName="Secret^Name")
    rows, table = listed(made.folder)
    assert "[red]T1[/red]" in table
    assert "\x1b" not in table
    assert "\x1b" not in json.dumps(rows, ensure_ascii=False)
    assert "Secret" not in table + json.dumps(rows)
