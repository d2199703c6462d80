"""Make the picture of choose.md, anew after the classroom model changed: python book/choose_picture.py

One street and one wish for each tool, by the same calls as in lessons 4, 6, 7 and 11, and what each kept outside the car.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2gray
from skimage.feature import canny

from img2img_helpers import (
    color_distance,
    example_image,
    example_mask,
    load_pipeline,
    prepare_image,
    show_images,
    structure_similarity,
)

SETTINGS = {"num_inference_steps": 30, "guidance_scale": 7.5}
OIL = "an oil painting of a red car on a city street, impressionist style"
BLUE, NEON = "a blue car on a city street", "digital art in cyberpunk style"


def make() -> dict[str, Image.Image]:
    """The input, and what each tool makes of it."""
    pipes = {task: load_pipeline(task, "classroom") for task in ("img2img", "inpaint", "instruct", "controlnet")}
    for pipe in pipes.values():
        pipe.set_progress_bar_config(disable=True)
    size = pipes["img2img"].unet.config.sample_size * pipes["img2img"].vae_scale_factor
    image, mask = (prepare_image(one("car"), size).image for one in (example_image, example_mask))
    edges = canny(rgb2gray(np.asarray(image)), sigma=2, low_threshold=0.1, high_threshold=0.2)
    lines = Image.fromarray(edges.astype(np.uint8) * 255).convert("RGB")

    def made(task: str, prompt: str, **options) -> Image.Image:
        call = SETTINGS | options | {"generator": torch.Generator().manual_seed(0)}
        return pipes[task](prompt, image=image, **call).images[0]

    filled = made("inpaint", BLUE, mask_image=mask, strength=1.0, height=size, width=size)
    return {
        "the input": image,
        "img2img, strength 0.5": made("img2img", OIL, strength=0.5),
        "img2img, strength 0.9": made("img2img", BLUE, strength=0.9),
        "a mask": pipes["inpaint"].image_processor.apply_overlay(mask.convert("L"), image, filled),
        "an instruction": made("instruct", "make the car blue", guidance_scale=5, image_guidance_scale=1.5),
        "a ControlNet, strength 0.9": made(
            "controlnet", NEON, control_image=lines, strength=0.9, controlnet_conditioning_scale=0.8
        ),
    }


def main() -> None:
    pictures = make()
    image = pictures["the input"]
    outside = np.asarray(prepare_image(example_mask("car"), image.width).image.convert("L")) < 128
    titles = [
        f"{name}\nkept {structure_similarity(image, picture, where=outside):.2f}, "
        f"colours moved {color_distance(image, picture, where=outside):.1f}"
        for name, picture in pictures.items()
    ]
    figure = show_images(list(pictures.values()), titles, columns=3)
    figure.savefig(Path(__file__).parent / "_static" / "choose.jpg", dpi=120, pil_kwargs={"quality": 88})


if __name__ == "__main__":
    main()
