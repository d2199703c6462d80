"""Measure what makes edits quick, the adapter for few steps and the tiny decoder, beside what they stand in for."""

from __future__ import annotations

import copy

import numpy as np
import torch
from diffusers import AutoencoderTiny, DiffusionPipeline
from PIL import Image

from ..training.data import scene_at
from ..training.tiny import FOLDER, decode
from ..training.vae import to_images, to_tensor
from .base_model import LESSON_PROMPTS, recognised
from .bench import LESSON, Bench, Row, seconds_of, task_pipe
from .measures import painted
from .tasks import psnr

FEW = {"num_inference_steps": 4, "guidance_scale": 1.0}
FEWER_POINTS = 3  # that few steps may lose of each of the judge's figures
SHOWN = 6  # of the lessons' prompts, on the sheet


def few_steps_rows(bench: Bench) -> list[Row]:
    quick = copy.copy(bench)
    quick.text2img, quick.img2img = (task_pipe(bench, task, few_steps=True) for task in ("text2img", "img2img"))
    rows, full, few = [], recognised(bench), recognised(quick, **FEW)
    for what, right in full.items():
        before, after = (100 * float(np.mean(hits)) for hits in (right, few[what]))
        close = after >= before - FEWER_POINTS
        title = f"four steps, recognised: {what} (with 30 steps {before:.1f} %)"
        rows.append(Row(title, f"{after:.1f} %", str(len(right)), f"at most {FEWER_POINTS} points less", close))
    image = Image.fromarray(painted([scene_at(0, "held-out")])[0])

    def edit(pipe: DiffusionPipeline, call: dict) -> float:
        return seconds_of(lambda: pipe("watercolor painting", image=image, strength=0.5, **call))

    thirty, four = edit(bench.img2img, LESSON), edit(quick.img2img, FEW)
    quick.img2img.fuse_lora()
    folded = edit(quick.img2img, FEW)
    told, told_folded = (f"{seconds:.2f} s, {thirty / seconds:.1f} times as fast" for seconds in (four, folded))
    rows.append(Row("one edit at strength 0.5 in four steps", told, "", "at least 5 times", thirty >= 5 * four))
    rows.append(Row("the same with the adapter folded into the weights (`fuse_lora`)", told_folded))
    prompts = list(LESSON_PROMPTS)[:SHOWN]
    for kind, who, call in (("30 steps", bench, LESSON), ("4 steps", quick, FEW)):
        bench.tasks.append([(p, f"{kind}: “{t}”") for p, t in zip(who.draw(prompts, **call), prompts, strict=True)])
    return rows


def tiny_rows(bench: Bench) -> list[Row]:
    """On latents of painted pictures, and on those with a tenth of noise, such as a UNet makes."""
    vae, tiny = bench.img2img.vae, AutoencoderTiny.from_pretrained(bench.weights / FOLDER, torch_dtype=torch.float32)
    images = painted([scene_at(i, "held-out") for i in range(bench.few(60))])
    with torch.no_grad():
        latents = vae.encode(to_tensor(images)).latent_dist.mode() * vae.config.scaling_factor
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
        rows = []
        for title, given in (("painted pictures", latents), ("the same with noise of 0.1", latents + 0.1 * noise)):
            wanted, made = to_images(decode(vae, given)), to_images(tiny.decode(given).sample)
            mean = np.mean([psnr(*pair) for pair in zip(made, wanted, strict=True)])
            what = f"tiny decoder against the VAE's own, PSNR: latents of {title}"
            rows.append(Row(what, f"{mean:.1f} dB", str(len(images))))
        one = latents[:1]
        own, small = (seconds_of(lambda part=part: part.decode(one)) for part in (vae, tiny))
    told = f"{1000 * small:.0f} ms against {1000 * own:.0f}"
    bench.tasks.append(
        [(picture, words) for i in range(3) for picture, words in ((wanted[i], "VAE"), (made[i], "tiny"))]
    )
    return [*rows, Row("tiny decoder, one picture", told)]
