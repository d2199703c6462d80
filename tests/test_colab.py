"""On Colab: installing the course replaces nothing that is there, and the widgets work with Colab's old ipywidgets.

These tests alone ask the package index. Where it cannot be reached they are skipped, but not in CI.
"""

import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.isolation import NO_NETWORK

ROOT = Path(__file__).parent.parent
ON_COLAB = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "tests" / "colab-constraints.txt").read_text(), re.M))
HOW_TO_GET_A_GPU = "*Runtime → Change runtime type → T4 GPU"


def core_dependencies() -> list[str]:
    (listed,) = re.findall(r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S)
    return re.findall(r'"(.+?)"', listed)


def pip(*arguments: str) -> str:
    """What pip prints; the network is open to it, which is cut off from all other tests."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_CONSTRAINT")}
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1", *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    if "from versions: none" in ran.stderr and not os.environ.get("CI"):
        pytest.skip("the package index cannot be reached")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def colab(tmp_path):
    """An empty environment that says of itself that Colab's packages are installed: all that pip asks."""
    venv.create(tmp_path, symlinks=True)
    (site,) = tmp_path.glob("lib/python*/site-packages")
    for name, version in ON_COLAB.items():
        folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (folder / "INSTALLER").write_text("pip\n")
    return tmp_path / "bin" / "python"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_installing_the_course_replaces_nothing(colab):
    arguments = ("--python", str(colab), "install", "--quiet", "--dry-run", "--report", "-")
    report = json.loads(pip(*arguments, *core_dependencies()))
    installed = {normal(one["metadata"]["name"]) for one in report["install"]}
    assert "anywidget" in installed, "which this list of Colab's packages lacks"
    assert not installed & {normal(name) for name in ON_COLAB}


def test_a_newer_jupyter_would_be_found_out(colab):
    arguments = ("--python", str(colab), "install", "--quiet", "--dry-run", "--no-deps", "--report", "-")
    report = json.loads(pip(*arguments, *core_dependencies(), "ipywidgets>=8.1.0"))
    assert "ipywidgets" in {normal(one["metadata"]["name"]) for one in report["install"]}


def test_the_widgets_work_with_colabs_versions(tmp_path):
    """The tests of the widgets once more, with the versions that Colab's kernel has."""
    wanted = [
        f"{name}=={ON_COLAB[name]}" for name in ("ipykernel", "ipython", "ipywidgets", "jupyter_client", "traitlets")
    ]
    # what these older ones need beyond what the newer ones need
    needed = ["backcall", "decorator", "entrypoints", "ipython-genutils", "nest-asyncio", "pickleshare"]
    pip("install", "--quiet", "--no-deps", "--target", str(tmp_path), *wanted, *needed)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), NO_NETWORK])}
    versions = "import IPython, ipykernel, ipywidgets\nprint(IPython.__version__, ipykernel.__version__, ipywidgets.__version__)"
    told = subprocess.run([sys.executable, "-c", versions], env=environment, capture_output=True, text=True)
    assert told.stdout.split() == [ON_COLAB[name] for name in ("ipython", "ipykernel", "ipywidgets")], told.stderr
    # without nbval, which starts at once and wants a newer Jupyter
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:nbval", "tests/test_widgets.py"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("page", ["notebooks/source/01_setup.md", "book/index.md", "book/instructor.md", "README.md"])
def test_whoever_starts_on_colab_is_told_how_to_get_a_gpu(page):
    assert HOW_TO_GET_A_GPU in (ROOT / page).read_text("utf-8").replace("\n", " ")
