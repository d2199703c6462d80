"""The widgets' Python side; tests/test_browser.py sees them in JupyterLab."""

import threading

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny, LCMScheduler
from PIL import Image

from img2img_helpers import (
    before_after,
    example_image,
    example_mask,
    load_pipeline,
    paint_mask,
    picture_slider,
    strength_explorer,
)
from img2img_helpers.lessons import widgets


@pytest.fixture
def image():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8))


def settle(explorer):
    """Wait until the explorer computes no more."""
    explorer._worker.join(60)


def test_a_comparison_takes_pictures_of_one_shape():
    widget = before_after(example_image("car").resize((64, 64)), example_image("car"), ["small & <b>", "large"])
    assert widget.data.count('src="data:image/webp;base64,') == 2
    assert "small &amp; &lt;b&gt;" in widget.data
    assert repr(widget) == widget.alt == "a comparison of two pictures: small & <b> and large"
    with pytest.raises(ValueError, match="one shape, not 512×512 and 100×50"):
        before_after(example_image("car"), example_image("car").resize((100, 50)))
    with pytest.raises(ValueError, match="two labels"):
        before_after(example_image("car"), example_image("car"), ["one"])


def test_a_picture_slider_holds_every_picture_and_shows_one(image):
    widget = picture_slider([image] * 3, [0.1, 0.5, 1.0], captions=["<i>", "b", "c"], beside=image)
    assert widget.data.count("<img ") == 4
    assert widget.data.count(" hidden>") == 2
    assert 'data-caption="&lt;i&gt;"' in widget.data
    assert repr(widget) == "A slider over strength: 0.1, 0.5, 1.0"
    with pytest.raises(ValueError, match="2 images, 1 labels and 2 captions"):
        picture_slider([image, image], ["one"])
    with pytest.raises(ValueError, match="at least one image"):
        picture_slider([], [])
    with pytest.raises(ValueError, match="selected must be a whole number from 0 to 1"):
        picture_slider([image, image], ["a", "b"], selected=2)


def test_a_painted_mask_has_the_images_size_and_starts_from_one():
    image, mask = example_image("car").resize((200, 120)), example_mask("car").resize((200, 120))
    painter = paint_mask(image, mask)
    assert painter.mask.size == (200, 120)
    assert np.array_equal(np.asarray(painter.mask), 255 * (np.asarray(mask) >= 128))
    empty = paint_mask(image)
    assert empty.mask.mode == "L"
    assert not np.asarray(empty.mask).any()
    assert len(repr(empty)) < 100
    with pytest.raises(ValueError, match="mask is 512×512 pixels and the picture 200×120, another shape"):
        paint_mask(image, example_mask("car"))


def test_a_photo_is_sent_no_larger_than_a_screen_shows_it():
    photo = example_image("car").resize((4000, 3000))
    painter = paint_mask(photo)
    assert painter.mask.size == (4000, 3000), "the mask keeps the photo's size"
    sizes = [
        len(painter.image),
        len(before_after(photo, photo).data),
        len(picture_slider([photo] * 2, ["a", "b"]).data),
    ]
    assert max(sizes) < 500_000


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"seed": 2**53}, "seed must be a whole number from 0 to 9007199254740991"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"guidance_scale": -1}, "guidance_scale must be a number from 0 to 100"),
        ({"guidance_scale": float("nan")}, "guidance_scale must be a number"),
        ({"strength": 1.5}, "strength must be a number from 0 to 1"),
        ({"num_inference_steps": 0}, "num_inference_steps must be a whole number"),
    ],
)
def test_the_explorer_takes_what_is_asked_or_says_what_works(tiny_pipe, image, wrong, told):
    with pytest.raises(ValueError, match=told):
        strength_explorer(tiny_pipe, image, "a lake", **wrong)


def test_the_explorer_keeps_large_settings(tiny_pipe, image):
    asked = {"seed": 3_000_000_000, "guidance_scale": 20.0, "num_inference_steps": 150}
    explorer = strength_explorer(tiny_pipe, image, "a lake", strength=0.0, **asked)  # a strength at which nothing runs
    assert {name: getattr(explorer, name).value for name in asked} == asked


def test_half_painted_pixels_are_one_or_the_other(image):
    painter = paint_mask(image)
    alpha = np.zeros((16, 16), np.uint8)
    alpha[0, :3] = (127, 128, 255)  # the soft rim of a brush
    drawn = Image.new("RGBA", (16, 16), "white")
    drawn.putalpha(Image.fromarray(alpha))
    painter.data = widgets._url(drawn)
    assert np.asarray(painter.mask)[0, :4].tolist() == [0, 255, 255, 0]


def test_the_explorer_shows_what_a_plain_call_makes(tiny_pipe, image):
    explorer = strength_explorer(tiny_pipe, image, "a lake", strength=0.6, seed=3, num_inference_steps=10)
    settle(explorer)
    call = {"image": image, "strength": 0.6, "num_inference_steps": 10, "guidance_scale": 7.5, "negative_prompt": ""}
    plain = tiny_pipe("a lake", generator=torch.Generator().manual_seed(3), **call).images[0]
    assert np.array_equal(explorer.result, plain)
    assert "6 of 10 steps" in explorer._told.value
    assert "Structure kept" in explorer._told.value
    assert explorer.cancel.disabled


