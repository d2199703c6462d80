"""`load_pipeline` on real SD-format folders: the code that loads hub models, without a hub."""

import dataclasses
import logging
import shutil
import subprocess
import sys
import urllib.request
from types import SimpleNamespace

import diffusers
import numpy as np
import pytest
import torch
from diffusers import AutoPipelineForText2Image, ControlNetModel, LCMScheduler
from PIL import Image
from safetensors.torch import load_file, save_file

from img2img_helpers import MODELS, describe_models, load_pipeline, on_classroom, strength_sweep
from img2img_helpers.common import hub
from img2img_helpers.lessons import models
from tests import tiny_models

PICTURE, SIDE = "a picture", "its side"  # what `run` fills in
CALLS = {  # task: pipeline class, and the least that a call needs
    "img2img": ("StableDiffusionImg2ImgPipeline", {"strength": 0.5}),
    "text2img": ("StableDiffusionPipeline", {"height": SIDE, "width": SIDE}),
    "inpaint": (
        "StableDiffusionInpaintPipeline",
        {"mask_image": PICTURE, "strength": 0.5, "height": SIDE, "width": SIDE},
    ),
    "upscale": ("StableDiffusionUpscalePipeline", {"noise_level": 20}),
    "controlnet": ("StableDiffusionControlNetImg2ImgPipeline", {"control_image": PICTURE, "strength": 0.5}),
    "instruct": ("StableDiffusionInstructPix2PixPipeline", {"image_guidance_scale": 1.5}),
}


def run(pipe, task: str, side: int) -> Image.Image:
    """The least call of ``task``, on a plain picture of ``side`` × ``side`` pixels."""
    picture = Image.new("RGB", (side, side), "teal")
    _, arguments = CALLS[task]
    arguments = {name: {PICTURE: picture, SIDE: side}.get(value, value) for name, value in arguments.items()}
    if task != "text2img":
        arguments["image"] = picture
    pipe.set_progress_bar_config(disable=True)
    return pipe("a lake", num_inference_steps=2, **arguments).images[0]


@pytest.fixture
def tiny_sd15(sd_folders, monkeypatch):
    """MODELS["sd15"] with the tiny folders in place of the hub; every first id is a dead one."""
    card = tiny_models.as_sd15(sd_folders)
    monkeypatch.setitem(MODELS, "sd15", card)
    return card


@pytest.mark.parametrize("task", models.TASKS)
def test_every_task_loads_from_the_second_mirror_and_runs(task, tiny_sd15, capsys):
    pipe = load_pipeline(task, "sd15")
    assert type(pipe).__name__ == CALLS[task][0]
    assert type(pipe).__module__.startswith("diffusers.")
    assert capsys.readouterr().out == f"Stable Diffusion 1.5 for {task}, float32 on cpu (no GPU was found).\n"
    assert run(pipe, task, 16).size == ((64, 64) if task == "upscale" else (16, 16))


@pytest.mark.parametrize("task", MODELS["classroom"].ids)
def test_the_classroom_model_can_do_every_task(task):
    pipe = load_pipeline(task, "classroom")
    assert type(pipe).__name__ == CALLS[task][0]
    size = pipe.unet.config.sample_size * (1 if task == "upscale" else pipe.vae_scale_factor)
    assert size == MODELS["classroom"].native_size // (4 if task == "upscale" else 1)
    assert run(pipe, task, size).size == (MODELS["classroom"].native_size,) * 2


@pytest.mark.parametrize("task", models.TASKS)
def test_one_folder_can_do_every_task(task, one_for_all):
    pipe = load_pipeline(task, str(one_for_all))
    assert type(pipe).__name__ == CALLS[task][0]
    assert pipe.unet.config.in_channels == {"inpaint": 9, "upscale": 7, "instruct": 8}.get(task, 4)
    assert run(pipe, task, 16).width == (64 if task == "upscale" else 16)


