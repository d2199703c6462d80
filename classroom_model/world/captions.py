"""Captions that name what a scene shows, whole or one changed attribute of it, in the words that people use.

The first of each tuple of phrases is the one that the evaluation uses; the rest teach that other words mean the same.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .scenes import COLORS, FLAWS, Scene

STYLE_PHRASES = {
    "photo": (
        *("a photo of {}", "photo of {}", "{}, photo", "a photograph of {}", "{}", "{}", "{}", "a picture of {}"),
        *("an image of {}", "a realistic photo of {}", "a snapshot of {}", "{}, photorealistic", "{}, photography"),
        *("a view of {}", "a real picture of {}", "this is {}", "there is {}", "the photo shows {}", "a shot of {}"),
    ),
    "impressionist": (
        *("an oil painting of {} in impressionist style", "a oil painting of {} in impressionist style"),
        *("oil painting of {}", "impressionist painting of {}", "{}, oil painting style", "{}, impressionist style"),
        *(
            "a painting of {}",
            "{}, oil on canvas",
            "{} painted in oil",
            "an impressionist picture of {}",
            "{} by monet",
        ),
        *(
            "a painting of {} with short brush strokes",
            "{}, impressionism",
            "the painting shows {}",
            "{} as a painting",
        ),
        *("a painting of {} in the style of monet", "{} painted with dabs of colour", "an oil painting of {}"),
    ),
    "van gogh": (
        *("oil painting of {} in the style of van gogh", "{}, oil painting in the style of van gogh"),
        *("van gogh painting of {}", "{} in the style of van gogh", "a painting of {} by van gogh"),
        *("{} painted by vincent van gogh", "a van gogh of {}", "{}, van gogh style", "{} like a van gogh"),
        *("a painting of {} with swirling brush strokes", "{} with wavy strokes and dark outlines, post-impressionist"),
    ),
    "watercolor": (
        *("watercolor painting of {} with soft edges", "a watercolor painting of {}", "{}, watercolor"),
        *("{}, watercolor painting with soft edges", "a watercolour of {}", "{} in watercolors on white paper"),
        *(
            "an aquarelle of {}",
            "a pale watercolor of {}",
            "{} painted with water colors",
            "soft watercolor wash of {}",
        ),
    ),
    "pencil": (
        *("pencil sketch of {} with cross-hatching", "a pencil sketch of {}", "{}, pencil sketch with cross-hatching"),
        *(
            "{}, pencil drawing",
            "a drawing of {}",
            "a sketch of {}",
            "{} drawn with a pencil",
            "a graphite drawing of {}",
        ),
        *("line drawing of {} with hatching", "a hand-drawn sketch of {}", "{}, drawn in black lines on paper"),
    ),
    "cyberpunk": (
        *("digital art of {} in cyberpunk style", "{}, digital art in cyberpunk style", "{} in cyberpunk style"),
        *(
            "cyberpunk digital art of {}",
            "neon art of {}",
            "{} with glowing neon outlines",
            "a futuristic picture of {}",
        ),
        *("{}, synthwave", "{} in neon lights", "science fiction art of {}", "{}, cyberpunk"),
    ),
}
# The same styles with no subject named: what a learner types in a style-transfer prompt.
_STYLE_ALONE = {
    "photo": ("a photo", "photograph", "a picture", "photography", "a realistic picture", "real life"),
    "impressionist": (
        *(
            "oil painting style",
            "impressionist painting",
            "oil painting",
            "an oil painting",
            "a painting",
            "a oil painting",
        ),
        *("impressionism", "painted", "by monet", "oil on canvas", "make it a painting"),
    ),
    "van gogh": (
        *("oil painting in the style of van gogh", "in the style of van gogh", "a painting by van gogh", "van gogh"),
        *("by vincent van gogh", "swirling strokes", "make it a van gogh"),
    ),
    "watercolor": (
        *("watercolor painting with soft edges", "watercolor painting", "a watercolor", "watercolour", "aquarelle"),
        *("soft watercolor on white paper", "make it a watercolor"),
    ),
    "pencil": (
        *("pencil sketch with cross-hatching", "pencil sketch", "a drawing", "a sketch", "pencil drawing", "graphite"),
        *("drawn with a pencil", "cross-hatching", "line drawing", "make it a drawing"),
    ),
    "cyberpunk": (
        *("digital art in cyberpunk style", "cyberpunk style", "cyberpunk", "neon lights", "neon", "synthwave"),
        *("futuristic digital art", "science fiction", "make it cyberpunk"),
    ),
}
TIME_PHRASES = {
    "day": (
        *(
            "daylight",
            "in daylight",
            "on a sunny day",
            "at noon",
            "by day",
            "in the daytime",
            "in the afternoon",
            "sunny",
        ),
        *("at midday", "in bright daylight", "in the sun", "under a blue sky", "on a bright day", "in sunshine", "day"),
    ),
    "sunset": (
        *(
            "at sunset",
            "sunset lighting",
            "dramatic sunset lighting",
            "dramatic sunset",
            "in the evening",
            "evening light",
        ),
        *(
            "at dusk",
            "golden hour",
            "in the light of the setting sun",
            "sunset",
            "under a red sky",
            "with an orange sky",
        ),
        *("late in the evening", "warm evening light", "as the sun sets"),
    ),
    "night": (
        *("at night", "night", "moonlight", "in the moonlight", "under the moon", "by moonlight", "on a starry night"),
        *("under the stars", "in the dark", "after dark", "at midnight", "with moon and stars", "a dark night"),
    ),
    "dawn": (
        *("at dawn", "dawn light", "in the morning", "early in the morning", "at sunrise", "morning light", "sunrise"),
        *("in the first light of the day", "on a pale morning", "at daybreak", "pink morning sky"),
    ),
}
PALETTE_PHRASES = {
    "blue and orange": (
        "vibrant blues and warm oranges",
        "with vibrant blues and warm oranges",
        "with vibrant blues and warm oranges, maintaining original color palette",
        "in blue and orange tones",
        "with a palette of blue and orange",
    ),
}
_FLAW_PHRASES = {
    "blurry": ("blurry", "blurry", "blurred", "out of focus", "unsharp", "a blurry picture", "soft focus"),
    "distorted": (
        *(
            "distorted",
            "warped",
            "distorted perspective, warped",
            "distorted perspective",
            "deformed",
            "bent",
            "twisted",
        ),
        *("crooked", "disfigured", "bad anatomy", "melted"),
    ),
    "cluttered": ("cluttered", "cluttered", "messy", "full of junk", "chaotic", "covered with rubbish", "untidy"),
    "desaturated": ("desaturated", "desaturated", "washed out", "faded colors", "pale colors", "dull colors", "faded"),
    "monochrome": ("monochrome", "desaturated, monochrome", "grayscale", "greyscale", "without color", "colorless"),
    "color shift": (
        *("color shift", "color shift", "colour shift", "wrong colors", "false colors", "unnatural colors"),
        *("strange colors", "discolored"),
    ),
    "low quality": (
        *("low quality", "low quality", "bad quality", "worst quality", "poor quality", "pixelated", "low resolution"),
        *("jpeg artifacts", "ugly", "lowres", "coarse pixels"),
    ),
}
FINE_PHRASES = (
    *("highly detailed, masterpiece", "highly detailed", "high quality, detailed, sharp", "sharp, professional"),
    *("high quality", "masterpiece", "best quality", "very detailed, crisp", "sharp focus", "intricate details"),
    *(
        "award winning",
        "beautiful, stunning",
        "ultra detailed",
        "excellent quality",
        "professional",
        "vivid colors, sharp",
    ),
)

# words that mean one of scenes.COLORS; its own name counts as often as all others together
_SHADES = {
    "red": ("crimson", "scarlet", "ruby", "bright red", "cherry red"),
    "blue": ("navy", "azure", "cobalt", "sapphire", "bright blue"),
    "green": ("emerald", "bright green", "dark green", "jade"),
    "yellow": ("lemon yellow", "bright yellow", "sunny yellow", "canary yellow"),
    "white": ("ivory", "snow white", "pearl white", "plain white"),
    "black": ("jet black", "dark black", "ebony", "coal black"),
    "orange": ("amber", "bright orange", "tangerine"),
    "purple": ("violet", "lilac", "dark purple", "plum"),
}
_CARS = ("car", "car", "car", "car", "automobile", "sedan", "vehicle", "saloon", "old car", "small car")
_ROADS = {
    "city street": (
        *("on a city street", "on a city street", "in the city", "in town", "downtown", "on a street", "on the street"),
        *(
            "on an urban street",
            "in front of tall buildings",
            "in front of houses",
            "parked in a city",
            "on a town road",
        ),
        *("driving through the city", "parked in front of buildings"),
    ),
    "country road": (
        *("on a country road", "on a country road", "in the countryside", "on a rural road", "in the country"),
        *("in front of green hills", "parked beside a field", "among fields and hills", "on a road between meadows"),
        *("driving through the countryside", "on a quiet road near the hills"),
    ),
    "beach road": (
        *("on a beach road", "on a beach road", "by the sea", "at the beach", "by the ocean", "along the coast"),
        *("on a coastal road", "near the shore", "at the seaside", "parked by the water", "in front of the sea"),
        *("driving along the ocean", "beside a sandy beach"),
    ),
}
_LAND = {
    "mountains": (
        *("mountains", "mountains", "a mountain", "mountain in the background", "mountains in the background"),
        *("rocky mountains", "the mountains", "high peaks", "a mountain range", "grey rocks and peaks", "steep cliffs"),
    ),
    "snowy mountains": (
        *("snowy mountains", "snowy mountains", "snowy mountains in the background", "snow-capped mountains"),
        *("mountains covered with snow", "snow on the peaks", "white peaks", "the alps", "mountains in winter"),
    ),
    "hills": (
        *(
            "green hills",
            "hills",
            "hills in the background",
            "rolling hills",
            "gentle hills",
            "a green hill",
            "the hills",
        ),
        *("soft hills behind", "distant hills"),
    ),
    "dunes": (
        *("sand dunes", "dunes", "dunes in the background", "a desert", "the desert", "sandy hills", "yellow sand"),
        *("desert sand", "dry land"),
    ),
    "lake": (
        *("a lake", "a lake", "lake in the middle ground", "a calm lake", "a mountain lake", "the lake", "water"),
        *(
            "a pond",
            "a blue lake",
            "a lake that mirrors the sky",
            "a lake with reflections",
            "still water",
            "a lakeside",
        ),
    ),
    "river": (
        *("a river", "a river", "river in the middle ground", "a stream", "a winding river", "the river", "a brook"),
        *("a creek", "flowing water", "a blue river"),
    ),
    "meadow": (
        *(
            "a meadow",
            "a meadow",
            "meadow in the middle ground",
            "a field",
            "grass",
            "a meadow with flowers",
            "flowers",
        ),
        *("a green field", "grassland", "wild flowers in the grass"),
    ),
    "trees": (
        *(
            "trees",
            "trees",
            "trees in the foreground",
            "a few trees",
            "green trees",
            "leafy trees",
            "oak trees",
            "a tree",
        ),
        *("a forest", "the woods", "round trees", "trees in front"),
    ),
    "pines": (
        *(
            "pine trees",
            "pine trees",
            "pine trees in the foreground",
            "pines",
            "fir trees",
            "a pine forest",
            "evergreens",
        ),
        *("spruce trees", "christmas trees", "tall pines", "conifers"),
    ),
}
_HOUSES = ("house", "house", "house", "cottage", "cabin", "home", "farmhouse", "small house", "hut", "building")
_LAND_ALONE = ("a landscape", "a landscape", "a scenery", "nature", "the outdoors", "a beautiful landscape", "a scene")
_PERSONS = {
    "woman": ("woman", "woman", "woman", "lady", "girl", "young woman", "female", "mother"),
    "man": ("man", "man", "man", "boy", "guy", "gentleman", "young man", "male", "father"),
}
_ROYAL = {"woman": ("a queen", "a princess"), "man": ("a king", "a prince")}
_PORTRAITS = (
    *(
        "a portrait of {}",
        "a portrait of {}",
        "portrait of {}",
        "a headshot of {}",
        "a close-up of {}",
        "the face of {}",
    ),
    *("{} smiling", "{} looking at us", "{} outdoors", "{} in front of hills"),
)
_CROWNS = (
    *("a golden crown", "a golden crown", "a golden crown", "a crown", "a gold crown", "a royal crown"),
    *("a crown of gold", "a golden crown with jewels", "the crown"),
)
_COATS = ("coat", "coat", "coat", "jacket", "blazer", "suit", "shirt and coat")
_STRAPS = ("strap", "strap", "strap", "band", "leather strap", "bracelet")
_WATCHES = ("a watch", "a watch", "a wristwatch", "a wrist watch", "the watch", "an elegant watch", "a timepiece")
_STUDIO = (
    *("professional product photography of a watch", "product photography of a watch", "product photo of a watch"),
    *("a watch in a studio", "an advertisement for a watch", "studio photo of a wristwatch", "watch on a table"),
)
_CRYSTALS = (
    *("glowing crystals", "glowing crystals", "glowing crystals", "crystals", "shining crystals", "magic crystals"),
    *("luminous crystals", "bright gems", "glowing stones"),
)
_FANTASIES = (
    *("ethereal fantasy landscape", "a fantasy landscape", "a magical landscape", "an ethereal landscape", ""),
    *(
        "a fantasy world",
        "a magical place",
        "a dream world",
        "an alien planet",
        "a fairy tale land",
        "floating islands",
    ),
)


def _pick(rng: np.random.Generator, phrases: tuple[str, ...]) -> str:
    return phrases[rng.integers(len(phrases))]


def _article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def _shade(scene: Scene, rng: np.random.Generator) -> str:
    """A word for the scene's colour."""
    return scene.color if rng.random() < 0.6 else _pick(rng, _SHADES[scene.color])


