"""The series of a study as a table for people and as rows for programs.

Descriptions come from files that nobody vouches for: they are escaped before rich sees them.
"""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from bmepipe.analysis.pairing import Choice
from bmepipe.errors import BmepipeError
from bmepipe.study import FatSuppression, Series, Study

# A time series has hundreds of alike volumes: the table shows this many of a DICOM series.
WIDE = 130  # columns
_SHOWN_ALIKE = 6


def series_rows(study: Study, choice: Choice | BmepipeError) -> dict[str, Any]:
    """Return the study, every series and the chosen pair as plain values for JSON.

    Parameters
    ----------
    study : Study
    choice : Choice or BmepipeError
        The pair, or why there is none.

    Returns
    -------
    dict
        ``study`` (uid, acquired, notes), ``series`` (a dict for each; times in ms, spacing in mm),
        ``chosen`` (keys of the two series or None), ``reasons`` and ``refusal``.
    """
    chosen = choice if isinstance(choice, Choice) else None
    t1 = chosen.t1.key if chosen and chosen.t1 else None
    return {
        "study": {
            "uid": study.uid,
            "acquired": study.acquired,
            "skipped_files": study.skipped_files,
            "notes": list(study.notes),
        },
        "series": [series_row(series, _use(series, chosen)) for series in study.series],
        "chosen": {"t2fs": chosen.t2fs.key, "t1": t1} if chosen else None,
        "reasons": list(chosen.reasons) if chosen else [],
        "refusal": "" if chosen else str(choice),
    }


def series_row(series: Series, use: str = "") -> dict[str, Any]:
    """Return one series as plain values; `use` is 'T1' or 'T2FS' if it was chosen as that."""
    grid = series.grid
    return {
        "number": series.number,
        "part": series.part,
        "parts": series.parts,
        "key": series.key,
        "description": series.description,
        "role": str(series.role),
        "confidence": series.confidence,
        "evidence": list(series.evidence),
        "weighting": str(series.weighting),
        "fat_suppression": str(series.fat_suppression),
        "plane": grid.plane if grid else "",
        "matrix": list(grid.shape[:2]) if grid else [],
        "slices": grid.shape[2] if grid else len(series.slices) or None,
        "spacing_mm": [round(mm, 3) for mm in grid.spacing_mm] if grid else [],
        "tr_ms": series.tr_ms,
        "te_ms": series.te_ms,
        "ti_ms": series.ti_ms,
        "notes": list(series.notes),
        "refusal": series.refusal,
        "chosen_as": use,
    }


def series_table(study: Study, choice: Choice | BmepipeError, width: int = WIDE) -> RenderableType:
    """Return the same for a terminal: a table, then the reasons for the choice or the refusal.

    On a terminal of fewer than `WIDE` columns the evidence stands in lines below the table.
    """
    chosen = choice if isinstance(choice, Choice) else None
    table = Table(title=f"{len(study.series)} series, {study.acquired or 'no date'}")
    for heading in ("", "no.", "description", "role", "sure", "plane", "matrix, mm", "slices"):
        table.add_column(heading, justify="right" if heading in ("sure", "slices") else "left")
    wide = width >= WIDE
    for heading in ("TR/TE/TI ms", "fat suppression", "evidence and notes")[: 3 if wide else 2]:
        table.add_column(heading)
    below = []
    alike: dict[tuple[str, str, str], int] = {}
    for series in study.series:
        kind = (series.uid, str(series.role), series.refusal)
        alike[kind] = alike.get(kind, 0) + 1
        use = _use(series, chosen)
        if alike[kind] <= _SHOWN_ALIKE or use:
            *cells, told = _cells(series, use)
            table.add_row(*cells, *([told] if wide else []), style="bold" if use else "")
            below.append(f"{cells[1]}: {told}")
    lines = [] if wide else below
    lines += [
        f"... and {count - _SHOWN_ALIKE} more like these of series {escape(uid)}"
        for (uid, _, _), count in alike.items()
        if count > _SHOWN_ALIKE
    ]
    if study.skipped_files:
        lines.append(f"{study.skipped_files} files without an MR image passed over")
    lines += [escape(note) for note in study.notes]
    lines += _outcome(choice)
    return Group(table, *lines)


def _outcome(choice: Choice | BmepipeError) -> list[str]:
    """Return why the pair was taken, without what the table says of the others; or the refusal."""
    if not isinstance(choice, Choice):
        return [escape(str(choice))]
    return [escape(line) for line in choice.reasons if not line.startswith("not taken")]


def _cells(series: Series, use: str) -> list[str]:
    row = series_row(series, use)
    part = f"#{series.part}" if series.parts > 1 else ""
    number = "-" if series.number is None else str(series.number)
    size = "x".join(str(n) for n in row["matrix"])
    spacing = "x".join(f"{mm:.3g}" for mm in row["spacing_mm"])
    times = "/".join(
        "-" if row[k] is None else f"{row[k]:.4g}" for k in ("tr_ms", "te_ms", "ti_ms")
    )
    told = [f"REFUSED: {series.refusal}"] if series.refusal else []
    told += [*series.evidence, *series.notes]
    return [
        use,
        f"{number}{part}",
        escape(series.description[:40]),
        str(series.role),
        f"{series.confidence:.2f}",
        row["plane"],
        f"{size} {spacing}".strip(),
        "-" if row["slices"] is None else str(row["slices"]),
        times,
        _fat(series),
        escape("; ".join(told)),
    ]


def _fat(series: Series) -> str:
    doubt = "?" if series.doubtful_fat else ""
    return (
        "no" if series.fat_suppression is FatSuppression.NONE else str(series.fat_suppression)
    ) + doubt


def _use(series: Series, choice: Choice | None) -> str:
    if choice is not None and series is choice.t2fs:
        return "T2FS"
    return "T1" if choice is not None and series is choice.t1 else ""
