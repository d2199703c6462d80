"""Run everything: `python -m tests`, which is what `make test` does.

With ``--libraries-only``, what depends on the libraries' versions alone: the unit tests, and that every notebook runs.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.isolation import isolate

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "notebooks").glob("*.ipynb"))
UNIT_TESTS, NBVAL = "unit tests, text pairs, browser, hub, site", "lessons, stored outputs, wrong answers (nbval)"
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
# plots and pages look different with other versions, Colab has its own, a hub is a server's business, and setting up comes
# before all of them
NOT_OF_LIBRARIES = [
    f"test_{name}.py" for name in ("browser", "colab", "hub", "lesson_checks", "live", "notebooks", "setup", "site")
]
LESSONS = [
    *PYTEST, "-n", "2", "--dist", "loadfile", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600", *NOTEBOOKS,
]  # fmt: skip
STAGES = {
    "style: lint": [sys.executable, "-m", "ruff", "check", "."],
    "style: format": [sys.executable, "-m", "ruff", "format", "--check", "."],
    # two processes of one thread each suit two cores better than one process of two threads
    UNIT_TESTS: [*PYTEST, "-n", "2", "--dist", "loadgroup"],
    NBVAL: [*LESSONS, "-p", "tests.lesson_checks"],
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__.split("\n")[0])
    parser.add_argument("--libraries-only", action="store_true", help="leave out style, browser, hub, site, pictures")
    stages = dict(STAGES)
    if parser.parse_args().libraries_only:
        left_out = [f"--ignore=tests/{name}" for name in NOT_OF_LIBRARIES]
        # coverage costs half as much time again, which `make test` is spared
        unit_tests = [*STAGES[UNIT_TESTS], "--cov=img2img_helpers", *left_out]
        stages = {"unit tests, coverage": unit_tests, "lessons (nbval)": LESSONS}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    isolate(environment)
    failed = []
    for name, command in stages.items():
        print(f"\n── {name} ──", flush=True)
        started = time.monotonic()
        if subprocess.run(command, cwd=ROOT, env=environment).returncode:
            failed.append(name)
        print(f"{time.monotonic() - started:.0f} s", flush=True)
    print("\nFailed: " + ", ".join(failed) if failed else "\nEverything passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
