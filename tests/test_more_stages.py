"""How the weights that follow instructions, and the tiny decoder, are made from the base model's."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderTiny,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from classroom_model.training import base, data, inpaint, instruct, loop, tiny
from classroom_model.world import painter, scenes
from classroom_model.world.captions import instruction


@pytest.fixture
def folder(workshop, monkeypatch):
    monkeypatch.setattr(instruct, "PREVIEW", instruct.PREVIEW[:2])
    return workshop


def _finished(folder, stage, part):
    """Whether ``stage`` saved ``part`` as it should."""
    weights = load_file(folder / "weights" / part / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert list((folder / "build" / stage).glob("samples-*.png"))
    assert not (folder / "build" / stage / "state.pt").exists(), "a finished stage starts anew the next time"
    assert not any(str(folder) in p.read_text() for p in (folder / "weights" / part).rglob("*.json"))
    return weights


def _near(weights, others):
    return all(torch.allclose(weights[k].float(), others[k].float(), atol=0.01) for k in weights)


def test_pairs_are_painted_once_and_show_one_edit(folder):
    pairs = instruct.load_pairs(folder, 12, workers=1)
    assert [len(shard) for shard in pairs] == [8, 4]
    for i in (0, 7, 11):
        before, after, name = data.edit_pair(i)
        differing = [f.name for f in fields(scenes.Scene) if getattr(before, f.name) != getattr(after, f.name)]
        assert differing == [name]
        shown = pairs[i // 8][i % 8]
        assert np.array_equal(shown[0], painter.paint(before).image)
        assert np.array_equal(shown[1], painter.paint(after).image)
    times = {path: path.stat().st_mtime_ns for path in folder.glob("pairs-*.npy")}
    (folder / "pairs-001.npy").unlink()
    (folder / "latents-instruct-before.npy").touch()
    again = instruct.load_pairs(folder, 12, workers=1)
    assert np.array_equal(again[1], pairs[1])
    first = folder / "pairs-000.npy"
    assert first.stat().st_mtime_ns == times[first], "only what is missing is painted"
    assert not (folder / "latents-instruct-before.npy").exists(), "latents of an earlier painting are made anew"


def test_an_error_counts_more_where_the_edit_is():
    before = torch.randn(2, 4, 24, 24)
    after = before.clone()
    after[0, :, :6, :6] += 2
    maps = instruct.change_maps(before, after.half())
    assert maps.shape == (2, 1, 24, 24)
    assert torch.allclose(maps.mean((1, 2, 3)), torch.ones(2))
    assert maps[0, 0, 0, 0] / maps[0, 0, 20, 20] == pytest.approx(instruct.FOCUS, rel=0.01)
    assert torch.allclose(maps[1], torch.ones(1), atol=0.01), "where nothing changes all counts alike"


def test_without_a_mask_the_unet_for_masks_sees_the_picture_as_the_pipeline_shows_it(folder):
    parts = base.load_base("cpu")
    masks = inpaint.with_more_inputs(parts.unet, 5)
    with torch.no_grad():
        masks.conv_in.weight.normal_(0, 0.1)
    bare = instruct.without_mask(masks, parts.vae.config.scaling_factor)
    noisy, picture = torch.randn(2, 4, 24, 24), torch.randn(2, 4, 24, 24)
    rest = [torch.tensor([600, 20]), torch.randn(2, 77, parts.unet.config.cross_attention_dim)]
    nothing = torch.zeros(2, 1, 24, 24)
    with torch.no_grad():
        told = masks(torch.cat([noisy, nothing, parts.vae.config.scaling_factor * picture], 1), *rest).sample
        assert torch.allclose(bare(torch.cat([noisy, picture], 1), *rest).sample, told, atol=1e-4)


def test_every_preview_can_be_done():
    for scene, text in instruct.PREVIEW:
        assert scene.subject == "portrait" or "crown" not in text
        assert scene.crown == (text == "take the crown off")
        assert bool(scene.flaws) == (text == "make it sharp")


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_text_of_hearsay_is_another_pairs_and_no_map_gives_its_change_away(folder, monkeypatch, share):
    read, counted = [], []
    embed = base.Base.embed

    def seen_embed(self, tokens):
        read.extend(self.tokenizer.batch_decode(tokens, skip_special_tokens=True))
        return embed(self, tokens)

    def seen_loss(noiser, predicted, clean, noise, timesteps, where):
        counted.append(where)
        return predicted.mean()

    monkeypatch.setattr(base.Base, "embed", seen_embed)
    monkeypatch.setattr(instruct, "velocity_loss", seen_loss)
    monkeypatch.setattr(instruct, "train", lambda name, unet, loss_at, **options: loss_at(0))
    monkeypatch.setattr(instruct, "HEARSAY", share)
    instruct.train_instruct(loop.Length(1), batch=16, lr=1e-4, device_name="cpu")
    rng, reading = np.random.default_rng([12, 0]), np.random.default_rng(12)
    picks = rng.integers(12, size=16)
    written = [[instruction(*data.edit_pair(i), reading) for _ in range(instruct.INSTRUCTIONS)] for i in range(12)]
    told = [(pick, text) for pick, text in zip(picks, read, strict=True) if text]
    own = [text in {" ".join(words.lower().split()) for words in written[pick]} for pick, text in told]
    assert len(told) > 8
    assert np.mean(own) == 1 if share == 0 else np.mean(own) < 0.6
    assert torch.equal(counted[0], torch.ones_like(counted[0])) == (share == 1)


def test_the_instruct_stage_trains_on_a_handful_of_pairs(folder):
    instruct.train_instruct(loop.Length(2), batch=4, lr=1e-4, device_name="cpu")
    weights = _finished(folder, "instruct", instruct.FOLDER)
    parts = base.load_base("cpu")
    shown = np.load(folder / "build" / "latents-instruct-before.npy")
    picture = instruct.load_pairs(folder / "build", 12)[0][0, 0]
    with torch.no_grad():
        pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
        own = parts.vae.encode(pixels).latent_dist.mode()[0].numpy()
    assert shown.shape == (12, 4, 24, 24)
    assert np.abs(shown[0] - own).mean() < 0.03 * np.abs(own).mean(), "as the pipeline has them: not scaled"

    unet = UNet2DConditionModel.from_pretrained(folder / "weights" / instruct.FOLDER, torch_dtype=torch.float32)
    assert unet.config.in_channels == 8
    pipe = parts.pipeline(StableDiffusionInstructPix2PixPipeline, unet=unet)
    made = pipe("make it night", image=Image.fromarray(picture), num_inference_steps=2, output_type="np").images
    assert made.shape == (1, 192, 192, 3)
    assert np.isfinite(made).all()

    instruct.train_instruct(loop.Length(4), batch=4, lr=1e-4, device_name="cpu")
    assert _near(weights, _finished(folder, "instruct", instruct.FOLDER)), (
        "a second run goes on from the first's weights"
    )


def test_the_tiny_decoder_is_tiny():
    made, found = tiny.new_tiny(), []

    def count(layer, _, output):
        found.append(output[0].numel() * layer.weight[0].numel())

    for layer in made.decoder.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.no_grad():
        assert made.decode(torch.randn(1, 4, 24, 24)).sample.shape == (1, 3, 192, 192)
        assert made.encode(torch.randn(1, 3, 192, 192)).latents.shape == (1, 4, 24, 24)
    assert 0.55e9 < sum(found) < 0.6e9


def test_the_tiny_stage_trains_on_a_handful_of_pictures(folder):
    data.paint_training_set(folder / "build", 16, 1)
    tiny.train_tiny(loop.Length(2), batch=4, lr=1e-4, device_name="cpu")
    weights = _finished(folder, "tiny", tiny.FOLDER)
    assert {name.partition(".")[0] for name in weights} == {"encoder", "decoder"}

    parts = base.load_base("cpu")
    small = AutoencoderTiny.from_pretrained(folder / "weights" / tiny.FOLDER, torch_dtype=torch.float32)
    pipe = parts.pipeline(StableDiffusionImg2ImgPipeline)
    image = Image.fromarray(painter.paint(scenes.Scene("car")).image)
    options = {"image": image, "strength": 0.5, "num_inference_steps": 4}
    latents = pipe("a red car", **options, generator=torch.Generator().manual_seed(0), output_type="latent").images
    pipe.vae = small
    with torch.no_grad():
        assert pipe.vae.config.scaling_factor == 1
        drawn = small.decode(latents / pipe.vae.config.scaling_factor).sample
    assert drawn.shape == (1, 3, 192, 192)
    made = pipe("a red car", **options, output_type="np").images
    assert made.shape == (1, 192, 192, 3)
    assert np.isfinite(made).all()

    tiny.train_tiny(loop.Length(4), batch=4, lr=1e-4, device_name="cpu")
    assert _near(weights, _finished(folder, "tiny", tiny.FOLDER)), "a second run goes on from the first's weights"
