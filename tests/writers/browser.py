"""A headless Chromium driven over the WebDriver protocol with the standard library alone."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element in the protocol


@dataclass
class Browser:
    """One session; `send` is the protocol, the rest are the few calls that the tests need."""

    url: str

    def send(self, method: str, path: str, body: dict | None = None) -> object:
        data = None if body is None and method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()) from error

    def open(self, page: Path) -> None:
        self.send("POST", "/url", {"url": page.resolve().as_uri()})
        self.wait("document.documentElement.dataset.ready === 'true'")

    def run(self, script: str) -> object:
        return self.send("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def wait(self, condition: str, seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.05)

    def key(self, *keys: str) -> None:
        """Press keys one after the other on whatever has the focus."""
        actions = [{"type": kind, "value": k} for k in keys for kind in ("keyDown", "keyUp")]
        self.send(
            "POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}
        )

    def find(self, selector: str) -> dict:
        found = self.send("POST", "/element", {"using": "css selector", "value": selector})
        return {_ELEMENT: found[_ELEMENT]}  # type: ignore[index]

    def click(self, selector: str) -> None:
        self.send("POST", f"/element/{self.find(selector)[_ELEMENT]}/click")

    def wheel(self, selector: str, delta_y: int) -> None:
        """Turn the wheel over the middle of an element."""
        scroll = {
            "type": "scroll",
            "origin": self.find(selector),
            "x": 0,
            "y": 0,
            "deltaX": 0,
            "deltaY": delta_y,
            "duration": 0,
        }
        self.send(
            "POST", "/actions", {"actions": [{"type": "wheel", "id": "wheel", "actions": [scroll]}]}
        )

    def drag(self, selector: str, right: int, down: int) -> None:
        """Drag with the left button from the middle of an element."""
        place = self.find(selector)
        actions = [
            {"type": "pointerMove", "origin": place, "x": 0, "y": 0, "duration": 0},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "origin": place, "x": right, "y": down, "duration": 50},
            {"type": "pointerUp", "button": 0},
        ]
        self.send(
            "POST",
            "/actions",
            {"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]},
        )

    def resize(self, width: int, height: int) -> None:
        """Give the page itself this size, smaller than a window can be where needed."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def devtools(self, command: str, parameters: dict) -> object:
        return self.send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self, whole: bool = False) -> bytes:
        answer = self.devtools("Page.captureScreenshot", {"captureBeyondViewport": whole})
        return base64.b64decode(answer["data"])  # type: ignore[index]

    def console(self) -> list[str]:
        """Errors that the page has logged since the last call."""
        entries = self.send("POST", "/se/log", {"type": "browser"})
        return [e["message"] for e in entries if e["level"] == "SEVERE"]  # type: ignore[union-attr]

    def requests(self) -> list[str]:
        """Addresses that the page has asked for since the last call, data: URIs aside."""
        entries = self.send("POST", "/se/log", {"type": "performance"})
        messages = [json.loads(e["message"])["message"] for e in entries]  # type: ignore[union-attr]
        asked = [m for m in messages if m["method"] == "Network.requestWillBeSent"]
        urls = [m["params"]["request"]["url"] for m in asked]
        # The browser's own start page asks for its parts before ours is opened.
        return [url for url in urls if not url.startswith(("data:", "chrome:"))]


@contextmanager
def headless(profile: Path) -> Iterator[Browser]:
    """Yield a browser with its own empty profile; needs Chromium and its driver."""
    assert DRIVER is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield _session(f"http://127.0.0.1:{port}", profile)
    finally:
        driver.terminate()
        driver.wait(20)


def _session(url: str, profile: Path) -> Browser:
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += ["--disable-dev-shm-usage", f"--user-data-dir={profile}", "--window-size=1280,900"]
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": {"args": flags, "binary": CHROMIUM},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    body = {"capabilities": {"alwaysMatch": wanted}}
    end = time.monotonic() + 20
    while True:
        try:
            made = Browser(url).send("POST", "/session", body)
            return Browser(f"{url}/session/{made['sessionId']}")  # type: ignore[index]
        except urllib.error.URLError:
            assert time.monotonic() < end, "chromedriver does not answer"
            time.sleep(0.1)
