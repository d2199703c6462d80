"""Time the course on this machine: `make benchmark`; benchmarks/README.md says what each line means."""

import argparse
import itertools
import multiprocessing
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import psutil
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
from img2img_helpers.lessons.models import CLASSROOM_FOLDER

GIB = 2**30
PROMPT = "watercolor painting with soft edges"
STRENGTHS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
KINDS = {  # words in the names of torch's operations
    "convolutions": ("convolution",),
    "matrix products": ("mm", "linear", "bmm"),
    "attention": ("scaled_dot_product", "softmax"),
    "normalisation": ("norm",),
    "activations": ("silu", "gelu"),
}
CALL = {"strength": 0.5, "num_inference_steps": 30, "guidance_scale": 7.5}


def classroom(task: str = "img2img", device: str = "cpu", **options):
    pipe = load_pipeline(task, "classroom", device=device, **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def landscape(side: int = MODELS["classroom"].native_size) -> Image.Image:
    return prepare_image(example_image("landscape"), side).image


def untrained_sd15(tokenizer, device: str) -> StableDiffusionImg2ImgPipeline:
    """Stable Diffusion 1.5's sizes (its published config.json files), random weights; half precision on a GPU."""
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
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, torch.float32 if device == "cpu" else torch.float16)


def peak_memory(device: str) -> float:
    """GiB: of this process, or on the GPU."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device) / GIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def measure(name: str, pipe, repeats: int) -> float:
    """Print one line for ``pipe``; return the median seconds an edit takes."""
    size = pipe.unet.config.sample_size * pipe.vae_scale_factor
    image = landscape(size)

    def edit(**options) -> float:
        started = time.perf_counter()
        generator = torch.Generator().manual_seed(0)
        pipe(PROMPT, image=image, generator=generator, **{**CALL, **options})
        return time.perf_counter() - started

    edit(num_inference_steps=2)  # the first call also sets up the arithmetic library
    seconds = statistics.median(edit() for _ in range(repeats))
    parameters = sum(p.numel() for p in pipe.unet.parameters()) / 1e6
    memory = peak_memory(pipe.device.type)
    print(f"{name:34} {size:>4}² {parameters:>9.1f} M {seconds:>9.2f} s {memory:>9.1f} GiB", flush=True)
    return seconds


def measure_tasks(repeats: int, device: str) -> None:
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
        "instruct": {"prompt": "make the car blue", "image": car, "image_guidance_scale": 1.5, "guidance_scale": 5.0},
        "text2img": {},
    }
    for task, options in calls.items():
        pipe, times = classroom(task, device), []
        for repeat in range(repeats + 1):  # the first is not counted
            started = time.perf_counter()
            generator = torch.Generator().manual_seed(repeat)
            call = {"prompt": "a blue car on a city street", "num_inference_steps": 30, **options}
            pipe(generator=generator, **call)
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


def measure_sweep(repeats: int, device: str) -> None:
    """The plain loop, nothing tuned, against this package: the same images."""
    plain = StableDiffusionImg2ImgPipeline.from_pretrained(CLASSROOM_FOLDER, torch_dtype=torch.float32).to(device)
    plain.set_progress_bar_config(disable=True)
    compare_sweeps("classroom model", plain, classroom(device=device), landscape(), repeats)


def compare_sweeps(name: str, plain, ours, image: Image.Image, repeats: int) -> None:
    def edit(pipe, strength):
        return pipe(PROMPT, image=image, strength=strength, generator=torch.Generator().manual_seed(0)).images[0]

    def loop():
        return [edit(plain, strength) for strength in STRENGTHS]

    def sweep():
        return strength_sweep(ours, PROMPT, image, STRENGTHS, num_inference_steps=50)

    apart = max(np.abs(np.asarray(a, int) - np.asarray(b, int)).mean() for a, b in zip(loop(), sweep(), strict=True))
    print(f"\n{name + ', 50 steps, the default':42} {'plain':>10} {'ours':>10}")
    compare("one edit at strength 0.5", *in_turns(repeats, lambda: edit(plain, 0.5), lambda: edit(ours, 0.5)), 1.3)
    compare("a sweep of ten strengths", *in_turns(max(1, repeats // 2), loop, sweep), 1.8)
    print(f"the sweep's pictures differ from the loop's by {apart:.2f} of 255 at most, on average over a picture")


def one_sweep(count: int, side: int, max_batch: int | None) -> tuple[float, float]:
    """Seconds and GiB, above what the loaded pipeline takes, of a sweep on a CPU; in a process of its own."""
    pipe, image, process = classroom(), landscape(side), psutil.Process()
    sizes, finished = [process.memory_info().rss], threading.Event()

    def watch() -> None:  # the system's own peak is that of loading
        while not finished.wait(0.005):
            sizes.append(process.memory_info().rss)

    watcher, started = threading.Thread(target=watch), time.perf_counter()
    watcher.start()
    strength_sweep(pipe, PROMPT, image, [0.5] * count, num_inference_steps=50, max_batch=max_batch)
    seconds = time.perf_counter() - started
    finished.set()
    watcher.join()
    return seconds, (max(sizes) - sizes[0]) / GIB


def measure_growth() -> None:
    """How time and memory grow with the number of edits, the size of the picture and the batch."""
    print("\nedits at strength 0.5 of 50 steps in one sweep, on a CPU")
    print(f"{'edits':>5} {'size':>5} {'max_batch':>10} {'time':>10} {'an edit':>10} {'memory':>12}")
    native = MODELS["classroom"].native_size
    rows = [(count, native, None) for count in (1, 2, 5, 10, 20)]
    rows += [(20, native, batch) for batch in (10, 5, 1)] + [(5, side, None) for side in (2 * native, 3 * native)]
    for count, side, max_batch in rows:
        with multiprocessing.get_context("spawn").Pool(1) as fresh:
            seconds, memory = fresh.apply(one_sweep, (count, side, max_batch))
        chosen = "automatic" if max_batch is None else max_batch
        print(
            f"{count:>5} {side:>4}² {chosen:>10} {seconds:>8.2f} s {seconds / count:>8.2f} s {memory:>8.2f} GiB",
            flush=True,
        )


def measure_start(repeats: int) -> None:
    """From a new Python to a loaded pipeline, and how much of that is the libraries' own imports."""
    libraries = (
        "import torch; from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionImg2ImgPipeline, "
        "UNet2DConditionModel; from transformers import CLIPTextModel, CLIPTokenizer"
    )
    ours = "from img2img_helpers import load_pipeline; load_pipeline('img2img', 'classroom', device='cpu')"

    def run(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    alone, whole = in_turns(repeats, lambda: run(libraries), lambda: run(ours))
    (again,) = in_turns(repeats, classroom)
    print(
        f"\nfrom a new Python to a loaded pipeline: {whole:.1f} s (bar 2.5); the libraries' imports alone: {alone:.1f} s"
    )
    print(f"the same pipeline once more in that Python: {again:.2f} s")


def measure_slider(device: str) -> None:
    """From a moved slider to the picture, in 25 steps and in four: a new strength, and one that was there before."""

    def move(explorer, strength: float) -> float:
        started = time.perf_counter()
        explorer.strength.value = strength
        explorer._worker.join()
        return time.perf_counter() - started

    for few in (False, True):
        explorer = strength_explorer(classroom(device=device, few_steps=few), landscape(), PROMPT)
        steps = explorer.num_inference_steps.value
        strengths = [strength for strength in STRENGTHS if int(strength * steps)]
        move(explorer, 0.55)
        new, again = ([move(explorer, strength) for strength in strengths] for _ in range(2))
        middle, most = statistics.median(new), max(new)
        print(f"\nslider to a new picture, {steps} steps: {middle:.2f} s, at most {most:.2f} s (strength 1)")
        print(f"slider to a picture that was there: {max(again):.3f} s at most")


def measure_arithmetic(device: str, compiled: bool) -> None:
    """What share of the processor's best matrix product a UNet call reaches, and where the rest of its time goes."""
    from torch.profiler import ProfilerActivity, profile
    from torch.utils.flop_counter import FlopCounterMode

    pipe = classroom(device=device)
    a = torch.randn(2048, 2048, device=device)

    def wait() -> None:
        if device != "cpu":
            torch.cuda.synchronize(device)

    def matrix_product() -> None:
        a @ a
        wait()

    def call_of(batch: int) -> Callable[[], None]:
        size = pipe.unet.config.sample_size
        latents = torch.randn(batch, 4, size, size, device=device).to(memory_format=torch.channels_last)
        hidden = pipe.encode_prompt([PROMPT] * batch, device, 1, False)[0]

        def call() -> None:
            pipe.unet(latents, 500, hidden)
            wait()

        return call

    with torch.no_grad():
        for batch, what in ((2, "one edit with guidance"), (20, "ten edits of a sweep")):
            call = call_of(batch)
            with FlopCounterMode(display=False) as counter:
                call()
            product, seconds = in_turns(9, matrix_product, call)
            peak, reached = 2 * 2048**3 / product / 1e9, counter.get_total_flops() / seconds / 1e9
            print(
                f"\none UNet call for {what}: {1000 * seconds:.1f} ms, {counter.get_total_flops() / 1e9:.2f} GFLOP, "
                f"{reached:.0f} GFLOP/s, {reached / peak:.0%} of a 2048² matrix product's {peak:.0f}"
            )
            if device == "cpu":
                with profile(activities=[ProfilerActivity.CPU]) as profiled:
                    call()
                print(f"of its time: {shares_of(profiled)}")
        if compiled:
            call, before = call_of(2), in_turns(9, call_of(2))[0]
            started = time.perf_counter()
            pipe.unet.compile()
            call()
            cost = time.perf_counter() - started
            saved = before - in_turns(9, call)[0]
            worth = f"worth it after {cost / saved:.0f} calls" if saved > 0 else "never worth it here"
            print(f"torch.compile: {cost:.0f} s once, then {1000 * saved:.1f} ms less a call; {worth}")


def shares_of(profiled) -> str:
    """How the time divides among KINDS of operations, the longest first."""
    shares = Counter()
    for row in profiled.key_averages():
        kind = next((kind for kind, words in KINDS.items() if any(word in row.key for word in words)), "other")
        shares[kind] += row.self_cpu_time_total
    return ", ".join(f"{kind} {time / shares.total():.0%}" for kind, time in shares.most_common())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="of the classroom model's edit; the median counts")
    best = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=["cpu", "cuda"], default=best, help="%(default)s if left out")
    parser.add_argument("--compile", action="store_true", help="also what torch.compile costs and brings")
    parser.add_argument("--skip-large", action="store_true", help="do not time Stable Diffusion 1.5's size")
    args = parser.parse_args()
    device = args.device
    what = f"{torch.get_num_threads()} CPU threads" if device == "cpu" else torch.cuda.get_device_name(device)
    print(f"one edit on {what}: {CALL}, 15 UNet calls of a batch of 2")
    print(f"{'model':34} {'size':>5} {'UNet':>11} {'time':>11} {'peak memory':>13}")
    pipe = classroom(device=device)
    small = measure("classroom model", pipe, args.repeats)
    measure_tasks(args.repeats, device)
    measure_start(args.repeats)
    measure_sweep(args.repeats, device)
    measure_growth()
    measure_slider(device)
    measure_arithmetic(device, args.compile)
    if not args.skip_large:
        sd15 = untrained_sd15(pipe.tokenizer, device)
        large = measure("Stable Diffusion 1.5, untrained", sd15, 1 if device == "cpu" else args.repeats)
        print(f"The classroom model is {large / small:.0f} times as fast.")
        if device != "cpu":
            compare_sweeps("Stable Diffusion 1.5's size", sd15, sd15, landscape(512), args.repeats)
