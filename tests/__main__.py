"""Run everything: `python -m tests`, which is what `make test` does."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.isolation import isolate

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "notebooks").glob("*.ipynb"))
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
STAGES = {
    "style: lint": [sys.executable, "-m", "ruff", "check", "."],
    "style: format": [sys.executable, "-m", "ruff", "format", "--check", "."],
    # two processes of one thread each suit two cores better than one process of two threads
    "unit tests, text pairs, stored outputs, browser, site": [*PYTEST, "-n", "2", "--dist", "loadgroup"],
    "notebooks (nbval)": [
        *PYTEST, "-n", "2", "--dist", "loadfile", "--nbval-lax", "--nbval-current-env",
        "--nbval-cell-timeout=600", *NOTEBOOKS,
    ],
}  # fmt: skip


def main() -> int:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    isolate(environment)
    failed = []
    for name, command in STAGES.items():
        print(f"\n── {name} ──", flush=True)
        started = time.monotonic()
        if subprocess.run(command, cwd=ROOT, env=environment).returncode:
            failed.append(name)
        print(f"{time.monotonic() - started:.0f} s", flush=True)
    print("\nFailed: " + ", ".join(failed) if failed else "\nEverything passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
