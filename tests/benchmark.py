"""Time one edit on this machine, the classroom model beside Stable Diffusion 1.5's architecture, and its other tasks.

    make benchmark

Both models run the same call, `pipe(prompt, image, strength=0.5, num_inference_steps=30, guidance_scale=7.5)`,
each at its native size. The large one has untrained weights, which take as long as trained ones and
need no download. Expect several minutes for it on two cores; `--skip-large` leaves it out.
"""

import argparse
import resource
import statistics
import sys
import time

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionImg2ImgPipeline, UNet2DConditionModel
from PIL import Image
from skimage.color import rgb2gray
from skimage.feature import canny
from transformers import CLIPTextConfig, CLIPTextModel

from img2img_helpers import MODELS, example_image, example_mask, load_pipeline, prepare_image

CALL = {"strength": 0.5, "num_inference_steps": 30, "guidance_scale": 7.5}


def untrained_sd15(tokenizer) -> StableDiffusionImg2ImgPipeline:
    """Stable Diffusion 1.5's sizes (its published config.json files), random weights."""
    text = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    pipe = StableDiffusionImg2ImgPipeline(
        tokenizer=tokenizer,  # its ids are all within CLIP's vocabulary
        text_encoder=CLIPTextModel(text),
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
        vae=AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            sample_size=512,
        ),
        scheduler=DDIMScheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.unet.to(memory_format=torch.channels_last)
    pipe.vae.to(memory_format=torch.channels_last)
    return pipe


def measure(name: str, pipe, repeats: int) -> float:
    """Print one line for ``pipe``; return the median seconds an edit takes."""
    pipe.set_progress_bar_config(disable=True)
    size = pipe.unet.config.sample_size * pipe.vae_scale_factor
    image = prepare_image(example_image("landscape"), size).image

    def edit(**options) -> float:
        started = time.perf_counter()
        generator = torch.Generator().manual_seed(0)
        pipe("watercolor painting with soft edges", image=image, generator=generator, **{**CALL, **options})
        return time.perf_counter() - started

    edit(num_inference_steps=2)  # the first call also sets up the arithmetic library
    seconds = statistics.median(edit() for _ in range(repeats))
    parameters = sum(p.numel() for p in pipe.unet.parameters()) / 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    print(f"{name:34} {size:>4}² {parameters:>9.1f} M {seconds:>9.2f} s {memory:>9.1f} GiB", flush=True)
    return seconds


def measure_tasks(repeats: int) -> None:
    """Print one line for each other task of the classroom model: the median seconds of one call."""
    car = prepare_image(example_image("car"), MODELS["classroom"].native_size).image
    mask = prepare_image(example_mask("car"), car.size).image
    edges = Image.fromarray(canny(rgb2gray(np.asarray(car)))).convert("RGB")
    calls = {
        "inpaint": {"image": car, "mask_image": mask, "height": car.height, "width": car.width, "strength": 1.0},
        "controlnet": {"image": car, "control_image": edges, "strength": 0.9},
        "upscale": {
            "image": car.resize((car.width // 4, car.height // 4)),
            "num_inference_steps": 20,
            "guidance_scale": 1.5,
        },
        "text2img": {},
    }
    for task, options in calls.items():
        pipe = load_pipeline(task, "classroom", device="cpu")
        pipe.set_progress_bar_config(disable=True)
        times = []
        for repeat in range(repeats + 1):  # the first is not counted
            started = time.perf_counter()
            generator = torch.Generator().manual_seed(repeat)
            pipe("a blue car on a city street", generator=generator, **{"num_inference_steps": 30, **options})
            times.append(time.perf_counter() - started)
        print(f"one call of {task:22} {statistics.median(times[1:]):>32.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="of the classroom model's edit; the median counts")
    parser.add_argument("--skip-large", action="store_true", help="do not time Stable Diffusion 1.5's size")
    args = parser.parse_args()
    print(f"one edit on {torch.get_num_threads()} CPU threads: {CALL}, 15 UNet calls of a batch of 2")
    print(f"{'model':34} {'size':>5} {'UNet':>11} {'time':>11} {'peak memory':>13}")
    classroom = load_pipeline("img2img", "classroom", device="cpu")
    small = measure("classroom model", classroom, args.repeats)
    measure_tasks(args.repeats)
    if not args.skip_large:
        large = measure("Stable Diffusion 1.5, untrained", untrained_sd15(classroom.tokenizer), 1)
        print(f"The classroom model is {large / small:.0f} times as fast.")


if __name__ == "__main__":
    main()
