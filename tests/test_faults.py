"""What goes wrong outside of the course: too little memory, an interruption, a full disk, a second notebook."""

import errno
import os
import shutil
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from img2img_helpers import EditPass, Recipe, example_image, plan_steps, strength_explorer, strength_sweep
from tests import loopback_hub

TOLD_BY_TORCH = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of …\nSee documentation …"
STRENGTHS = [0.4, 0.6, 0.8, 1.0]


@pytest.fixture
def image():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3)).astype(np.uint8))


@pytest.fixture
def room(tiny_pipe, monkeypatch):
    """Returns a function that sets how many pictures fit into one call of the UNet."""
    forward = tiny_pipe.unet.forward

    def set_room(pictures: int) -> None:
        def limited(sample, *args, **options):
            if len(sample) > pictures:
                raise torch.OutOfMemoryError(TOLD_BY_TORCH)
            return forward(sample, *args, **options)

        monkeypatch.setattr(tiny_pipe.unet, "forward", limited)

    return set_room


def _pixels(pictures) -> list[bytes]:
    return [picture.tobytes() for picture in pictures]


def test_a_sweep_that_does_not_fit_goes_on_in_smaller_batches(tiny_pipe, image, room, capsys):
    calm = strength_sweep(tiny_pipe, "a lake", image, STRENGTHS, num_inference_steps=5)
    capsys.readouterr()
    room(3)
    made = strength_sweep(tiny_pipe, "a lake", image, STRENGTHS, num_inference_steps=5)
    assert max(np.abs(np.asarray(a, int) - np.asarray(b, int)).max() for a, b in zip(made, calm, strict=True)) <= 1
    told = capsys.readouterr().err
    assert "Not enough memory for 4 edits at once: going on with 2." in told
    assert "Not enough memory for 2 edits at once: going on with 1." in told


def test_one_edit_that_does_not_fit_is_one_sentence(tiny_pipe, image, room):
    room(1)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        strength_sweep(tiny_pipe, "a lake", image.resize((192, 192)), [0.5], num_inference_steps=4)
    assert str(caught.value) == (
        "There is not enough memory on cpu for a picture of 192×192 pixels; "
        "try a picture of 64×64, or pipe.vae.enable_tiling(), or closing other notebooks."
    )


def test_schedulers_that_remember_go_one_edit_at_a_time_and_lose_none(tiny_pipe, image, room, monkeypatch):
    from diffusers import PNDMScheduler

    from img2img_helpers import edit_grid

    monkeypatch.setattr(tiny_pipe, "scheduler", PNDMScheduler.from_config(tiny_pipe.scheduler.config))
    room(2)
    made = edit_grid(tiny_pipe, image, "a lake", [0.5, 0.8], num_inference_steps=5)
    assert next(made)[0].strength == 0.8, "as soon as it is finished"
    room(1)
    with pytest.raises(torch.OutOfMemoryError, match="There is not enough memory on cpu for a picture of 24×16 pixels"):
        next(made)


def test_another_error_stays_itself(tiny_pipe, image, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("something else")

    monkeypatch.setattr(tiny_pipe.unet, "forward", broken)
    with pytest.raises(RuntimeError, match="something else"):
        strength_sweep(tiny_pipe, "a lake", image, STRENGTHS, num_inference_steps=4)


def test_the_explorer_tells_of_too_little_memory_and_goes_on(tiny_pipe, image, room):
    room(1)
    explorer = strength_explorer(tiny_pipe, image, "a lake", num_inference_steps=4)
    _finish(explorer)
    assert "There is not enough memory on cpu for a picture of 24×16 pixels; try" in explorer._told.value
    assert explorer.result is None
    room(2)
    explorer.strength.value = 0.75
    _finish(explorer)
    assert explorer.result.size == image.size


def test_with_offloaded_parts_the_explorer_runs_no_second_thread(tiny_pipe, image, monkeypatch):
    monkeypatch.setattr(tiny_pipe.unet, "_hf_hook", object(), raising=False)
    explorer = strength_explorer(tiny_pipe, image, "a lake", num_inference_steps=4)
    assert explorer._worker is None
    first = explorer.result
    explorer.strength.value = 0.75
    assert explorer._worker is None
    assert explorer.result != first


def _finish(explorer) -> None:
    explorer._worker.join()


@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "PNDMScheduler", "UniPCMultistepScheduler"])
@pytest.mark.parametrize("way", ["call", "sweep", "recipe"])
def test_an_interrupted_edit_leaves_the_pipeline_usable(tiny_pipe, image, monkeypatch, scheduler, way):
    import diffusers

    changed = getattr(diffusers, scheduler).from_config(tiny_pipe.scheduler.config)
    monkeypatch.setattr(tiny_pipe, "scheduler", changed)

    def make() -> list[Image.Image]:
        if way == "sweep":
            return strength_sweep(tiny_pipe, "a lake", image, [0.5, 0.9], num_inference_steps=8)
        if way == "recipe":
            return Recipe([EditPass("a lake", 0.5, 1, num_inference_steps=8)]).run(tiny_pipe, image)
        generator = torch.Generator().manual_seed(0)
        return tiny_pipe("a lake", image=image, strength=0.5, num_inference_steps=8, generator=generator).images

    calm, calls = make(), []

    def interrupt(*_):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    hook = tiny_pipe.unet.register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        make()
    hook.remove()
    assert len(calls) == 3
    assert _pixels(make()) == _pixels(calm)
    assert plan_steps(tiny_pipe, 0.5, 8).steps_run == 4