def _house(scene: Scene, rng: np.random.Generator) -> str:
    home = _article(_pick(rng, _HOUSES))
    return f"{home} with {_article(_shade(scene, rng))} roof" if rng.random() < 0.7 else home


def _landscape_phrase(scene: Scene, rng: np.random.Generator) -> str:
    if rng.random() < 0.1:
        return _pick(rng, _LAND_ALONE)
    parts = [key for key in (scene.backdrop, scene.water, scene.foreground) if key in _LAND or key == "house"]
    parts = [part for part in parts if rng.random() < 0.8] or parts[:1]
    named = [_house(scene, rng) if part == "house" else _pick(rng, _LAND[part]) for part in parts]
    if scene.clouds and rng.random() < 0.25:
        named.append(_pick(rng, ("clouds", "a cloudy sky", "white clouds", "clouds in the sky")))
    if rng.random() < 0.5:
        return ", ".join(named)
    start = _pick(rng, ("a landscape with ", "a landscape with ", "", "a scene with ", "a valley with ", "view of "))
    between = _pick(rng, (" and ", " and ", " with ", " near ", " by ", " behind ", " beside "))
    return start + (between.join(named) if len(named) < 3 else ", ".join(named[:-1]) + " and " + named[-1])


def _car_phrase(scene: Scene, rng: np.random.Generator) -> str:
    car = _pick(rng, _CARS)
    car = _article(f"{_shade(scene, rng)} {car}" if rng.random() < 0.9 else car)
    if rng.random() < 0.1:
        car = "the " + car.partition(" ")[2]
    return car + (" " + _pick(rng, _ROADS[scene.place]) if rng.random() < 0.75 else "")


