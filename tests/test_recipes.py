"""Multi-pass edits as data: run, interrupted, saved, loaded, replayed."""

import dataclasses
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from img2img_helpers import EditPass, Recipe, example_image, plan_steps
from img2img_helpers.lessons import recipes
from tests.fuzz import outcome

THREE = (
    EditPass("oil painting style", 0.6, 1, num_inference_steps=4),
    EditPass("dramatic sunset lighting", 0.5, 2, "blurry", num_inference_steps=4, guidance_scale=5),
    EditPass("highly detailed, masterpiece", 0.25, 3, num_inference_steps=4),
)


@pytest.fixture
def image():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8))


def _same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class Interrupting:
    """A pipeline that stops working at its third call, as a learner's kernel may."""

    def __init__(self, pipe, calls):
        self.pipe, self.calls = pipe, calls

    def __getattr__(self, name):
        return getattr(self.pipe, name)

    def __call__(self, *args, **options):
        self.calls -= 1
        if self.calls < 0:
            raise KeyboardInterrupt
        return self.pipe(*args, **options)


@pytest.mark.parametrize("chain", recipes.CHAINS)
def test_a_recipe_is_its_passes_one_after_another(tiny_pipe, image, chain):
    import torch

    made = Recipe(THREE, chain).run(tiny_pipe, image)
    current, by_hand = image, []
    for one in THREE:
        call = dataclasses.asdict(one) | {"generator": torch.Generator().manual_seed(one.seed)}
        seed = call.pop("seed")
        assert seed == one.seed
        out = tiny_pipe(image=current, output_type="latent" if chain == "latents" else "pil", **call).images
        current = out if chain == "latents" else out[0]
        if chain == "latents":
            decoded = tiny_pipe.vae.decode(out / tiny_pipe.vae.config.scaling_factor).sample.detach()
            by_hand.append(tiny_pipe.image_processor.postprocess(decoded)[0])
        else:
            by_hand.append(current)
    assert _same(made, by_hand)
    assert _same(made, Recipe(THREE, chain).run(tiny_pipe, image)), "again the same"


@pytest.mark.parametrize("chain", recipes.CHAINS)
@pytest.mark.parametrize("done", [0, 1, 2])
def test_an_interrupted_run_goes_on_and_makes_no_pass_twice(tiny_pipe, image, tmp_path, chain, done):
    whole = Recipe(THREE, chain).run(tiny_pipe, image)
    with pytest.raises(KeyboardInterrupt):
        Recipe(THREE, chain).run(Interrupting(tiny_pipe, done), image, tmp_path / "edit")
    assert len(list((tmp_path / "edit").glob("*.png"))) == done
    again = Recipe(THREE, chain).run(Interrupting(tiny_pipe, 3 - done), image, tmp_path / "edit")
    assert _same(whole, again)
    assert _same(whole, Recipe(THREE, chain).run(Interrupting(tiny_pipe, 0), image, tmp_path / "edit"))
    assert not list((tmp_path / "edit").glob("*.part"))


def test_another_recipes_passes_are_not_lost(tiny_pipe, image, tmp_path):
    made = Recipe(THREE).run(tiny_pipe, image, tmp_path)
    other = Recipe((dataclasses.replace(THREE[0], seed=9), *THREE[1:]))
    with pytest.raises(ValueError, match=r"pass-1\.png is from another recipe .* choose another folder"):
        other.run(tiny_pipe, image, tmp_path)
    assert np.array_equal(Image.open(tmp_path / "pass-1.png"), made[0])
    longer = Recipe((*THREE, EditPass("sharp", 0.5, num_inference_steps=4)))
    assert _same(longer.run(Interrupting(tiny_pipe, 1), image, tmp_path)[:3], made), "more passes go on from these"


@pytest.mark.parametrize("name", ["edit.json", "edit.png"])
def test_a_saved_recipe_replays_the_same_image(tiny_pipe, image, tmp_path, name, capsys):
    recipe = Recipe(THREE)
    result = recipe.run(tiny_pipe, image)[-1]
    path = recipe.save(tmp_path / name, result if name.endswith("png") else None)
    loaded = Recipe.load(path)
    assert loaded == recipe
    capsys.readouterr()
    assert np.array_equal(loaded.run(tiny_pipe, image)[-1], result)
    assert capsys.readouterr().out == ""
    if name.endswith("png"):
        assert np.array_equal(Image.open(path), result)


