"""Headless Firefox for the tests, by WebDriver BiDi, which every Firefox speaks: Playwright wants a build of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import websocket

NAMES = ("firefox-esr", "firefox")
LONG = 120  # seconds: two busy cores are slow; nothing is measured here
LEFT, END = "\ue012", "\ue010"  # keys, as WebDriver names them


class Firefox:
    """A page, and what went wrong on it: errors in its console, requests to elsewhere."""

    def __init__(self, port: int, home: str) -> None:
        # Firefox refuses who tells where it comes from, as a page would
        self.line = websocket.create_connection(f"ws://127.0.0.1:{port}/session", LONG, suppress_origin=True)
        self.inside = (home, "data:", "blob:", "about:")
        self.asked = 0
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        self.page = self.send("browsingContext.getTree")["contexts"][0]["context"]
        viewport = {"width": 1300, "height": 1000}
        self.send("browsingContext.setViewport", context=self.page, viewport=viewport)

    def send(self, method: str, **params) -> dict:
        """What Firefox answers to a command; what it tells meanwhile is kept."""
        self.asked += 1
        self.line.send(json.dumps({"id": self.asked, "method": method, "params": params}))
        while (told := json.loads(self.line.recv())).get("id") != self.asked:
            about = told.get("params", {})
            if told.get("method") == "log.entryAdded" and about["level"] == "error":
                self.errors.append(about["text"])
            if told.get("method") == "network.beforeRequestSent":
                url = about["request"]["url"]
                url.startswith(self.inside) or self.elsewhere.append(url)
        assert told["type"] == "success", f"{method}: {told}"
        return told["result"]

    def goto(self, url: str) -> None:
        self.send("browsingContext.navigate", context=self.page, url=url, wait="complete")

    def run(self, expression: str):
        """What a JavaScript expression gives, promises awaited."""
        code = f"(async () => JSON.stringify(await ({expression}) ?? null))()"
        told = self.send("script.evaluate", expression=code, target={"context": self.page}, awaitPromise=True)
        assert told["type"] == "success", told["exceptionDetails"]["text"]
        return json.loads(told["result"]["value"])

    def wait_for(self, expression: str) -> None:
        for _ in range(10 * LONG):
            if self.run(expression):
                return
            time.sleep(0.1)
        raise AssertionError(f"never true: {expression}")

    def box(self, selector: str) -> tuple[float, ...]:
        """Left, top, width and height of an element, which is brought into view."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{found}.scrollIntoView({{block: 'nearest', behavior: 'instant'}})")
        return tuple(self.run(f"(({{x, y, width, height}}) => [x, y, width, height])({found}.getBoundingClientRect())"))

    def focus(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")

    def act(self, device: dict, actions: list[dict]) -> None:
        self.send("input.performActions", context=self.page, actions=[{**device, "actions": actions}])

    def stroke(self, *places: tuple[float, float], finger: bool = False) -> None:
        """Press at the first of ``places``, in pixels of the window, move through the others, let go."""
        kind = "touch" if finger else "mouse"
        start, *rest = ({"type": "pointerMove", "x": round(x), "y": round(y)} for x, y in places)
        down, up = ({"type": name, "button": 0} for name in ("pointerDown", "pointerUp"))
        self.act({"type": "pointer", "id": kind, "parameters": {"pointerType": kind}}, [start, down, *rest, up])

    def click(self, selector: str) -> None:
        x, y, width, height = self.box(selector)
        self.stroke((x + width / 2, y + height / 2))

    def press(self, key: str) -> None:
        self.act({"type": "key", "id": "keys"}, [{"type": name, "value": key} for name in ("keyDown", "keyUp")])

    def upload(self, selector: str, file: Path) -> None:
        found = self.send("browsingContext.locateNodes", context=self.page, locator={"type": "css", "value": selector})
        element = {"sharedId": found["nodes"][0]["sharedId"]}
        self.send("input.setFiles", context=self.page, element=element, files=[str(file)])


@contextlib.contextmanager
def firefox(home: str) -> Iterator[Firefox]:
    """Firefox with a fresh profile, for the pages below ``home``; the test is skipped where there is none, but never in CI."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and not os.environ.get("CI"):
        pytest.skip("no Firefox was found; install your system's package `firefox-esr` or `firefox`")
    assert path, "CI must have Firefox: .ci/run installs it"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"]
        with open(Path(profile) / "log.txt", "w") as log:
            browser = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            page = Firefox(_port(browser, Path(profile)), home)
            yield page
            page.send("browser.close")
            browser.wait(30)
        finally:
            browser.kill()
            browser.wait()
    assert not page.errors, page.errors
    assert not page.elsewhere, page.elsewhere


def _port(browser: subprocess.Popen, profile: Path) -> int:
    """Where Firefox listens, which it writes to a file once it does."""
    for _ in range(10 * LONG):
        with contextlib.suppress(OSError, ValueError):
            return json.loads((profile / "WebDriverBiDiServer.json").read_text())["ws_port"]
        assert browser.poll() is None, f"Firefox stopped:\n{(profile / 'log.txt').read_text()[-3000:]}"
        time.sleep(0.1)
    raise AssertionError(f"Firefox did not answer:\n{(profile / 'log.txt').read_text()[-3000:]}")
