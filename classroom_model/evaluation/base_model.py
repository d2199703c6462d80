"""Measure what the base model draws, keeps and costs; :mod:`classroom_model.evaluate` runs it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from img2img_helpers import structure_similarity

from ..training.data import scene_at
from ..training.vae import round_trip_psnr
from ..world.painter import paint
from ..world.scenes import SUBJECTS
from .bench import Bench, Row, hits, save_sheet, share
from .judge import held_out_accuracy, recognise
from .measures import (
    car_scenes,
    even_scenes,
    full_caption,
    is_blue,
    nearest_layout,
    outside_similarity,
    paint_mask,
    painted,
    photos,
    red_cars,
    sharpness,
    short_name,
)

CAR_STRENGTHS = (0.3, 0.4, 0.5, 0.65)
STRENGTHS = tuple(round(0.1 * k, 1) for k in range(1, 11))
SECONDS_BEFORE = 0.59  # one edit with the weights of the first release
TRANSFERS = {
    "impressionist": "oil painting of {} in impressionist style",
    "watercolor": "watercolor painting of {} with soft edges",
    "pencil": "pencil sketch of {} with cross-hatching",
    "cyberpunk": "digital art of {} in cyberpunk style",
}
SHORT_PROMPTS = (
    "a red car on a city street",
    "a green car on a country road",
    "a landscape with mountains and a lake",
    "a house with a red roof",
    "pine trees, snowy mountains",
    "a portrait of a woman",
    "a portrait of a man",
    "a watch",
    "glowing crystals",
    "oil painting of a landscape",
)
LESSON_PROMPTS = {  # what the lessons type, and the negative prompt that goes with it
    "A oil painting of a landscape in impressionist style": "",
    "oil painting in the style of Van Gogh": "",
    "watercolor painting with soft edges": "",
    "pencil sketch with cross-hatching": "",
    "digital art in cyberpunk style": "",
    "A blue car on a city street": "red, distorted, blurry",
    "professional product photography of a watch": "",
    "Mountain in the background, lake in the middle ground, trees in the foreground, sunset lighting": (
        "cluttered, distorted perspective, warped"
    ),
    "ethereal fantasy landscape with glowing crystals": "",
    "a golden crown": "",
    "high quality, detailed, sharp": "",
    "impressionist painting with vibrant blues and warm oranges, maintaining original color palette": (
        "desaturated, monochrome, color shift"
    ),
    "oil painting style": "",
    "dramatic sunset lighting": "",
    "highly detailed, masterpiece": "",
    "a portrait of a woman wearing a golden crown": "",
    "a portrait of a man with a blue coat": "",
    "a yellow car on a beach road at night": "",
}


def judge_rows(bench: Bench) -> list[Row]:
    found = held_out_accuracy(bench.classifier, bench.few(1000))
    return [
        Row(f"the judge itself on painted pictures: {name}", f"{100 * right:.1f} %", str(count))
        for name, (right, count) in found.items()
    ]


def vae_rows(bench: Bench) -> list[Row]:
    scenes = [scene_at(i, "held-out") for i in range(96)]
    images = painted(scenes)
    psnr = np.concatenate([round_trip_psnr(bench.img2img.vae, images[i : i + 16]) for i in range(0, len(images), 16)])
    pencil = np.array([scene.style == "pencil" for scene in scenes])
    rows = []
    for style, chosen, bar in (("all styles but pencil", ~pencil, 27), ("pencil", pencil, 20)):
        mean = psnr[chosen].mean()
        what = f"encoded and decoded, PSNR: {style}"
        rows.append(Row(what, f"{mean:.1f} dB", str(chosen.sum()), f"at least {bar} dB", bool(mean >= bar)))
    return rows


def text_rows(bench: Bench) -> list[Row]:
    scenes = even_scenes(bench.few(160))
    cars = car_scenes(bench.few(40))
    pictures = bench.draw([full_caption(scene) for scene in [*scenes, *cars]])
    seen = recognise(bench.classifier, pictures)
    even = {name: values[: len(scenes)] for name, values in seen.items()}
    what = "text to image, recognised: "
    return [
        share(what + "style", hits(scenes, even, "style"), 0.95),
        share(what + "subject", hits(scenes, even, "subject"), 0.95),
        share(what + "time of day (not pencil)", hits(scenes, even, "time"), 0.85),
        share(what + "colour of the car (not pencil)", hits([*scenes, *cars], seen, "color", ("car",)), 0.90),
        share(what + "colour of coat or strap (not pencil)", hits(scenes, even, "color", ("portrait", "watch"))),
        share(what + "crown or none", hits(scenes, even, "crown")),
    ]


def strength_rows(bench: Bench) -> list[Row]:
    scenes = photos(bench.few(24), 23_000)
    inputs = painted(scenes)
    best = np.mean([structure_similarity(a, b) for a, b in zip(inputs, bench.round_trip(inputs), strict=True)])
    prompts = [full_caption(scene) for scene in scenes]
    kept, strip = {}, [(inputs[0], "input")]
    for strength in STRENGTHS:
        made = bench.draw(prompts, inputs, strength=strength)
        kept[strength] = np.mean([structure_similarity(a, b) for a, b in zip(inputs, made, strict=True)])
        strip.append((made[0], f"strength {strength}"))
    bench.edits += [strip[:6], [(None, ""), *strip[6:]]]
    values, count = list(kept.values()), str(len(scenes))
    rises = [str(s) for s, one, two in zip(STRENGTHS[1:], values, values[1:], strict=False) if two >= one]
    listed = ", ".join(f"{value:.2f}" for value in values)
    rows = [
        Row(f"SSIM with the input at strengths 0.1 … 1.0 (encoded and decoded: {best:.2f})", listed, count),
        Row("it falls at every step", "not at " + ", ".join(rises) if rises else "yes", count, "yes", not rises),
    ]
    for strength, word, limit in ((0.3, "least", 0.7), (0.5, "least", 0.5), (0.9, "most", 0.4)):
        ratio = float(kept[strength] / best)
        what = f"SSIM at strength {strength}, as a share of encoding and decoding's"
        passed = ratio >= limit if word == "least" else ratio <= limit
        rows.append(Row(what, f"{ratio:.2f}", count, f"at {word} {limit}", passed))
    others = painted([replace(scene, layout=scene.layout + 1) for scene in scenes])
    apart = np.mean([structure_similarity(a, b) for a, b in zip(inputs, others, strict=True)]) / best
    rows.append(Row("the same share for two painted pictures of one caption", f"{apart:.2f}", count))
    return rows


def car_rows(bench: Bench) -> list[Row]:
    scenes = red_cars(bench.few(40))
    inputs, masks = painted(scenes), [paint(scene).masks["car"] for scene in scenes]
    where = [paint_mask(scene) for scene in scenes]
    prompts = [f"a blue car on a {scene.place}" for scene in scenes]
    strips = [[(image, "input")] for image in inputs[:3]]
    found = {}
    for strength in CAR_STRENGTHS:
        options = {"strength": strength, "guidance_scale": 10, "negative": "red, distorted, blurry"}
        made = bench.draw(prompts, inputs, **options)
        blue = [is_blue(*pair) for pair in zip(made, where, strict=True)]
        kept = np.mean([outside_similarity(*each) for each in zip(inputs, made, masks, strict=True)])
        found[strength] = (blue, float(kept))
        for strip, image, prompt in zip(strips, made, prompts, strict=False):
            strip.append((image, f"“{prompt}”, strength {strength}"))
        bench.say(f"cars at strength {strength}: {np.mean(blue):.0%} blue, SSIM outside {kept:.2f}")
    bench.edits += strips
    faithful = [s for s, (_, kept) in found.items() if kept >= 0.75]
    best = max(faithful, key=lambda s: np.mean(found[s][0])) if faithful else max(found, key=lambda s: found[s][1])
    blue, kept = found[best]
    what = f"red car to blue at strength {best}: "
    return [
        share(what + "the car is blue", blue, 0.85),
        Row(what + "SSIM outside the car", f"{kept:.2f}", str(len(blue)), "at least 0.75", kept >= 0.75),
    ]


def transfer_rows(bench: Bench) -> list[Row]:
    scenes = photos(max(5, bench.few(15)), 24_000)
    inputs = painted(scenes)
    strips = [[(image, "input")] for image in inputs[: len(SUBJECTS)]]
    recognised, kept = [], []
    for style, pattern in TRANSFERS.items():
        prompts = [pattern.format(short_name(scene)) for scene in scenes]
        made = bench.draw(prompts, inputs, strength=0.6)
        seen = recognise(bench.classifier, made)
        recognised += [found == style for found in seen["style"]]
        same = [scene.subject == found for scene, found in zip(scenes, seen["subject"], strict=True)]
        own = nearest_layout(made, inputs) == np.arange(len(made))
        kept += [bool(a and b) for a, b in zip(same, own, strict=True)]
        told = seen["style"].count(style) / len(made)
        bench.say(f"to {style}: {told:.0%} recognised, subject {np.mean(same):.0%}, layout {np.mean(own):.0%}")
        for strip, image, prompt in zip(strips, made, prompts, strict=False):
            strip.append((image, f"“{prompt}”"))
    bench.edits += strips
    what = "style transfer at strength 0.6: "
    return [
        share(what + "new style recognised", recognised, 0.90),
        share(what + "same subject, and layout nearest to its own input's", kept, 0.90),
    ]


def wording_rows(bench: Bench) -> list[Row]:
    prompts = (SHORT_PROMPTS * 4)[: bench.few(40)]
    plain = [sharpness(image) for image in bench.draw(prompts)]
    against = [sharpness(image) for image in bench.draw(prompts, negative="blurry")]
    praised = [sharpness(image) for image in bench.draw([p + ", highly detailed, masterpiece" for p in prompts])]
    return [
        share("sharper with the negative prompt “blurry” than without", np.greater(against, plain), 0.80),
        share("sharper with “highly detailed, masterpiece” than without", np.greater(praised, plain)),
    ]


def cost_rows(bench: Bench) -> list[Row]:
    from benchmarks.course import measure

    parts = ("text_encoder", "unet", "vae")
    size = sum(file.stat().st_size for part in parts for file in (bench.weights / part).glob("*.safetensors")) / 1e6
    seconds = measure("classroom model", bench.img2img, 5)
    threads = torch.get_num_threads()
    edit = f"one edit as in benchmarks/course.py, on this machine with {threads} threads (before: {SECONDS_BEFORE} s)"
    return [
        Row("weights of text encoder, UNet and VAE, fp16", f"{size:.1f} MB", "", "at most 26 MB", size <= 26),
        Row(edit, f"{seconds:.2f} s", "median of 5"),
    ]


def prompt_sheet(bench: Bench, file: Path) -> None:
    prompts = [prompt for prompt in LESSON_PROMPTS for _ in range(2)]
    made = bench.draw(prompts, seeds=[0, 1] * len(LESSON_PROMPTS), negative=[LESSON_PROMPTS[p] for p in prompts])
    cells = [
        (np.hstack(made[2 * i : 2 * i + 2]), f"“{prompt}”" + (f", negative “{negative}”" if negative else ""))
        for i, (prompt, negative) in enumerate(LESSON_PROMPTS.items())
    ]
    save_sheet([cells[i : i + 3] for i in range(0, len(cells), 3)], file)
