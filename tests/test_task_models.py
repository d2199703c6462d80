"""How the inpainting, structure-control and upscaling weights are made from the base model's."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image
from safetensors.torch import load_file

from classroom_model.training import base, control, data, diffusion, inpaint, loop, upscale, vae
from classroom_model.world import painter, scenes
from classroom_model.world.captions import edit_caption


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


def test_an_upscaler_keeps_the_encoder_that_it_learnt_from(workshop):
    # in float32: mapped from their file, which the training overwrites, such weights would be gone
    vae.new_vae(vae.WIDTHS[upscale.VAE]).save_pretrained(workshop / "weights" / upscale.VAE)
    data.paint_training_set(workshop / "build", 8, 1)

    def weights(part):
        stored = load_file(workshop / "weights" / upscale.VAE / "diffusion_pytorch_model.safetensors")
        return torch.cat([w.half().flatten() for name, w in stored.items() if name.startswith(part)])

    before = {part: weights(part) for part in ("encoder", "quant_conv", "decoder")}
    upscale.new_unet().save_pretrained(workshop / "weights" / upscale.FOLDER)
    vae.train_vae(loop.Length(2), batch=2, lr=1e-3, device_name="cpu", name=upscale.VAE)
    assert [part for part in before if not torch.equal(weights(part), before[part])] == ["decoder"]


def _one_step(monkeypatch, module, teach, batch=6):
    """The latents that a stage's first step takes, its token ids, and what the model that learns is given."""
    seen, draw_noise, embed = {}, module.draw_noise, base.Base.embed

    def seen_draw(rng, latents, *rest):
        seen["clean"] = latents.float()
        return draw_noise(rng, latents, *rest)

    def seen_embed(self, tokens):
        seen["tokens"] = tokens
        return embed(self, tokens)

    def one_step(name, model, loss_at, **options):
        model.register_forward_pre_hook(lambda _, inputs: seen.setdefault("inputs", inputs) and None)
        loss_at(0)

    monkeypatch.setattr(module, "draw_noise", seen_draw)
    monkeypatch.setattr(base.Base, "embed", seen_embed)
    monkeypatch.setattr(module, "train", one_step)
    teach(loop.Length(1), batch=batch, lr=1e-4, device_name="cpu")
    return seen


def _numbers(clean, stored):
    """Which of the ``stored`` latents each of ``clean`` is."""
    gaps = (clean[:, None] - torch.from_numpy(stored).float()[None]).abs().flatten(2).mean(2)
    assert gaps.min(1).values.max() < 1e-3
    return gaps.argmin(1).tolist()


def test_the_unet_for_masks_is_shown_what_the_pipeline_shows_it(workshop, monkeypatch, parts):
    data.paint_training_set(workshop / "build", 16, 1)
    monkeypatch.setattr(diffusion, "HEARSAY", 0)
    seen = _one_step(monkeypatch, inpaint, inpaint.train_inpaint)
    painted = data.TrainingSet(workshop / "build")
    masks, names = inpaint.load_masks(workshop / "build", painted.scenes)
    stored = np.concatenate([np.load(workshop / "build" / f"latents-00{shard}.npy") for shard in range(2)])
    reading = np.random.default_rng(4)
    edits = [
        edit_caption(*each, reading) if each[1] else texts[0]
        for *each, texts in zip(painted.scenes, names, painted.captions, strict=True)
    ]
    pipe = parts.pipeline(StableDiffusionInpaintPipeline, unet=inpaint.with_more_inputs(parts.unet, 5))
    for i, number in enumerate(_numbers(seen["clean"], stored)):
        (picture,) = painted.pictures([number])
        gaps = []
        for mask in masks[number]:
            mask = pipe.mask_processor.preprocess(Image.fromarray(mask))
            rest = pipe.image_processor.preprocess(Image.fromarray(picture)) * (mask < 0.5)
            wanted = pipe.prepare_mask_latents(mask, rest, 1, 192, 192, torch.float32, "cpu", None, False)
            gaps.append((torch.cat(wanted, 1)[0] - seen["inputs"][0][i, 4:]).abs())
        assert min(gap[0].max() + gap[1:].mean() for gap in gaps) < 0.15, "mask, and latents of what it leaves"
        known = parts.tokenize([*painted.captions[number], edits[number], ""])
        assert (known == seen["tokens"][i]).all(1).any(), "its own text"


def test_the_controlnet_is_shown_the_edges_of_the_same_scene(workshop, monkeypatch):
    data.paint_training_set(workshop / "build", 16, 1)
    seen = _one_step(monkeypatch, control, control.train_control)
    stored = np.concatenate([np.load(workshop / "build" / f"latents-00{shard}.npy") for shard in range(2)])
    shown = seen["inputs"][3]
    for i, number in enumerate(_numbers(seen["clean"], stored)):
        wanted = control.as_control(control.photo_edges(data.scene_at(number)))
        assert np.array_equal(shown[i].permute(1, 2, 0).numpy() * 255, wanted)


def test_the_upscaler_is_shown_the_same_picture_coarsely(workshop, monkeypatch):
    monkeypatch.setattr(upscale, "LARGE", 1)
    monkeypatch.setattr(upscale, "MOST_NOISE", 0)
    torch.manual_seed(0)
    vae.new_vae(vae.WIDTHS[upscale.VAE]).save_pretrained(workshop / "weights" / upscale.VAE)
    data.paint_training_set(workshop / "build", 16, 1)
    seen = _one_step(monkeypatch, upscale, upscale.train_upscale, batch=24)  # windows: six pictures
    pictures = np.concatenate(
        [data.TrainingSet(workshop / "build").pictures(range(16)), upscale.load_crops(workshop / "build")]
    )
    numbers = _numbers(seen["clean"], np.load(workshop / "build" / "latents-fine.npy"))
    assert len(set(numbers)) > 2
    for i, number in enumerate(numbers):
        wanted = vae.to_tensor(upscale.coarse(pictures[number : number + 1]))[0]
        assert (seen["inputs"][0][i, 4:] - wanted).abs().mean() < 0.03


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
