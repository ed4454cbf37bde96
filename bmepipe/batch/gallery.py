"""``index.html``: a page to look through a night's run, self-contained, without a network."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bmepipe import RESEARCH_ONLY, __version__
from bmepipe.batch.cohort import total_ml


def write_gallery(out: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write ``index.html`` with a row per case; pictures are loaded when they come into view."""
    template = (files("bmepipe.batch") / "gallery.html").read_text(encoding="utf-8")
    states = ("done", "refused", "failed")
    counts = ", ".join(f"{sum(r['status'] == s for r in records)} {s}" for s in states)
    page = (
        template.replace("@ROWS@", "\n".join(_row(out, record) for record in records))
        .replace("@COUNTS@", html.escape(f"{len(records)} cases: {counts}"))
        .replace("@FOOT@", html.escape(f"{RESEARCH_ONLY} bmepipe {__version__}"))
    )
    new = out / "index.part"
    new.write_text(page, encoding="utf-8")
    os.replace(new, out / "index.html")


def _row(out: Path, record: dict[str, Any]) -> str:
    name, status = record["case"], record["status"]
    volume = total_ml(record)
    told = record.get("reason") or " | ".join(record.get("notes", ()))
    picture = ""
    if (out / "thumbnails" / f"{name}.jpg").is_file():
        picture = (
            f'<img loading="lazy" width="240" alt="overlay of {html.escape(name)}" '
            f'src="thumbnails/{quote(name)}.jpg">'
        )
    link = html.escape(name)
    report = out / name / "report.html"
    if status == "done" and report.is_file():
        link = f'<a href="{quote(name)}/report.html">{link}</a>'
    log = (
        f'<a href="logs/{quote(name)}.log">log</a>'
        if (out / "logs" / f"{name}.log").is_file()
        else ""
    )
    cells = [
        f"<td>{picture}</td>",
        f"<th scope=row>{link}</th>",
        f'<td class="{html.escape(status)}">{html.escape(status)}</td>',
        f"<td>{html.escape(record.get('site', ''))}</td>",
        f'<td class=n data-v="{-1 if volume is None else volume}">'
        f"{'' if volume is None else f'{volume:.2f}'}</td>",
        f'<td class=n data-v="{record.get("seconds", 0)}">{record.get("seconds", 0):.0f}</td>',
        f"<td class=t>{html.escape(told)}</td>",
        f"<td>{log}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"
