"""Measure what inpainting, structure control and upscaling do; :mod:`classroom_model.evaluate` runs it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from PIL import Image

from img2img_helpers import structure_similarity, upscale_tiles

from ..training.control import as_control, edges
from ..training.inpaint import spread, thing_mask
from ..training.upscale import coarse
from ..world.captions import STYLE_PHRASES, TIME_PHRASES
from ..world.painter import paint
from ..world.scenes import SIZE, Scene
from .bench import BATCH, LESSON, Bench, Row, seconds_of, seeds, share, task_pipe
from .judge import recognise
from .measures import clean, painted, photos, sharpness, short_name

NEAR = SIZE // 96  # pixels by which edges may be apart and still count as the same
MOST_GRAIN = 2.0  # of 255: hardly to be seen
FLAT = 6  # of 255: where a painted picture varies by less within 5×5 pixels, grain would be seen
# as in lessons 7, 8 and 6
INPAINT = LESSON | {"guidance_scale": 5.0}
UPSCALE = {"prompt": "high quality, detailed, sharp", "num_inference_steps": 20, "guidance_scale": 1.5}
CONTROL = LESSON | {"strength": 0.9, "controlnet_conditioning_scale": 1.0}
CONTROL_TIMES = ["sunset", "night", "dawn"]
CONTROL_STYLES = ("impressionist", "watercolor", "pencil", "cyberpunk")


@dataclass
class Hole:
    """An inpainting case: what is masked, what is asked for, the scene as it then is, and what a judge should say."""

    kind: str
    scene: Scene
    goal: Scene
    mask: np.ndarray
    prompt: str
    attribute: str  # of the classifier's answers
    right: Callable[[object], bool]


def holes(count: int) -> list[Hole]:
    """``count`` cases of each of five kinds: two things put in, two recoloured, one taken out."""
    made = []
    for i in range(count):
        rng, at = np.random.default_rng([12, i]), 25_000 + 5 * i
        bare = clean(at, subject="portrait", style="photo", crown=False)
        field = clean(at + 1, subject="landscape", style="photo", foreground="open")
        car = clean(at + 2, subject="car", style="photo", color="red")
        coat = clean(at + 3, subject="portrait", style="photo", color="red")
        home = clean(at + 4, subject="landscape", style="photo", foreground="house")
        place = f"a landscape with {home.backdrop} and a {home.water}"
        for kind, scene, name, prompt, attribute, value, right in (
            ("a crown put on", bare, "crown", "a golden crown", "crown", True, lambda seen: seen is True),
            ("a house put in", field, "color", "a house with a red roof", "foreground", "house", lambda seen: seen == "house"),
            ("a car made blue", car, "color", f"a blue car on a {car.place}", "color", "blue", lambda seen: seen == "blue"),
            ("a coat made green", coat, "color", "a green coat", "color", "green", lambda seen: seen == "green"),
            ("a house taken out", home, "color", place, "foreground", "open", lambda seen: seen == "open"),
        ):  # fmt: skip
            goal = replace(scene, **{attribute: value} | ({"color": "red"} if value == "house" else {}))
            mask = spread(thing_mask(scene, name), rng)
            made.append(Hole(kind, scene, goal, mask, prompt, attribute, right))
    return made


def edge_agreement(image: np.ndarray, other: np.ndarray, truth: np.ndarray | None = None) -> float:
    """F1 score of the Canny edges of two RGB pictures, edges :data:`NEAR` pixels apart counting as the same.

    With ``truth`` only those edges of ``image`` are asked for that this picture has, too.
    """
    one, two = edges(image), edges(other)
    if truth is not None:
        one &= _widened(edges(truth))
    precision = two[_widened(one)].sum() / max(1, two.sum())
    recall = one[_widened(two)].sum() / max(1, one.sum())
    return float(2 * precision * recall / max(1e-9, precision + recall))


def _widened(mask: np.ndarray) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * NEAR + 1,) * 2, np.uint8)) > 0


def border_step(image: np.ndarray, mask: np.ndarray) -> float:
    """How much ``image`` changes from one pixel to the next across the border of ``mask``, of 255."""
    steps = []
    for axis in (0, 1):
        crossed = np.diff(mask.astype(np.int8), axis=axis) != 0
        steps.append(np.abs(np.diff(image.astype(int), axis=axis)).mean(-1)[crossed])
    steps = np.concatenate(steps)
    return float(steps.mean()) if len(steps) else 0.0


def mean_border(pictures: Sequence[np.ndarray], cases: Sequence[Hole]) -> float:
    return float(np.mean([border_step(one, case.mask) for one, case in zip(pictures, cases, strict=True)]))


def grain(image: np.ndarray, truth: np.ndarray) -> float:
    """Standard deviation of ``image`` within 5×5 pixels, of 255, where ``truth`` is flat; 0 if it is nowhere."""
    grey, wanted = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY).astype(np.float32) for one in (image, truth))
    square = np.ones((5, 5), np.uint8)
    flat = cv2.dilate(wanted, square) - cv2.erode(wanted, square) < FLAT
    variance = cv2.blur(grey**2, (5, 5)) - cv2.blur(grey, (5, 5)) ** 2
    return float(np.sqrt(np.maximum(variance[flat], 0)).mean()) if flat.any() else 0.0


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio, dB."""
    return float(10 * np.log10(255**2 / np.mean((image.astype(np.float64) - truth) ** 2)))