def _portrait_phrase(scene: Scene, rng: np.random.Generator) -> str:
    who = _article(_pick(rng, _PERSONS[scene.person])) if rng.random() < 0.8 else _pick(rng, ("a person", "somebody"))
    worn = []
    if scene.crown:
        if rng.random() < 0.1:
            return _pick(rng, _CROWNS)
        if rng.random() < 0.1:
            who = _pick(rng, _ROYAL[scene.person])
        elif rng.random() < 0.95:
            worn.append(_pick(rng, _CROWNS))
    elif rng.random() < 0.08:
        worn.append(_pick(rng, ("no crown", "bare head")))
    if rng.random() < 0.6:
        worn.append(f"{_article(_shade(scene, rng))} {_pick(rng, _COATS)}")
    if rng.random() < 0.6:
        who = _pick(rng, _PORTRAITS).format(who)
    joint = _pick(rng, (" wearing ", " wearing ", " with ", " dressed in ", " in "))
    return who + (joint + " and ".join(worn) if worn else "")


def _watch_phrase(scene: Scene, rng: np.random.Generator) -> str:
    what = _pick(rng, _STUDIO if scene.style == "photo" and rng.random() < 0.4 else _WATCHES)
    strap = f" with {_article(_shade(scene, rng))} {_pick(rng, _STRAPS)}" if rng.random() < 0.7 else ""
    return what + strap


