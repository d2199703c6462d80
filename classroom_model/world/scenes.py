"""What a picture can show: scenes and their attributes.

A :class:`Scene` is a complete, hashable description. Its ``layout`` seed fixes every shape;
the other fields fix what the shapes are. Two scenes that differ in one field are therefore the
same picture with one thing changed, which is what makes edits measurable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIZE = 192  # pixels; the classroom model's native width and height

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
