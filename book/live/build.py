"""Make what the site needs to run the classroom model in a page: `python -m book.live.build OUT`, after `make live-packages`.

Every file becomes scripts that hold it in base64, a few megabytes each: a page that was opened as a file, from a memory stick,
may load scripts and nothing else.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from img2img_helpers import example_image, example_names
from img2img_helpers.lessons.models import CLASSROOM_FOLDER

from .export import export

HERE = Path(__file__).parent
INSTALLED = HERE.parent.parent / "build" / "live"  # by `make live-packages`
PACKAGES = INSTALLED / "node_modules"
PART = 3_000_000  # bytes of a file in one script
RUNTIME = "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm"


def can_build() -> bool:
    """Whether `make live-packages` has fetched what this needs."""
    return (INSTALLED / "installed").is_file()


def bundle() -> bytes:
    """The worker and all that it imports, as one script."""
    command = [str(PACKAGES / ".bin" / "esbuild"), str(HERE / "worker.js"), "--bundle", "--format=iife", "--minify"]
    command += ["--target=es2022", "--log-level=error", "--define:import.meta.url=location.href"]
    ran = subprocess.run(command, capture_output=True, env={**os.environ, "NODE_PATH": str(PACKAGES)})
    if ran.returncode:
        raise RuntimeError(ran.stderr.decode())
    return ran.stdout


def small_picture(name: str, side: int) -> str:
    """A bundled example as a data URI."""
    file = io.BytesIO()
    example_image(name).resize((side, side)).save(file, "jpeg", quality=92)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def write_parts(out: Path, name: str, data: bytes) -> dict[str, int]:
    """``data`` as scripts ``NAME-0.js`` and so on; returns how many, and of how many bytes in all."""
    starts, size = range(0, len(data), PART), 0
    for number, start in enumerate(starts):
        text = base64.b64encode(data[start : start + PART]).decode()
        size += (out / f"{name}-{number}.js").write_text(f'live.put("{name}",{number},"{text}")\n')
    return {"parts": len(starts), "bytes": size}


def build(model: Path, out: Path) -> None:
    """Write the page's scripts, and all files of ``model`` that they load on a click, to the folder ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        export(model, Path(home))
        settings = json.loads((Path(home) / "model.json").read_text())
        side = settings["side"] * settings["factor"]
        settings["pictures"] = {name: small_picture(name, side) for name in example_names()}
        found = {path.stem: path.read_bytes() for path in sorted(Path(home).glob("*.onnx"))}
        found["noise"] = (Path(home) / "noise.bin").read_bytes()
    found |= {"model": json.dumps(settings).encode(), "runtime": (PACKAGES / RUNTIME).read_bytes(), "worker": bundle()}
    listed = json.dumps({name: write_parts(out, name, data) for name, data in found.items()})
    studio = (HERE / "studio.js").read_text()
    (out / "studio.js").write_text(studio.replace("const FILES = {};", f"const FILES = {listed};"))
    shutil.copy(HERE / "studio.css", out)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m book.live.build", description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, default=CLASSROOM_FOLDER, help="an SD-format folder")
    args = parser.parse_args()
    build(args.model, args.out)


if __name__ == "__main__":
    main()
