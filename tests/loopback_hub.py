"""A hub on this computer that the real client downloads from, and that can fail as the real one does."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMIT = "0" * 40


class LoopbackHub(http.server.ThreadingHTTPServer):
    """Serves one folder as the repository ``course/tiny``; any other is gone.

    ``mood``: ``well``; ``cut`` breaks off in the middle of every weights file; ``silent`` takes calls and says nothing
    until the client hangs up. ``asked`` lists all calls.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.folder, self.mood, self.asked = folder, "well", []
        self.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_) -> None:
        pass  # a client that hangs up is no news


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LoopbackHub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        if self.server.mood == "silent" and self._client_hangs_up():
            return
        if path == "/":
            return self._send(b"a hub")
        if path.startswith("/api/models/course/tiny"):
            files = {str(p.relative_to(self.server.folder)): p for p in self.server.folder.rglob("*") if p.is_file()}
            told = {"id": "course/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
            if "/tree/" in path:
                told = [
                    {"type": "file", "path": name, "size": p.stat().st_size, "oid": COMMIT} for name, p in files.items()
                ]
            return self._send(json.dumps(told).encode(), {"Content-Type": "application/json"})
        _, _, name = path.partition("/resolve/")
        file = self.server.folder / name.partition("/")[2]
        if not path.startswith("/course/tiny/") or not file.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if "course/tiny" in path else "RepoNotFound")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        data = file.read_bytes()
        known = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        return self._send(data, known, cut=self.server.mood == "cut" and file.suffix == ".safetensors")

    def _client_hangs_up(self) -> bool:
        """Wait for it. Only a client without a time-out of its own gets an answer in the end, and shows that so."""
        self.close_connection = True
        self.connection.settimeout(600)
        try:
            return not self.rfile.read(1)
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def _send(self, data: bytes, headers: dict[str, str] | None = None, cut: bool = False) -> None:
        self.send_response(200)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True

    def log_message(self, *_) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[LoopbackHub]:
    with LoopbackHub(folder) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        try:
            yield hub
        finally:
            hub.shutdown()