def test_a_disk_that_fills_up_in_mid_run_loses_no_picture(tiny_pipe, image, tmp_path, monkeypatch):
    recipe = Recipe([EditPass("a lake", 0.5, seed, num_inference_steps=4) for seed in range(3)])
    whole = recipe.run(tiny_pipe, image)
    save = Image.Image.save

    def full_after_the_first(self, path, *args, **options):
        if "pass-1" not in str(path):
            Path(path).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return save(self, path, *args, **options)

    monkeypatch.setattr(Image.Image, "save", full_after_the_first)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = recipe.run(tiny_pipe, image, tmp_path)
    assert _pixels(made) == _pixels(whole)
    assert [file.name for file in tmp_path.iterdir()] == ["pass-1.png"], "and no half file"
    told = [str(one.message) for one in caught if "could not be written" in str(one.message)]
    assert told == [
        f"{tmp_path / 'pass-2.png'} could not be written (No space left on device); make room on the disk. "
        f"This pass and those after it are not kept there."
    ]


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tiny_pipe, image, tmp_path, monkeypatch):
    recipe = Recipe([EditPass("a lake", num_inference_steps=4)])
    path = recipe.save(tmp_path / "recipe.json")
    before = path.read_text()

    def full(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"recipe\.json could not be written \(No space left on device\)"):
        Recipe([EditPass("pine trees", num_inference_steps=4)]).save(path)
    assert path.read_text() == before


EDIT = """
import hashlib, sys, torch
from img2img_helpers import EditPass, Recipe, example_image, load_pipeline

torch.set_num_threads(int(sys.argv[2]))
pipe = load_pipeline("img2img", "classroom", device="cpu")
recipe = Recipe([EditPass("watercolor painting of a lake", 0.6, seed, num_inference_steps=10) for seed in (1, 2)])
made = recipe.run(pipe, example_image("landscape").resize((192, 192)), sys.argv[1])
made[-1].save(sys.argv[3])
"""