def test_a_folder_says_which_tasks_it_can_do(sd_folders, one_for_all):
    told = r"cannot do 'upscale', only 'img2img', 'text2img', 'inpaint', 'controlnet'; .* model='classroom' or "
    with pytest.raises(ValueError, match=told):
        load_pipeline("upscale", str(sd_folders["base"]))
    assert run(load_pipeline("instruct", str(sd_folders["instruct"])), "instruct", 16).size == (16, 16)
    with pytest.raises(ValueError, match=r"cannot do 'img2img', only 'instruct'; .* model='classroom' or "):
        load_pipeline("img2img", str(sd_folders["instruct"]))
    (one_for_all / "unet_inpaint" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(OSError, match=r"could not be loaded .*the folder must be complete") as caught:
        load_pipeline("inpaint", str(one_for_all))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task", models.FEW_STEPS_TASKS)
def test_few_steps_are_two_calls_of_diffusers(task, tiny_sd15, capsys):
    quick = load_pipeline(task, "sd15", few_steps=True)
    assert f"Stable Diffusion 1.5 for {task} in few steps, float32 on cpu" in capsys.readouterr().out
    assert isinstance(quick.scheduler, LCMScheduler)
    assert quick.get_active_adapters() == ["lcm"]
    by_hand = load_pipeline(task, "sd15")
    by_hand.scheduler = LCMScheduler.from_config(by_hand.scheduler.config)

    def edit(pipe) -> np.ndarray:
        torch.manual_seed(0)
        return np.asarray(run(pipe, task, 16), int)

    without = edit(by_hand)
    by_hand.load_lora_weights(MODELS["sd15"].few_steps_ids[-1])
    assert np.array_equal(edit(quick), edit(by_hand))
    assert np.abs(edit(quick) - without).max() > 0


def test_few_steps_need_an_adapter_that_fits(tiny_sd15, sd_folders, one_for_all, monkeypatch):
    with pytest.raises(ValueError, match=r"few_steps=True is for 'img2img', .*; for 'upscale' leave it out"):
        load_pipeline("upscale", "sd15", few_steps=True)
    monkeypatch.setitem(MODELS, "classroom", dataclasses.replace(MODELS["classroom"], few_steps_ids=()))
    with pytest.raises(ValueError, match=r"'classroom' has no LCM-LoRA; for few_steps=True use model='sd15'"):
        load_pipeline("img2img", "classroom", few_steps=True)
    shutil.copytree(sd_folders["lcm_lora"], one_for_all / "lcm_lora")
    assert load_pipeline("img2img", str(one_for_all), few_steps=True).get_active_adapters() == ["lcm"]
    (one_for_all / "lcm_lora" / "pytorch_lora_weights.safetensors").write_bytes(b"cut off")
    with pytest.raises(OSError, match=r"\(tried '.*lcm_lora'\): pytorch_lora_weights.safetensors is damaged") as caught:
        load_pipeline("img2img", str(one_for_all), few_steps=True)
    assert "\n" not in str(caught.value)


def test_on_a_cpu_it_is_float32_and_channels_last(tiny_sd15):
    pipe = load_pipeline("img2img", "sd15")
    assert pipe.device.type == "cpu"
    assert pipe.dtype == torch.float32
    assert not pipe.unet.training
    for part in (pipe.unet, pipe.vae):
        weights = [p for p in part.parameters() if p.dim() == 4 and p.shape[1] > 1 and p.shape[2] > 1]
        assert weights
        assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)


def test_every_call_loads_anew_and_from_pipe_shares(tiny_sd15):
    """Whoever runs the cell again wants a pipeline without what was done to the last one."""
    first = load_pipeline("img2img", "sd15")
    again = load_pipeline("img2img", "sd15")
    shared = AutoPipelineForText2Image.from_pipe(first)
    for part in ("vae", "text_encoder", "unet"):
        assert getattr(again, part) is not getattr(first, part) is getattr(shared, part)


def test_on_a_small_gpu_the_parts_take_turns_and_the_line_says_so(tiny_sd15, pretended_gpu, capsys):
    roomy = load_pipeline("img2img", "sd15")
    assert (pretended_gpu.moves, pretended_gpu.offloads) == (1, 0)
    assert not roomy.vae.use_tiling
    pretended_gpu.free = 2**30
    small = load_pipeline("text2img", "sd15")
    assert (pretended_gpu.moves, pretended_gpu.offloads) == (1, 1)
    assert small.vae is not roomy.vae, "which stays on the GPU"
    assert small.vae.use_tiling
    assert (
        "It needs 3.5 GB, and the GPU has less free beside what is loaded: its parts take turns"
        in capsys.readouterr().out
    )


