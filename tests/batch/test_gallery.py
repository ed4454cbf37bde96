"""The gallery of a night's run, with 2,000 cases, in a real browser opened from disk."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmepipe.batch.gallery import write_gallery
from bmepipe.result import BoneMeasurement, column_names

_place = Path(__file__).parents[1] / "writers" / "browser.py"
_spec = importlib.util.spec_from_file_location("browser", _place)
assert _spec is not None
assert _spec.loader is not None
browser = importlib.util.module_from_spec(_spec)
sys.modules["browser"] = browser  # dataclasses look their module up
_spec.loader.exec_module(browser)

in_browser = pytest.mark.skipif(
    browser.CHROMIUM is None or browser.DRIVER is None, reason="no Chromium with its driver here"
)
CASES = 2000
SHOWN = "[...document.querySelectorAll('tbody tr')].filter(row => !row.hidden)"
FIRST = f"{SHOWN}[0].cells[1].textContent"
BAD_WORDS = "<script>document.title='run'</script><img src=x onerror=alert(1)>{{rows}}"


def record(number: int) -> dict[str, Any]:
    name = f"case{number:04d}"
    if number % 100 == 7:
        return {"case": name, "status": "refused", "reason": f"expected {BAD_WORDS}"}
    row = dict.fromkeys(column_names(BoneMeasurement), "") | {"edema_ml": f"{number % 37}.5"}
    return {"case": name, "status": "done", "site": "knee", "seconds": 1.0, "notes": ["a doubt"],
            "rows": [list(row.values())]}  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    folder = tmp_path_factory.mktemp("night")
    (folder / "thumbnails").mkdir()
    picture = folder / "thumbnails" / "case0000.jpg"
    Image.new("RGB", (480, 700), "#345").save(picture)
    for number in range(1, CASES):
        (folder / "thumbnails" / f"case{number:04d}.jpg").hardlink_to(picture)
    (folder / "case0000").mkdir()
    (folder / "case0000" / "report.html").write_text("a report")
    write_gallery(folder, [record(number) for number in range(CASES)])
    return folder


@pytest.fixture(scope="module")
def page(out: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser.headless(tmp_path_factory.mktemp("profile")) as session:
        session.open(out / "index.html")
        yield session


def test_text_of_files_stays_text(out: Path) -> None:
    text = (out / "index.html").read_text()
    assert "&lt;script&gt;document.title=&#x27;run&#x27;&lt;/script&gt;" in text
    assert text.count("<script>") == 1
    assert text.count("<tr>") == CASES + 1
    assert "{{rows}}</td>" in text
    assert '<a href="case0000/report.html">case0000</a>' in text


@in_browser
def test_it_opens_from_disk_and_loads_only_pictures_in_view(page: Any, out: Path) -> None:
    assert page.console() == []
    asked = [url for url in page.requests() if not url.endswith("/index.html")]
    assert 0 < len(asked) < 100
    assert all(url.startswith(out.resolve().as_uri()) for url in asked)
    assert page.run("document.title") == "bmepipe batch"
    assert page.run(f"{SHOWN}.length") == CASES


@in_browser
def test_it_is_filtered_by_status_and_text(page: Any) -> None:
    page.run("document.getElementById('status').focus()")
    page.key("r")
    page.wait(f"{SHOWN}.length === {CASES // 100}")
    page.key("\ue011")  # Home: all
    page.wait(f"{SHOWN}.length === {CASES}")
    page.run("document.getElementById('find').focus()")
    page.key(*"case1234")
    page.wait(f"{SHOWN}.length === 1")
    assert page.run("document.getElementById('shown').textContent") == "1 shown"
    page.key(*["\ue003"] * 8)
    page.wait(f"{SHOWN}.length === {CASES}")


@in_browser
def test_the_keyboard_sorts_by_volume(page: Any) -> None:
    page.run("document.querySelectorAll('thead button')[3].focus()")
    page.key("\ue007")
    page.wait(f"{FIRST} === 'case0007'")  # refused: no volume, before the smallest
    page.key("\ue007")
    page.wait(f"{FIRST} === 'case0036'")  # 36.5 mL
    assert page.run("document.querySelectorAll('thead th')[4].getAttribute('aria-sort')") == (
        "descending"
    )