def test_prompts_in_any_alphabet_survive(tmp_path):
    recipe = Recipe([EditPass("Gemälde, 夜の湖 " * 100, negative_prompt="x" * 2000)] * 100)
    assert Recipe.load(recipe.save(tmp_path / "r.json")) == recipe
    marked = tmp_path / "marked.json"
    marked.write_bytes(b"\xef\xbb\xbf" + (tmp_path / "r.json").read_bytes())
    assert Recipe.load(marked) == recipe


def test_a_refused_run_leaves_the_record_alone(tiny_pipe, image, tmp_path):
    Recipe(THREE).run(tiny_pipe, image, tmp_path)
    recipe = Recipe(THREE)
    with pytest.raises(ValueError, match="another recipe or image"):
        recipe.run(tiny_pipe, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), tmp_path)
    assert recipe.made_with == {}


def test_another_scheduler_setting_is_another_recipe(tiny_pipe, image, tmp_path, capsys):
    from diffusers import DDIMScheduler

    recipe = Recipe(THREE)
    recipe.run(tiny_pipe, image, tmp_path)
    before = tiny_pipe.scheduler
    tiny_pipe.scheduler = DDIMScheduler.from_config(before.config, timestep_spacing="trailing")
    try:
        with pytest.raises(ValueError, match="another recipe"):
            recipe.run(tiny_pipe, image, tmp_path)
        capsys.readouterr()
        recipe.run(tiny_pipe, image)
        assert "made with scheduler DDIMScheduler (" in capsys.readouterr().out
    finally:
        tiny_pipe.scheduler = before


def test_every_finished_pass_carries_the_recipe_up_to_it(tiny_pipe, image, tmp_path):
    Recipe(THREE).run(tiny_pipe, image, tmp_path)
    assert Recipe.load(tmp_path / "pass-2.png").passes == THREE[:2]


def test_replay_says_what_differs(tiny_pipe, image, tmp_path, capsys):
    recipe = Recipe(THREE)
    recipe.run(tiny_pipe, image)
    assert set(recipe.made_with) == {
        *("model", "pipeline", "scheduler", "device", "dtype", "torch", "diffusers", "image"),
    }
    recipe.made_with["torch"] = "1.0"
    loaded = Recipe.load(recipe.save(tmp_path / "r.json"))
    capsys.readouterr()
    loaded.run(tiny_pipe, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    told = capsys.readouterr().out
    assert "made with torch 1.0, this is 2" in told
    assert "another image" in told


def test_passes_without_a_lora_are_not_taken_for_those_with_one(sd_folders, image, tmp_path, capsys):
    import torch
    from diffusers import StableDiffusionImg2ImgPipeline
    from peft import LoraConfig

    pipe = StableDiffusionImg2ImgPipeline.from_pretrained(sd_folders["base"], use_safetensors=True)
    recipe = Recipe(THREE[:1])
    (plain,) = recipe.run(pipe, image, tmp_path / "plain")
    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules=["to_q", "to_v", "conv1"], init_lora_weights=False)
    pipe.unet.add_adapter(config, adapter_name="poster")
    with pytest.raises(ValueError, match="from another recipe or image"):
        recipe.run(pipe, image, tmp_path / "plain")
    capsys.readouterr()
    (styled,) = recipe.run(pipe, image, tmp_path / "styled")
    assert not np.array_equal(styled, plain)
    assert "made with adapters none, this is poster (" in capsys.readouterr().out
    assert np.array_equal(recipe.run(pipe, image, tmp_path / "styled")[0], styled)
    pipe.set_adapters("poster", 0.5)
    with pytest.raises(ValueError, match="from another recipe or image"):
        recipe.run(pipe, image, tmp_path / "styled")
    pipe.disable_lora()
    assert np.array_equal(recipe.run(pipe, image, tmp_path / "plain")[0], plain)


@pytest.mark.parametrize("kind", ["inpaint", "controlnet"])
def test_pipelines_that_want_more_than_a_picture_are_refused(sd_folders, one_for_all, image, kind):
    from img2img_helpers import load_pipeline

    with pytest.raises(
        ValueError, match=r"An edit needs an img2img pipeline, not StableDiffusion\w+Pipeline; load_pipe"
    ):
        Recipe(THREE).run(load_pipeline(kind, str(one_for_all)), image)


def test_latents_are_not_chained_where_they_could_not_be_decoded(tiny_pipe, image, monkeypatch):
    monkeypatch.delattr(type(tiny_pipe), "run_safety_checker")  # Stable Diffusion XL has none
    with pytest.raises(ValueError, match="cannot chain latents here; use chain='pixels'"):
        Recipe(THREE, "latents").run(tiny_pipe, image)