def test_a_gpu_that_fills_up_while_the_model_moves_there(tiny_sd15, pretended_gpu, monkeypatch, capsys):
    def full(pipe, device):
        assert not pretended_gpu.offloads
        raise RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA` …")

    monkeypatch.setattr("diffusers.DiffusionPipeline.to", full)
    load_pipeline("img2img", "sd15")
    assert pretended_gpu.offloads == 1
    assert "the GPU has less free beside what is loaded" in capsys.readouterr().out


def test_fp16_files_are_used_where_there_are_any_and_widened_on_a_cpu(sd_folders):
    pipe = load_pipeline("img2img", str(sd_folders["base-fp16"]))
    assert pipe.dtype == torch.float32
    assert list(sd_folders["base-fp16"].rglob("*.fp16.safetensors"))
    half = load_pipeline("img2img", str(sd_folders["base-fp16"]), dtype="bfloat16")
    assert half.dtype == torch.bfloat16


def test_pickled_weights_are_never_loaded(sd_folders, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(sd_folders["base"], folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(OSError, match=r"could not be loaded .*; the folder must be complete and hold \.safetensors"):
        load_pipeline("img2img", str(folder))


@pytest.mark.parametrize("part", ["text_encoder", "unet"])
def test_weights_that_are_missing_are_told_of(part, sd_folders, tmp_path):
    """transformers draws them at random, diffusers leaves them empty; both note it among much that is held back."""
    folder = tmp_path / "incomplete"
    shutil.copytree(sd_folders["base"], folder)
    (path,) = (folder / part).glob("*.safetensors")
    weights = load_file(path)
    del weights[min(weights)]
    save_file(weights, path, metadata={"format": "pt"})
    told = r"Some weights of .*incomplete \((CLIPTextModel|UNet2DConditionModel)\) are not in its files"
    with pytest.warns(UserWarning, match=told) if part == "text_encoder" else pytest.raises(OSError, match=told):
        load_pipeline("img2img", str(folder))


def test_what_a_prompt_has_beyond_77_tokens_is_told(classroom_pipe):
    """By diffusers, whose notes `load_pipeline` holds back while it loads, and no longer."""
    told = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logger = logging.getLogger("diffusers")
    assert logger.isEnabledFor(logging.WARNING)
    assert logger.handlers, "which show it"
    logger.addHandler(handler)
    try:
        picture = Image.new("RGB", (32, 32), "teal")
        strength_sweep(classroom_pipe, "a red car, " * 40 + "at night", picture, 0.5, num_inference_steps=2)
    finally:
        logger.removeHandler(handler)
    (one,) = [line for line in told if "truncated" in line]
    assert "up to 77 tokens" in one
    assert "at night" in one, "the part that is lost"


def test_when_no_mirror_answers_the_message_says_what_to_do(monkeypatch):
    with pytest.raises(OSError, match=r"Stable Diffusion 1\.5 could not be loaded") as caught:
        load_pipeline("img2img", "sd15")
    message = str(caught.value)
    assert "\n" not in message
    for told in (*MODELS["sd15"].ids["img2img"], "internet connection", "model='classroom'"):
        assert told in message


def test_offline_is_found_out_at_once(monkeypatch):
    """The hub's client alone would try for two minutes: it only looks at the disk, and we ask the hub once a model."""
    patience, only_here = [], []
    ask, load = urllib.request.urlopen, ControlNetModel.from_pretrained

    def urlopen(address, timeout):
        patience.append(timeout)
        return ask(address, timeout=timeout)

    def from_pretrained(model_id, **options):
        only_here.append(options.get("local_files_only"))
        return load(model_id, **options)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    monkeypatch.setattr(ControlNetModel, "from_pretrained", from_pretrained)
    with pytest.raises(OSError, match="internet connection") as caught:
        load_pipeline("controlnet", "sd15")
    assert patience == [5] * len(MODELS["sd15"].controlnet_ids), "seconds"
    assert only_here == [True, True] * len(MODELS["sd15"].controlnet_ids), "with and without the fp16 variant"
    assert "model='classroom'" in str(caught.value), "which has a ControlNet of its own"


def test_a_download_that_breaks_off_is_one_sentence_too(monkeypatch, capsys):
    """The hub's clients raise errors of their own, neither OSError nor ValueError."""

    class TransportError(Exception):
        pass

    def from_pretrained(model_id, **options):
        raise OSError("not here") if options.get("local_files_only") else TransportError("connection lost\nat byte 7")

    monkeypatch.setattr(hub, "hub_answers", lambda: True)
    monkeypatch.setattr("diffusers.AutoPipelineForImage2Image.from_pretrained", from_pretrained)
    with pytest.raises(OSError, match=r"TransportError: connection lost; check the internet connection") as caught:
        load_pipeline("img2img", "sd15")
    assert "\n" not in str(caught.value)
    assert "Downloading stable-diffusion-v1-5/stable-diffusion-v1-5 (about 2.8 GB)" in capsys.readouterr().out


def test_auto_falls_back_to_the_classroom_model_and_says_so(pretended_gpu, capsys):
    pipe = load_pipeline("img2img")
    told = capsys.readouterr().out
    assert "Stable Diffusion 1.5 could not be loaded" in told
    assert "Using the classroom model instead." in told
    assert pipe.unet.config.sample_size * pipe.vae_scale_factor == MODELS["classroom"].native_size


def test_auto_does_not_fall_back_to_a_model_that_cannot_do_the_task(pretended_gpu, monkeypatch):
    monkeypatch.delitem(MODELS["classroom"].ids, "inpaint")
    with pytest.raises(OSError, match=r"could not be loaded .*; check the internet connection and the id\.$"):
        load_pipeline("inpaint")


def test_a_hub_that_was_ruled_out_is_not_called_unreachable(monkeypatch):
    """As on a class's server, which sets HF_HUB_OFFLINE."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    told = r"HF_HUB_OFFLINE keeps the hub out; unset it, or run python -m img2img_helpers\.prefetch before"
    with pytest.raises(OSError, match=told):
        load_pipeline("img2img", "sd15")


def test_empty_environment_variables_count_as_unset(monkeypatch, capsys):
    monkeypatch.setenv("IMG2IMG_MODEL", "")
    monkeypatch.setenv("IMG2IMG_DEVICE", "")
    load_pipeline()
    assert capsys.readouterr().out == "the classroom model for img2img, float32 on cpu (no GPU was found).\n"


def test_environment_variables_choose(tiny_sd15, monkeypatch, capsys):
    monkeypatch.setenv("IMG2IMG_MODEL", "sd15")
    load_pipeline()
    assert "Stable Diffusion 1.5" in capsys.readouterr().out
    monkeypatch.setenv("IMG2IMG_DEVICE", "tpu")
    with pytest.raises(ValueError, match=r"no device 'tpu'; it has .*'cpu'"):
        load_pipeline()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"task": "img2vid"}, "no task 'img2vid'; choose one of 'img2img', 'text2img', 'inpaint'"),
        ({"model": "sd51"}, f"no model 'sd51'; choose {', '.join(map(repr, MODELS))}, a hub id such as"),
        ({"model": "./nowhere"}, "no model './nowhere'"),
        ({"model": "a/b/c"}, "no model 'a/b/c'"),
        ({"device": "gpu"}, "no device 'gpu'; it has"),
        ({"device": "cuda:7"}, "no device 'cuda:7'; it has"),
        ({"device": "cpu:x"}, "no device 'cpu:x'; it has"),
        ({"model": "~/nowhere"}, "no model '.*/nowhere'"),
        ({"model": "org/"}, "no model 'org/'"),
        ({"dtype": "int4"}, "no dtype 'int4'; choose 'auto', 'float32'"),
    ],
)
def test_wrong_arguments_get_one_sentence(arguments, told):
    with pytest.raises(ValueError, match=told) as caught:
        load_pipeline(**arguments)
    assert "\n" not in str(caught.value)


def test_a_folder_that_holds_no_model(tmp_path):
    with pytest.raises(ValueError, match="holds no diffusers model"):
        load_pipeline("img2img", str(tmp_path))


def test_cards_have_the_names_and_tasks_that_are_asked_for():
    for name, card in MODELS.items():
        assert card.name == name
        assert card.ids
        assert set(card.ids) <= set(models.TASKS)
        assert all(card.ids.values())


@pytest.mark.parametrize("task", MODELS["classroom"].ids)
def test_the_classroom_model_is_told_from_others(task, sd_folders):
    pipe = load_pipeline(task, "classroom", device="cpu")
    assert on_classroom(pipe)
    if task == "img2img":
        assert on_classroom(AutoPipelineForText2Image.from_pipe(pipe))
        assert not on_classroom(load_pipeline(task, str(sd_folders["base"]), device="cpu"))
        pipe.unet = tiny_models.unet()
        assert not on_classroom(pipe), "a UNet that was never loaded"


def test_describe_models_is_a_table_of_all():
    table = describe_models()
    for card in MODELS.values():
        assert card.title in table
        assert card.licence in table
    assert "none: bundled" in table
    rows = table.splitlines()
    assert len(rows) == 2 + len(MODELS)
    assert len({row.count("|") for row in rows}) == 1
    assert table._repr_markdown_() == table


def test_cards_tell_the_classroom_models_true_size(classroom_pipe):
    card = MODELS["classroom"]
    assert classroom_pipe.unet.config.sample_size * classroom_pipe.vae_scale_factor == card.native_size


def test_a_first_call_says_one_line_and_nothing_else():
    code = "from img2img_helpers import load_pipeline; load_pipeline('img2img', 'classroom', device='cpu')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert ran.stdout == "the classroom model for img2img, float32 on cpu.\n"
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (401, {}, "the hub answers 401 (Unauthorized); check the id, and if the model is private, log in with"),
        (403, {}, "the hub answers 403 (Forbidden); accept the licence on the model's page, then log in with"),
        (404, {}, "the hub answers 404 (Not Found); check the id, or use model='classroom'"),
        (429, {"Retry-After": "7"}, "the hub answers 429 (Too Many Requests); wait 7 seconds and try again"),
        (429, {}, "the hub answers 429 (Too Many Requests); it has had too many calls from here"),
        (500, {}, "the hub answers 500 (Internal Server Error); it has a problem of its own: try again later"),
        (503, {"Retry-After": "Thu, 26 Nov 2026 05:00:00 GMT"}, "the hub answers 503 (Service Unavailable); it has a"),
        (418, {}, "the hub answers 418 (I'm a Teapot); check the id"),
    ],
)
def test_what_the_hub_answers_is_told_with_what_to_do(monkeypatch, status, headers, told):
    """Whichever of the client's errors carries the answer, and however deep below diffusers' own."""

    class HubError(Exception):
        response = SimpleNamespace(status_code=status, headers=headers)

    def failing(*_, local_files_only=False, **__):
        try:
            raise HubError(f"{status} Client Error. (Request ID: Root=1)\n\nfor url: …")
        except HubError:
            raise OSError("Cannot load model: please check the stacktrace above") from None

    monkeypatch.setattr(hub, "hub_answers", lambda: True)
    monkeypatch.setattr(diffusers.AutoPipelineForImage2Image, "from_pretrained", failing)
    with pytest.raises(OSError, match="could not be loaded") as caught:
        load_pipeline("img2img", "course/any", device="cpu")
    assert f"course/any could not be loaded (tried 'course/any'): {told}" in str(caught.value)
    assert "\n" not in str(caught.value)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        (
            WEIGHTS,
            LFS,
            f"{WEIGHTS} is damaged or cut off; download it again, or, if you cloned the model with git, run",
        ),
        (WEIGHTS, b"", f"{WEIGHTS} is damaged or cut off"),
        (WEIGHTS, b"<!DOCTYPE html><html>", f"{WEIGHTS} is damaged or cut off"),
        (WEIGHTS, "half", f"{WEIGHTS} is damaged or cut off"),
        (WEIGHTS, None, "could not be loaded"),
        ("text_encoder/model.safetensors", LFS, "text_encoder/model.safetensors is damaged or cut off"),
        ("model_index.json", b"", "holds no diffusers model: its model_index.json is damaged"),
        ("model_index.json", b"{}", "holds no diffusers model: its model_index.json is damaged"),
        ("model_index.json", b"[1]", "holds no diffusers model: its model_index.json is damaged"),
        ("model_index.json", LFS, "holds no diffusers model: its model_index.json is damaged"),
        ("unet/config.json", b"", "could not be loaded"),
        ("unet/config.json", None, "could not be loaded"),
        ("unet/config.json", b'{"_class_name": "UNet2DConditionModel", "in_channels": 5}', "could not be loaded"),
        ("scheduler/scheduler_config.json", b"not json", "could not be loaded"),
        ("tokenizer", None, "is incomplete: it has no 'tokenizer'; download it again"),
        ("vae", None, "is incomplete: it has no 'vae'; download it again"),
    ],
)
def test_a_damaged_folder_is_one_sentence(sd_folders, tmp_path, name, data, told):
    folder = tmp_path / "model"
    shutil.copytree(sd_folders["base"], folder)
    file = folder / name
    if file.is_dir():
        shutil.rmtree(file)
    elif data is None:
        file.rename(file.with_suffix(".bin"))
    else:
        file.write_bytes(file.read_bytes()[:-100] if data == "half" else data)
    with pytest.raises((OSError, ValueError)) as caught:
        load_pipeline("img2img", folder, device="cpu")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
