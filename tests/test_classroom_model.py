"""How the classroom model is made, and that the committed weights are what the lessons need."""

import dataclasses

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler

from classroom_model import data, diffusion, loop, painter, scenes, vae
from img2img_helpers.models import CLASSROOM_FOLDER

SD15_BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


def test_a_scene_is_always_the_same_picture_and_its_index_the_same_scene():
    scene = data.scene_at(5)
    assert scene == data.scene_at(5) != data.scene_at(5, "held-out")
    picture = painter.paint(scene)
    assert picture.image.shape == (128, 128, 3)
    assert np.array_equal(picture.image, painter.paint(scene).image)


def test_changing_the_car_changes_the_car_only():
    red = scenes.Scene("car", color="red", layout=3)
    blue = dataclasses.replace(red, color="blue")
    one, other = painter.paint(red), painter.paint(blue)
    assert np.array_equal(one.masks["car"], other.masks["car"])
    changed = (one.image != other.image).any(2)
    inside = one.masks["car"]
    assert changed[inside].mean() > 0.4
    assert changed[~inside].mean() < 0.03  # the mask's smoothed rim


@pytest.mark.parametrize("style", scenes.STYLES)
@pytest.mark.parametrize("subject", ["landscape", "car"])
def test_every_style_and_time_is_another_picture(style, subject):
    pictures = [painter.paint(scenes.Scene(subject, style=style, time=t, layout=1)).image for t in scenes.TIMES]
    for i, one in enumerate(pictures):
        assert one.std() > 15
        # pencil drawings are grey at every time of day, so they are closer
        assert all(np.abs(one.astype(int) - other).mean() > 1 for other in pictures[:i])


def test_captions_name_what_they_should():
    rng = np.random.default_rng(0)
    scene = scenes.Scene("car", style="pencil", time="night", color="blue", place="beach road")
    captions = [scenes.caption(scene, rng) for _ in range(400)]
    assert len(set(captions)) > 40
    assert all(c == c.lower() for c in captions)
    assert np.mean(["pencil" in c for c in captions]) > 0.9
    assert np.mean(["blue car" in c for c in captions]) > 0.6
    assert not any("red" in c.replace("hatching", "").split() for c in captions)
    flawed = dataclasses.replace(scene, flaw="blurry")
    assert all("blurry" in scenes.caption(flawed, rng) for _ in range(50))


def test_vae_keeps_the_picture():
    """On held-out scenes, 8-bit pixels."""
    model = AutoencoderKL.from_pretrained(CLASSROOM_FOLDER / "vae", torch_dtype=torch.float32).eval()
    held_out = [data.scene_at(i, "held-out") for i in range(48)]
    psnr = vae.round_trip_psnr(model, np.stack([painter.paint(s).image for s in held_out]))
    pencil = np.array([s.style == "pencil" for s in held_out])
    assert psnr[~pencil].mean() > 27
    assert psnr[pencil].mean() > 20


def test_latents_have_unit_power():
    model = AutoencoderKL.from_pretrained(CLASSROOM_FOLDER / "vae", torch_dtype=torch.float32).eval()
    pictures = np.stack([painter.paint(data.scene_at(i, "held-out")).image for i in range(32)])
    with torch.no_grad():
        latents = model.encode(vae.to_tensor(pictures)).latent_dist.mode() * model.config.scaling_factor
    assert latents.mean((0, 2, 3)).abs().max() < 0.3
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.3


def test_standardising_latents_leaves_the_pictures_alone():
    torch.manual_seed(0)
    model = vae.new_vae().eval()
    pictures = np.stack([painter.paint(data.scene_at(i)).image for i in range(16)])
    pixels = vae.to_tensor(pictures)
    with torch.no_grad():
        before = model.decode(model.encode(pixels).latent_dist.mode()).sample
        vae.standardise_latents(model, pictures)
        latents = model.encode(pixels).latent_dist.mode() * model.config.scaling_factor
        after = model.decode(model.encode(pixels).latent_dist.mode()).sample
    assert torch.allclose(before, after, atol=1e-4)
    assert torch.allclose(latents.std((0, 2, 3)), torch.ones(4), atol=1e-3)


def test_noise_schedule_is_gentler_than_sd15_and_ends_in_nearly_pure_noise():
    ours = DDIMScheduler(trained_betas=diffusion.noise_schedule()).alphas_cumprod
    theirs = DDIMScheduler(**SD15_BETAS).alphas_cumprod
    assert (ours[:800] > theirs[:800]).all()
    assert (ours.diff() < 0).all()
    assert 0.004 < ours[-1].sqrt().item() < 0.008
    # diffusers' own rescaling of the same betas ends at zero, ours just before: compare away from the end
    zero_snr = DDIMScheduler(**SD15_BETAS, rescale_betas_zero_snr=True).alphas_cumprod
    ratio = ours / (1 - ours) / (zero_snr / (1 - zero_snr))
    assert torch.allclose(ratio[:500], torch.tensor(4.0), rtol=0.05)
    saved = DDIMScheduler.from_pretrained(CLASSROOM_FOLDER / "scheduler").alphas_cumprod
    assert torch.allclose(saved, ours)


