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
from bmepipe.batch.cohort import not_measured, total_ml
from bmepipe.writers.report import csp_hash, filled


def write_gallery(out: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write ``index.html`` with a row per case; pictures are loaded when they come into view."""
    states = ("done", "refused", "failed")
    counts = ", ".join(f"{sum(r['status'] == s for r in records)} {s}" for s in states)
    style, script = _packaged("gallery.css"), _packaged("gallery.js")
    page = filled(
        _packaged("gallery.html"),
        {
            "style": style,
            "style_hash": csp_hash(style),
            "script": script,
            "script_hash": csp_hash(script),
            "rows": "\n".join(_row(out, record) for record in records),
            "counts": html.escape(f"{len(records)} cases: {counts}"),
            "foot": html.escape(f"{RESEARCH_ONLY} bmepipe {__version__}"),
        },
    )
    new = out / "index.part"
    new.write_text(page, encoding="utf-8", errors="replace")
    os.replace(new, out / "index.html")


def _packaged(name: str) -> str:
    return (files("bmepipe.batch") / "page" / name).read_text(encoding="utf-8")


def _row(out: Path, record: dict[str, Any]) -> str:
    name, status = record["case"], record["status"]
    volume, seconds = total_ml(record), record.get("seconds", 0)
    missing = [f"not measured: {', '.join(bones)}"] if (bones := not_measured(record)) else []
    told = record.get("reason") or " | ".join([*missing, *record.get("notes", ())])
    reports = sorted((out / name).glob("*.html")) if status == "done" else []
    cells = [
        f"<td>{_picture(out, name)}</td>",
        f'<th scope="row">{_link(f"{name}/{reports[0].name}", name) if reports else name}</th>',
        f'<td class="{status}">{status}</td>',
        f"<td>{html.escape(record.get('site', ''))}</td>",
        f'<td class="n" data-v="{-1 if volume is None else volume}">'
        f"{'' if volume is None else f'{volume:.2f}'}</td>",
        f'<td class="n" data-v="{seconds}">{seconds:.0f}</td>',
        f'<td class="t">{html.escape(told)}</td>',
        f"<td>{_link(f'logs/{name}.log', 'log')}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _picture(out: Path, name: str) -> str:
    if not (out / "thumbnails" / f"{name}.jpg").is_file():
        return ""
    return (
        f'<img loading="lazy" width="240" height="150" alt="overlay of {name}" '
        f'src="thumbnails/{quote(name)}.jpg">'
    )


def _link(target: str, text: str) -> str:
    return f'<a href="{quote(target)}">{html.escape(text)}</a>'
