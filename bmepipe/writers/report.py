"""`report.html`: tables and a viewer in one file that opens from disk with no network.

The viewer is plain canvas: slices are embedded as 8-bit PNG. The Content-Security-Policy lets only
this page's own script run and forbids every request; all text is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from bmepipe.result import RESEARCH_ONLY, EdemaResult, Lesion
from bmepipe.study import Series
from bmepipe.writers import summary
from bmepipe.writers.embed import viewer_data

_OPEN_ROWS = 12  # of rejected candidates; longer tables are folded up
_MOST_ROWS = 200  # of rejected candidates; all of them are in lesions.csv


def write(result: EdemaResult, folder: Path) -> list[Path]:
    """Write ``report.html``."""
    path = folder / "report.html"
    path.write_text(page(result), encoding="utf-8")
    return [path]


def page(result: EdemaResult) -> str:
    """Return the whole page."""
    data = viewer_data(result)
    panes = [pane(number, series, data["letters"]) for number, series in enumerate(data["series"])]
    style = template("report.css").replace("{{pane_count}}", str(len(panes)))
    script = template("report.js")
    return filled(
        template("report.html"),
        {
            "style": style,
            "style_hash": csp_hash(style),
            "script": script,
            "script_hash": csp_hash(script),
            "data": script_json(data),
            "title": escape(f"Bone marrow edema, {result.site.title}, {result.case}"),
            "heading": escape(f"Bone marrow edema, {result.site.title}"),
            "verdict": escape(summary.verdict(result)),
            "verdict_kind": " found" if result.edema.data.any() else "",
            "facts": facts(result),
            "notes": bullets(summary.notes(result), "notes"),
            "panes": "".join(panes),
            "slice_count": str(data["sliceCount"]),
            "first_slice": str(data["firstSlice"] + 1),
            "disagreement_state": "" if result.disagreement is not None else " disabled",
            "disagreement_note": "" if result.disagreement is not None else " (one detector only)",
            "bone_table": table(
                summary.BONE_HEADINGS, [summary.bone_row(row) for row in result.measurements]
            ),
            "lesion_table": lesion_table(result.lesions),
            "rejected_table": _rejected_table(result),
            "origin": origin(result),
            "research_only": escape(RESEARCH_ONLY),
        },
    )


def template(name: str) -> str:
    """Return the text of a template file of this package."""
    return (resources.files("bmepipe.writers") / "templates" / name).read_text(encoding="utf-8")


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with each ``{{name}}`` replaced, in one pass: a value is never filled in turn.

    >>> filled("{{a}} {{b}}", {"a": "{{b}}", "b": "2"})
    '{{b}} 2'
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)


def csp_hash(content: str) -> str:
    """Return the hash by which a Content-Security-Policy allows one inline script or style."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def script_json(value: object) -> str:
    r"""Return JSON that cannot end the script element it stands in.

    >>> script_json("</script>&")
    '"\\u003c/script\\u003e\\u0026"'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def table(
    headings: Iterable[str], rows: Iterable[Iterable[str]], first_number: int | None = None
) -> str:
    """Return an HTML table; with `first_number` its rows jump to candidates from that one on."""
    names = list(headings)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = []
    for place, row in enumerate(rows):
        cells = [_cell(names[column], text) for column, text in enumerate(row)]
        if first_number is None:
            body.append(f"<tr>{''.join(cells)}</tr>")
            continue
        number = first_number + place
        jump = f'<td><button type="button" class="jump">Show</button></td>{"".join(cells)}'
        body.append(f'<tr data-lesion="{number}">{jump}</tr>')
    if not body:
        return "<p>None.</p>"
    lead = "" if first_number is None else "<th></th>"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table"><table><thead><tr>'
        f"{lead}{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(heading: str, text: str) -> str:
    kind = ""
    if heading in ("Note", "Rejected as", "Why"):
        kind = ' class="wide"'
    elif re.fullmatch(r"[-<]?[\d.]+( to [-<]?[\d.]+)?|-", text):
        kind = ' class="number"'
    return f"<td{kind}>{escape(text)}</td>"


def lesion_table(lesions: Iterable[Lesion]) -> str:
    """Return the table of lesions, whose rows show the lesion in the viewer."""
    return table(
        summary.LESION_HEADINGS, [summary.lesion_row(lesion) for lesion in lesions], first_number=0
    )


def _rejected_table(result: EdemaResult) -> str:
    """Return the table of what was passed over, folded up where it is long."""
    shown = table(
        (*summary.LESION_HEADINGS, "Rejected as"),
        [(*summary.lesion_row(c), c.rejected_as) for c in result.rejected[:_MOST_ROWS]],
        first_number=len(result.lesions),
    )
    count = len(result.rejected)
    if count > _MOST_ROWS:
        shown += f'<p class="hint">{count - _MOST_ROWS} more are in lesions.csv.</p>'
    return shown if count <= _OPEN_ROWS else _details(f"{count} rejected candidates", shown)


def facts(result: EdemaResult) -> str:
    """Return the study's facts as the items of a definition list."""
    study, pair = result.study, result.pair
    items = [
        ("Case", result.case),
        ("Study", " ".join([study.description, study.acquired]).strip() if study else ""),
        ("Fat-suppressed", f"{series_text(pair.t2fs_series)}, read as {pair.sequence_class}"),
        ("T1", series_text(pair.t1_series) if pair.t1 is not None else "none in use"),
        ("Grid", summary.origin_lines(result)[2]),
        ("Made by", "; ".join(summary.origin_lines(result)[:2])),
    ]
    shown = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in items if v)
    if not result.reasons:
        return shown
    return f"{shown}<dt>Chosen</dt><dd>{_details('Why these series', bullets(result.reasons))}</dd>"


