"""Everything that a room of thirty people may do wrong with the package, and the sentence that each gets.

The site shows :data:`CASES` as a table; tests/test_hard_inputs.py runs them.
"""

from __future__ import annotations

import gzip
import http.server
import io
import shutil
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

import img2img_helpers as helpers
from img2img_helpers import MODELS, EditPass, Recipe, example_image

MODEL_NAMES = ", ".join(map(repr, MODELS))
UPSCALERS = " or ".join(repr(name) for name, card in MODELS.items() if "upscale" in card.ids)


class Case(NamedTuple):
    """A mistake; the call that makes it, with a :class:`Given`; what the learner reads."""

    what: str
    run: Callable[[Given], object]
    told: str


class Given:
    """Files, pictures and tiny pipelines for the calls."""

    def __init__(self, folder: Path, pipe, base: Path, upscaler, server: str) -> None:
        self.folder, self.pipe, self.base, self.upscaler, self._server = folder, pipe, base, upscaler, server
        self.car = example_image("car")
        self.small, self.odd = self.car.resize((16, 16)), self.car.resize((17, 15))
        self.png, self.jpeg = (self._encoded(kind) for kind in ("png", "jpeg"))
        self.recipe = Recipe([EditPass("a lake", num_inference_steps=2)])

    def _encoded(self, kind: str) -> bytes:
        file = io.BytesIO()
        self.car.save(file, format=kind)
        return file.getvalue()

    def file(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def opened(self) -> io.TextIOWrapper:
        return open(self.file("car.txt", b"a car"))

    @property
    def closed(self) -> Image.Image:
        with Image.open(io.BytesIO(self.png)) as image:
            return image

    @property
    def preview(self) -> bytes:
        """A TIFF whose first picture is the small preview of another, as cameras write them."""
        file = io.BytesIO()
        self.small.save(file, format="tiff", tiffinfo={254: 1})
        return file.getvalue()

    def model(self, name: str, data: bytes) -> Path:
        """The tiny model's folder with other ``data`` in one file."""
        folder = self.folder / "model"
        shutil.copytree(self.base, folder, dirs_exist_ok=True)
        (folder / name).write_bytes(data)
        return folder

    def url(self, name: str) -> str:
        return f"{self._server}/{name}"

    @property
    def bomb(self) -> bytes:
        """A PNG of a hundred bytes that says it has 20000×20000 pixels."""

        def chunk(name: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

        head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(b"\0" * 99))
            + chunk(b"IEND", b"")
        )

    @property
    def used_folder(self) -> Path:
        folder = self.folder / "used"
        if not folder.exists():
            Recipe([EditPass("pine trees", num_inference_steps=2)]).run(self.pipe, self.small, folder)
        return folder


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"
ANSWERS = {  # headers and what follows them
    "empty": ({"Content-Length": "0"}, b""),
    "pointer.png": ({"Content-Type": "image/png"}, LFS),
    "logo.svg": ({"Content-Type": "image/svg+xml"}, b'<?xml version="1.0"?>\n<svg></svg>'),
    "packed": ({"Content-Encoding": "gzip"}, gzip.compress(b"<!DOCTYPE html>")),
    "packed-badly": ({"Content-Encoding": "gzip"}, b"not packed"),
    "packed-half": ({"Content-Encoding": "gzip"}, gzip.compress(bytes(9999))[:20]),
    "too-long": ({"Content-Length": "99"}, b"\x89PNG\r\n"),
    "photo.heic": ({"Content-Type": "image/heic"}, b"\0\0\0\x18ftypheic"),
}


class BadServer(http.server.BaseHTTPRequestHandler):
    """Answers on loopback, each time badly."""

    def do_GET(self) -> None:
        name = self.path.strip("/")
        if name == "loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
        elif name == "missing":
            self.send_error(404)
        elif name.startswith("status-"):
            code, _, wait = name.removeprefix("status-").partition("-")
            self.send_response(int(code))
            if wait:
                self.send_header("Retry-After", wait)
            self.end_headers()
        elif name in ANSWERS:
            headers, data = ANSWERS[name]
            self.send_response(200)
            for header in headers.items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(data)
        elif name == "noise":
            self.wfile.write(b"\0\1\2\3\n")
        else:
            self.send_response(200)
            self.end_headers()
            try:
                self.wfile.write(b"<html>not a picture</html>")
                while name == "endless":
                    self.wfile.write(bytes(2**20))
                    self.server.sent += 2**20
            except OSError:
                pass  # the client has had enough

    def log_message(self, *_) -> None:
        pass


@contextmanager
def bad_server() -> Iterator[tuple[http.server.ThreadingHTTPServer, str]]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), BadServer) as server:
        server.sent = 0  # of the endless answer
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def tidied(message: str, g: Given) -> str:
    """The sentence without what differs from run to run."""
    private = (
        (g._server, "http://server"),
        (str(g.base), "folder"),
        (g.base.name, "folder"),
        (str(g.folder), "folder"),
    )
    for found, shown in (*private, (g.folder.name, "folder"), (f"folder is {Path.cwd().name!r}", "folder is 'work'")):
        message = message.replace(found, shown)
    return message.replace("'mps', 'cpu'", "'cpu'")  # a Mac has one device more


def table() -> str:
    """All cases as Markdown."""
    rows = []
    for title, cases in CASES.items():
        rows += [f"## {title}", "", "| what you do | what you read |", "|---|---|"]
        rows += [f"| {case.what} | `{case.told.replace('|', '/')}` |" for case in cases]
        rows.append("")
    return "\n".join(rows)