def test_a_recipe_may_lie_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Recipe(THREE).save("~/lake.json") == tmp_path / "lake.json"
    assert Recipe.load("~/lake.json") == Recipe(THREE)
    with pytest.raises(FileNotFoundError, match="There is no recipe file"):
        Recipe.load("a lake " * 60)


def test_a_recipe_tells_nothing_of_the_machine(tiny_pipe, image, tmp_path):
    recipe = Recipe(THREE)
    recipe.run(tiny_pipe, image)
    assert "/" not in json.dumps(recipe.made_with)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"prompt": 3}, "prompt must be a text"),
        ({"strength": 0}, "strength must be above 0"),
        ({"strength": 1.5}, "strength must be a number from 0 to 1, not 1.5; 0.5 is"),
        ({"strength": float("nan")}, "strength must be a number"),
        ({"strength": "0.5"}, "strength must be a number"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"seed": True}, "seed must be a whole number"),
        ({"num_inference_steps": 0}, "num_inference_steps must be a whole number from 1 to 1000"),
        ({"guidance_scale": 1000}, "guidance_scale must be a number from 0 to 100"),
        ({"negative_prompt": None}, "negative_prompt must be a text"),
    ],
)
def test_wrong_passes_get_one_sentence(arguments, told):
    with pytest.raises(ValueError, match=told) as caught:
        EditPass(**{"prompt": "a lake", **arguments})
    assert "\n" not in str(caught.value)


def test_numbers_from_numpy_are_numbers():
    one = EditPass("a lake", np.float32(0.5), np.int64(3))
    assert (one.strength, one.seed) == (0.5, 3)
    json.dumps(dataclasses.asdict(one))


@pytest.mark.parametrize("passes", [(), "a lake", EditPass("a lake"), ["a lake"], [EditPass("a lake")] * 101, 3])
def test_wrong_recipes_get_one_sentence(passes):
    with pytest.raises(ValueError, match=r"EditPass|1 to 100 passes"):
        Recipe(passes)
    with pytest.raises(ValueError, match="chain must be 'pixels' or 'latents', not 'both'"):
        Recipe(THREE, "both")


def test_nothing_is_run_when_a_later_pass_or_the_image_cannot_be(tiny_pipe, image):
    quick = dataclasses.replace(THREE[0], strength=0.1)
    with pytest.raises(ValueError, match=r"Pass 2: strength 0\.1 .* use strength 0\.25 or more"):
        Recipe((THREE[0], quick)).run(Interrupting(tiny_pipe, 0), image)
    with pytest.raises(ValueError, match=r"is 20×16, but the sides must be multiples of 8; use prepare_image"):
        Recipe(THREE).run(Interrupting(tiny_pipe, 0), image.resize((20, 16)))


GOOD = {"format": 1, "passes": [{"prompt": "a lake"}]}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "must be a set of named entries"),
        ({"passes": []}, "has no entry 'format'"),
        ({**GOOD, "format": 2}, "has the format 2; this version reads 1"),
        ({**GOOD, "code": "x"}, "has an unknown entry 'code'; known are"),
        ({**GOOD, "passes": "a lake"}, "must have a list of passes"),
        ({**GOOD, "passes": []}, "1 to 100 passes, not 0"),
        ({**GOOD, "passes": [{"prompt": "a lake"}] * 101}, "1 to 100 passes"),
        ({**GOOD, "passes": [{"strength": 0.5}]}, "Pass 1 in bad.json has no entry 'prompt'"),
        ({**GOOD, "passes": [{"prompt": "a lake", "__class__": 1}]}, "Pass 1 in bad.json has an unknown entry"),
        ({**GOOD, "passes": [{"prompt": "a lake", "strength": "x" * 500}]}, "Pass 1 in bad.json: strength must be"),
        ({**GOOD, "passes": [["a lake"]]}, "Pass 1 in bad.json must be a set"),
        ({**GOOD, "passes": [{"prompt": "a lake", "seed": 10**400}]}, "Pass 1 in bad.json: seed must be"),
        ({**GOOD, "chain": ["pixels"]}, "chain must be"),
        ({**GOOD, "made_with": {"torch": 2}}, "must have texts only in made_with"),
        ({**GOOD, "made_with": [1]}, "must have texts only in made_with"),
    ],
)
def test_files_from_strangers_are_checked(data, told, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=told) as caught:
        Recipe.load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