def _start(folder: Path, threads: int, picture: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", EDIT, str(folder), str(threads), str(picture)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def two_notebooks(tmp_path_factory) -> tuple[Path, list[Image.Image]]:
    """The same recipe run by two processes at once, into one folder, one on one thread and one on two."""
    folder = tmp_path_factory.mktemp("notebooks")
    pictures = [folder / f"{threads}.png" for threads in (1, 2)]
    running = [_start(folder / "edit", threads, picture) for threads, picture in zip((1, 2), pictures, strict=True)]
    for process in running:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
    return folder, [Image.open(picture).convert("RGB") for picture in pictures]


@pytest.mark.xdist_group("two notebooks")
def test_two_notebooks_may_run_one_recipe_in_one_folder(two_notebooks):
    folder, _ = two_notebooks
    assert sorted(file.name for file in (folder / "edit").iterdir()) == ["pass-1.png", "pass-2.png"]
    assert Recipe.load(folder / "edit" / "pass-2.png").passes[1].seed == 2


@pytest.mark.xdist_group("two notebooks")
def test_threads_and_processes_change_a_pixel_by_one_at_most(two_notebooks, classroom_pipe):
    _, pictures = two_notebooks
    recipe = Recipe([EditPass("watercolor painting of a lake", 0.6, seed, num_inference_steps=10) for seed in (1, 2)])
    pictures.append(recipe.run(classroom_pipe, example_image("landscape").resize((192, 192)))[-1])
    for other in pictures[1:]:
        assert np.abs(np.asarray(pictures[0], int) - np.asarray(other, int)).max() <= 1


def test_fifty_runs_are_one_picture(classroom_pipe):
    image = example_image("landscape").resize((64, 64))

    def edit() -> bytes:
        generator = torch.Generator().manual_seed(0)
        call = {"strength": 0.5, "num_inference_steps": 4, "generator": generator}
        return classroom_pipe("a lake at sunset", image=image, **call).images[0].tobytes()

    assert len({edit() for _ in range(50)}) == 1


LOADING = """
import sys
from img2img_helpers import load_pipeline

for line in sys.stdin:  # one load for each line
    try:
        print(type(load_pipeline(*line.split())).__name__)
    except (OSError, ValueError) as error:
        print(f"{type(error).__name__}:", error)
    print("done", flush=True)
"""


def test_a_hub_that_is_cut_off_silent_or_away_is_one_sentence_and_a_download_is_kept(sd_folders, tmp_path):
    """The real client, against a hub on this computer."""
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
    with loopback_hub.serving(sd_folders["base-fp16"]) as hub:
        environment |= {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1"}
        with subprocess.Popen(
            [sys.executable, "-c", LOADING],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(tmp_path / "red").open("w"),
            text=True,
        ) as loading:

            def load(model: str, mood: str, task: str = "img2img") -> tuple[str, Counter[str]]:
                """What was printed, and how often the hub was asked for what."""
                hub.mood = mood
                hub.asked.clear()
                loading.stdin.write(f"{task} {model}\n")
                loading.stdin.flush()
                lines = []
                while (line := loading.stdout.readline()) != "done\n":
                    assert line, "the process has ended"
                    lines.append(line)
                return "".join(lines), Counter(hub.asked)

            told, asked = load("course/tiny", "silent")
            assert told.startswith("OSError: course/tiny could not be loaded")
            assert "the hub cannot be reached; check the internet connection" in told
            assert asked["GET /"] == 1, "one try is enough"
            assert not [call for call in asked if "course/tiny" in call], "the hub's client would try for minutes"
            told, _ = load("course/gone", "well")
            assert "OSError: course/gone could not be loaded" in told
            assert told.count("\n") == 1, "and no download began"
            told, asked = load("course/tiny", "well", "instruct")
            assert "ValueError: The model 'course/tiny' cannot do 'instruct', only 'img2img'" in told
            assert not [call for call in asked if call.endswith(".safetensors")], "its settings said so"
            told, asked = load("course/tiny", "cut")
            assert "OSError: course/tiny could not be loaded" in told
            assert told.count("\n") == 2
            assert any(call.startswith("GET") and call.endswith(".safetensors") for call in asked)
            assert max(asked.values()) <= 6, "the client's five retries are enough"
            told, _ = load("course/tiny", "well")
            assert "Downloading course/tiny" in told
            assert "course/tiny for img2img, float32 on cpu" in told
            told, asked = load("course/tiny", "silent")
            assert told.endswith("StableDiffusionImg2ImgPipeline\n")
            assert not asked, "what is here already needs no hub"
            cached = tmp_path / "hub" / "hub" / "models--course--tiny" / "snapshots" / loopback_hub.COMMIT
            for part in ("tokenizer", "text_encoder", "unet", "scheduler"):  # each misses its files in its own way
                shutil.rmtree(cached / part)
                told, _ = load("course/tiny", "well")
                assert told.startswith("Downloading course/tiny"), part
                assert told.endswith("StableDiffusionImg2ImgPipeline\n"), part
            (cached / "model_index.json").write_text('{"unet": [')
            told, _ = load("course/tiny", "well")
            assert told.startswith(
                "OSError: course/tiny could not be loaded (tried 'course/tiny'): its model_index.json is damaged;"
            )
            assert told.count("\n") == 1
            loading.stdin.close()
    assert "UserWarning" not in (tmp_path / "red").read_text(), (
        "what a library passes to another is no learner's business"
    )
