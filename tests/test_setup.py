"""The ways in: which build of torch `make` takes, with a pretended computer, GPU and uv; conda, Binder and the clone."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from book import address

ROOT = Path(__file__).parent.parent
PIN = re.search(r"^torch==(.+)$", (ROOT / "constraints.txt").read_text(), re.M)[1]


class Computer:
    """Where `install-torch.sh` finds these programs only, and each that is pretended writes down its call."""

    def __init__(self, folder: Path) -> None:
        self.programs, self.venv, self.calls = folder / "programs", folder / ".venv" / "bin", folder / "calls"
        self.programs.mkdir()
        self.venv.mkdir(parents=True)
        self.calls.touch()
        (self.programs / "sed").symlink_to(shutil.which("sed"))
        self.has("uname", "echo Linux")
        self.has("python", "exit 1", self.venv)  # it has neither torch nor an index to install from

    def has(self, name: str, does: str = "", folder: Path | None = None) -> None:
        program = (folder or self.programs) / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.calls}"\n{does}\n')
        program.chmod(0o755)

    def install(self, build: str = "auto") -> subprocess.CompletedProcess:
        command = ["/bin/sh", "install-torch.sh", str(self.venv / "python"), build, "constraints.txt"]
        return subprocess.run(command, cwd=ROOT, env={"PATH": str(self.programs)}, capture_output=True, text=True)

    def called(self, name: str) -> list[str]:
        return [line for line in self.calls.read_text().splitlines() if line.startswith(f"{name} ")]


@pytest.fixture
def computer(tmp_path):
    return Computer(tmp_path)


@pytest.mark.parametrize(
    ("gpu", "asked", "taken"),
    [
        (None, "auto", "cpu"),
        ("exit 9", "auto", "cpu"),  # a driver without its GPU
        ("exit 0", "auto", "auto"),  # the build for this driver, which uv asks for its version
        ("exit 0", "cpu", "cpu"),
        (None, "cu126", "cu126"),
    ],
)
def test_torch_is_the_build_for_this_computer_or_the_one_asked_for(computer, gpu, asked, taken):
    computer.has("uv")
    if gpu is not None:
        computer.has("nvidia-smi", gpu)
    ran = computer.install(asked)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    (call,) = computer.called("uv")
    assert call.startswith("uv pip install ")
    assert call.endswith(f"--torch-backend {taken} torch=={PIN}"), "only ever the version of constraints.txt"


def test_a_build_that_cannot_be_fetched_is_one_line_and_pip_goes_on(computer):
    computer.has("uv", "echo 'error: Request failed' >&2; exit 2")
    ran = computer.install()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("\n") == 1
    assert "The build 'cpu' of torch could not be fetched, so pip takes its own: 2.7 GB" in ran.stdout
    assert len(computer.called("uv")) == 1


def test_without_uv_it_is_installed_beside_pip_and_without_an_index_nothing_is_lost(computer):
    ran = computer.install()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "so pip takes its own" in ran.stdout
    assert computer.called("python")[-1].endswith("pip install --quiet --disable-pip-version-check uv")
    computer.has("uv", folder=computer.venv)
    assert computer.install().stdout == ""
    assert len(computer.called("uv")) == 1


@pytest.mark.parametrize("installed", [PIN, f"{PIN}+cpu", f"{PIN}+cu126"])
def test_torch_that_is_there_stays(computer, installed):
    computer.has("uv")
    computer.has("python", f"echo {installed}", computer.venv)
    assert computer.install("cpu").returncode == 0
    assert not computer.called("uv")


def test_on_a_mac_there_is_one_build(computer):
    computer.has("uname", "echo Darwin")
    computer.has("uv")
    assert computer.install().returncode == 0
    assert not computer.called("uv")
    assert not computer.called("python")


def test_an_unknown_build_is_told_before_anything_is_installed(computer):
    ran = computer.install("cuda")
    assert ran.returncode == 1
    assert ran.stdout == "TORCH is 'cuda', but must be auto, cpu, or a version of CUDA such as cu126 or cu128.\n"
    assert not computer.called("python")


def test_make_passes_the_choice_on():
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "TORCH"))
    }
    for choice, passed in (((), "auto"), (("TORCH=cu126",), "cu126")):
        command = ["make", "--dry-run", "-W", "constraints.txt", "setup", *choice]
        told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True).stdout
        assert f'install-torch.sh .venv/bin/python "{passed}" constraints.txt' in told


@pytest.mark.parametrize(
    ("file", "torch"), [("environment.yml", "pytorch"), (".binder/environment.yml", "pytorch-cpu")]
)
def test_conda_brings_torch_and_pip_only_the_rest(file, torch):
    """With an exact version of torch, or of another package that conda brings, pip would put its own in place of it."""
    environment = yaml.safe_load((ROOT / file).read_text())
    assert environment["channels"] == ["conda-forge"]
    packages = [one for one in environment["dependencies"] if isinstance(one, str)]
    (floor,) = re.findall(r'^    "torch(>=[\d.]+)",$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert packages == ["python=3.11", f"{torch}{floor}", "pip"]
    if file == "environment.yml":
        assert environment["dependencies"][-1] == {"pip": ["--editable .[course]"]}
    else:
        after = ROOT / ".binder" / "postBuild"
        assert os.access(after, os.X_OK)
        assert "\npython -m pip install --quiet --no-cache-dir --editable '.[course]'\n" in after.read_text()


def test_a_first_clone_is_quick():
    """What `git clone --depth 1` moves, even if nothing could be compressed: the weights, and hardly more than them."""
    listed = subprocess.run(["git", "ls-tree", "-r", "-l", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("these files come without git")
    files = [(int(size), name) for size, name in re.findall(r"^\d+ blob \w+ +(\d+)\t(.+)$", listed.stdout, re.M)]
    weights = sum(size for size, name in files if name.endswith((".safetensors", ".npz")))
    assert weights < 96e6
    assert sum(size for size, _ in files) - weights < 20e6
    assert max(files)[0] < 25e6
    assert f"git clone --depth 1 {address.current()}" in (ROOT / "README.md").read_text()


def test_what_npm_left_unfinished_is_fetched_again(computer, tmp_path):
    """Its folders are there before it is done, and other versions are others."""
    home = tmp_path / "course"
    (home / "book" / "live").mkdir(parents=True)
    for name in ("Makefile", "book/live/package.json"):
        shutil.copy(ROOT / name, home / name)

    def fetch(then: str = "") -> tuple[int, int]:
        """The status of `make live-packages`, and how often npm was called so far."""
        computer.has("npm", f"mkdir -p build/live/node_modules/esbuild; {then}")
        path = f"{computer.programs}{os.pathsep}{os.environ['PATH']}"
        ran = subprocess.run(["make", "live-packages"], cwd=home, env=os.environ | {"PATH": path}, capture_output=True)
        return ran.returncode, len(computer.called("npm"))

    assert fetch("exit 1") == (2, 1)
    assert fetch() == (0, 2)
    assert fetch() == (0, 2)
    listed = home / "book" / "live" / "package.json"
    listed.write_text(listed.read_text().replace('"esbuild": "0.28.2"', '"esbuild": "0.28.3"'))
    later = (home / "build" / "live" / "installed").stat().st_mtime + 1
    os.utime(listed, (later, later))
    assert fetch("exit 1") == (2, 3)
    assert fetch() == (0, 4), "what broke off is not taken for what was there before"
    assert "0.28.3" in (home / "build" / "live" / "package.json").read_text()