def seam_ratio(image: np.ndarray, truth: np.ndarray, bands: Sequence[tuple[int, int]]) -> float:
    """How much larger the error is where tiles overlap, in ``bands`` of rows and of columns, than elsewhere."""
    error = np.abs(image.astype(np.float64) - truth).mean(2)
    along = np.zeros(len(error), bool)
    for start, stop in bands:
        along[start:stop] = True
    inside = along[:, None] | along
    return float(error[inside].mean() / error[~inside].mean())


def inpaint_rows(bench: Bench) -> list[Row]:
    pipe, cases = task_pipe(bench, "inpaint"), holes(bench.few(20))
    inputs = painted([case.scene for case in cases])
    final, soft, changed = [], [], 0
    for i in range(0, len(cases), BATCH):
        part, images = cases[i : i + BATCH], [Image.fromarray(image) for image in inputs[i : i + BATCH]]
        masks = [Image.fromarray(case.mask) for case in part]
        size = {"height": SIZE, "width": SIZE}
        prompts = [case.prompt for case in part]
        made = pipe(prompts, image=images, mask_image=masks, generator=seeds(len(part)), **size, **INPAINT).images
        for case, image, mask, one in zip(part, images, masks, made, strict=True):
            final.append(np.asarray(pipe.image_processor.apply_overlay(mask, image, one)))
            changed += int((final[-1] != np.asarray(image)).any(-1)[~case.mask].sum())
            faded = pipe.mask_processor.blur(mask.convert("L"), blur_factor=SIZE // 48)
            soft.append(np.asarray(pipe.image_processor.apply_overlay(faded, image, one)))
    seen = recognise(bench.classifier, np.stack(final))
    right = [case.right(seen[case.attribute][i]) for i, case in enumerate(cases)]
    for kind in dict.fromkeys(case.kind for case in cases):
        told = [ok for case, ok in zip(cases, right, strict=True) if case.kind == kind]
        bench.say(f"{kind}: {np.mean(told):.0%} of {len(told)}")
        at = [i for i, case in enumerate(cases) if case.kind == kind][:3]
        bench.tasks.append(
            [(inputs[at[0]], "input"), (np.where(cases[at[0]].mask[..., None], 128, inputs[at[0]]), "mask")]
            + [(final[at[0]], f"“{cases[at[0]].prompt}”")]
            + [(picture, word) for i in at[1:] for picture, word in ((inputs[i], "input"), (final[i], cases[i].prompt))]
        )
    image, mask = Image.fromarray(inputs[0]), Image.fromarray(cases[0].mask)
    seconds = seconds_of(lambda: pipe(cases[0].prompt, image=image, mask_image=mask, **size, **INPAINT))
    # no model can do better than the painter, nor than its own autoencoder
    goals = painted([case.goal for case in cases])
    ideal, trip = (
        [np.where(case.mask[..., None], np.asarray(goal), image) for case, goal, image in zip(cases, some, inputs, strict=True)]
        for some in (goals, bench.round_trip(goals))
    )  # fmt: skip
    seam, blurred, best, floor = (
        mean_border(some, cases) / mean_border(inputs, cases) for some in (final, soft, ideal, trip)
    )  # fmt: skip
    what = (
        f"inpainting: step across the mask's border, against the untouched picture's "
        f"(with what the painter paints there {best:.2f}, encoded and decoded {floor:.2f})"
    )
    return [
        share("inpainting: what the prompt names is recognised", right, 0.95),
        Row(what, f"{seam:.2f} times", str(len(cases)), "at most 1.3 times", seam <= 1.3),
        Row(
            "inpainting: the same with the mask blurred for the overlay, as in lesson 7",
            f"{blurred:.2f} times",
            str(len(cases)),
        ),
        Row(
            "inpainting: pixels outside the mask that differ after overlay",
            str(changed),
            str(len(cases)),
            "0",
            changed == 0,
        ),
        Row("inpainting: one call, 30 steps", f"{seconds:.1f} s", "", "at most 3 s", seconds <= 3),
    ]


def control_rows(bench: Bench) -> list[Row]:
    """Two kinds of prompt: another style, whose own lines and strokes are edges too, and a photo in another light."""
    pipe, scenes = task_pipe(bench, "controlnet"), photos(bench.few(40), 26_000)
    inputs = painted(scenes)
    images = [Image.fromarray(image) for image in inputs]
    shown = [Image.fromarray(as_control(edges(image))) for image in inputs]
    styles = [CONTROL_STYLES[i % 4] for i in range(len(scenes))]
    times = [next(t for t in CONTROL_TIMES[i % 3 :] + CONTROL_TIMES if t != s.time) for i, s in enumerate(scenes)]
    names, count, rows = [short_name(scene) for scene in scenes], str(len(scenes)), []
    # the painter's own pictures of the same scenes in that style and light, which lack some edges of the photo
    own = {
        name: [replace(s, **{name: v}) for s, v in zip(scenes, values, strict=True)]
        for name, values in (("style", styles), ("time", times))
    }
    for kind, wanted, attribute, prompts in (
        ("another style", styles, "style", [STYLE_PHRASES[s][0].format(n) for s, n in zip(styles, names, strict=True)]),
        (
            "another light",
            times,
            "time",
            [f"a photo of {n}, {TIME_PHRASES[t][0]}" for t, n in zip(times, names, strict=True)],
        ),
    ):
        truth = painted(own[attribute])
        plain, made = bench.draw(prompts, inputs, strength=0.9), []
        for i in range(0, len(scenes), BATCH):
            here = slice(i, i + BATCH)
            generator = [torch.Generator().manual_seed(i + k) for k in range(len(prompts[here]))]
            call = CONTROL | {"generator": generator, "image": images[here], "control_image": shown[here]}
            made += [np.asarray(out) for out in pipe(prompts[here], **call).images]
        without, controlled, best = (
            np.mean([edge_agreement(*each) for each in zip(inputs, outs, truth, strict=True)])
            for outs in (plain, made, truth)
        )
        seen = recognise(bench.classifier, np.stack(made))[attribute]
        ratio, title = float(controlled / without), f"structure control, {kind}, strength 0.9"
        rows += [
            Row(
                f"{title}: edges kept (F1) without it, with it (painted so {best:.2f})",
                f"{without:.2f}, {controlled:.2f}",
                count,
            ),
            Row(f"{title}: with it against without", f"{ratio:.2f} times", count, "at least 1.5 times", ratio >= 1.5),
            share(f"{title}: recognised", [a == b for a, b in zip(seen, wanted, strict=True)]),
        ]
        bench.tasks += [
            [
                (inputs[i], "input"),
                (np.asarray(shown[i]), "edges"),
                (plain[i], "without control"),
                (made[i], prompts[i]),
            ]
            for i in range(4)
        ]
    seconds = seconds_of(lambda: pipe(prompts[0], image=images[0], control_image=shown[0], **CONTROL))
    took = Row(
        "structure control: one call, strength 0.9, 30 steps", f"{seconds:.1f} s", "", "at most 3 s", seconds <= 3
    )
    return [*rows, took]


def upscale_rows(bench: Bench) -> list[Row]:
    pipe, scenes = task_pipe(bench, "upscale"), photos(bench.few(40), 27_000)
    truth = painted(scenes)
    small = [Image.fromarray(image) for image in coarse(truth)]
    made = []
    for i in range(0, len(small), BATCH):
        part = small[i : i + BATCH]
        call = UPSCALE | {"prompt": [UPSCALE["prompt"]] * len(part), "generator": seeds(len(part))}
        made += [np.asarray(image) for image in pipe(image=part, **call).images]
    soft = [np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for image in small]
    gains, rows = {}, []
    for name, measure in (("PSNR", psnr), ("SSIM", structure_similarity)):
        bicubic, ours = (np.mean([measure(a, b) for a, b in zip(kind, truth, strict=True)]) for kind in (soft, made))
        gains[name] = ours - bicubic
        rows.append(
            Row(f"upscaling {SIZE // 4} → {SIZE}, {name}: bicubic, ours", f"{bicubic:.2f}, {ours:.2f}", str(len(small)))
        )
    gained = f"{gains['PSNR']:+.2f} dB, {gains['SSIM']:+.3f}"
    rows.append(Row("gained over bicubic", gained, str(len(small)), "at least 1 dB", bool(gains["PSNR"] >= 1)))
    rows.append(share("sharper than bicubic", [sharpness(a) > sharpness(b) for a, b in zip(made, soft, strict=True)]))
    rough, own = (np.mean([grain(a, b) for a, b in zip(kind, truth, strict=True)]) for kind in (made, truth))
    what = f"grain where the painted picture is flat (its own: {own:.1f} of 255)"
    rows.append(Row(what, f"{rough:.1f} of 255", str(len(small)), f"at most {MOST_GRAIN:g}", bool(rough <= MOST_GRAIN)))
    large = paint(scenes[1], 4 * SIZE).image
    whole = np.asarray(upscale_tiles(pipe, image=Image.fromarray(truth[1]), **UPSCALE))
    tile = pipe.unet.config.sample_size
    starts = range(0, SIZE - tile + 1, tile - tile // 4)
    seam = seam_ratio(whole, large, [(4 * b, 4 * (a + tile)) for a, b in itertools.pairwise(starts)])
    bicubic = np.asarray(Image.fromarray(truth[1]).resize((4 * SIZE,) * 2, Image.Resampling.BICUBIC))
    rows.append(
        Row(
            f"{SIZE} → {4 * SIZE} by tiles: error where they overlap against elsewhere",
            f"{seam:.2f} times",
            "1",
            "at most 1.1 times",
            seam <= 1.1,
        )
    )
    rows.append(
        Row(
            f"{SIZE} → {4 * SIZE} by tiles, PSNR: bicubic, ours",
            f"{psnr(bicubic, large):.1f}, {psnr(whole, large):.1f} dB",
            "1",
        )
    )
    seconds = seconds_of(lambda: pipe(image=small[0], **UPSCALE))
    rows.append(Row("upscaling: one call, 20 steps", f"{seconds:.1f} s", "", "at most 3 s", seconds <= 3))
    bench.tasks += [
        [
            (np.asarray(small[i].resize((SIZE, SIZE), Image.Resampling.NEAREST)), f"{SIZE // 4}×{SIZE // 4}"),
            (soft[i], "bicubic"),
            (made[i], "upscaled"),
            (truth[i], "painted"),
        ]
        for i in range(4)
    ]
    return rows
