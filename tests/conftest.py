from pathlib import Path

import pytest

from tests.isolation import isolate_this_process

isolate_this_process()  # before diffusers asks where downloaded models lie

from tests import tiny_models  # noqa: E402


@pytest.fixture(scope="session")
def sd_folders(tmp_path_factory) -> dict[str, Path]:
    """Tiny folders in Stable Diffusion's format: base, inpaint, upscale, controlnet, base-fp16."""
    return tiny_models.write_all(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny_pipe(sd_folders):
    from diffusers import StableDiffusionImg2ImgPipeline

    pipe = StableDiffusionImg2ImgPipeline.from_pretrained(sd_folders["base"], use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def one_for_all(sd_folders, tmp_path) -> Path:
    """A folder in which all tasks share text encoder and VAE, as the classroom model's do."""
    import shutil

    folder = tmp_path / "all"
    shutil.copytree(sd_folders["base"], folder)
    for task in ("inpaint", "upscale", "instruct"):
        shutil.copytree(sd_folders[task] / "unet", folder / f"unet_{task}")
    shutil.copytree(sd_folders["upscale"] / "low_res_scheduler", folder / "low_res_scheduler")
    shutil.copytree(sd_folders["upscale"] / "vae", folder / "vae_upscale")
    shutil.copytree(sd_folders["controlnet"], folder / "controlnet")
    return folder


@pytest.fixture(scope="session")
def parts():
    """The classroom model's finished parts, as its stages load them."""
    from classroom_model.training import base

    return base.load_base("cpu")


@pytest.fixture
def workshop(tmp_path, monkeypatch) -> Path:
    """Where stages may train on a handful of pictures: ``build`` is empty, ``weights`` has the base model."""
    import shutil
    from importlib import import_module

    from classroom_model.training import loop

    for part in ("vae", "unet", "text_encoder", "tokenizer", "scheduler", "vocabulary.json", "model_index.json"):
        copy = shutil.copytree if (loop.WEIGHTS / part).is_dir() else shutil.copy
        (tmp_path / "weights").mkdir(exist_ok=True)
        copy(loop.WEIGHTS / part, tmp_path / "weights" / part)
    small = {
        "BUILD": tmp_path / "build",
        "WEIGHTS": tmp_path / "weights",
        "SHARD": 8,
        "HELD_OUT": 4,
        "PICTURES": 12,
        "PREVIEW_STEPS": 2,
    }
    for file in Path(loop.__file__).parent.glob("*.py"):
        module = import_module(f"classroom_model.training.{file.stem}")
        for name in small.keys() & vars(module).keys():
            monkeypatch.setattr(module, name, small[name])
    return tmp_path


@pytest.fixture(scope="session")
def classroom_pipe():
    from img2img_helpers import load_pipeline

    pipe = load_pipeline("img2img", "classroom")
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def browser():
    from tests.browser import chromium

    with chromium() as running:
        yield running


class PretendedGPU:
    """What `load_pipeline` finds of a GPU that is not there, and what it does with it."""

    free = 80 * 2**30
    moves = 0
    offloads = 0


@pytest.fixture
def pretended_gpu(monkeypatch):
    """A computer with a GPU, as far as the choice of a model and of its place goes."""
    import torch
    from diffusers import DiffusionPipeline

    from img2img_helpers.common import devices
    from img2img_helpers.lessons import pipelines

    gpu = PretendedGPU()

    def to(pipe, device):
        gpu.moves += 1
        return pipe

    def offload(pipe, device):
        gpu.offloads += 1

    monkeypatch.setattr(pipelines, "pick_device", lambda device: ("cuda", "an NVIDIA GPU was found"))
    monkeypatch.setattr(pipelines, "_pick_dtype", lambda *_: torch.float32)
    monkeypatch.setattr(devices, "free_memory", lambda device: gpu.free)
    monkeypatch.setattr(DiffusionPipeline, "to", to)
    monkeypatch.setattr(DiffusionPipeline, "enable_model_cpu_offload", offload)
    return gpu