def _crystals_phrase(scene: Scene, rng: np.random.Generator) -> str:
    place, stones = _pick(rng, _FANTASIES), _pick(rng, _CRYSTALS)
    return f"{place} with {stones}" if place else stones


_SUBJECT_PHRASES = {
    "landscape": _landscape_phrase,
    "car": _car_phrase,
    "portrait": _portrait_phrase,
    "watch": _watch_phrase,
    "crystals": _crystals_phrase,
}


def _flaw_words(flaws: Iterable[str], rng: np.random.Generator) -> str:
    return ", ".join(_pick(rng, _FLAW_PHRASES[flaw]) for flaw in flaws)


def quality_words(rng: np.random.Generator) -> str:
    """Praise or blame of no picture in particular, in lower case, as in a negative prompt or at the end of another."""
    if rng.random() < 0.5:
        return _pick(rng, FINE_PHRASES)
    words = _flaw_words(rng.choice(FLAWS, rng.integers(1, 4), replace=False), rng)
    return f"{rng.choice(COLORS)}, {words}" if rng.random() < 0.4 else words


def _naming(scene: Scene, name: str, rng: np.random.Generator) -> str:
    """Words for the attribute ``name`` of ``scene`` and for nothing else."""
    if name == "color":
        things = {"car": "a {} car", "portrait": "a {} coat", "watch": "a watch with a {} strap"}
        return things.get(scene.subject, "a house with a {} roof").format(scene.color)
    if name == "flaws":
        return _flaw_words(scene.flaws, rng)
    phrases = {
        "style": _STYLE_ALONE[scene.style],
        "time": TIME_PHRASES[scene.time],
        "crown": _CROWNS,
        "fine": FINE_PHRASES,
    }
    return _pick(rng, phrases[name])


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