def series_text(series: Series | None) -> str:
    """Return a series' number, name and times."""
    return summary.series_line(series, "").removeprefix(": ")


def pane(number: int, series: Mapping[str, Any], letters: Mapping[str, str]) -> str:
    """Return the HTML of one image with its letters and its brightness and contrast."""
    name = escape(series["name"])
    edges = "".join(
        f'<span class="letter {edge}">{escape(letter)}</span>' for edge, letter in letters.items()
    )
    sliders = "".join(
        f'<label for="{key}-{number}">{word}<input id="{key}-{number}" type="range" min="{low}"'
        f' max="510" value="{series[key]}" aria-label="{word} of {name}"></label>'
        for key, word, low in (("level", "Window level", -100), ("width", "Window width", 1))
    )
    return (
        f'<figure class="pane"><figcaption>{name}</figcaption><div class="stage">'
        f'<canvas id="pane-{number}" role="img" aria-label="{name}"></canvas>{edges}</div>'
        f'<div class="window">{sliders}</div></figure>'
    )


def bullets(texts: Iterable[str], kind: str = "") -> str:
    """Return a list, or nothing if it is empty."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    mark = f' class="{kind}"' if kind else ""
    return f"<ul{mark}>{items}</ul>" if items else ""


def origin(result: EdemaResult) -> str:
    """Return reasons, series, versions, model hashes, settings and the times before writing."""
    made = result.provenance
    series = result.study.series if result.study else ()
    rows = [
        (str(s.number or "-"), s.description, str(s.role), str(len(s.files)), "; ".join(s.evidence))
        for s in series
    ]
    versions = [f"{name} {version}" for name, version in made.software.items()]
    models = [f"{name}: sha256 {sha256}" for name, sha256 in made.models.items()]
    given = ["no bone model: the bones were given"] if summary.bones_given(result) else []
    times = [f"{name} {seconds:.1f} s" for name, seconds in made.stage_seconds.items()]
    return "".join(
        [
            f"<p>bmepipe {escape(made.version)}, detector {escape(made.detector)}.</p>",
            bullets([*models, *given]),
            _details("All series", table(("No.", "Description", "Role", "Files", "Why"), rows)),
            _details("Versions", f"<p>{escape(', '.join(versions)) or '-'}</p>"),
            _details("Times", f"<p>{escape(', '.join(times))}</p>") if times else "",
            _details("Settings", f"<pre>{escape(_pretty(made.settings))}</pre>"),
        ]
    )


def _details(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def _pretty(settings: Mapping[str, Any]) -> str:
    return json.dumps(dict(settings), indent=1, default=str)
