"""Measure what the UNet for instructions does to pictures that it is told to edit, and what it leaves alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from img2img_helpers import structure_similarity

from ..training.inpaint import thing_mask
from ..world.captions import instruction
from ..world.scenes import COLORS, STYLES, TIMES, Scene
from .bench import BATCH, Bench, Row, seconds_of, seeds, share, task_pipe
from .judge import recognise
from .measures import clean, outside_similarity, painted, sharpness

CALL = {"num_inference_steps": 30, "guidance_scale": 5, "image_guidance_scale": 1.5}  # as in lesson 11
COLORED = ("car", "portrait", "watch")


@dataclass
class Told:
    """A picture, what to do to it, and the picture as it should be."""

    kind: str
    before: Scene
    after: Scene
    attribute: str
    text: str
    inside: np.ndarray | None  # what may change: (192, 192) bool, or None if that is everything


def cases(count: int) -> list[Told]:
    """``count`` of each kind, all on photos: a colour, a style, a time of day, a crown put on, one taken off, sharpness."""
    made = []
    for i in range(count):
        rng, at = np.random.default_rng([14, i]), 28_000 + 6 * i
        thing = clean(at, style="photo", subject=COLORED[i % 3])
        whole, light = clean(at + 1, style="photo"), clean(at + 2, style="photo")
        bare = clean(at + 3, style="photo", subject="portrait", crown=False)
        soft = replace(clean(at + 4, style="photo"), flaws=("blurry",))
        for kind, before, name, value in (
            ("another colour", thing, "color", rng.choice([c for c in COLORS if c != thing.color])),
            ("another style", whole, "style", rng.choice([s for s in STYLES if s != "photo"])),
            ("another time of day", light, "time", rng.choice([t for t in TIMES if t != light.time])),
            ("a crown put on", bare, "crown", True),
            ("a crown taken off", replace(bare, crown=True, layout=bare.layout + 1), "crown", False),
            ("made sharp", soft, "flaws", ()),
        ):
            after = replace(before, **{name: value if isinstance(value, (bool, tuple)) else str(value)})
            inside = thing_mask(after, name) if name in ("color", "crown") else None
            made.append(Told(kind, before, after, name, instruction(before, after, name, rng), inside))
    return made


def instruct_rows(bench: Bench) -> list[Row]:
    pipe, told = task_pipe(bench, "instruct"), cases(bench.few(20))
    inputs, goals, made = painted([case.before for case in told]), painted([case.after for case in told]), []
    for i in range(0, len(told), BATCH):
        part = told[i : i + BATCH]
        images = [Image.fromarray(image) for image in inputs[i : i + BATCH]]
        out = pipe([case.text for case in part], image=images, generator=seeds(len(part)), **CALL).images
        made += [np.asarray(image) for image in out]
    seen, all_right = recognise(bench.classifier, np.stack(made)), []
    for kind in dict.fromkeys(case.kind for case in told):
        at = [i for i, case in enumerate(told) if case.kind == kind]
        if told[at[0]].attribute == "flaws":
            # nearer to the painted picture than to the blurred one, by ratio: to copy that one makes it a little sharper, too
            right = [sharpness(made[i]) ** 2 > sharpness(inputs[i]) * sharpness(goals[i]) for i in at]
        else:
            right = [seen[told[i].attribute][i] == getattr(told[i].after, told[i].attribute) for i in at]
        all_right += right
        bench.say(f"told: {kind}: {np.mean(right):.0%} of {len(right)}")
        bench.tasks.append([each for i in at[:3] for each in ((inputs[i], "input"), (made[i], f"“{told[i].text}”"))])
    # no model can keep more than its own autoencoder, and a new colour may light its surroundings
    kept, trip, best = (
        [
            outside_similarity(image, out, case.inside)
            for image, out, case in zip(inputs, some, told, strict=True)
            if case.inside is not None
        ]
        for some in (made, [np.asarray(one) for one in bench.round_trip(inputs)], goals)
    )
    # what changes everywhere: a woodcut for a sharp picture, or a night without trees, is recognised, too
    wholes = [i for i, case in enumerate(told) if case.inside is None]
    painted_so = bench.round_trip(goals[wholes])
    reached, most = (
        np.mean([structure_similarity(goals[i], one) for i, one in zip(wholes, some, strict=True)])
        for some in ([made[i] for i in wholes], painted_so)
    )
    one = Image.fromarray(inputs[0])
    seconds = seconds_of(lambda: pipe(told[0].text, image=one, **CALL))
    mean = float(np.mean(kept))
    what = (
        f"instructions: structure kept outside the thing that changes, SSIM (encoded and decoded {np.mean(trip):.2f}, "
        f"painted so {np.mean(best):.2f})"
    )
    return [
        share("instructions: the change is recognised", all_right, 0.95),
        Row(what, f"{mean:.2f}", str(len(kept)), "at least 0.9", mean >= 0.9),
        Row(
            "instructions: another style, another light, made sharp: SSIM with the picture painted so "
            f"(encoded and decoded {most:.2f})",
            f"{reached:.2f}",
            str(len(wholes)),
        ),
        Row("instructions: one call, 30 steps", f"{seconds:.1f} s"),
    ]