# What an instruction calls a thing that has the scene's colour.
_THINGS = {
    "car": ("car", "car", "automobile", "vehicle"),
    "portrait": ("coat", "coat", "jacket"),
    "watch": ("strap", "strap", "watch strap", "band"),
    "landscape": ("roof", "roof", "roof of the house"),
}
_MAKE_STYLE = {
    "photo": ("a photo", "a photograph", "a realistic photo", "a real picture"),
    "impressionist": ("an oil painting", "an impressionist painting", "an oil painting in impressionist style"),
    "van gogh": ("a van gogh", "a painting by van gogh", "an oil painting in the style of van gogh"),
    "watercolor": ("a watercolor", "a watercolor painting", "a watercolor painting with soft edges"),
    "pencil": ("a pencil sketch", "a pencil drawing", "a sketch", "a drawing", "a pencil sketch with cross-hatching"),
    "cyberpunk": ("cyberpunk art", "digital art in cyberpunk style", "neon art", "a neon picture"),
}
_MAKE_TIME = {
    "day": ("day", "daylight", "noon", "a sunny day", "daytime"),
    "sunset": ("sunset", "evening", "dusk", "the golden hour"),
    "night": ("night", "a starry night", "midnight", "moonlight"),
    "dawn": ("dawn", "morning", "sunrise", "early morning"),
}
_MAKE_CROWN = {
    True: (
        "add a golden crown",
        "add a crown",
        "put a crown on the head",
        "give her a crown",
        "give him a golden crown",
    ),
    False: ("take the crown off", "remove the crown", "take off the crown", "without the crown", "no crown"),
}
_MENDS = {
    "blurry": ("make it sharp", "sharpen it", "make it sharper", "remove the blur"),
    "low quality": ("make it sharp", "better quality", "make it better", "improve the quality"),
    "distorted": ("straighten it", "make it straight", "fix the shapes", "remove the distortion"),
    "cluttered": ("clean it up", "remove the clutter", "tidy it up", "remove the rubbish"),
    "desaturated": ("make the colors stronger", "more color", "bring the colors back", "vivid colors"),
    "monochrome": ("add color", "bring the colors back", "make it colorful", "color the picture"),
    "color shift": ("fix the colors", "correct the colors", "make the colors natural", "natural colors"),
}


