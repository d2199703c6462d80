"""The package as a whole: quick to import, and every public name is there and documented."""

import ast
import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import img2img_helpers

ROOT = Path(__file__).parent.parent


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_is_quick_since_it_loads_nothing_else():
    """Torch and the others come with the first name that is used."""
    code = (
        "import sys; before = set(sys.modules); import img2img_helpers\n"
        "print(*sorted(set(sys.modules) - before - sys.stdlib_module_names))\n"
        "print(len(set(sys.modules) - before))"
    )
    loaded, number = run_python(code).splitlines()
    assert loaded == "img2img_helpers"
    assert int(number) < 10, "of Python's own modules"


def test_no_public_name_is_lost():
    """Lessons, and learners' own notebooks, import them: what is here once stays."""
    assert set(img2img_helpers.__all__) >= {
        *("load_pipeline", "MODELS", "ModelCard", "describe_models", "on_classroom", "known_words"),
        *("load_image", "example_names", "example_image", "example_mask", "prepare_image", "PreparedImage"),
        *("plan_steps", "StepPlan", "strength_sweep", "edit_grid", "EditPass", "Recipe", "upscale_tiles"),
        *("show_images", "plot_strength_vs_steps", "plot_noise_levels", "plot_preservation", "plot_recipe"),
        *("strength_explorer", "picture_slider", "before_after", "paint_mask"),
        *("match_colors", "structure_similarity", "color_distance"),
        *("check_edit", "check_prediction", "check_same_image"),
    }


@pytest.mark.parametrize("name", img2img_helpers.__all__)
def test_public_names_exist_and_are_documented(name):
    value = getattr(img2img_helpers, name)
    assert name == "MODELS" or value.__doc__
    assert name in dir(img2img_helpers)


@pytest.mark.parametrize("name", [name for name in img2img_helpers.__all__ if name != "MODELS"])
def test_the_example_of_every_public_name_does_what_it_says(name, classroom_pipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some save a file
    names = {name: getattr(img2img_helpers, name) for name in img2img_helpers.__all__}
    (example,) = doctest.DocTestFinder(recurse=False).find(names[name], name, globs=names | {"pipe": classroom_pipe})
    assert example.examples, "there is none"
    assert doctest.DocTestRunner().run(example).failed == 0


def test_unknown_name_lists_the_known():
    with pytest.raises(AttributeError, match=r"no attribute 'load_pipelines'; it has .*load_pipeline"):
        img2img_helpers.load_pipelines  # noqa: B018


def test_nothing_imports_upwards():
    """Commands stand on what lessons import, both on what is common; lazy imports inside functions count too."""
    order = [
        *(
            f"common.{name}"
            for name in ("http_errors", "settings", "devices", "hub", "loading", "pictures", "rgb", "writing")
        ),
        *(
            f"lessons.{name}"
            for name in ("models", "vocabulary", "pipelines", "images", "tiles", "measure", "strength")
        ),
        *(f"lessons.{name}" for name in ("sweep", "recipes", "plots", "widgets", "explorer", "exercises")),
        *("prefetch", "grid", "doctor"),
    ]
    package = ROOT / "img2img_helpers"
    found = {".".join(path.relative_to(package).with_suffix("").parts): path for path in package.rglob("*.py")}
    modules = {name: path for name, path in found.items() if not name.endswith("__init__")}
    assert sorted(modules) == sorted(order)
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                room = name.split(".")[: -node.level]
                imported = ".".join([*room, node.module])
                assert order.index(imported) < order.index(name), f"{path.name} imports {imported}"
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert not any(name.startswith("classroom_model") for name in names), path.name


def test_public_names_live_in_the_room_of_the_lessons():
    assert {path.stem for path in (ROOT / "img2img_helpers" / "lessons").glob("*.py")} - {"__init__"} == set(
        img2img_helpers._HOME.values()
    )


def test_the_rooms_of_the_classroom_model_import_one_way():
    """The world knows nothing of training, training nothing of evaluation, and no room of the commands."""
    folder = ROOT / "classroom_model"
    order = ["world", "training", "evaluation"]
    for path in (path for room in order for path in (folder / room).glob("*.py")):
        allowed = order[: order.index(path.parent.name) + 1]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 2:
                rooms = [node.module.split(".")[0]] if node.module else [a.name for a in node.names]
                assert set(rooms) <= set(allowed), f"{path.name} imports {rooms}"
            if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and not node.level):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert not any(name.startswith("classroom_model") for name in names), f"{path.name} is not relative"


def test_model_folder_tells_nothing_of_the_machine_it_was_made_on():
    for path in (ROOT / "img2img_helpers" / "classroom").rglob("*.json"):
        assert not re.search(r"/(tmp|root|home|work|Users)/|_name_or_path", path.read_text()), path


