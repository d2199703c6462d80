"""Time the course on this machine: `make benchmark`; benchmarks/README.md says what each line means."""

import argparse
import itertools
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

from img2img_helpers import (
    MODELS,
    example_image,
    example_mask,
    load_pipeline,
    prepare_image,
    strength_explorer,
    strength_sweep,
)
from img2img_helpers.models import CLASSROOM_FOLDER

PROMPT = "watercolor painting with soft edges"
STRENGTHS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
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
        pipe(PROMPT, image=image, generator=generator, **{**CALL, **options})
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


def in_turns(repeats: int, *calls) -> list[float]:
    """The median seconds of each of ``calls``, run in turns so that a slow moment meets all of them."""
    for call in calls:
        call()
    times = [[] for _ in calls]
    for _, (i, call) in itertools.product(range(repeats), enumerate(calls)):
        started = time.perf_counter()
        call()
        times[i].append(time.perf_counter() - started)
    return [statistics.median(one) for one in times]


def compare(what: str, plain: float, ours: float, least: float) -> None:
    print(f"{what:42} {plain:>8.2f} s {ours:>8.2f} s {plain / ours:>8.2f} times (bar {least:g})", flush=True)


def measure_sweep(repeats: int) -> None:
    """The plain loop, nothing tuned, against this package: the same images."""
    plain = StableDiffusionImg2ImgPipeline.from_pretrained(CLASSROOM_FOLDER, torch_dtype=torch.float32)
    ours = load_pipeline("img2img", "classroom", device="cpu")
    image = prepare_image(example_image("landscape"), MODELS["classroom"].native_size).image
    for pipe in (plain, ours):
        pipe.set_progress_bar_config(disable=True)

    def edit(pipe, strength):
        return pipe(PROMPT, image=image, strength=strength, generator=torch.Generator().manual_seed(0)).images[0]

    def loop():
        return [edit(plain, strength) for strength in STRENGTHS]

    def sweep(strengths=STRENGTHS, **options):
        return strength_sweep(ours, PROMPT, image, strengths, num_inference_steps=50, **options)

    apart = max(np.abs(np.asarray(a, int) - np.asarray(b, int)).mean() for a, b in zip(loop(), sweep(), strict=True))
    print(f"\n{'50 steps, as the pipeline has by default':42} {'plain':>10} {'ours':>10}")
    compare("one edit at strength 0.5", *in_turns(repeats, lambda: edit(plain, 0.5), lambda: edit(ours, 0.5)), 1.3)
    compare("a sweep of ten strengths", *in_turns(max(1, repeats // 2), loop, sweep), 1.8)
    print(f"the sweep's pictures differ from the loop's by {apart:.2f} of 255 at most, on average over a picture")
    for count in (1, 2, 5, 10, 20):
        (seconds,) = in_turns(1, lambda count=count: sweep([0.5] * count))
        print(
            f"{count:>3} edits at strength 0.5 in one sweep: {seconds:6.2f} s, {seconds / count:5.2f} s each",
            flush=True,
        )


def measure_slider(repeats: int) -> None:
    """From a moved slider to the picture, at 25 steps: a new strength, and one that was there before."""
    pipe = load_pipeline("img2img", "classroom", device="cpu")
    image = prepare_image(example_image("landscape"), MODELS["classroom"].native_size).image
    explorer = strength_explorer(pipe, image, PROMPT, num_inference_steps=25)

    def move(strength: float) -> float:
        started = time.perf_counter()
        explorer.strength.value = strength
        while (worker := explorer._worker) is not None:
            worker.join()
        return time.perf_counter() - started

    move(0.55)
    new = [move(strength) for strength in STRENGTHS]
    again = [move(strength) for strength in STRENGTHS]
    print(f"\nslider to a new picture: {statistics.median(new):.2f} s, at most {max(new):.2f} s (strength 1)")
    print(f"slider to a picture that was there: {max(again):.3f} s at most")


def measure_arithmetic() -> None:
    """What share of the processor's best matrix product a UNet call reaches."""
    from torch.utils.flop_counter import FlopCounterMode

    pipe = load_pipeline("img2img", "classroom", device="cpu")
    size = pipe.unet.config.sample_size
    latents = torch.randn(2, 4, size, size).to(memory_format=torch.channels_last)
    hidden, pooled = pipe.encode_prompt([PROMPT], "cpu", 1, True)[:2]
    hidden = torch.cat([pooled, hidden])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        pipe.unet(latents, 500, hidden)
    a = torch.randn(2048, 2048)
    with torch.no_grad():
        product, call = in_turns(9, lambda: a @ a, lambda: pipe.unet(latents, 500, hidden))
    peak, reached = 2 * 2048**3 / product / 1e9, counter.get_total_flops() / call / 1e9
    print(f"\none UNet call (batch of 2): {1000 * call:.1f} ms, {counter.get_total_flops() / 1e9:.2f} GFLOP")
    print(f"{reached:.0f} GFLOP/s, {reached / peak:.0%} of a 2048² matrix product's {peak:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="of the classroom model's edit; the median counts")
    parser.add_argument("--skip-large", action="store_true", help="do not time Stable Diffusion 1.5's size")
    args = parser.parse_args()
    print(f"one edit on {torch.get_num_threads()} CPU threads: {CALL}, 15 UNet calls of a batch of 2")
    print(f"{'model':34} {'size':>5} {'UNet':>11} {'time':>11} {'peak memory':>13}")
    classroom = load_pipeline("img2img", "classroom", device="cpu")
    small = measure("classroom model", classroom, args.repeats)
    measure_tasks(args.repeats)
    measure_sweep(args.repeats)
    measure_slider(args.repeats)
    measure_arithmetic()
    if not args.skip_large:
        large = measure("Stable Diffusion 1.5, untrained", untrained_sd15(classroom.tokenizer), 1)
        print(f"The classroom model is {large / small:.0f} times as fast.")
