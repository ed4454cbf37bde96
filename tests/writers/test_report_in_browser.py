"""The report in a real browser, opened from disk: slices, overlay, lesions, keyboard."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_spec = importlib.util.spec_from_file_location("browser", Path(__file__).with_name("browser.py"))
assert _spec is not None
assert _spec.loader is not None
browser = importlib.util.module_from_spec(_spec)
import sys  # noqa: E402

sys.modules["browser"] = browser  # dataclasses look their module up
_spec.loader.exec_module(browser)

pytestmark = pytest.mark.skipif(
    browser.CHROMIUM is None or browser.DRIVER is None, reason="no Chromium with its driver here"
)
SLICES = "[...document.querySelectorAll('canvas')].map(c => Number(c.dataset.slice))"
PICTURE = "document.querySelectorAll('canvas')[1].toDataURL()"


@pytest.fixture(scope="module")
def page(knee_run: tuple[Any, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser.headless(tmp_path_factory.mktemp("profile")) as session:
        session.open(knee_run[1] / "report.html")
        yield session


def test_it_opens_from_disk_without_errors_or_requests(page: Any, knee_run: Any) -> None:
    assert page.console() == []
    own = (knee_run[1] / "report.html").resolve().as_uri()
    assert set(page.requests()) <= {own}
    assert len(page.screenshot()) > 20_000


def test_wheel_and_keys_change_the_slice_of_both_images(page: Any) -> None:
    first = page.run(SLICES)
    assert len(first) == 2
    assert first[0] == first[1]
    page.wheel("canvas", 120)
    page.wait(f"{SLICES}[0] !== {first[0]}")
    turned = page.run(SLICES)
    assert turned[0] == turned[1]
    page.run("document.getElementById('viewer').focus()")
    page.key("\ue013")  # arrow up
    page.wait(f"{SLICES}[0] !== {turned[0]}")
    assert len(set(page.run(SLICES))) == 1


def test_the_overlay_is_switched_by_key(page: Any) -> None:
    page.click("#next-lesion")
    page.wait("true")
    shown = page.run(PICTURE)
    page.key("e")
    page.wait(f"{PICTURE} !== '{shown[:1]}' && !document.getElementById('overlay').checked")
    assert page.run(PICTURE) != shown
    page.key("e")
    page.wait("document.getElementById('overlay').checked")


def test_a_click_on_a_lesion_goes_to_its_slice(page: Any, knee_run: Any) -> None:
    lesion = max(knee_run[0].lesions, key=lambda row: row.lesion_ml)
    page.run("document.getElementById('viewer').focus()")
    page.key("\ue010")  # End: to the last slice; elsewhere it would scroll the page away
    page.click(f"tr[data-lesion='{lesion.number - 1}'] button")
    page.wait(f"{SLICES}[0] === {lesion.slice_index + 1}")


def test_everything_is_reached_by_keyboard(page: Any) -> None:
    reach = "document.querySelectorAll('#viewer, input:not([disabled]), button, a[href]').length"
    count = page.run(reach)
    seen = set()
    page.run("document.querySelector('.skip').focus()")
    for _ in range(int(count) + 5):
        page.key("\ue004")  # Tab
        seen.add(page.run("document.activeElement.outerHTML.slice(0, 80)"))
    assert any('id="viewer"' in element for element in seen)
    assert any('id="overlay"' in element for element in seen)
    assert any("jump" in element for element in seen)


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(page: Any, width: int) -> None:
    page.resize(width, 900)
    assert page.run("document.documentElement.scrollWidth") <= width