def test_weights_are_safe_small_and_half_precision():
    from safetensors import safe_open

    folder = ROOT / "img2img_helpers" / "classroom"
    weights = list(folder.rglob("*.safetensors"))
    assert {path.parent.name for path in weights} == {
        *("text_encoder", "unet", "vae"),
        *("unet_inpaint", "controlnet", "unet_upscale", "vae_upscale", "unet_instruct", "lcm_lora", "vae_tiny"),
    }
    assert sum(path.stat().st_size for path in weights) <= 96e6
    assert not [p for p in folder.rglob("*") if p.suffix in (".bin", ".pt", ".ckpt", ".pkl")]
    for path in weights:
        with safe_open(path, "pt") as file:
            assert {file.get_slice(key).get_dtype() for key in file.keys()} <= {"F16", "I64"}  # noqa: SIM118


def make_setup(folder: Path, python: str, *options: str) -> subprocess.CompletedProcess:
    command = ["make", "--no-print-directory", *options, "setup", f"PYTHON={python}"]
    # the variables of the make that runs the tests are not for this one
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_make_mends_a_half_made_environment_and_explains_a_failed_one(tmp_path):
    """As on a Debian without python3-venv: `python -m venv` leaves a .venv without pip."""
    for name in ("Makefile", "install-torch.sh", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    broken = tmp_path / "my python"  # with a space, as folders on Macs have
    broken.write_text('#!/bin/sh\n[ "$1" = -m ] && mkdir -p .venv/bin && touch made && exit 1\nexit 0\n')
    broken.chmod(0o755)
    for _ in range(2):
        made = make_setup(tmp_path, str(broken))
        assert made.returncode != 0
        assert "install Python's venv module" in made.stdout
        assert (tmp_path / "made").exists()
        (tmp_path / "made").unlink()
    installer = tmp_path / ".venv" / "bin" / "python"
    installer.write_text('#!/bin/sh\n[ "$3" = --version ]\n')  # there is a pip, but it installs nothing
    installer.chmod(0o755)
    made = make_setup(tmp_path, sys.executable)
    assert made.returncode != 0
    assert "The packages could not be installed" in made.stdout
    assert not (tmp_path / ".venv" / "course.done").exists()


def test_make_explains_a_missing_and_an_old_python(tmp_path):
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\ncase "$1" in --version) echo "Python 3.8.10";; *) exit 1;; esac\n')
    old.chmod(0o755)
    for python, told in (("no-such-python", "No no-such-python was found"), (str(old), "Python 3.8.10 is too old")):
        # -W pretends that the constraints changed, so that make looks for Python although .venv is there
        made = make_setup(ROOT, python, "-W", "constraints.txt")
        assert made.returncode != 0
        assert told in made.stdout
        assert "install Python 3.10 or newer" in made.stdout


def test_the_floors_of_the_dependencies_are_the_versions_that_are_tested():
    """`make test-oldest` installs exactly what pyproject.toml says is enough; torch's build is one for all."""
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / "constraints-oldest.txt").read_text(), re.M))
    newest = dict(re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / "constraints.txt").read_text(), re.M))
    text = (ROOT / "pyproject.toml").read_text()
    lists = [re.search(rf"^{name} = \[(.*?)\]", text, re.M | re.S)[1] for name in ("dependencies", "course", "train")]
    floors = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', "".join(lists)))
    assert len(floors) >= 15
    assert pins.pop("torch") == newest["torch"]
    del floors["torch"]
    assert pins == floors


GLOSSARY_ARGUMENTS = {  # arguments of the pipelines' calls and entries of their configurations
    *("control_image", "controlnet_conditioning_scale", "guidance_scale", "mask_image", "negative_prompt"),
    *("noise_level", "num_inference_steps", "scaling_factor"),
}


def test_the_glossary_names_things_that_exist_in_order():
    import diffusers
    import transformers

    text = (ROOT / "book" / "glossary.md").read_text()
    terms = re.findall(r"^## (.+)$", text, re.M)
    assert terms == sorted(terms, key=str.lower)
    assert len(terms) > 30
    for name in re.findall(r"`([A-Z]\w+|[a-z]+_[a-z_]+)[`(]", text):
        homes = (img2img_helpers, diffusers, transformers)
        assert any(hasattr(home, name) for home in homes) or name in GLOSSARY_ARGUMENTS, name


def test_nothing_runs_what_came_from_elsewhere():
    """Weights are safetensors, recipes are data; a model's own code is never run, and nothing listens."""
    bad = re.compile(r"\bpickle\b|torch\.load\(|trust_remote_code|(?<![.\w])(eval|exec)\(|0\.0\.0\.0|allow_pickle=True")
    for path in (*(ROOT / "img2img_helpers").rglob("*.py"), *(ROOT / "notebooks" / "source").glob("*.md")):
        assert not bad.search(path.read_text("utf-8")), path.name
    for path in (ROOT / "classroom_model").rglob("*.py"):
        for line in path.read_text("utf-8").splitlines():
            assert not bad.search(line) or "weights_only=True" in line, f"{path.name}: {line}"