passes = st.builds(
    EditPass,
    st.text(max_size=40),
    st.floats(0, 1, exclude_min=True),
    st.integers(0, 2**63 - 1),
    st.text(max_size=40),
    st.integers(1, 1000),
    st.floats(0, 100),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
# beside pure nonsense, files that are nearly right
nearly = st.fixed_dictionaries(
    {"format": st.just(1) | anything, "passes": st.lists(st.fixed_dictionaries({"prompt": st.just("a lake") | anything},
     optional={field.name: anything for field in dataclasses.fields(EditPass) if field.name != "prompt"}), max_size=2) | anything},
    optional={"chain": st.sampled_from(recipes.CHAINS) | anything, "made_with": anything},
)  # fmt: skip


@given(st.lists(passes, min_size=1, max_size=4), st.sampled_from(recipes.CHAINS), st.sampled_from(["json", "png"]))
@settings(max_examples=60, deadline=None)
def test_any_recipe_comes_back_from_its_file_as_it_was(tmp_path_factory, made_of, chain, kind):
    recipe = Recipe(made_of, chain, {"model": "a folder"})
    path = tmp_path_factory.mktemp("recipe") / f"recipe.{kind}"
    recipe.save(path, Image.new("RGB", (8, 8)) if kind == "png" else None)
    assert Recipe.load(path) == recipe


@given(anything | nearly)
@settings(max_examples=300, deadline=None)
def test_no_file_gets_anything_but_a_recipe_or_one_sentence(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("recipe") / "recipe.json"
    path.write_text(json.dumps(data))
    recipe, told = outcome(Recipe.load, path)
    assert bool(told) != isinstance(recipe, Recipe)
    assert "\n" not in told
    assert len(told) < 300


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "not valid JSON"),
        (b"\xff\xfe\x00", "not a text file"),
        (b"[" * 100_000, "not valid JSON"),
        (b" " * 4_000_000, "more than 3000 kB"),
        (b'{"format": 1, "passes": [{"prompt": "a", "strength": NaN}]}', "not valid JSON"),
    ],
)
def test_damaged_files_get_one_sentence(content, told, tmp_path):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=told):
        Recipe.load(path)


def test_pngs_without_a_recipe(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "plain.png")
    with pytest.raises(ValueError, match=r"plain\.png carries no recipe"):
        Recipe.load(tmp_path / "plain.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "plain.png").read_bytes()[:30])
    with pytest.raises(ValueError, match=r"torn\.png could not be read"):
        Recipe.load(tmp_path / "torn.png")
    info = PngImagePlugin.PngInfo()
    info.add_itxt(recipes.PNG_KEY, json.dumps({**GOOD, "format": 7}))
    Image.new("RGB", (4, 4)).save(tmp_path / "future.png", pnginfo=info)
    with pytest.raises(ValueError, match="format 7"):
        Recipe.load(tmp_path / "future.png")
    with pytest.raises(FileNotFoundError, match="no recipe file"):
        Recipe.load(tmp_path / "none.json")


@pytest.mark.parametrize(("name", "with_image"), [("r.txt", False), ("r.json", True), ("r.png", False)])
def test_saving_says_which_names_work(tmp_path, image, name, with_image):
    with pytest.raises(ValueError, match=r"saved as 'name\.json', or as 'name\.png' with its image"):
        Recipe(THREE).save(tmp_path / name, image if with_image else None)
    assert not list(tmp_path.iterdir())


KILLED = """
import os, signal, sys
from img2img_helpers import Recipe, example_image, load_pipeline

folder = sys.argv[1]
pipe = load_pipeline("img2img", "classroom", device="cpu")

def die_in_the_third_pass(*_):
    if os.path.exists(f"{folder}/pass-2.png"):
        os.kill(os.getpid(), signal.SIGKILL)

pipe.unet.register_forward_hook(die_in_the_third_pass)
Recipe.load(sys.argv[2]).run(pipe, example_image("landscape").resize((192, 192)), folder)
"""


@pytest.mark.parametrize("chain", recipes.CHAINS)
def test_a_kernel_killed_in_the_third_pass_loses_nothing(classroom_pipe, tmp_path, chain):
    picture, recipe = example_image("landscape").resize((192, 192)), Recipe(THREE, chain)
    uninterrupted = recipe.run(classroom_pipe, picture)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "edit"), str(recipe.save(tmp_path / "recipe.json"))]
    assert subprocess.run(command, capture_output=True, timeout=300).returncode == -signal.SIGKILL
    assert sorted(file.name for file in (tmp_path / "edit").glob("*.png")) == ["pass-1.png", "pass-2.png"]
    unet_calls = []
    hook = classroom_pipe.unet.register_forward_hook(lambda *_: unet_calls.append(1))
    resumed = recipe.run(classroom_pipe, picture, tmp_path / "edit")
    hook.remove()
    assert len(unet_calls) == plan_steps(classroom_pipe, THREE[2].strength, THREE[2].num_inference_steps).unet_calls
    assert _same(resumed, uninterrupted)