def test_the_latest_setting_wins_and_what_was_made_is_kept(tiny_pipe, image, monkeypatch):
    explorer = strength_explorer(tiny_pipe, image, "a lake", num_inference_steps=20)
    settle(explorer)
    started, began, go_on, make = [], threading.Event(), threading.Event(), explorer._make

    def counted(key):
        started.append(key[0])
        began.set()
        go_on.wait(60)  # until all ten values have come
        return make(key)

    monkeypatch.setattr(explorer, "_make", counted)
    explorer.strength.value = 0.1
    assert began.wait(60)
    for value in (0.15, 0.2, 0.25, 0.3, 0.6, 0.7, 0.8, 0.9, 1.0):
        explorer.strength.value = value
    go_on.set()
    settle(explorer)
    assert started == [0.1, 1.0]
    assert "20 of 20 steps" in explorer._told.value
    last = explorer.result
    explorer.strength.value = 0.5
    explorer.strength.value = 1.0
    settle(explorer)
    assert started == [0.1, 1.0]  # both were there already
    assert explorer.result is last


def test_cancelling_and_errors_leave_the_explorer_usable(tiny_pipe, image, monkeypatch):
    explorer = strength_explorer(tiny_pipe, image, "a lake", num_inference_steps=5)
    settle(explorer)
    explorer.strength.value = 0.0
    settle(explorer)
    assert "role='alert'" in explorer._told.value
    assert "use strength 0.2 or more" in explorer._told.value
    inside, go_on, unet = threading.Event(), threading.Event(), explorer._pipe.unet

    def wait_inside(*_):
        inside.set()
        go_on.wait(60)

    hook = unet.register_forward_hook(wait_inside)
    explorer.strength.value = 1.0
    assert inside.wait(60)
    explorer.cancel.click()
    go_on.set()
    settle(explorer)
    hook.remove()
    assert "Cancelled" in explorer._told.value
    explorer.strength.value = 0.8
    settle(explorer)
    assert "4 of 5 steps" in explorer._told.value


def test_a_black_edit_says_why(tiny_pipe, image, monkeypatch):
    black = lambda self, picture, *_: (torch.zeros_like(picture), [True])  # noqa: E731
    monkeypatch.setattr(type(tiny_pipe), "run_safety_checker", black)
    explorer = strength_explorer(tiny_pipe, image, "a lake", num_inference_steps=5)
    settle(explorer)
    assert "of 5 steps" in explorer._told.value
    assert "The edit is black: the safety checker did it" in explorer._told.value
    assert "Structure kept" not in explorer._told.value
    page = strength_explorer(tiny_pipe, image, "a lake", num_inference_steps=5, precompute=[0.4])
    assert "The edit is black" in page.data


def test_a_pipeline_of_few_steps_starts_with_four_and_can_take_all(sd_folders, image):
    """And the learner's own pipeline keeps its adapter and its scheduler."""
    pipe = load_pipeline("img2img", str(sd_folders["base"]))
    without = np.asarray(pipe("a lake", image, strength=0.6, num_inference_steps=25, **seeded(0)).images[0], int)
    pipe.load_lora_weights(sd_folders["lcm_lora"])
    pipe.scheduler = LCMScheduler.from_config(pipe.scheduler.config)
    explorer = strength_explorer(pipe, image, "a lake", strength=0.6)
    settle(explorer)
    assert (explorer.num_inference_steps.value, explorer.guidance_scale.value) == (4, 1)
    assert "2 of 4 steps" in explorer._told.value
    call = {"strength": 0.6, "num_inference_steps": 4, "guidance_scale": 1.0}
    assert np.array_equal(explorer.result, pipe("a lake", image, **call, **seeded(0)).images[0])
    few = explorer.result
    explorer.few_steps.value = False
    settle(explorer)
    assert (explorer.num_inference_steps.value, explorer.guidance_scale.value) == (25, 7.5)
    assert "15 of 25 steps" in explorer._told.value
    assert np.abs(np.asarray(explorer.result, int) - without).max() <= 1
    assert pipe.get_active_adapters()
    assert isinstance(pipe.scheduler, LCMScheduler)
    assert np.array_equal(few, pipe("a lake", image, **call, **seeded(0)).images[0])
    assert explorer._pipes[False].unet.conv_in.weight is pipe.unet.conv_in.weight, "nothing was copied"
    explorer.few_steps.value = True
    settle(explorer)
    assert explorer.result is few


def test_a_pipeline_of_many_steps_shows_no_switch(tiny_pipe, image):
    explorer = strength_explorer(tiny_pipe, image, "a lake", num_inference_steps=5)
    assert explorer.few_steps.layout.display == "none"
    settle(explorer)


def test_a_small_decoder_shows_the_picture_emerging(tiny_pipe, image):
    torch.manual_seed(0)
    small = AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4,
    )
    explorer = strength_explorer(tiny_pipe, image, "a lake", num_inference_steps=6, preview=small)
    seen = []
    explorer._edit.observe(lambda change: seen.append(change["new"]), "value")
    settle(explorer)
    explorer.strength.value = 1.0
    settle(explorer)
    assert len(seen) >= 7, "six steps and the edit itself"
    assert len(set(seen)) == len(seen)
    assert seen[-1] == widgets.encoded(explorer.result)


def seeded(seed: int) -> dict:
    return {"generator": torch.Generator().manual_seed(seed)}


def test_precomputed_sliders_need_no_kernel(tiny_pipe, image):
    slider = strength_explorer(tiny_pipe, image, "a lake", num_inference_steps=5, precompute=[0.2, 0.6, 1.0])
    assert 'data-label="0.2"' in slider.data
    assert 'max="2" value="1"' in slider.data  # 0.6 is the nearest to 0.5
    assert "3 of 5 steps run, from timestep" in slider.data


def test_the_explorer_refuses_a_size_that_would_be_cut(tiny_pipe):
    with pytest.raises(ValueError, match="17×16, but the sides must be multiples"):
        strength_explorer(tiny_pipe, Image.new("RGB", (17, 16)), "a lake")
