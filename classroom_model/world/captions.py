"""Captions that name what a scene shows, whole or one changed attribute of it."""

from __future__ import annotations

import numpy as np

from .scenes import Scene

STYLE_PHRASES = {
    "photo": ("a photo of {}", "photo of {}", "{}, photo", "a photograph of {}", "{}"),
    "impressionist": (
        "a oil painting of {} in impressionist style",
        "oil painting of {}",
        "impressionist painting of {}",
        "{}, oil painting style",
        "{}, impressionist style",
    ),
    "van gogh": (
        "oil painting of {} in the style of van gogh",
        "{}, oil painting in the style of van gogh",
        "van gogh painting of {}",
        "{} in the style of van gogh",
    ),
    "watercolor": (
        "watercolor painting of {} with soft edges",
        "a watercolor painting of {}",
        "{}, watercolor painting with soft edges",
        "{}, watercolor",
    ),
    "pencil": (
        "pencil sketch of {} with cross-hatching",
        "a pencil sketch of {}",
        "{}, pencil sketch with cross-hatching",
        "{}, pencil drawing",
    ),
    "cyberpunk": (
        "digital art of {} in cyberpunk style",
        "{}, digital art in cyberpunk style",
        "{} in cyberpunk style",
        "cyberpunk digital art of {}",
    ),
}
# The same styles with no subject named: what a learner types in a style-transfer prompt.
_STYLE_ALONE = {
    "photo": ("a photo", "photograph"),
    "impressionist": ("oil painting style", "impressionist painting", "oil painting"),
    "van gogh": ("oil painting in the style of van gogh", "in the style of van gogh"),
    "watercolor": ("watercolor painting with soft edges", "watercolor painting"),
    "pencil": ("pencil sketch with cross-hatching", "pencil sketch"),
    "cyberpunk": ("digital art in cyberpunk style", "cyberpunk style"),
}
TIME_PHRASES = {
    "day": ("daylight", "in daylight", "on a sunny day"),
    "sunset": ("at sunset", "sunset lighting", "dramatic sunset lighting", "dramatic sunset"),
    "night": ("at night", "night", "moonlight"),
    "dawn": ("at dawn", "dawn light"),
}
PALETTE_PHRASES = {
    "blue and orange": (
        "vibrant blues and warm oranges",
        "with vibrant blues and warm oranges",
        "with vibrant blues and warm oranges, maintaining original color palette",
    ),
}
_FLAW_PHRASES = {
    "blurry": ("blurry",),
    "distorted": ("distorted", "warped", "distorted perspective, warped", "distorted perspective"),
    "cluttered": ("cluttered",),
    "desaturated": ("desaturated",),
    "monochrome": ("monochrome", "desaturated, monochrome"),
    "color shift": ("color shift",),
    "low quality": ("low quality",),
}
FINE_PHRASES = (
    "highly detailed, masterpiece",
    "highly detailed",
    "high quality, detailed, sharp",
    "sharp, professional",
    "high quality",
    "masterpiece",
)


def _landscape_phrase(scene: Scene, rng: np.random.Generator) -> str:
    if rng.random() < 0.12:
        return "a landscape"
    shown = {
        "mountains": ("mountains", "a mountain", "mountain in the background"),
        "snowy mountains": ("snowy mountains", "snowy mountains in the background"),
        "hills": ("green hills", "hills", "hills in the background"),
        "dunes": ("sand dunes", "dunes", "dunes in the background"),
        "lake": ("a lake", "lake in the middle ground"),
        "river": ("a river", "river in the middle ground"),
        "meadow": ("a meadow", "meadow in the middle ground"),
        "trees": ("trees", "trees in the foreground"),
        "pines": ("pine trees", "pine trees in the foreground"),
        "house": (f"a house with a {scene.color} roof", "a house"),
    }
    parts = [key for key in (scene.backdrop, scene.water, scene.foreground) if key in shown]
    parts = [part for part in parts if rng.random() < 0.8] or parts[:1]
    named = [str(rng.choice(shown[part])) for part in parts]
    if rng.random() < 0.4:
        return "a landscape with " + (" and ".join(named[:2]) if len(named) < 3 else ", ".join(named))
    return ", ".join(named)


def _car_phrase(scene: Scene, rng: np.random.Generator) -> str:
    car = f"a {scene.color} car" if rng.random() < 0.9 else "a car"
    return car + (f" on a {scene.place}" if rng.random() < 0.7 else "")


