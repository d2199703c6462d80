"""Measure the classroom model on scenes that it was not trained on, and show what it draws.

    python -m classroom_model.evaluate           about 8 minutes on two cores, and 3 more the first time
    python -m classroom_model.evaluate --quick   a tenth of the pictures; leaves README.md alone

Writes the table in ``classroom_model/README.md`` and two sheets in ``classroom_model/pictures/``; with
``--quick`` all three go to ``classroom_model/build/quick/``. Everything is drawn by the pipelines that
``load_pipeline`` gives a learner, with the lessons' settings; ``classifier.py`` is the judge.
"""

from __future__ import annotations

import argparse
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from skimage.metrics import structural_similarity

from img2img_helpers import load_pipeline, structure_similarity

from .classifier import held_out_accuracy, load_classifier, recognise, shows
from .data import scene_at
from .loop import BUILD, FOLDER, WEIGHTS
from .painter import paint
from .scenes import (
    COLORS,
    FINE_PHRASES,
    PALETTE_PHRASES,
    PLACES,
    STYLE_PHRASES,
    STYLES,
    SUBJECTS,
    TIME_PHRASES,
    TIMES,
    Scene,
)
from .vae import round_trip_psnr, to_tensor

LESSON = {"num_inference_steps": 30, "guidance_scale": 7.5}
BATCH = 8
PAINTED = ("photo", "impressionist", "van gogh", "watercolor")  # the styles in which paint keeps its colour
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
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def clean(index: int, **changes) -> Scene:
    """Held-out scene ``index`` without flaw, palette or finish, and with ``changes``."""
    return replace(scene_at(index, "held-out"), flaw="", palette="", fine=False, **changes)


def photos(count: int, first: int) -> list[Scene]:
    """Clean photos, one subject after another."""
    return [clean(first + i, style="photo", subject=SUBJECTS[i % len(SUBJECTS)]) for i in range(count)]


