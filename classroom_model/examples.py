"""Paint the example images that the package bundles, with the mask of each one's main object.

    python -m classroom_model.examples

None of these layouts is in the training set, whose layouts are drawn at random from 2³¹.
"""

from __future__ import annotations

from PIL import Image

from .training.loop import FOLDER
from .world.painter import paint
from .world.scenes import Scene

EXAMPLES = {  # name: scene, and the masks that make up its main object
    "car": (Scene("car", color="red", place="city street", layout=9003), ("car",)),
    "cottage": (
        Scene("landscape", backdrop="hills", water="river", foreground="house", clouds=True, layout=9002),
        ("house", "roof"),
    ),
    "landscape": (
        Scene("landscape", backdrop="snowy mountains", water="lake", foreground="pines", clouds=True, layout=9009),
        ("water",),
    ),
    "night": (
        Scene("landscape", time="night", backdrop="mountains", water="lake", foreground="house", layout=9003),
        ("house", "roof"),
    ),
    "portrait": (Scene("portrait", person="woman", color="blue", layout=9006), ("hair", "head", "coat")),
    "watch": (Scene("watch", color="red", layout=9003), ("watch", "strap")),
}


def main() -> None:
    folder = FOLDER.parent / "img2img_helpers" / "examples"
    folder.mkdir(exist_ok=True)
    for name, (scene, parts) in EXAMPLES.items():
        picture = paint(scene, 512)
        mask = sum(picture.masks[part] for part in parts) > 0
        Image.fromarray(picture.image).save(folder / f"{name}.png", optimize=True)
        Image.fromarray(mask.astype("uint8") * 255).save(folder / f"{name}_mask.png", optimize=True)


if __name__ == "__main__":
    main()