def instruction(before: Scene, after: Scene, name: str, rng: np.random.Generator) -> str:
    """Say what to do to turn ``before`` into ``after``, which differ in the attribute ``name``."""
    if name == "flaws":
        return _pick(rng, _MENDS[before.flaws[0]])
    if name == "crown":
        return _pick(rng, _MAKE_CROWN[after.crown])
    if name == "style":
        what = _pick(rng, _MAKE_STYLE[after.style])
        start = ("turn it into {}", "make it {}", "turn the picture into {}", "make this {}", "change it to {}", "{}")
        return _pick(rng, start).format(what)
    if name == "time":
        what = _pick(rng, _MAKE_TIME[after.time])
        start = ("make it {}", "turn it into {}", "change the time to {}", "change it to {}", "make this {}", "{}")
        return _pick(rng, start).format(what)
    thing, shade = _pick(rng, _THINGS[after.subject]), _shade(after, rng)
    start = ("make the {} {}", "make the {} {}", "paint the {} {}", "change the {} to {}", "turn the {} {}")
    return _pick(rng, start).format(thing, shade)


def brief_caption(scene: Scene, rng: np.random.Generator) -> str:
    """The style of ``scene`` and, where it is not day, its light, and not what it shows."""
    style = _pick(rng, _STYLE_ALONE[scene.style])
    return style if scene.time == "day" else f"{style}, {_pick(rng, TIME_PHRASES[scene.time])}"


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """Say what ``scene`` shows, in one of many phrasings, in lower case.

    Some captions name only the style, only the light or only the quality, so that such a prompt
    also means something on its own: most often a landscape, for five subjects at once would blend.
    Flaws are often named alone, or with a colour, as negative prompts do.
    """
    if scene.flaws and rng.random() < 0.35:
        words = _flaw_words(scene.flaws, rng)
        return f"{scene.color}, {words}" if scene.colored and rng.random() < 0.4 else words
    often = scene.subject == "landscape"
    if rng.random() < (0.14 if often else 0.03):
        words = _pick(rng, _STYLE_ALONE[scene.style])
    elif rng.random() < (0.08 if often and scene.style == "photo" else 0.02):
        words = ""
    else:
        words = _pick(rng, STYLE_PHRASES[scene.style]).format(_SUBJECT_PHRASES[scene.subject](scene, rng))
    parts = [words] if words else []
    if scene.palette and rng.random() < 0.9:
        palette = _pick(rng, PALETTE_PHRASES[scene.palette])
        if parts and palette.startswith("with "):
            parts[0] += " " + palette
        else:
            parts.append(palette.removeprefix("with "))
    if rng.random() < (0.3 if scene.time == "day" else 0.8):
        light = _pick(rng, TIME_PHRASES[scene.time])
        if parts and light.split()[0] in ("in", "at", "on", "by", "under") and rng.random() < 0.5:
            parts[-1] += " " + light
        else:
            parts.insert(0 if rng.random() < 0.15 else len(parts), light)
    if scene.flaws:
        parts.append(_flaw_words(scene.flaws, rng))
    elif scene.fine and rng.random() < 0.9:
        parts.append(_pick(rng, FINE_PHRASES))
    return ", ".join(parts or [_pick(rng, TIME_PHRASES[scene.time])])