CASES: dict[str, list[Case]] = {
    "Pictures": [
        Case(
            "a path that leads nowhere",
            lambda g: helpers.load_image("holiday.jpg"),
            "There is no image file 'holiday.jpg'; the current folder is 'work'.",
        ),
        Case(
            "a folder",
            lambda g: helpers.load_image(g.folder),
            "'folder' is a folder; give the path of an image file in it.",
        ),
        Case(
            "an empty file",
            lambda g: helpers.load_image(g.file("empty.png", b"")),
            "empty.png could not be read as an image; use a complete PNG, JPEG or WebP file.",
        ),
        Case(
            "a text renamed to .png",
            lambda g: helpers.load_image(g.file("notes.png", b"only a text")),
            "notes.png could not be read as an image; use a complete PNG, JPEG or WebP file.",
        ),
        Case(
            "a PNG cut off in the middle",
            lambda g: helpers.load_image(g.file("half.png", g.png[: len(g.png) // 2])),
            "half.png could not be read as an image; use a complete PNG, JPEG or WebP file.",
        ),
        Case(
            "a JPEG cut off in the middle",
            lambda g: helpers.load_image(g.file("half.jpg", g.jpeg[: len(g.jpeg) // 2])),
            "half.jpg could not be read as an image; use a complete PNG, JPEG or WebP file.",
        ),
        Case(
            "a small file that declares 20000×20000 pixels",
            lambda g: helpers.load_image(g.file("bomb.png", g.bomb)),
            "bomb.png has far too many pixels, more than 178 million; shrink it first.",
        ),
        Case(
            "an address that is not http",
            lambda g: helpers.load_image("ftp://example.org/car.png"),
            "An address must begin with http:// or https://, not 'ftp://example.org/car.png'.",
        ),
        Case(
            "an address without a host",
            lambda g: helpers.load_image("http:///car.png"),
            "http:///car.png could not be downloaded; check the address and the connection, or use a file.",
        ),
        Case(
            "a server that answers 404",
            lambda g: helpers.load_image(g.url("missing")),
            "http://server/missing could not be downloaded: the server answers 404 (Not Found); check the address.",
        ),
        Case(
            "a web page in place of a picture",
            lambda g: helpers.load_image(g.url("page")),
            "http://server/page: this is a web page; give the address of the picture itself.",
        ),
        Case(
            "an address that leads round in circles",
            lambda g: helpers.load_image(g.url("loop")),
            "http://server/loop could not be downloaded: the server answers 302 (Found); check the address and the connection, or use a file.",
        ),
        Case(
            "an answer that never ends",
            lambda g: helpers.load_image(g.url("endless")),
            "http://server/endless is larger than 64 MB; use a smaller image.",
        ),
        Case(
            "no image at all",
            lambda g: helpers.load_image(None),
            "An image cannot be made from NoneType; give a path, a URL, bytes, a PIL image, a NumPy array or an upload widget's value.",
        ),
        Case(
            "a number",
            lambda g: helpers.load_image(5),
            "An image cannot be made from int; give a path, a URL, bytes, a PIL image, a NumPy array or an upload widget's value.",
        ),
        Case(
            "an empty upload",
            lambda g: helpers.load_image(()),
            "No file has been uploaded yet; choose one, then run this cell again.",
        ),
        Case(
            "an upload without content",
            lambda g: helpers.load_image({"car.png": "text"}),
            "An image cannot be made from a dict of str; give one image.",
        ),
        Case(
            "a batch of pictures in one array",
            lambda g: helpers.load_image(np.zeros((2, 8, 9, 3))),
            "An array of shape (2, 8, 9, 3) is no image; use one picture of it, such as array[0].",
        ),
        Case(
            "an array with two channels",
            lambda g: helpers.load_image(np.zeros((8, 8, 2), np.uint8)),
            "An array of shape (8, 8, 2) is no image; use (height, width) or (height, width, 3).",
        ),
        Case(
            "an array without pixels",
            lambda g: helpers.load_image(np.zeros((0, 8, 3), np.uint8)),
            "An array of shape (0, 8, 3) is no image; use (height, width) or (height, width, 3).",
        ),
        Case(
            "floats from 0 to 255",
            lambda g: helpers.load_image(np.full((8, 8, 3), 200.0)),
            "Pixels given as floats must lie between 0 and 1, not 200 to 200; divide them by 255.",
        ),
        Case(
            "floats with NaN",
            lambda g: helpers.load_image(np.full((8, 8, 3), np.nan)),
            "Pixels given as floats must lie between 0 and 1, not nan to nan; replace or clip them.",
        ),
        Case(
            "floats below 0",
            lambda g: helpers.load_image(np.full((8, 8, 3), -0.5)),
            "Pixels given as floats must lie between 0 and 1, not -0.5 to -0.5; add 1 and halve them.",
        ),
        Case(
            "whole numbers above 255",
            lambda g: helpers.load_image(np.asarray(g.car).astype(int) + 100),
            "Pixels run from 111 to 355; clip them to 0 to 255.",
        ),
        Case(
            "whole numbers below 0",
            lambda g: helpers.load_image(np.full((8, 8, 3), -1)),
            "Pixels run from -1 to -1; use 0 to 255 or, in 16 bit, 0 to 65535.",
        ),
        Case(
            "whole numbers beyond 16 bit",
            lambda g: helpers.load_image(np.full((8, 8, 3), 70_000)),
            "Pixels run from 70000 to 70000; use 0 to 255 or, in 16 bit, 0 to 65535.",
        ),
        Case(
            "an array of words",
            lambda g: helpers.load_image(np.array([["a", "b"]])),
            "An array of <U1 is no image; use uint8, uint16 or floats from 0 to 1.",
        ),
        Case(
            "an example that does not exist",
            lambda g: example_image("dog"),
            f"There is no example image 'dog'; choose one of {', '.join(helpers.example_names())}.",
        ),
        Case(
            "a mask of an example that does not exist",
            lambda g: helpers.example_mask("dog"),
            f"There is no example image 'dog'; choose one of {', '.join(helpers.example_names())}.",
        ),
        Case(
            "a mask of an example that has none",
            lambda g: helpers.example_mask("cat"),
            "The example 'cat' has no mask; choose one of car, coffee, cottage, landscape, night, portrait, watch, or paint "
            "one with paint_mask.",
        ),
        Case(
            "a HEIC photo of a phone",
            lambda g: helpers.load_image(g.file("photo.heic", b"\x00\x00\x00\x18ftypheic")),
            "photo.heic: this is a HEIC photo; export it as JPEG, or install pillow-heif and register its opener.",
        ),
        Case(
            "a JPEG XL picture",
            lambda g: helpers.load_image(g.file("a.jxl", b"\x00\x00\x00\x0cJXL \r\n")),
            "a.jxl: this is a JPEG XL picture; export it as PNG or JPEG.",
        ),
        Case(
            "a film",
            lambda g: helpers.load_image(g.file("film.mp4", b"\x00\x00\x00\x18ftypmp42")),
            "film.mp4: this is a video; save one of its frames as PNG.",
        ),
        Case(
            "a camera's CR2",
            lambda g: helpers.load_image(g.file("photo.cr2", b"II*\x00\x10\x00\x00\x00CR\x02\x00")),
            "photo.cr2: this is a camera's RAW file; export it as PNG or JPEG.",
        ),
        Case(
            "a Photoshop file of the large kind",
            lambda g: helpers.load_image(g.file("a.psb", b"8BPS\x00\x02")),
            "a.psb: this is a Photoshop file that Pillow cannot read; export it as PNG or JPEG.",
        ),
        Case(
            "a GIMP project",
            lambda g: helpers.load_image(g.file("a.xcf", b"gimp xcf v011")),
            "a.xcf: this is a GIMP project; export it as PNG or JPEG.",
        ),
        Case(
            "a PDF renamed to .png",
            lambda g: helpers.load_image(g.file("scan.png", b"%PDF-1.7")),
            "scan.png: this is a PDF; export it as PNG or JPEG.",
        ),
        Case(
            "a PostScript file",
            lambda g: helpers.load_image(g.file("a.ps", b"%!PS-Adobe-3.0")),
            "a.ps: this is a PostScript file; export it as PNG or JPEG.",
        ),
        Case(
            "an OpenEXR picture",
            lambda g: helpers.load_image(g.file("a.exr", b"v/1\x01\x02")),
            "a.exr: this is an OpenEXR picture; export it as PNG or JPEG.",
        ),
        Case(
            "a Radiance HDR picture",
            lambda g: helpers.load_image(g.file("sky.hdr", b"#?RADIANCE\n")),
            "sky.hdr: this is a Radiance HDR picture; export it as PNG or JPEG.",
        ),
        Case(
            "a ZIP archive of pictures",
            lambda g: helpers.load_image(g.file("photos.zip", b"PK\x03\x04")),
            "photos.zip: this is a ZIP archive; unpack it and give the picture in it.",
        ),
        Case(
            "a gzipped picture",
            lambda g: helpers.load_image(g.file("car.png.gz", b"\x1f\x8b\x08")),
            "car.png.gz: this is a gzip archive; unpack it and give the picture in it.",
        ),
        Case(
            "what a Mac's ZIP has beside a picture",
            lambda g: helpers.load_image(g.file("._car.jpg", b"\x00\x05\x16\x07")),
            "._car.jpg: this is what macOS keeps beside a file; give the file of the same name without ._.",
        ),
        Case(
            "a Git LFS pointer",
            lambda g: helpers.load_image(g.file("car.jpg", LFS)),
            "car.jpg: this is a Git LFS pointer; get the picture itself with git lfs pull.",
        ),
        Case(
            "an SVG drawing",
            lambda g: helpers.load_image(g.file("logo.svg", b'<?xml version="1.0"?>\n<svg>')),
            "logo.svg: this is an SVG drawing; export it as PNG or JPEG.",
        ),
        Case(
            "a web page saved as .jpg",
            lambda g: helpers.load_image(g.file("page.jpg", b"\n<!DOCTYPE HTML>")),
            "page.jpg: this is a web page; give the address of the picture itself.",
        ),
        Case(
            "a camera's DNG, of which only a thumbnail can be read",
            lambda g: helpers.load_image(g.file("photo.dng", g.preview)),
            "photo.dng: this is a camera's RAW file, of which only the preview can be read; export it as PNG or JPEG.",
        ),
        Case(
            "a picture that was opened from half a file",
            lambda g: helpers.load_image(Image.open(io.BytesIO(g.jpeg[:900]))),
            "this image could not be read as an image; use a complete PNG, JPEG or WebP file.",
        ),
        Case(
            "a picture whose file was closed",
            lambda g: helpers.load_image(g.closed),
            "this image could not be read as an image; use a complete PNG, JPEG or WebP file.",
        ),
        Case(
            "a picture without width",
            lambda g: helpers.load_image(Image.new("RGB", (0, 5))),
            "this image has 0×5 pixels, so there is nothing to see; take another.",
        ),
        Case(
            "a file opened as text",
            lambda g: helpers.load_image(g.opened()),
            "This file was opened as text; open it with open(path, 'rb').",
        ),
        Case(
            "an empty path",
            lambda g: helpers.load_image(" "),
            "The path is empty; give that of an image file.",
        ),
        Case(
            "an address without https",
            lambda g: helpers.load_image("www.example.org/car.png"),
            "An address must begin with http:// or https://, not 'www.example.org/car.png'.",
        ),
        Case(
            "a tensor from -1 to 1, as the VAE takes",
            lambda g: helpers.load_image(np.linspace(-1, 1, 48).reshape(3, 4, 4)),
            "Pixels given as floats must lie between 0 and 1, not -1 to 1; add 1 and halve them.",
        ),
        Case(
            "a list of pictures",
            lambda g: helpers.load_image([g.car, g.car]),
            "An image cannot be made from a list of Image; give one image.",
        ),
        Case(
            "five channels",
            lambda g: helpers.load_image(np.zeros((8, 9, 5), np.uint8)),
            "An array of shape (8, 9, 5) is no image; use (height, width) or (height, width, 3).",
        ),
    ],
    "Servers": [
        Case(
            "a server that wants a login",
            lambda g: helpers.load_image(g.url("status-401")),
            "http://server/status-401 could not be downloaded: the server answers 401 (Unauthorized); it wants a login: save the picture from your browser and give the file.",
        ),
        Case(
            "a server that lets no programs in",
            lambda g: helpers.load_image(g.url("status-403")),
            "http://server/status-403 could not be downloaded: the server answers 403 (Forbidden); it lets no programs have it: save the picture from your browser and give the file.",
        ),
        Case(
            "a server that has removed the picture",
            lambda g: helpers.load_image(g.url("status-410")),
            "http://server/status-410 could not be downloaded: the server answers 410 (Gone); check the address.",
        ),
        Case(
            "a server that wants a slower pace",
            lambda g: helpers.load_image(g.url("status-429-7")),
            "http://server/status-429-7 could not be downloaded: the server answers 429 (Too Many Requests); wait 7 seconds and try again.",
        ),
        Case(
            "a server that wants a slower pace, and does not say how slow",
            lambda g: helpers.load_image(g.url("status-429")),
            "http://server/status-429 could not be downloaded: the server answers 429 (Too Many Requests); it has had too many calls from here: wait some minutes and try again.",
        ),
        Case(
            "a server that fails",
            lambda g: helpers.load_image(g.url("status-500")),
            "http://server/status-500 could not be downloaded: the server answers 500 (Internal Server Error); it has a problem of its own: try again later.",
        ),
        Case(
            "a server that has another behind it that fails",
            lambda g: helpers.load_image(g.url("status-502")),
            "http://server/status-502 could not be downloaded: the server answers 502 (Bad Gateway); it has a problem of its own: try again later.",
        ),
        Case(
            "a server that is being mended",
            lambda g: helpers.load_image(g.url("status-503-120")),
            "http://server/status-503-120 could not be downloaded: the server answers 503 (Service Unavailable); wait 120 seconds and try again.",
        ),
        Case(
            "a server that may not show it here",
            lambda g: helpers.load_image(g.url("status-451")),
            "http://server/status-451 could not be downloaded: the server answers 451 (Unavailable For Legal Reasons); check the address and the connection, or use a file.",
        ),
        Case(
            "a server that sits behind a proxy with a login",
            lambda g: helpers.load_image(g.url("status-407")),
            "http://server/status-407 could not be downloaded: the server answers 407 (Proxy Authentication Required); check the address and the connection, or use a file.",
        ),
        Case(
            "a server that invents a status",
            lambda g: helpers.load_image(g.url("status-599")),
            "http://server/status-599 could not be downloaded: the server answers 599 (an unknown answer); it has a problem of its own: try again later.",
        ),
        Case(
            "an answer of nothing",
            lambda g: helpers.load_image(g.url("empty")),
            "http://server/empty could not be read as an image; use a complete PNG, JPEG or WebP file.",
        ),
        Case(
            "an answer without content, 204",
            lambda g: helpers.load_image(g.url("status-204")),
            "http://server/status-204 could not be read as an image; use a complete PNG, JPEG or WebP file.",
        ),
        Case(
            "a Git LFS pointer from a server",
            lambda g: helpers.load_image(g.url("pointer.png")),
            "http://server/pointer.png: this is a Git LFS pointer; get the picture itself with git lfs pull.",
        ),
        Case(
            "a drawing from a server",
            lambda g: helpers.load_image(g.url("logo.svg")),
            "http://server/logo.svg: this is an SVG drawing; export it as PNG or JPEG.",
        ),
        Case(
            "a web page, packed though nobody asked for it",
            lambda g: helpers.load_image(g.url("packed")),
            "http://server/packed: this is a web page; give the address of the picture itself.",
        ),
        Case(
            "an answer that is packed, it says, and is not",
            lambda g: helpers.load_image(g.url("packed-badly")),
            "http://server/packed-badly could not be downloaded; check the address and the connection, or use a file.",
        ),
        Case(
            "a packed answer cut off",
            lambda g: helpers.load_image(g.url("packed-half")),
            "http://server/packed-half could not be downloaded; check the address and the connection, or use a file.",
        ),
        Case(
            "an answer shorter than it says",
            lambda g: helpers.load_image(g.url("too-long")),
            "http://server/too-long could not be read as an image; use a complete PNG, JPEG or WebP file.",
        ),
        Case(
            "a phone's photo from a server",
            lambda g: helpers.load_image(g.url("photo.heic")),
            "http://server/photo.heic: this is a HEIC photo; export it as JPEG, or install pillow-heif and register its opener.",
        ),
        Case(
            "an answer that is not HTTP",
            lambda g: helpers.load_image(g.url("noise")),
            "http://server/noise could not be downloaded; check the address and the connection, or use a file.",
        ),
    ],
    "Sizes": [
        Case(
            "a size that is no multiple of 8",
            lambda g: helpers.prepare_image(g.car, 500),
            "Width and height must be multiples of 8, not 500×500; 496×496 would work.",
        ),
        Case(
            "a size of 0",
            lambda g: helpers.prepare_image(g.car, 0),
            "Width and height must be multiples of 8, not 0×0; 8×8 would work.",
        ),
        Case(
            "a negative size",
            lambda g: helpers.prepare_image(g.car, -512),
            "Width and height must be multiples of 8, not -512×-512; 8×8 would work.",
        ),
        Case(
            "a size in words",
            lambda g: helpers.prepare_image(g.car, "large"),
            "The size must be one number or (width, height) in pixels, such as 512, not 'large'.",
        ),
        Case(
            "three sides",
            lambda g: helpers.prepare_image(g.car, (512, 512, 3)),
            "The size must be one number or (width, height) in pixels, such as 512, not (512, 512, 3).",
        ),
        Case(
            "a side of NaN",
            lambda g: helpers.prepare_image(g.car, (float("nan"), 512)),
            "The size must be one number or (width, height) in pixels, such as 512, not (nan, 512).",
        ),
        Case(
            "an unknown fit",
            lambda g: helpers.prepare_image(g.car, 512, "squeeze"),
            "There is no fit 'squeeze'; choose one of pad, crop, stretch.",
        ),
    ],
    "Strength, steps, sweeps": [
        Case(
            "a negative strength",
            lambda g: helpers.plan_steps(g.pipe, -0.1, 30),
            "strength must be a number from 0 to 1, not -0.1; 0.5 is a balanced edit.",
        ),
        Case(
            "a strength above 1",
            lambda g: helpers.plan_steps(g.pipe, 1.5, 30),
            "strength must be a number from 0 to 1, not 1.5; 0.5 is a balanced edit.",
        ),
        Case(
            "a strength of NaN",
            lambda g: helpers.plan_steps(g.pipe, float("nan"), 30),
            "strength must be a number from 0 to 1, not nan; 0.5 is a balanced edit.",
        ),
        Case(
            "a strength in words",
            lambda g: helpers.plan_steps(g.pipe, "half", 30),
            "strength must be a number from 0 to 1, not 'half'; 0.5 is a balanced edit.",
        ),
        Case(
            "a strength in percent",
            lambda g: helpers.plan_steps(g.pipe, 50, 30),
            "strength must be a number from 0 to 1, not 50; 0.5 is a balanced edit.",
        ),
        Case(
            "strength 0",
            lambda g: helpers.plan_steps(g.pipe, 0, 30),
            "strength 0 with num_inference_steps 30 leaves 0 steps to run, which diffusers cannot do; use strength 0.04 or more.",
        ),
        Case(
            "too little strength for the steps",
            lambda g: helpers.plan_steps(g.pipe, 0.02, 30),
            "strength 0.02 with num_inference_steps 30 leaves 0 steps to run, which diffusers cannot do; use strength 0.04 or more, or num_inference_steps 50 or more.",
        ),
        Case(
            "no steps",
            lambda g: helpers.plan_steps(g.pipe, 0.5, 0),
            "num_inference_steps must be a whole number of at least 1, not 0.",
        ),
        Case(
            "negative steps",
            lambda g: helpers.plan_steps(g.pipe, 0.5, -3),
            "num_inference_steps must be a whole number of at least 1, not -3.",
        ),
        Case(
            "half a step",
            lambda g: helpers.plan_steps(g.pipe, 0.5, 7.5),
            "num_inference_steps must be a whole number of at least 1, not 7.5.",
        ),
        Case(
            "more steps than the scheduler has",
            lambda g: helpers.plan_steps(g.pipe, 0.5, 5000),
            "DDIMScheduler cannot make 5000 steps; use num_inference_steps 1000 or fewer.",
        ),
        Case(
            "no pipeline",
            lambda g: helpers.plan_steps("sd15", 0.5, 30),
            "plan_steps needs a diffusers pipeline or scheduler, not str.",
        ),
        Case(
            "a sweep over no strengths",
            lambda g: helpers.strength_sweep(g.pipe, "a lake", g.small, []),
            "strength_sweep got no strengths; give it a list such as [0.3, 0.5, 0.8].",
        ),
        Case(
            "a sweep with a strength above 1",
            lambda g: helpers.strength_sweep(g.pipe, "a lake", g.small, [0.5, 2]),
            "strength must be a number from 0 to 1, not 2; 0.5 is a balanced edit.",
        ),
        Case(
            "a sweep whose prompt is a number",
            lambda g: helpers.strength_sweep(g.pipe, 5, g.small, [0.5]),
            "A prompt must be a text; edit_grid takes several, in a list.",
        ),
        Case(
            "a batch of none",
            lambda g: helpers.strength_sweep(g.pipe, "a lake", g.small, [0.5], max_batch=0),
            "max_batch must be a whole number of at least 1, not 0; None chooses from the free memory.",
        ),
        Case(
            "a sweep with another kind of pipeline",
            lambda g: helpers.strength_sweep("sd15", "a lake", g.small, [0.5]),
            "A sweep needs a StableDiffusionImg2ImgPipeline, not str; load_pipeline('img2img') gives one.",
        ),
        Case(
            "a grid without seeds",
            lambda g: helpers.edit_grid(g.pipe, g.small, "a lake", seeds=[]),
            "edit_grid got an empty list; give at least one of each: prompt, strength, guidance, seed.",
        ),
        Case(
            "a strength that is True",
            lambda g: helpers.plan_steps(g.pipe, True, 30),
            "strength must be a number from 0 to 1, not True; 0.5 is a balanced edit.",
        ),
        Case(
            "a strength with a comma",
            lambda g: helpers.plan_steps(g.pipe, "0,5", 30),
            "strength must be a number from 0 to 1, not '0,5'; 0.5 is a balanced edit.",
        ),
        Case(
            "a seed in quotes",
            lambda g: helpers.strength_sweep(g.pipe, "a lake", g.small, [0.5], seed="1"),
            "seed must be a whole number from 0 to 9223372036854775807, not '1'; any whole number will do, but keep it.",
        ),
        Case(
            "a seed of -1, which elsewhere means any",
            lambda g: helpers.strength_sweep(g.pipe, "a lake", g.small, [0.5], seed=-1),
            "seed must be a whole number from 0 to 9223372036854775807, not -1; any whole number will do, but keep it.",
        ),
        Case(
            "no seed",
            lambda g: helpers.strength_sweep(g.pipe, "a lake", g.small, [0.5], seed=None),
            "seed must be a whole number from 0 to 9223372036854775807, not None; any whole number will do, but keep it.",
        ),
        Case(
            "a guidance scale in quotes",
            lambda g: helpers.strength_sweep(g.pipe, "a lake", g.small, [0.5], guidance_scale="7.5"),
            "guidance_scale must be a number from 0 to 100, not '7.5'; 7.5 is a good start.",
        ),
        Case(
            "a guidance scale of NaN",
            lambda g: helpers.strength_sweep(g.pipe, "a lake", g.small, [0.5], guidance_scale=float("nan")),
            "guidance_scale must be a number from 0 to 100, not nan; 7.5 is a good start.",
        ),
        Case(
            "half a batch",
            lambda g: helpers.strength_sweep(g.pipe, "a lake", g.small, [0.5], max_batch=2.5),
            "max_batch must be a whole number of at least 1, not 2.5; None chooses from the free memory.",
        ),
        Case(
            "strengths that are None",
            lambda g: helpers.strength_sweep(g.pipe, "a lake", g.small, None),
            "strengths must be a list, not None.",
        ),
        Case(
            "a sweep over a picture of an odd size",
            lambda g: helpers.strength_sweep(g.pipe, "a lake", g.odd, [0.5]),
            "The image is 17×15, but the sides must be multiples of 8; use prepare_image(image, size).image.",
        ),
    ],
    "Loading": [
        Case(
            "an unknown task",
            lambda g: helpers.load_pipeline("edit"),
            "There is no task 'edit'; choose one of 'img2img', 'text2img', 'inpaint', 'upscale', 'controlnet', 'instruct'.",
        ),
        Case(
            "a task that the model cannot do",
            lambda g: helpers.load_pipeline("upscale", g.base),
            f"The model 'folder' cannot do 'upscale', only 'img2img', 'text2img', 'inpaint', 'controlnet'; for 'upscale' use model={UPSCALERS}.",
        ),
        Case(
            "a model name with a slip",
            lambda g: helpers.load_pipeline("img2img", "sd-15"),
            f"There is no model 'sd-15'; choose {MODEL_NAMES}, a hub id such as 'stable-diffusion-v1-5/stable-diffusion-v1-5', or a folder that exists.",
        ),
        Case(
            "a folder that holds no model",
            lambda g: helpers.load_pipeline("img2img", g.folder),
            "The folder 'folder' holds no diffusers model: it has no model_index.json.",
        ),
        Case(
            "an unknown device",
            lambda g: helpers.load_pipeline("img2img", "classroom", device="gpu"),
            "This computer has no device 'gpu'; it has 'cpu'.",
        ),
        Case(
            "a graphics card that is not there",
            lambda g: helpers.load_pipeline("img2img", "classroom", device="cuda:7"),
            "This computer has no device 'cuda:7'; it has 'cpu'.",
        ),
        Case(
            "an unknown dtype",
            lambda g: helpers.load_pipeline("img2img", "classroom", dtype="int8"),
            "There is no dtype 'int8'; choose 'auto', 'float32', 'float16', 'bfloat16'.",
        ),
        Case(
            "a model cloned without Git LFS",
            lambda g: helpers.load_pipeline("img2img", g.model("unet/diffusion_pytorch_model.safetensors", LFS)),
            "folder/model could not be loaded (tried 'folder/model'): unet/diffusion_pytorch_model.safetensors is damaged or cut off; download it again, or, if you cloned the model with git, run git lfs pull.",
        ),
        Case(
            "a model whose model_index.json is empty",
            lambda g: helpers.load_pipeline("img2img", g.model("model_index.json", b"")),
            "The folder 'folder/model' holds no diffusers model: its model_index.json is damaged; download it again.",
        ),
        Case(
            "a model that is no text",
            lambda g: helpers.load_pipeline("img2img", ""),
            f"There is no model ''; choose {MODEL_NAMES}, a hub id such as 'stable-diffusion-v1-5/stable-diffusion-v1-5', or a folder that exists.",
        ),
        Case(
            "whole numbers as dtype",
            lambda g: helpers.load_pipeline("img2img", "classroom", dtype=torch.int8),
            "There is no dtype torch.int8; choose 'auto', 'float32', 'float16', 'bfloat16'.",
        ),
    ],
    "Recipes": [
        Case(
            "a prompt that is a number",
            lambda g: EditPass(5),
            "prompt must be a text of at most 2000 characters, not 5.",
        ),
        Case(
            "a prompt of a book's length",
            lambda g: EditPass("word " * 500),
            "prompt must be a text of at most 2000 characters, not 'word word word word word word word word word word word w….",
        ),
        Case(
            "a pass of strength 0",
            lambda g: EditPass("a lake", 0),
            "strength must be above 0: at 0 no step would run.",
        ),
        Case(
            "a pass of strength 2",
            lambda g: EditPass("a lake", 2),
            "strength must be a number from 0 to 1, not 2; 0.5 is a balanced edit.",
        ),
        Case(
            "a strength that is a truth value",
            lambda g: EditPass("a lake", True),
            "strength must be a number from 0 to 1, not True; 0.5 is a balanced edit.",
        ),
        Case(
            "a negative seed",
            lambda g: EditPass("a lake", 0.5, -1),
            "seed must be a whole number from 0 to 9223372036854775807, not -1; any whole number will do, but keep it.",
        ),
        Case(
            "a seed that is too large",
            lambda g: EditPass("a lake", 0.5, 2**70),
            "seed must be a whole number from 0 to 9223372036854775807, not 1180591620717411303424; any whole number will do, but keep it.",
        ),
        Case(
            "a seed with a fraction",
            lambda g: EditPass("a lake", 0.5, 1.5),
            "seed must be a whole number from 0 to 9223372036854775807, not 1.5; any whole number will do, but keep it.",
        ),
        Case(
            "no steps in a pass",
            lambda g: EditPass("a lake", num_inference_steps=0),
            "num_inference_steps must be a whole number from 1 to 1000, not 0; 30 is a good start.",
        ),
        Case(
            "a negative guidance scale",
            lambda g: EditPass("a lake", guidance_scale=-1),
            "guidance_scale must be a number from 0 to 100, not -1; 7.5 is a good start.",
        ),
        Case(
            "an endless guidance scale",
            lambda g: EditPass("a lake", guidance_scale=float("inf")),
            "guidance_scale must be a number from 0 to 100, not inf; 7.5 is a good start.",
        ),
        Case(
            "a recipe without passes",
            lambda g: Recipe([]),
            "A recipe has from 1 to 100 passes, not 0.",
        ),
        Case(
            "a recipe of texts",
            lambda g: Recipe(["a lake"]),
            "Pass 1 must be an EditPass(prompt, strength, seed), not 'a lake'.",
        ),
        Case(
            "a recipe that is one pass",
            lambda g: Recipe(EditPass("a lake")),
            "passes must be a list of EditPass(prompt, strength, seed).",
        ),
        Case(
            "an unknown way to chain",
            lambda g: Recipe([EditPass("a lake")], chain="wire"),
            "chain must be 'pixels' or 'latents', not 'wire'.",
        ),
        Case(
            "a recipe file that is not there",
            lambda g: Recipe.load(g.folder / "gone.json"),
            "There is no recipe file 'folder/gone.json'; the current folder is 'work'.",
        ),
        Case(
            "a recipe file that is no JSON",
            lambda g: Recipe.load(g.file("r.json", b"{")),
            "r.json holds no recipe: it is not valid JSON.",
        ),
        Case(
            "a recipe file with an unknown key",
            lambda g: Recipe.load(g.file("r.json", b'{"format": 1, "passes": [], "run": "me"}')),
            "The recipe in r.json has an unknown entry 'run'; known are chain, format, made_with, passes.",
        ),
        Case(
            "a recipe file from a later version",
            lambda g: Recipe.load(g.file("r.json", b'{"format": 2, "passes": []}')),
            "The recipe in r.json has the format 2; this version reads 1.",
        ),
        Case(
            "a pass in a file with an unknown key",
            lambda g: Recipe.load(g.file("r.json", b'{"format": 1, "passes": [{"prompt": "a", "size": 3}]}')),
            "Pass 1 in r.json has an unknown entry 'size'; known are guidance_scale, negative_prompt, num_inference_steps, prompt, seed, strength.",
        ),
        Case(
            'a pass in a file with strength "much"',
            lambda g: Recipe.load(g.file("r.json", b'{"format": 1, "passes": [{"prompt": "a", "strength": "much"}]}')),
            "Pass 1 in r.json: strength must be a number from 0 to 1, not 'much'; 0.5 is a balanced edit.",
        ),
        Case(
            "a recipe file with NaN",
            lambda g: Recipe.load(g.file("r.json", b'{"format": 1, "passes": [{"prompt": "a", "strength": NaN}]}')),
            "r.json holds no recipe: it is not valid JSON.",
        ),
        Case(
            "a recipe file of 10,000 brackets",
            lambda g: Recipe.load(g.file("r.json", b"[" * 10_000)),
            "r.json holds no recipe: it is not valid JSON.",
        ),
        Case(
            "a PNG without a recipe",
            lambda g: Recipe.load(g.file("r.png", g.png)),
            "r.png carries no recipe; only PNG files that Recipe.save wrote do.",
        ),
        Case(
            "a recipe saved into a folder that is not there",
            lambda g: g.recipe.save(g.folder / "gone" / "r.json"),
            "folder/gone/r.json could not be written (No such file or directory); choose a folder that is there and that you may write to.",
        ),
        Case(
            "a run into a file in place of a folder",
            lambda g: g.recipe.run(g.pipe, g.small, g.file("file", b"")),
            "folder/file could not be written (File exists); choose a folder that is there and that you may write to.",
        ),
        Case(
            "a recipe saved as text",
            lambda g: g.recipe.save(g.folder / "r.txt"),
            "A recipe is saved as 'name.json', or as 'name.png' with its image; not as 'r.txt' without an image.",
        ),
        Case(
            "a run with a picture of another size",
            lambda g: g.recipe.run(g.pipe, g.odd),
            "The image is 17×15, but the sides must be multiples of 8; use prepare_image(image, size).image.",
        ),
        Case(
            "a run into a folder with another recipe's passes",
            lambda g: g.recipe.run(g.pipe, g.small, g.used_folder),
            "folder/used/pass-1.png is from another recipe or image, and would be lost; choose another folder.",
        ),
        Case(
            "a recipe's folder that is a number",
            lambda g: g.recipe.run(g.pipe, g.small, 5),
            "folder must be a path in quotes, such as 'edits/one.png', not 5.",
        ),
        Case(
            "a recipe run by an upscaler",
            lambda g: g.recipe.run(g.upscaler, g.small),
            "An edit needs an img2img pipeline, not StableDiffusionUpscalePipeline; load_pipeline('img2img') gives one.",
        ),
        Case(
            "what a recipe was made with, as a number",
            lambda g: Recipe([EditPass("a lake")], made_with=5),
            "made_with must be a dict, which Recipe.run fills in, not 5.",
        ),
    ],
    "Masks and measures": [
        Case(
            "a mask that is black everywhere",
            lambda g: helpers.structure_similarity(g.car, g.car, np.zeros((512, 512), bool)),
            "The mask is black everywhere, so there is nothing to measure; make it white where it counts.",
        ),
        Case(
            "a picture smaller than the window of SSIM",
            lambda g: helpers.structure_similarity(g.small.resize((4, 4)), g.small),
            "structure_similarity needs images of at least 11×11 pixels, not 4×4.",
        ),
        Case(
            "colours matched under an empty mask",
            lambda g: helpers.match_colors(g.car, g.car, np.zeros((512, 512), bool)),
            "The mask is black everywhere, so there is nothing to measure; make it white where it counts.",
        ),
        Case(
            "colours compared under an empty mask",
            lambda g: helpers.color_distance(g.car, g.car, np.zeros((512, 512), bool)),
            "The mask is black everywhere, so there is nothing to measure; make it white where it counts.",
        ),
        Case(
            "a mask to start from, of another shape",
            lambda g: helpers.paint_mask(g.car, g.small.resize((16, 8))),
            "The mask is 16×8 pixels and the picture 512×512, another shape; if you prepared the picture, take prepared.mask(mask).",
        ),
        Case(
            "a mask whose numbers name things",
            lambda g: helpers.color_distance(g.car, g.car, np.arange(3, dtype=np.uint8).repeat(9).reshape(9, 3)),
            "The mask is nowhere brighter than 2 of 255, and white is inside; if its numbers name things, give the one you mean, such as mask == 2.",
        ),
        Case(
            "a mask too dim",
            lambda g: helpers.color_distance(g.car, g.car, np.linspace(0, 0.3, 64).reshape(8, 8)),
            "The mask is nowhere brighter than 76 of 255, and white is inside; if its numbers name things, give the one you mean, such as mask == 76.",
        ),
        Case(
            "three masks at once",
            lambda g: helpers.color_distance(g.car, g.car, np.zeros((3, 64, 64), bool)),
            "An array of shape (3, 64, 64) holds 3 masks; give one, such as masks[0].",
        ),
        Case(
            "a list of masks",
            lambda g: helpers.color_distance(g.car, g.car, [np.zeros((64, 64), bool)]),
            "An image cannot be made from a list of ndarray; give one image.",
        ),
        Case(
            "a box in place of a mask",
            lambda g: helpers.color_distance(g.car, g.car, (10, 10, 50, 50)),
            "An image cannot be made from a tuple of int; give one image.",
        ),
        Case(
            "True in place of a mask",
            lambda g: helpers.color_distance(g.car, g.car, True),
            "An image cannot be made from bool; give a path, a URL, bytes, a PIL image, a NumPy array or an upload widget's value.",
        ),
        Case(
            "a mask file that is not there",
            lambda g: helpers.color_distance(g.car, g.car, "mask.png"),
            "There is no image file 'mask.png'; the current folder is 'work'.",
        ),
        Case(
            "a mask of the photo before it was turned",
            lambda g: helpers.color_distance(g.car, g.car, np.ones((32, 64), bool)),
            "The mask is 64×32 pixels and the picture 512×512, another shape; if you prepared the picture, take prepared.mask(mask).",
        ),
        Case(
            "a mask in run lengths",
            lambda g: helpers.color_distance(g.car, g.car, {"size": [64, 64], "counts": "abc"}),
            "An image cannot be made from a dict of list; give one image.",
        ),
        Case(
            "a mask with NaN",
            lambda g: helpers.color_distance(g.car, g.car, np.array([[0, np.nan], [1, 0.5]])),
            "Pixels given as floats must lie between 0 and 1, not nan to nan; replace or clip them.",
        ),
        Case(
            "logits in place of a mask",
            lambda g: helpers.color_distance(g.car, g.car, np.array([[-7.5, 3.0], [0.5, 2.0]])),
            "Pixels given as floats must lie between 0 and 1, not -7.5 to 3; divide them by 255.",
        ),
    ],
    "Figures and widgets": [
        Case(
            "no pictures to show",
            lambda g: helpers.show_images([]),
            "show_images got an empty list; give it at least one image.",
        ),
        Case(
            "two pictures, one title",
            lambda g: helpers.show_images([g.small, g.small], ["one"]),
            "show_images needs one title for each image, or none: 2 images, 1 titles.",
        ),
        Case(
            "no columns",
            lambda g: helpers.show_images([g.small], columns=0),
            "columns must be a whole number from 1 to 20, not 0.",
        ),
        Case(
            "a line with a measurement too few",
            lambda g: helpers.plot_preservation([0.1, 0.5], {"car": [0.9]}),
            "plot_preservation needs one measurement a strength: 'car' has 1, but there are 2 strengths.",
        ),
        Case(
            "two pictures of different shapes to compare",
            lambda g: helpers.before_after(g.car, g.car.resize((512, 100))),
            "before_after lays two pictures on top of each other, so they must have one shape, not 512×512 and 512×100; restore the edit to the original's size.",
        ),
        Case(
            "one label to compare with",
            lambda g: helpers.before_after(g.car, g.car, ["one"]),
            "before_after needs two labels, one for each picture, not ['one'].",
        ),
        Case(
            "a slider without pictures",
            lambda g: helpers.picture_slider([], []),
            "picture_slider needs at least one image, one label for each and one caption for each or none, not 0 images, 0 labels and 0 captions.",
        ),
        Case(
            "a slider that starts beyond its end",
            lambda g: helpers.picture_slider([g.small], ["a"], selected=3),
            "selected must be a whole number from 0 to 0, not 3; it counts the images from 0.",
        ),
        Case(
            "an explorer for a picture of an odd size",
            lambda g: helpers.strength_explorer(g.pipe, g.odd, "a lake"),
            "The image is 17×15, but the sides must be multiples of 8; use prepare_image(image, size).image.",
        ),
        Case(
            "a recipe with a picture too few",
            lambda g: helpers.plot_recipe(g.recipe, g.small, []),
            "plot_recipe needs one picture a pass: 1 passes, 0 pictures.",
        ),
        Case(
            "columns in quotes",
            lambda g: helpers.show_images([g.small], columns="2"),
            "columns must be a whole number from 1 to 20, not '2'.",
        ),
        Case(
            "no list of pictures",
            lambda g: helpers.show_images(None),
            "images must be a list, not None.",
        ),
        Case(
            "measurements without a name",
            lambda g: helpers.plot_preservation([0.1, 0.5], [0.9, 0.8]),
            "kept must be a dict of a name and its measurements for each line, not [0.9, 0.8].",
        ),
        Case(
            "a measurement in quotes",
            lambda g: helpers.plot_preservation([0.1], {"car": ["0.9"]}),
            "car must be a number, not '0.9'.",
        ),
        Case(
            "a plot of no strengths",
            lambda g: helpers.plot_strength_vs_steps(g.pipe, 30, []),
            "strengths must be a list of at least 1, not [].",
        ),
        Case(
            "a width in quotes",
            lambda g: helpers.before_after(g.car, g.car, width="480"),
            "width must be a number from 16 to 4096, not '480'; it is in the screen's pixels.",
        ),
        Case(
            "a brush of negative width",
            lambda g: helpers.paint_mask(g.car, brush=-3),
            "brush must be a whole number from 1 to 512, not -3; it is a width in the image's pixels.",
        ),
        Case(
            "one text in place of two labels",
            lambda g: helpers.before_after(g.car, g.car, "ab"),
            "before_after needs two labels, one for each picture, not ['ab'].",
        ),
        Case(
            "an explorer whose prompt is a number",
            lambda g: helpers.strength_explorer(g.pipe, g.small, 5),
            "prompt must be a text in quotes, not 5.",
        ),
        Case(
            "an explorer that is to preview with the name of a decoder",
            lambda g: helpers.strength_explorer(g.pipe, g.small, "a lake", preview="taesd"),
            "preview must be a decoder, such as diffusers' AutoencoderTiny, not 'taesd'.",
        ),
        Case(
            "an explorer of an upscaler",
            lambda g: helpers.strength_explorer(g.upscaler, g.small, "a lake"),
            "An edit needs an img2img pipeline, not StableDiffusionUpscalePipeline; load_pipeline('img2img') gives one.",
        ),
        Case(
            "a recipe's strip of something else",
            lambda g: helpers.plot_recipe("recipe.json", g.small, []),
            "plot_recipe needs a Recipe, not 'recipe.json'.",
        ),
    ],
    "Tiles": [
        Case(
            "tiles that overlap by more than half",
            lambda g: helpers.upscale_tiles(g.upscaler, "sharp", g.small, overlap=1000),
            "overlap must be a whole number from 0 to 4, not 1000; half of a tile's 8 pixels is the most.",
        ),
        Case(
            "no tiles in a batch",
            lambda g: helpers.upscale_tiles(g.upscaler, "sharp", g.small, batch_size=0),
            "batch_size must be a whole number of at least 1, not 0; try 4.",
        ),
        Case(
            "overlap in quotes",
            lambda g: helpers.upscale_tiles(g.upscaler, "sharp", g.small, overlap="2"),
            "overlap must be a whole number from 0 to 4, not '2'; half of a tile's 8 pixels is the most.",
        ),
        Case(
            "an option that the upscaler does not have",
            lambda g: helpers.upscale_tiles(g.upscaler, "sharp", g.small, strength=0.5),
            "StableDiffusionUpscalePipeline has no option 'strength'; leave it out.",
        ),
        Case(
            "tiles without steps",
            lambda g: helpers.upscale_tiles(g.upscaler, "sharp", g.small, num_inference_steps=0),
            "num_inference_steps must be a whole number from 1 to 1000, not 0; 30 is a good start.",
        ),
        Case(
            "more noise than the upscaler knows",
            lambda g: helpers.upscale_tiles(g.upscaler, "sharp", g.small, noise_level=10_000),
            "noise_level must be a whole number from 0 to 350, not 10000; 20 is usual.",
        ),
        Case(
            "tiles of a pipeline that does not upscale",
            lambda g: helpers.upscale_tiles(g.pipe, "sharp", g.small),
            "upscale_tiles needs an upscaling pipeline, not StableDiffusionImg2ImgPipeline; load_pipeline('upscale') gives one.",
        ),
    ],
    "Checks of exercises": [
        Case(
            "nothing to measure",
            lambda g: helpers.check_edit(g.car, g.car),
            "check_edit needs something to measure, for instance structure=(0.5, 1).",
        ),
        Case(
            "something that cannot be measured",
            lambda g: helpers.check_edit(g.car, g.car, beauty=(0, 1)),
            "check_edit cannot measure beauty; it measures structure, brightness, saturation, color, hue, each also as …_inside and …_outside a mask.",
        ),
        Case(
            "a part without a mask",
            lambda g: helpers.check_edit(g.car, g.car, hue_inside=(0, 10)),
            "check_edit needs a mask to measure hue_inside; give it mask=….",
        ),
        Case(
            "a target of one number",
            lambda g: helpers.check_edit(g.car, g.car, structure=0.5),
            "structure must be its lowest and highest value from 0 to 1, such as (0, 1), not 0.5.",
        ),
        Case(
            "a target in percent",
            lambda g: helpers.check_edit(g.car, g.car, brightness=(50, 100)),
            "brightness must be its lowest and highest value from 0 to 1, such as (0, 1), not (50, 100).",
        ),
        Case(
            "a target the wrong way round",
            lambda g: helpers.check_edit(g.car, g.car, structure=(1, 0.5)),
            "structure must be its lowest and highest value from 0 to 1, such as (0, 1), not (1, 0.5).",
        ),
        Case(
            "a tolerance in quotes",
            lambda g: helpers.check_prediction(5, 5, tolerance="0.1"),
            "tolerance must be a number of at least 0, not '0.1'.",
        ),
        Case(
            "rows of different lengths to compare",
            lambda g: helpers.check_same_image([[1, 2], [3]], np.zeros((2, 2))),
            "check_same_image compares images, or arrays or tensors of numbers; give such.",
        ),
    ],
}
