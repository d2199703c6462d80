"""Headless Chromium for the tests: pages from files, and lessons in a real JupyterLab on loopback."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# the network is closed where the tests run: Chromium shall not try to reach its maker
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--enable-blink-features=ForceEagerMeasureMemory",  # tells when it is asked, not after the next garbage collection
)


@contextlib.contextmanager
def chromium() -> Iterator:
    """A browser of Playwright's; the test is skipped where there is no Chromium, but never in CI."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None and not os.environ.get("CI"):
        pytest.skip("no Chromium was found; install your system's package `chromium`")
    assert path, "CI must have Chromium: .ci/run installs it"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a server on loopback gives what lies in ``folder``."""
    handler = functools.partial(_Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def touch(canvas, *events: tuple[str, int, float, float]) -> None:
    """Give ``canvas`` pointer events: down, move or up, the number of the finger, and shares of its width and height."""
    canvas.evaluate(
        """(canvas, events) => {
          canvas.setPointerCapture = () => {}; // which wants a finger that is there
          const {left, top, width, height} = canvas.getBoundingClientRect();
          for (const [kind, pointerId, x, y] of events) canvas.dispatchEvent(new PointerEvent(
            `pointer${kind}`, {pointerId, button: 0, clientX: left + x * width, clientY: top + y * height}));
        }""",
        events,
    )


class Watched:
    """A page, and what went wrong on it: errors in its console, requests to elsewhere."""

    def __init__(self, browser, home: str, **options) -> None:
        self.context = browser.new_context(viewport={"width": 1300, "height": 1000}, **options)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        inside = (home, "data:", "blob:", "about:", home.replace("http:", "ws:"))
        self.page.on("request", lambda asked: asked.url.startswith(inside) or self.elsewhere.append(asked.url))

        self.page.set_default_timeout(120_000)  # two busy cores are slow; nothing is measured here

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, kind, *_) -> None:
        self.context.close()
        if kind is None:
            assert not self.errors, self.errors
            assert not self.elsewhere, self.elsewhere


@contextlib.contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab that shows ``folder``, with no settings but these and nothing from the network."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as own:
        settings = Path(own) / "settings" / "@jupyterlab"
        for name, values in {
            "apputils-extension/notification": {
                "fetchNews": "false",
                "checkForUpdates": False,
                "doNotDisturbMode": True,
            },
            "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, in view or not
        }.items():
            file = settings / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        folders = {
            **dict.fromkeys(("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"), own),
            "JUPYTERLAB_SETTINGS_DIR": str(settings.parent),
            "JUPYTERLAB_WORKSPACES_DIR": f"{own}/workspaces",
        }
        command = [
            *(str(Path(sys.executable).parent / "jupyter-lab"), "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
            *("--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={folder}"),
            *("--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"),
            "--expose-app-in-browser",
        ]
        with open(Path(own) / "log.txt", "w") as log:
            server = subprocess.Popen(command, env=os.environ | folders, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(f"{address}/api", server, Path(own) / "log.txt")
            yield address
        finally:
            server.terminate()  # JupyterLab stops its kernels
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(20)
            server.kill()
            server.wait()


def _wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=2)
            return
        assert server.poll() is None, f"JupyterLab stopped:\n{log.read_text()[-3000:]}"
        time.sleep(0.5)
    raise AssertionError(f"JupyterLab did not answer:\n{log.read_text()[-3000:]}")


IDLE = '.jp-NotebookPanel-toolbar .jp-Notebook-ExecutionIndicator[data-status="idle"]'


@contextlib.contextmanager
def lesson(browser, address: str, name: str) -> Iterator:
    """The page of a notebook in JupyterLab, all its cells run; its kernel is shut down in the end."""
    with Watched(browser, address) as watched:
        page = watched.page
        page.goto(f"{address}/lab/tree/{name}?reset")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        # the indicator says idle before the kernel answers; what is sent too early is lost
        page.evaluate(
            "async () => { const {sessionContext} = window.jupyterapp.shell.currentWidget;"
            " await sessionContext.ready; await sessionContext.session.kernel.info }"
        )
        execute(page, "")
        page.wait_for_selector(IDLE)
        run_all(page)
        yield page
        # so that it works on for nobody
        page.evaluate("async () => await window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")


def run_all(page, timeout_s: int = 300) -> None:
    """Run every cell and wait; the cells must not fail."""
    count = len(in_cells(page, "[0]"))
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
    for _ in range(timeout_s):
        page.wait_for_timeout(1000)
        told = in_cells(page, "cell.outputs.filter(o => o.output_type === 'error').map(o => o.evalue)")
        assert not told
        ran = in_cells(page, "[cell.execution_count]")
        if ran == list(range(1, count + 1)):
            break
    assert ran == list(range(1, count + 1)), "the cells took too long"
    page.wait_for_selector(IDLE)


def in_cells(page, expression: str) -> list:
    """What ``expression`` of each code ``cell`` gives, in one list."""
    return page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells"
        f".filter(cell => cell.cell_type === 'code').flatMap(cell => {expression})"
    )


def execute(page, code: str) -> None:
    """Run ``code`` in the notebook's kernel and wait for its end; it must not fail."""
    page.evaluate(
        "async code => { const {session} = window.jupyterapp.shell.currentWidget.sessionContext;"
        " const reply = await session.kernel.requestExecute({code}).done;"
        " if (reply.content.status !== 'ok') throw new Error(reply.content.evalue) }",
        code,
    )
