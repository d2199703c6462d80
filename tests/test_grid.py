"""Grids over several processes: each edit once, none lost when a process is killed."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from img2img_helpers import EditPass, Recipe, example_image, example_mask, grid, load_pipeline, prepare_image
from img2img_helpers.lessons.models import TASKS

MASK = str(Path(__file__).parent.parent / "book" / "covers" / "01_setup.jpg")  # any picture that is not as large
PROMPTS, STRENGTHS, SEEDS = ["a lake", "pine trees"], [0.4, 0.8], [0, 1, 2]


@pytest.fixture
def small():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8))


@pytest.fixture
def edits():
    return grid.combinations(PROMPTS, STRENGTHS, seeds=SEEDS, num_inference_steps=5)


def command(folder: Path, model: Path) -> list[str]:
    """Two processes on the CPU; `accelerate launch` starts more than one only where there are GPUs."""
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
        *("-m", "img2img_helpers.grid", str(folder), "--image", "car", "--prompts", *PROMPTS),
        *("--strengths", *map(str, STRENGTHS), "--seeds", *map(str, SEEDS)),
        *("--steps", "300", "--model", str(model), "--max-batch", "1"),
    ]


def test_a_grid_is_made_once_and_resumed(tiny_pipe, small, edits, tmp_path):
    assert sorted(grid.make_grid(tiny_pipe, small, edits, tmp_path)) == list(range(12))
    assert (tmp_path / "overview.png").exists()
    assert grid.make_grid(tiny_pipe, small, edits, tmp_path) == []
    (tmp_path / "overview.png").unlink()
    assert grid.make_grid(tiny_pipe, small, edits, tmp_path) == []
    assert (tmp_path / "overview.png").exists(), "a run was stopped before it"
    grid.place(tmp_path, 7).unlink()
    assert grid.make_grid(tiny_pipe, small, edits, tmp_path) == [7]
    (again,) = Recipe.load(grid.place(tmp_path, 7)).run(tiny_pipe, small)
    with Image.open(grid.place(tmp_path, 7)) as kept:
        assert np.abs(np.asarray(kept, int) - np.asarray(again, int)).max() <= 1


def test_another_grid_or_picture_is_not_overwritten(tiny_pipe, small, edits, tmp_path):
    grid.make_grid(tiny_pipe, small, edits[:2], tmp_path)
    with pytest.raises(ValueError, match=r"edit-0000\.png is from another grid, and would be lost"):
        grid.make_grid(tiny_pipe, small, edits[1:3], tmp_path)
    with pytest.raises(ValueError, match="choose another folder"):
        grid.make_grid(tiny_pipe, small.rotate(90), edits[:2], tmp_path)


def test_wrong_settings_end_in_a_sentence(capsys, tmp_path):
    assert grid.main([str(tmp_path), "--image", "car", "--prompts", "a lake", "--strengths", "2"]) == 1
    assert "strength must be a number from 0 to 1, not 2" in capsys.readouterr().out
    assert grid.main([str(tmp_path), "--image", "gone.png", "--prompts", "a lake"]) == 1
    assert "There is no image file 'gone.png'" in capsys.readouterr().out
    call = [str(tmp_path), "--image", "car", "--prompts", "a lake"]
    for more, told in (
        (["--task", "inpaint"], "The task 'inpaint' needs --mask-image and nothing beside --image."),
        (["--mask-image", "car"], "The task 'img2img' takes no picture beside --image."),
        (["--task", "upscale", "--strengths", "0.5"], "The task 'upscale' has no strength; leave --strengths out."),
        (["--task", "inpaint", "--mask-image", MASK], "--image and --mask-image differ in size; make them equal."),
    ):
        assert grid.main([*call, *more]) == 1
        assert told in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("task", [task for task in TASKS if task != "img2img"])
def test_every_task_has_its_grid(task, sd_folders, tmp_path, capsys):
    Image.new("RGB", example_image("car").size, "white").save(tmp_path / "white.png")
    model = sd_folders.get(task, sd_folders["base"])
    if task == "controlnet":
        model = shutil.copytree(sd_folders["base"], tmp_path / "model")
        shutil.copytree(sd_folders["controlnet"], model / "controlnet")
    call = [str(tmp_path / "edits"), "--task", task, "--image", "car", "--model", str(model), "--prompts", *PROMPTS]
    call += [
        "--steps",
        "4",
        *([f"--{grid.INPUTS[task].replace('_', '-')}", str(tmp_path / "white.png")] if task in grid.INPUTS else []),
    ]
    assert grid.main(call) == 0
    count = len(PROMPTS) * (3 if task in ("inpaint", "controlnet") else 1)
    assert f"made {count} of {count} edits" in capsys.readouterr().out
    files = sorted((tmp_path / "edits").glob("edit-*.png"))
    assert len(files) == count
    made_with = Recipe.load(files[0]).made_with
    assert (grid.INPUTS.get(task) in made_with) == (task in grid.INPUTS)
    assert made_with["pipeline"] == type(load_pipeline(task, str(model))).__name__
    assert not np.array_equal(*(Image.open(files[i]) for i in (0, -1)))
    assert grid.main(call) == 0, "and goes on where it was"
    assert f"made 0 of {count} edits" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["as painted on nothing", "of 0 and 1", "an example's"])
def test_a_mask_is_read_as_one(form, tmp_path, tiny_pipe):
    inside = np.asarray(example_mask("car")) > 0
    given = "car"
    if form != "an example's":
        given = str(tmp_path / "mask.png")
        picture = np.zeros((*inside.shape, 4), np.uint8) if "painted" in form else inside.astype(np.uint8)
        if "painted" in form:
            picture[inside] = 255, 0, 0, 255
        Image.fromarray(picture).save(given)
    args = grid._arguments([str(tmp_path), "--image", "car", "--prompts", "a car", "--mask-image", given])
    _, inputs = grid._prepared(args, tiny_pipe)
    mask = np.asarray(inputs["mask_image"])
    assert set(np.unique(mask)) == {0, 255}
    assert (mask > 0).mean() == pytest.approx(inside.mean(), abs=0.03)


def test_edits_that_cannot_share_a_grid(tiny_pipe, small, tmp_path):
    mixed = [EditPass("a lake", num_inference_steps=5), EditPass("a lake", num_inference_steps=9)]
    with pytest.raises(ValueError, match="share one negative_prompt and num_inference_steps"):
        grid.make_grid(tiny_pipe, small, mixed, tmp_path)


def test_two_processes_lose_nothing_when_one_is_killed(sd_folders, tmp_path):
    model, folder, log = sd_folders["base"], tmp_path / "edits", tmp_path / "log.txt"
    call, environment = command(folder, model), os.environ | {"OMP_NUM_THREADS": "1"}
    with open(log, "w") as file:
        started = subprocess.Popen(call, env=environment, stdout=file, stderr=subprocess.STDOUT)
    family = []
    try:
        while not list(folder.glob("edit-*.png")):
            assert started.poll() is None, log.read_text()
            time.sleep(0.01)
        family = psutil.Process(started.pid).children(recursive=True)
        workers = [one for one in family if "img2img_helpers.grid" in one.cmdline()]
        assert len(workers) == 2
        workers[0].kill()
        assert started.wait(120) != 0
    finally:
        for process in (*family, started):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    kept = {path: path.read_bytes() for path in folder.glob("edit-*.png")}
    assert 0 < len(kept) < 12
    again = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    files = sorted(folder.glob("edit-*.png"))
    assert len(files) == 12
    for path, before in kept.items():
        assert path.read_bytes() == before, "made a second time"
    made = dict(re.findall(r"Process (\d) of 2 made (\d+) of 12 edits", again.stdout))
    assert set(made) == {"1", "2"}
    assert sum(map(int, made.values())) == 12 - len(kept)
    pipe = load_pipeline("img2img", str(model))
    size = pipe.unet.config.sample_size * pipe.vae_scale_factor
    recipe = Recipe.load(files[3])
    assert recipe.made_with["dtype"] == "float32"
    assert recipe.made_with["model"] == model.name
    (alone,) = recipe.run(pipe, prepare_image(example_image("car"), size).image)
    with Image.open(files[3]) as stored:
        assert np.abs(np.asarray(stored, int) - np.asarray(alone, int)).mean() < 0.5
    assert not recipe.differences(Recipe.load(files[5]).made_with)