def test_timesteps_favour_the_noisy_end():
    drawn = diffusion.sample_timesteps(np.random.default_rng(0), 20_000)
    assert drawn.min() < 5
    assert drawn.max() == 999
    assert np.mean(drawn >= diffusion.NOISY_FROM) == pytest.approx(0.3 + 0.7 * 0.1, abs=0.02)


def test_loss_weights_count_what_the_clean_image_loses():
    snr = torch.tensor([1e-4, 0.25, 1.0, 3.0, 99.0])
    on_the_clean_latents = diffusion.loss_weights(snr) * (snr + 1)  # velocity error² = (SNR + 1) · latents error²
    assert torch.allclose(on_the_clean_latents, torch.tensor([1.0, 1.0, 1.0, 3.0, 5.0]))


def test_tokenizer_knows_the_courses_words_whole(classroom_pipe):
    tokenizer = classroom_pipe.tokenizer
    for prompt in (*diffusion.PREVIEW_PROMPTS, diffusion.RESERVED_WORDS):
        words = prompt.replace(",", " ").replace("-", " ").split()
        tokens = [t.removesuffix("</w>") for t in tokenizer.tokenize(prompt.replace(",", " ").replace("-", " "))]
        assert tokens == words
    assert tokenizer.model_max_length == 77
    assert tokenizer.pad_token == tokenizer.eos_token


@pytest.mark.parametrize("stop_at", [None, 7])
def test_training_goes_on_where_it_was_interrupted(stop_at, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "BUILD", tmp_path)
    torch.manual_seed(0)
    start = torch.nn.Linear(3, 1)
    fresh = {k: v.clone() for k, v in start.state_dict().items()}

    def run(stop=None):
        model = torch.nn.Linear(3, 1)
        model.load_state_dict(fresh)

        def loss_at(step):
            if step == stop:
                raise KeyboardInterrupt
            x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
            return (model(x) - x.sum(1, keepdim=True)).square().mean()

        ema = loop.train("test", model, loss_at, steps=20, lr=0.1, device=torch.device("cpu"), every=5)
        return [p.detach().clone() for p in model.parameters()] + [p.clone() for p in ema.shadow_params]

    whole = run()
    for file in (tmp_path / "test").iterdir():
        file.unlink()
    if stop_at:
        with pytest.raises(KeyboardInterrupt):
            run(stop_at)
    again = run()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(whole, again, strict=True))
    assert len((tmp_path / "test" / "log.csv").read_text().splitlines()) == 4


def test_training_stages_train_the_committed_weights(tmp_path, monkeypatch):
    """The real stages, two steps each, on a handful of pictures."""
    import shutil

    monkeypatch.setattr(data, "SHARD", 8)
    for module in (loop, vae, diffusion):
        monkeypatch.setattr(module, "BUILD", tmp_path / "build", raising=False)
        monkeypatch.setattr(module, "WEIGHTS", tmp_path / "weights", raising=False)
    monkeypatch.setattr(diffusion, "PREVIEW_PROMPTS", ("a red car",))
    shutil.copytree(CLASSROOM_FOLDER, tmp_path / "weights")
    data.paint_training_set(tmp_path / "build", 8, 1)
    before = (tmp_path / "weights" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    vae.train_vae(steps=2, batch=4, lr=1e-5, device_name="cpu")
    diffusion.train_diffusion(steps=2, batch=2, lr=1e-5, device_name="cpu")
    after = (tmp_path / "weights" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert before != after
    assert len(before) == len(after)
    assert list((tmp_path / "build" / "diffusion").glob("samples-*.png"))
    assert not list((tmp_path / "build").rglob("state.pt")), "a finished stage starts anew the next time"
    assert not any(str(tmp_path) in p.read_text() for p in (tmp_path / "weights").rglob("*.json"))

    from img2img_helpers import load_pipeline

    pipe = load_pipeline("text2img", str(tmp_path / "weights"))
    pipe.set_progress_bar_config(disable=True)
    made = np.asarray(pipe("a red car", num_inference_steps=4, generator=torch.Generator().manual_seed(0)).images[0])
    assert made.shape == (128, 128, 3)
    assert made.std() > 10, "two small steps do not destroy what the committed weights know"
