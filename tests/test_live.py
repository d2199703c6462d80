"""The model in the page: its numbers beside those of diffusers, in Node."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionImg2ImgPipeline

from book.live import build, export
from classroom_model.world.captions import caption
from classroom_model.world.scenes import Scene
from img2img_helpers import MODELS, example_image, load_pipeline
from img2img_helpers.lessons.models import CLASSROOM_FOLDER

ROOT = Path(__file__).parent.parent
SIDE = MODELS["classroom"].native_size
TEXTS = [
    "A oil painting of a landscape, in Van Gogh's style!!",
    "",
    "  a\tzebra  12 über-cool ☃ ",
    "<|endoftext|> a car <|startoftext|>",
    "a red car on a city street, " * 30,
]
PLANS = [
    {"few": few, "steps": steps, "strength": strength}
    for few, counts in ((False, (1, 7, 20, 30, 50, 100)), (True, (1, 2, 3, 4, 8)))
    for steps in counts
    for strength in (0.29, 0.5, 0.58, 0.8, 1.0)
    if int(steps * strength)
]
EDITS = [  # for the page; PyTorch's noise is there for the seeds 0 to 9
    {"prompt": "watercolor painting with soft edges", "strength": 0.5, "steps": 10, "guidance": 7.5, "seed": 0},
    {"prompt": "a blue car", "negativePrompt": "blurry", "strength": 0.8, "steps": 5, "guidance": 5, "seed": 9},
    {"prompt": "at night", "strength": 1.0, "steps": 4, "guidance": 1, "seed": 3, "few": True},
    {"prompt": "at night", "strength": 0.5, "steps": 4, "guidance": 1.5, "seed": 4, "few": True, "enough": True},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The classroom model's networks, for a browser."""
    if not build.can_build() or not shutil.which("node"):
        assert not os.environ.get("CI"), "CI must have the packages: .ci/run makes live-packages"
        pytest.skip("the page's packages are not here; make live-packages fetches them")
    home = tmp_path_factory.mktemp("live")
    export.export(CLASSROOM_FOLDER, home)
    return home


def pipeline(few: bool) -> StableDiffusionImg2ImgPipeline:
    pipe = load_pipeline("img2img", "classroom", few_steps=few, device="cpu")
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_the_page_makes_what_python_makes(folder, tmp_path):
    kinds = {few: pipeline(few) for few in (False, True)}
    tokenizer = kinds[False].tokenizer
    small = AutoencoderTiny.from_pretrained(CLASSROOM_FOLDER / "vae_tiny")
    car = example_image("car").resize((SIDE, SIDE))
    (tmp_path / "car.rgba").write_bytes(np.asarray(car.convert("RGBA")).tobytes())
    captions = [caption(Scene("car", layout=i), np.random.default_rng(i)) for i in range(50)]
    edits = [
        {"rgba": str(tmp_path / "car.rgba"), "call": call, "out": str(tmp_path / f"{i}.rgba")}
        for i, call in enumerate(EDITS)
    ]
    job = {"texts": TEXTS + captions, "plans": PLANS, "draws": [10, 2**40], "edits": edits}
    (tmp_path / "job.json").write_text(json.dumps(job))
    command = ["node", str(ROOT / "tests" / "live.mjs"), str(folder), str(tmp_path / "job.json")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)

    read = tokenizer(job["texts"], padding="max_length", max_length=tokenizer.model_max_length, truncation=True)
    assert told["tokens"] == read.input_ids

    assert isinstance(kinds[False].scheduler, DDIMScheduler)
    for plan, timesteps in zip(PLANS, told["plans"], strict=True):
        pipe = kinds[plan["few"]]
        pipe.scheduler.set_timesteps(plan["steps"])
        wanted, _ = pipe.get_timesteps(plan["steps"], plan["strength"], "cpu")
        assert timesteps == wanted.tolist(), plan

    for drawn in told["draws"]:
        assert abs(np.mean(drawn)) < 0.03
        assert np.std(drawn) == pytest.approx(1, abs=0.03)
        assert np.abs(drawn).max() > 3
    assert abs(np.corrcoef(*told["draws"])[0, 1]) < 0.03

    for i, (call, run) in enumerate(zip(EDITS, told["runs"], strict=True)):
        pipe = kinds[call.get("few", False)]
        options = {
            "strength": call["strength"],
            "num_inference_steps": call["steps"],
            "guidance_scale": call["guidance"],
        }
        latents = pipe(
            call["prompt"], car, negative_prompt=call.get("negativePrompt", ""), output_type="latent",
            generator=torch.Generator().manual_seed(call["seed"]), **options,
        ).images  # fmt: skip
        with torch.no_grad():
            look = small.decode(latents).sample
            sharp = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
        for name, picture in ((f"{i}.rgba.look", look), (f"{i}.rgba", look if call.get("enough") else sharp)):
            wanted = np.asarray(pipe.image_processor.postprocess(picture)[0], int)
            made = np.frombuffer((tmp_path / name).read_bytes(), np.uint8).reshape(*wanted.shape[:2], 4)
            assert (made[..., 3] == 255).all()
            assert np.abs(made[..., :3] - wanted).max() <= 2, (name, call)
        assert run["looks"] == (1 if call.get("few") else -(-run["steps"] // 3))
        assert run["steps"] == int(call["strength"] * call["steps"])


def test_numbers_are_kept_in_half_precision(folder):
    unet = (folder / "unet.onnx").stat().st_size
    assert unet < 1.1 * (CLASSROOM_FOLDER / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size


def test_a_strength_that_runs_no_step_is_refused_in_a_sentence(folder, tmp_path):
    (tmp_path / "grey.rgba").write_bytes(bytes([128]) * 4 * SIDE**2)
    edits = [{"rgba": str(tmp_path / "grey.rgba"), "call": {**EDITS[0], "strength": 0.05}, "out": "nowhere"}]
    (tmp_path / "job.json").write_text(json.dumps({"texts": [], "plans": [], "draws": [], "edits": edits}))
    command = ["node", str(ROOT / "tests" / "live.mjs"), str(folder), str(tmp_path / "job.json")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert "At strength 0.05 none of 10 steps is run; raise it to 0.1 at least." in ran.stderr


def test_a_model_that_the_page_would_draw_wrongly_is_refused():
    """As Stable Diffusion's own scheduler would be, whose model predicts noise."""
    pipe = pipeline(few=False)
    assert export.settings(CLASSROOM_FOLDER, pipe)["steps_offset"] == 1
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, prediction_type="epsilon")
    with pytest.raises(ValueError, match=r"wants a scheduler with prediction_type='v_prediction'; .* has another"):
        export.settings(CLASSROOM_FOLDER, pipe)
