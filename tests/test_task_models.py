"""How the inpainting, structure-control and upscaling weights are made from the base model's."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from classroom_model.training import control, data, inpaint, loop, upscale, vae
from classroom_model.world import painter, scenes


def _inputs(parts, channels=4):
    torch.manual_seed(0)
    return torch.randn(2, channels, 24, 24), torch.tensor([100, 900]), parts.embed(parts.tokenize(["a red car", ""]))


@pytest.mark.parametrize(("subject", "name"), [(s, n) for s, things in inpaint.THINGS.items() for n in things])
def test_a_thing_is_masked_where_it_is_or_would_be(subject, name):
    scene = scenes.Scene(subject, foreground="trees", crown=False, layout=3)
    mask = inpaint.thing_mask(scene, name)
    assert 0.01 < mask.mean() < 0.4
    for seed in range(20):
        wider = inpaint.spread(mask, np.random.default_rng(seed))
        assert wider[mask].mean() > 0.95
        assert wider.mean() < 0.75


def test_random_masks_are_of_all_sizes():
    shares = [inpaint.random_mask(np.random.default_rng(seed)).mean() for seed in range(300)]
    assert 0.05 < np.mean([share == 1 for share in shares]) < 0.15
    assert min(shares) > 0
    assert np.mean([share < 0.3 for share in shares]) > 0.4


def test_a_mask_tells_what_the_caption_should_name():
    crowned = scenes.Scene("portrait", crown=True, layout=3)
    bare = scenes.Scene("portrait", crown=False, layout=3)
    index = next(i for i in range(20) if inpaint.training_masks(crowned, i)[1] == "crown")
    mask, shown, _ = inpaint.training_masks(crowned, index)
    assert shown == "crown"
    assert mask[painter.paint(crowned).masks["crown"]].mean() > 0.95
    mask, shown, _ = inpaint.training_masks(bare, index)
    assert shown == "", "there is no crown, so that the model learns to take it away"
    assert mask[painter.paint(crowned).masks["crown"]].mean() > 0.95
    assert inpaint.training_masks(scenes.Scene("crystals"), 0)[1] == ""


def test_a_filled_place_must_have_the_tone_of_what_is_around_it():
    everywhere = torch.ones(1, 1, 24, 24)
    checked = torch.ones(1, 4, 24, 24)
    checked[..., ::2, 1::2] = checked[..., 1::2, ::2] = -1
    assert inpaint.fill_loss(checked, everywhere) == pytest.approx(1), "an error without a tone"
    assert inpaint.fill_loss(torch.ones(1, 4, 24, 24), everywhere) == pytest.approx(17)
    torch.manual_seed(0)
    assert inpaint.fill_loss(torch.randn(8, 4, 24, 24), everywhere.expand(8, -1, -1, -1)) == pytest.approx(2, abs=0.1)


def test_what_is_outside_a_mask_counts_least_and_its_border_most():
    mask = torch.zeros(1, 1, 24, 24)
    mask[..., 8:16, 8:16] = 1

    def loss(y, x):
        error = torch.zeros(1, 4, 24, 24)
        error[..., y, x] = 1
        return float(inpaint.fill_loss(error, mask))

    outside, inside = loss(2, 2), loss(12, 12)
    assert inside == pytest.approx(outside / inpaint.OUTSIDE)
    for border in (loss(9, 14), loss(6, 14)):
        assert border == pytest.approx(inside * inpaint.BORDER)


def test_a_unet_with_more_inputs_starts_as_the_base(parts):
    wider = inpaint.with_more_inputs(parts.unet, 5).eval()
    assert wider.config.in_channels == 9
    noisy, timesteps, hidden = _inputs(parts)
    extra = torch.randn(2, 5, 24, 24)
    with torch.no_grad():
        one = parts.unet(noisy, timesteps, hidden).sample
        other = wider(torch.cat([noisy, extra], 1), timesteps, hidden).sample
    assert torch.allclose(one, other, atol=1e-5)


def test_a_new_controlnet_changes_nothing_yet_but_sees_the_edges(parts):
    new = control.new_controlnet(parts.unet).eval()
    noisy, timesteps, hidden = _inputs(parts)
    shown = torch.rand(2, 3, 192, 192)
    down, middle = new(noisy, timesteps, hidden, shown, return_dict=False)
    assert all((residual == 0).all() for residual in (*down, middle))
    with torch.no_grad():
        one = parts.unet(noisy, timesteps, hidden).sample
        options = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        assert torch.equal(one, parts.unet(noisy, timesteps, hidden, **options).sample)
    entrance = new.controlnet_cond_embedding
    torch.nn.init.ones_(entrance.conv_out.weight)
    assert entrance(shown).shape == (2, 48, 24, 24), "as large as the latents"


def test_edges_outline_the_car():
    scene = scenes.Scene("car", layout=3)
    picture = painter.paint(scene)
    found = control.edges(picture.image)
    assert found.dtype == bool
    assert 0.02 < found.mean() < 0.3
    assert found[picture.masks["car"]].mean() > 1.5 * found[picture.masks["sky"]].mean()
    shown = control.as_control(found)
    assert shown.shape == (192, 192, 3)
    assert set(np.unique(shown)) == {0, 255}


def test_coarse_pixels_are_means():
    image = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3)).astype(np.uint8)
    small = upscale.coarse(image)
    assert small.shape == (1, 32, 32, 3)
    assert abs(int(small[0, 3, 5, 0]) - image[0, 12:16, 20:24, 0].mean()) <= 1


def test_an_upscaler_honours_its_noise_level(parts):
    torch.manual_seed(0)
    unet = upscale.new_unet().eval()
    noisy, timesteps, hidden = _inputs(parts, 7)
    with torch.no_grad():
        low, high = (unet(noisy, timesteps, hidden, class_labels=torch.full((2,), level)).sample for level in (0, 350))
    assert low.shape == (2, 4, 24, 24)
    assert not torch.allclose(low, high, atol=1e-4)


def test_the_stages_train_on_a_handful_of_pictures(workshop, monkeypatch):
    """The real stages, two steps each."""
    monkeypatch.setattr(upscale, "LARGE", 1)
    vae.new_vae(vae.WIDTHS[upscale.VAE]).save_pretrained(workshop / "weights" / upscale.VAE)
    data.paint_training_set(workshop / "build", 16, 1)
    for train, stage, folder in (
        (inpaint.train_inpaint, "inpaint", inpaint.FOLDER),
        (control.train_control, "control", control.FOLDER),
        (upscale.train_upscale, "upscale", upscale.FOLDER),
    ):
        train(loop.Length(2), batch=2, lr=1e-4, device_name="cpu")
        folder = workshop / "weights" / folder
        weights = load_file(folder / "diffusion_pytorch_model.safetensors")
        assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
        assert list((workshop / "build" / stage).glob("samples-*.png"))
        assert not (workshop / "build" / stage / "state.pt").exists(), "a finished stage starts anew the next time"
        assert not any(str(workshop) in p.read_text() for p in folder.rglob("*.json"))
    upscale.train_upscale(loop.Length(4), batch=2, lr=1e-4, device_name="cpu")
    again = load_file(folder / "diffusion_pytorch_model.safetensors")
    near = [torch.allclose(weights[k].float(), again[k].float(), atol=0.01) for k in weights]
    assert all(near), "a second run goes on from the weights of the first"