def even_scenes(count: int) -> list[Scene]:
    """One subject after another, each in all styles and times of day before a pair comes again."""
    kinds = [(style, light) for style in STYLES for light in TIMES]
    rng = np.random.default_rng(0)
    rounds = -(-count // (len(SUBJECTS) * len(kinds)))
    orders = {name: np.concatenate([rng.permutation(len(kinds)) for _ in range(rounds)]) for name in SUBJECTS}
    made = []
    for i in range(count):
        subject = SUBJECTS[i % len(SUBJECTS)]
        style, light = kinds[orders[subject][i // len(SUBJECTS)]]
        made.append(clean(20_000 + i, subject=subject, style=style, time=light))
    return made


def car_scenes(count: int) -> list[Scene]:
    """Cars in the styles that keep their paint, of every colour equally often."""
    return [
        clean(21_000 + i, subject="car", style=PAINTED[(i + i // 8) % 4], color=COLORS[i % 8]) for i in range(count)
    ]


def red_cars(count: int) -> list[Scene]:
    """Photos of red cars in all three places, half of them by day."""
    return [
        clean(22_000 + i, subject="car", style="photo", color="red", place=PLACES[i % 3], time=light)
        for i, light in ((i, TIMES[1 + i // 6 % 3] if i % 2 else "day") for i in range(count))
    ]


def full_caption(scene: Scene) -> str:
    """A caption that names every attribute of ``scene``, each in the first of its training phrases."""
    if scene.subject == "car":
        what = f"a {scene.color} car on a {scene.place}"
    elif scene.subject == "portrait":
        crown = "a golden crown and " if scene.crown else ""
        what = f"a portrait of a {scene.person} wearing {crown}a {scene.color} coat"
    elif scene.subject == "watch":
        what = f"a watch with a {scene.color} strap"
    elif scene.subject == "crystals":
        what = "ethereal fantasy landscape with glowing crystals"
    else:
        front = {"trees": "trees", "pines": "pine trees", "house": f"a house with a {scene.color} roof"}
        parts = [scene.backdrop, f"a {scene.water}", *([front[scene.foreground]] if scene.foreground in front else [])]
        what = "a landscape with " + (", ".join(parts) if len(parts) > 2 else " and ".join(parts))
    what = STYLE_PHRASES[scene.style][0].format(what)
    if scene.palette:
        what += " with " + PALETTE_PHRASES[scene.palette][0]
    return ", ".join([what, TIME_PHRASES[scene.time][0], *(FINE_PHRASES[:1] if scene.fine else ())])


def short_name(scene: Scene) -> str:
    """The subject alone, as a style-transfer prompt names it."""
    names = {"crystals": "glowing crystals", "portrait": f"a portrait of a {scene.person}"}
    return names.get(scene.subject, f"a {scene.subject}")


def paint_mask(scene: Scene) -> np.ndarray:
    """Where the car shows its paint, not glass, lamps or tyres: what another colour would change."""
    other = "blue" if scene.color != "blue" else "red"
    one, two = paint(scene), paint(replace(scene, color=other))
    return one.masks["car"] & (np.abs(one.image.astype(int) - two.image).max(2) > 40)


def is_blue(image: np.ndarray, where: np.ndarray) -> bool:
    """Whether most of the coloured pixels of ``where`` are blue, and a third or more are coloured."""
    hue, saturation, value = np.moveaxis(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)[where], -1, 0)
    colored = (saturation > 0.4) & (value > 0.2)  # a white car at night has 0.33
    blue = colored & (hue >= 195) & (hue <= 250)  # purple at night is 260
    return bool(3 * colored.sum() >= len(hue) > 0 and 2 * blue.sum() > colored.sum())


def outside_similarity(image: np.ndarray, other: np.ndarray, mask: np.ndarray) -> float:
    """``structure_similarity`` of what lies 3 pixels or more outside ``mask``."""
    inside = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    one, two = (np.asarray(Image.fromarray(picture).convert("L")) for picture in (image, other))
    two = np.where(inside, one, two)  # else SSIM's window would look inside from 5 pixels away
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return float(structural_similarity(one, two, full=True, **options)[1][~inside].mean())


def layout(image: np.ndarray) -> np.ndarray:
    """Where a picture has edges, blurred over about 3 pixels: mean 0, length 1."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5)
    edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    edges = cv2.GaussianBlur(edges, (0, 0), 3).ravel()
    edges -= edges.mean()
    return edges / (np.linalg.norm(edges) + 1e-6)


def nearest_layout(edits: Sequence[np.ndarray], inputs: Sequence[np.ndarray]) -> np.ndarray:
    """For each edit the index of the input whose layout correlates best with its own."""
    return (np.stack([layout(e) for e in edits]) @ np.stack([layout(i) for i in inputs]).T).argmax(1)


def sharpness(image: np.ndarray) -> float:
    """Variance of the Laplacian of the grey picture."""
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


@dataclass
class Row:
    """One line of the table; ``passed`` is None where there is no bar."""

    what: str
    measured: str
    count: str = ""
    bar: str = ""
    passed: bool | None = None


def share(what: str, hits: Sequence[bool], bar: float | None = None) -> Row:
    """The share of ``hits``, which should be at least ``bar``."""
    part = float(np.mean(hits)) if len(hits) else 0.0
    row = Row(what, f"{100 * part:.1f} %", str(len(hits)))
    return row if bar is None else replace(row, bar=f"at least {100 * bar:.0f} %", passed=part >= bar)


def table(rows: Sequence[Row]) -> str:
    """``rows`` as Markdown."""
    verdict = {True: "passed", False: "**short**", None: ""}
    lines = ["| what | bar | measured | pictures | |", "|---|---|---|---|---|"]
    return "\n".join(lines + [f"| {r.what} | {r.bar} | {r.measured} | {r.count} | {verdict[r.passed]} |" for r in rows])


def write_table(readme: Path, text: str) -> None:
    """Put ``text`` between the markers of ``readme``, which is made if there is none."""
    old = readme.read_text() if readme.exists() else f"# The classroom model\n\n{BEGIN}\n{END}\n"
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{readme} must hold the lines {BEGIN} and {END}; the table goes between them.")
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


@dataclass
class Bench:
    """The pipelines, the judge, and the rows of the sheet of edits so far."""

    weights: Path = WEIGHTS
    quick: bool = False
    edits: list[list[tuple[np.ndarray | None, str]]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        model = "classroom" if self.weights.resolve() == WEIGHTS.resolve() else str(self.weights)
        self.text2img, self.img2img = (
            load_pipeline(task, model, device="cpu", dtype="float32") for task in ("text2img", "img2img")
        )
        for pipe in (self.text2img, self.img2img):
            pipe.set_progress_bar_config(disable=True)
        self.classifier = load_classifier()

    def few(self, count: int) -> int:
        return -(-count // 10) if self.quick else count

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.started:5.0f} s  {text}", flush=True)

    def draw(self, prompts: Sequence[str], images=None, *, seeds=None, negative="", **options) -> np.ndarray:
        """One picture for each prompt, (n, 128, 128, 3) uint8; picture i has the seed i unless ``seeds`` says."""
        seeds = range(len(prompts)) if seeds is None else seeds
        negatives = [negative] * len(prompts) if isinstance(negative, str) else negative
        made = []
        for i in range(0, len(prompts), BATCH):
            part = slice(i, i + BATCH)
            call = LESSON | options | {"prompt": list(prompts[part]), "negative_prompt": list(negatives[part])}
            call["generator"] = [torch.Generator().manual_seed(seed) for seed in seeds[part]]
            if images is None:
                made += self.text2img(**call).images
            else:
                made += self.img2img(image=[Image.fromarray(image) for image in images[part]], **call).images
        return np.stack([np.asarray(image) for image in made])

    def round_trip(self, images: np.ndarray) -> list[Image.Image]:
        """``images`` encoded and decoded: the most that an edit could keep of them."""
        vae = self.img2img.vae
        with torch.no_grad():
            back = vae.decode(vae.encode(to_tensor(images)).latent_dist.mode()).sample
        return self.img2img.image_processor.postprocess(back)


def painted(scenes: Sequence[Scene]) -> np.ndarray:
    return np.stack([paint(scene).image for scene in scenes])


def hits(scenes: Sequence[Scene], seen: dict[str, list], name: str, subjects: Sequence[str] = SUBJECTS) -> list[bool]:
    """Whether ``name`` was recognised, for the scenes of ``subjects`` that show it; prints what it was mistaken for."""
    pairs = [
        (getattr(s, name), value)
        for s, value in zip(scenes, seen[name], strict=True)
        if s.subject in subjects and shows(s, name)
    ]
    mistaken = Counter(f"{wanted} → {value}" for wanted, value in pairs if wanted != value).most_common(4)
    if mistaken:
        print(f"         {name} mistaken: " + ", ".join(f"{what} ({n})" for what, n in mistaken))
    return [wanted == value for wanted, value in pairs]


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
    from tests.benchmark import measure

    parts = ("text_encoder", "unet", "vae")
    size = sum(file.stat().st_size for part in parts for file in (bench.weights / part).glob("*.safetensors")) / 1e6
    seconds = measure("classroom model", bench.img2img, 5)
    threads = torch.get_num_threads()
    edit = f"one edit as in tests/benchmark.py, on this machine with {threads} threads (before: {SECONDS_BEFORE} s)"
    return [
        Row("weights of text encoder, UNet and VAE, fp16", f"{size:.1f} MB", "", "at most 26 MB", size <= 26),
        Row(edit, f"{seconds:.2f} s", "median of 5"),
    ]


def save_sheet(rows: Sequence[Sequence[tuple[np.ndarray | None, str]]], file: Path, *, scale: float = 1.5) -> None:
    """Pictures in rows on white, each with its words below."""
    gap, words_high, dpi = 8, 36, 100
    height, width = (round(side * scale) for side in rows[0][0][0].shape[:2])
    across, down = gap + max(map(len, rows)) * (width + gap), gap + len(rows) * (height + words_high)
    figure = Figure(figsize=(across / dpi, down / dpi), dpi=dpi, facecolor="white")
    for i, row in enumerate(rows):
        for j, (image, text) in enumerate(row):
            if image is None:
                continue
            x, y = gap + j * (width + gap), down - gap - i * (height + words_high) - height
            figure.figimage(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS), x, y)
            text = "\n".join(textwrap.wrap(text, width // 6))
            figure.text(x / across, (y - 4) / down, text, va="top", fontsize=7, linespacing=1.1)
    figure.savefig(file, dpi=dpi, pil_kwargs={"quality": 88})


def prompt_sheet(bench: Bench, file: Path) -> None:
    prompts = [prompt for prompt in LESSON_PROMPTS for _ in range(2)]
    made = bench.draw(prompts, seeds=[0, 1] * len(LESSON_PROMPTS), negative=[LESSON_PROMPTS[p] for p in prompts])
    cells = [
        (np.hstack(made[2 * i : 2 * i + 2]), f"“{prompt}”" + (f", negative “{negative}”" if negative else ""))
        for i, (prompt, negative) in enumerate(LESSON_PROMPTS.items())
    ]
    save_sheet([cells[i : i + 3] for i in range(0, len(cells), 3)], file)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m classroom_model.evaluate", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the pictures; leaves README.md alone")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="an SD-format folder; default: the package's")
    args = parser.parse_args()
    home = BUILD / "quick" if args.quick else FOLDER
    (home / "pictures").mkdir(parents=True, exist_ok=True)
    bench, rows = Bench(args.weights, args.quick), []
    for section in (vae_rows, judge_rows, text_rows, strength_rows, car_rows, transfer_rows, wording_rows, cost_rows):
        new = section(bench)
        for row in new:
            bench.say(f"{row.what}: {row.measured}" + (f" ({row.bar})" if row.bar else ""))
        rows += new
    prompt_sheet(bench, home / "pictures" / "prompts.jpg")
    save_sheet(bench.edits, home / "pictures" / "edits.jpg")
    write_table(home / "README.md", table(rows))
    bench.say(f"wrote {home / 'README.md'} and {home / 'pictures'}")


if __name__ == "__main__":
    main()