def _portrait_phrase(scene: Scene, rng: np.random.Generator) -> str:
    who = f"a {scene.person}" if rng.random() < 0.8 else "a person"
    if rng.random() < 0.6:
        who = ("a portrait of " if rng.random() < 0.7 else "portrait of ") + who
    worn = [f"a {scene.color} coat"] if rng.random() < 0.6 else []
    if scene.crown:
        if rng.random() < 0.1:
            return "a golden crown"
        if rng.random() < 0.9:
            worn.insert(0, "a golden crown")
    joint = " wearing " if rng.random() < 0.6 else " with "
    return who + (joint + " and ".join(worn) if worn else "")


def _watch_phrase(scene: Scene, rng: np.random.Generator) -> str:
    if scene.style == "photo" and rng.random() < 0.5:
        return str(rng.choice(("professional product photography of a watch", "product photography of a watch")))
    return "a watch" + (f" with a {scene.color} strap" if rng.random() < 0.7 else "")


def _crystals_phrase(scene: Scene, rng: np.random.Generator) -> str:
    place = str(rng.choice(("ethereal fantasy landscape", "a fantasy landscape", "a magical landscape", "")))
    stones = "crystals" if rng.random() < 0.2 else "glowing crystals"
    return f"{place} with {stones}" if place else stones


_SUBJECT_PHRASES = {
    "landscape": _landscape_phrase,
    "car": _car_phrase,
    "portrait": _portrait_phrase,
    "watch": _watch_phrase,
    "crystals": _crystals_phrase,
}


def _flaw_words(scene: Scene, rng: np.random.Generator) -> str:
    return ", ".join(str(rng.choice(_FLAW_PHRASES[flaw])) for flaw in scene.flaws)


def _naming(scene: Scene, name: str, rng: np.random.Generator) -> str:
    """Words for the attribute ``name`` of ``scene`` and for nothing else."""
    if name == "color":
        things = {"car": "a {} car", "portrait": "a {} coat", "watch": "a watch with a {} strap"}
        return things.get(scene.subject, "a house with a {} roof").format(scene.color)
    if name == "flaws":
        return _flaw_words(scene, rng)
    phrases = {
        "style": _STYLE_ALONE[scene.style],
        "time": TIME_PHRASES[scene.time],
        "crown": ("a golden crown",),
        "fine": FINE_PHRASES,
    }
    return str(rng.choice(phrases[name]))


def _names(text: str, scene: Scene, name: str) -> bool:
    """Whether ``text`` names the attribute ``name`` of ``scene``, which it describes."""
    if name == "style":
        return scene.style in text or (scene.style == "impressionist" and "oil painting" in text)
    if name == "flaws":
        return bool(scene.flaws)  # every caption names them
    if name == "color":
        return scene.color in text.replace(",", "").split()  # "red" is in "cluttered" too
    words = {"time": TIME_PHRASES[scene.time], "crown": ("crown",), "fine": FINE_PHRASES}
    return any(word in text for word in words[name])


def edit_caption(scene: Scene, name: str, rng: np.random.Generator, brief: float = 0.3) -> str:
    """Caption ``scene`` as the result of an edit that changed its attribute ``name``, and so name that.

    With the chance ``brief`` it names nothing else, as the prompts of edits often do.
    """
    if rng.random() < brief:
        return _naming(scene, name, rng)
    text = caption(scene, rng)
    return text if _names(text, scene, name) else f"{text}, {_naming(scene, name, rng)}"


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """Say what ``scene`` shows, in one of many phrasings, in lower case.

    Some captions name only the style, only the light or only the quality, so that such a prompt
    also means something on its own: most often a landscape, for five subjects at once would blend.
    Flaws are often named alone, or with a colour, as negative prompts do.
    """
    if scene.flaws and rng.random() < 0.35:
        words = _flaw_words(scene, rng)
        return f"{scene.color}, {words}" if scene.colored and rng.random() < 0.4 else words
    often = scene.subject == "landscape"
    if rng.random() < (0.14 if often else 0.03):
        words = str(rng.choice(_STYLE_ALONE[scene.style]))
    elif rng.random() < (0.08 if often and scene.style == "photo" else 0.02):
        words = ""
    else:
        words = str(rng.choice(STYLE_PHRASES[scene.style])).format(_SUBJECT_PHRASES[scene.subject](scene, rng))
    parts = [words] if words else []
    if scene.palette and rng.random() < 0.9:
        palette = str(rng.choice(PALETTE_PHRASES[scene.palette]))
        if parts and palette.startswith("with "):
            parts[0] += " " + palette
        else:
            parts.append(palette.removeprefix("with "))
    if rng.random() < (0.3 if scene.time == "day" else 0.8):
        parts.append(str(rng.choice(TIME_PHRASES[scene.time])))
    if scene.flaws:
        parts.append(_flaw_words(scene, rng))
    elif scene.fine and rng.random() < 0.9:
        parts.append(str(rng.choice(FINE_PHRASES)))
    return ", ".join(parts or [str(rng.choice(TIME_PHRASES[scene.time]))])
