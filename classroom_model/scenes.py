"""What a picture can show: scenes, their attributes, and captions that name them.

A :class:`Scene` is a complete, hashable description. Its ``layout`` seed fixes every shape;
the other fields fix what the shapes are. Two scenes that differ in one field are therefore the
same picture with one thing changed, which is what makes edits measurable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIZE = 128  # pixels; the classroom model's native width and height

SUBJECTS = ("landscape", "car", "portrait", "watch", "crystals")
STYLES = ("photo", "impressionist", "van gogh", "watercolor", "pencil", "cyberpunk")
TIMES = ("day", "sunset", "night", "dawn")
BACKDROPS = ("mountains", "snowy mountains", "hills", "dunes")
WATERS = ("lake", "river", "meadow")
FOREGROUNDS = ("trees", "pines", "house", "open")
COLORS = ("red", "blue", "green", "yellow", "white", "black", "orange", "purple")
PLACES = ("city street", "country road", "beach road")
PEOPLE = ("woman", "man")
PALETTES = ("", "blue and orange")
# in the order in which they spoil a picture
FLAWS = ("distorted", "cluttered", "desaturated", "monochrome", "color shift", "blurry", "low quality")
_FLAW_SHARES = (0.19, 0.12, 0.12, 0.12, 0.12, 0.21, 0.12)  # the lessons' negative prompts name some more often


@dataclass(frozen=True)
class Scene:
    """One picture's attributes; ``color`` is that of the car, the roof, the coat or the watch's strap."""

    subject: str  # one of SUBJECTS
    style: str = "photo"
    time: str = "day"
    backdrop: str = "mountains"  # landscapes only, like the next three
    water: str = "lake"
    foreground: str = "trees"
    clouds: bool = False
    color: str = "red"
    place: str = "city street"  # cars only
    person: str = "woman"  # portraits only, like the next
    crown: bool = False
    palette: str = ""  # one of PALETTES; "" is each thing's own colours
    fine: bool = False  # finished with more contrast and detail, as quality words promise
    flaws: tuple[str, ...] = ()  # some of FLAWS; none for a clean picture
    layout: int = 0

    @property
    def colored(self) -> bool:
        """Whether there is something that has ``color``."""
        has_house = self.subject == "landscape" and self.foreground == "house"
        return has_house or self.subject in ("car", "portrait", "watch")


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene: every attribute on its own, photos and daylight more often than the rest."""
    style = str(rng.choice(STYLES, p=(0.30, 0.14, 0.14, 0.14, 0.14, 0.14)))
    flaws: tuple[str, ...] = ()
    if rng.random() < 1 / 6:
        count = rng.choice((1, 2, 3), p=(0.5, 0.35, 0.15))
        flaws = tuple(rng.choice(FLAWS, count, replace=False, p=_FLAW_SHARES).tolist())
    return Scene(
        subject=str(rng.choice(SUBJECTS, p=(0.33, 0.25, 0.18, 0.12, 0.12))),
        style=style,
        time=str(rng.choice(TIMES, p=(0.37, 0.26, 0.2, 0.17))),
        backdrop=str(rng.choice(BACKDROPS, p=(0.35, 0.25, 0.25, 0.15))),
        water=str(rng.choice(WATERS, p=(0.45, 0.25, 0.3))),
        foreground=str(rng.choice(FOREGROUNDS, p=(0.34, 0.28, 0.28, 0.1))),
        clouds=bool(rng.random() < 0.45),
        color=str(rng.choice(COLORS)),
        place=str(rng.choice(PLACES)),
        person=str(rng.choice(PEOPLE)),
        crown=bool(rng.random() < 0.5),
        palette="blue and orange" if rng.random() < (0.25 if style == "impressionist" else 0.05) else "",
        fine=not flaws and bool(rng.random() < 0.3),
        flaws=flaws,
        layout=int(rng.integers(2**31)),
    )


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
