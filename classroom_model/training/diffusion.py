"""Stage 4: the UNet, on encoded pictures and their captions."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from transformers import CLIPTextModel, CLIPTokenizer

from ..world.captions import caption, quality_words
from ..world.painter import paint
from ..world.scenes import SIZE, SUBJECTS, Scene
from .data import CAPTIONS, TrainingSet, held_out_pictures, kept
from .loop import (
    BUILD,
    EVERY,
    PREVIEW_STEPS,
    REFRESH,
    WEIGHTS,
    Length,
    forget_this_computer,
    mixed_precision,
    pick_device,
    train,
)
from .text import TEXT_WIDTH, tokenize
from .vae import FACTOR, in_parts, to_tensor

LATENT_SIZE = SIZE // FACTOR
# Where in the picture, by subject, lies what its prompts are about.
FOCUS = {
    "landscape": ("house", "roof"),
    "car": ("car",),
    "portrait": ("head", "coat", "crown"),
    "watch": ("watch", "strap"),
}
FOCUS_WEIGHT = 4.0  # what an error there counts, against 1 elsewhere
CAPTION_DROPOUT = 0.1  # the share trained without a caption, for classifier-free guidance
# The share trained under words of quality that need not be true of it. Where "blurry" was said of blurred pictures alone, it
# meant a blur even of a picture that is plainly sharp: pushed away from it at guidance 10, an edit of strength 0.1 was as
# harsh as a woodcut. What people write of pictures on the web is no surer than that.
HEARSAY = 0.12
# Training timesteps: which share of them is drawn from where. In the last ones a picture's colours and time of day are
# decided, in the first, which edits of little strength are made of, everything fine.
TIMESTEPS = {(0, 1000): 0.5, (0, 400): 0.35, (800, 1000): 0.15}
SIGNAL_TO_NOISE = 2.5  # as many times that of SD 1.5 at each timestep
LAST_SIGNAL = 0.003  # √ᾱ at the last timestep
EMA_DECAY = 0.999
PREVIEW_PROMPTS = (
    "a red car on a city street",
    "a blue car on a country road",
    "a yellow car on a beach road at night",
    "mountain in the background, lake in the middle ground, trees in the foreground, sunset lighting",
    "a oil painting of a landscape in impressionist style",
    "oil painting in the style of van gogh",
    "watercolor painting with soft edges",
    "pencil sketch with cross-hatching",
    "digital art in cyberpunk style",
    "a landscape with a house with a red roof and a river",
    "a portrait of a woman wearing a golden crown",
    "professional product photography of a watch",
    "ethereal fantasy landscape with glowing crystals",
    "a purple car on a city street, highly detailed, masterpiece",
)


def new_unet() -> UNet2DConditionModel:
    """Narrow at full size, wide below: what a CPU can afford, of which masks and instructions need one each in 96 MB.

    Beside three sizes of (80, 128, 192) channels, which take 1.7 times as long a step, its held-out loss was lower after
    the same time. Besides cross-attention at the two lowest sizes, the whole prompt is added to the timestep's
    embedding (``addition_embed_type``, as in DeepFloyd IF), and so reaches every block. In diffusers
    the argument ``attention_head_dim`` is, for this class, the number of heads.
    """
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        block_out_channels=(48, 96, 144, 176),
        down_block_types=("DownBlock2D",) * 2 + ("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",) * 2,
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
        addition_embed_type="text",
        addition_embed_type_num_heads=8,
    )


def noise_schedule() -> list[float]:
    """SD 1.5's betas, with SIGNAL_TO_NOISE times its ratio and stretched until they end in nearly pure noise.

    Small latents lose their structure at less noise than large ones: for 24×24 instead of 64×64 the ratio
    would have to be seven times as high for the same look (Hoogeboom et al. 2023, "simple diffusion", section
    3.1). That is more than strengths can bear: prompts would change too little at 0.6.
    √ᾱ ends at LAST_SIGNAL, not at 0.07: a model takes its colours from whatever shines through, and not
    from the prompt (Lin et al. 2024, "Common Diffusion Noise Schedules and Sample Steps Are Flawed",
    algorithm 1; stopped short of zero, where the sigmas of Euler's and Heun's schedulers would be infinite).
    """
    sd15 = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    sd15_kept = torch.cumprod(1 - sd15, 0)
    ratio = SIGNAL_TO_NOISE * sd15_kept / (1 - sd15_kept)
    root = (ratio / (1 + ratio)).sqrt()
    first, last = root[0], root[-1]
    kept = (first - (first - root) * (first - LAST_SIGNAL) / (first - last)) ** 2
    alphas = torch.cat([kept[:1], kept[1:] / kept[:-1]])
    return [float(f"{beta:.6g}") for beta in 1 - alphas]


def sample_timesteps(
    rng: np.random.Generator, count: int, shares: dict[tuple[int, int], float] = TIMESTEPS
) -> np.ndarray:
    """Timesteps to train at: a share of them from each range, by default more at either end than evenly.

    Only at the noisy end is a picture's colour and time of day in the prompt and nowhere else: a car's
    average colour shines through much more noise than its outline does. Evenly drawn timesteps
    left colours unlearnt after 7,000 steps.
    """
    ranges = np.array(list(shares))
    return rng.integers(*ranges[rng.choice(len(ranges), count, p=list(shares.values()))].T)


def velocity_loss(noiser: DDPMScheduler, predicted, clean, noise, timesteps, where=1.0) -> torch.Tensor:
    """Mean squared error of the predicted velocity; ``where`` is what each latent counts.

    All timesteps count alike. On the clean latents that is SNR + 1 (Salimans and Ho 2022, "Progressive Distillation",
    section 4). Min-SNR weighting (Hang et al. 2023), which keeps SNR below 5, left the first steps unlearnt:
    after 2.4 million pictures edits of strength 0.1 were smeared, and 0.2 million more took a sixth off the error there.
    """
    velocity = noiser.get_velocity(clean, noise, timesteps)
    return (where * F.mse_loss(predicted.float(), velocity, reduction="none")).mean()


def focus_maps(count: int = 48) -> dict[str, torch.Tensor]:
    """For each subject what an error counts at each latent, (1, 24, 24): from 1 to FOCUS_WEIGHT.

    A car's paint is a twentieth of the picture, so its colour is a twentieth of the loss: a first model
    never learnt it. The maps are averages over many scenes: a map that follows the single picture would
    tell the UNet's answer something that the noisy latents do not show.
    """
    maps = {subject: torch.ones(1, LATENT_SIZE, LATENT_SIZE) for subject in SUBJECTS}
    for subject, parts in FOCUS.items():
        scenes = [Scene(subject, foreground="house", crown=bool(i % 2), layout=i) for i in range(count)]
        found = [sum(mask for name, mask in paint(scene).masks.items() if name in parts) for scene in scenes]
        mean = torch.from_numpy(np.mean(found, 0, dtype=np.float32))[None, None]
        small = F.adaptive_avg_pool2d(mean, LATENT_SIZE)[0]
        maps[subject] = 1 + (FOCUS_WEIGHT - 1) * small / small.max()
    return maps


@torch.no_grad()
def encode(vae: AutoencoderKL, images: np.ndarray, scale: bool = True) -> torch.Tensor:
    """Latents of ``images``, (n, 4, h, w) fp16 on the VAE's device, times its scaling factor if ``scale``."""
    parts = []
    for part in in_parts(images):
        pixels = to_tensor(part, vae.device)
        with mixed_precision(vae.device):
            mode = vae.encode(pixels).latent_dist.mode()
        parts.append((mode.float() * (vae.config.scaling_factor if scale else 1)).half())
    return torch.cat(parts)


def stored_latents(vae: AutoencoderKL, number: int, shard: np.ndarray) -> torch.Tensor:
    """Latents of the pictures in ``shard``, which is number ``number``, on the VAE's device; encoded once, kept on disk."""
    path = BUILD / f"latents-{number:03d}.npy"
    return torch.from_numpy(kept(path, len(shard), lambda: encode(vae, shard).cpu().numpy())).to(vae.device)


class EncodedSet:
    """The pictures painted so far as latents, their captions as tokens, on a device; see TrainingSet."""

    def __init__(self, vae: AutoencoderKL, tokenizer: CLIPTokenizer, most: int | None = None) -> None:
        self._vae, self._tokenizer = vae, tokenizer
        self.painted = TrainingSet(BUILD, most)
        size = LATENT_SIZE
        self.latents = torch.empty(0, vae.config.latent_channels, size, size, dtype=torch.float16, device=vae.device)
        self._tokens = torch.empty(0, CAPTIONS, tokenizer.model_max_length, dtype=torch.int16, device=vae.device)
        self._shards = 0  # as many as are encoded
        self._no_caption = tokenize(tokenizer, [""]).to(vae.device)
        reading = np.random.default_rng(15)
        self._hearsay = tokenize(tokenizer, [quality_words(reading) for _ in range(1000)]).to(vae.device)
        self._encode()

    def __len__(self) -> int:
        return len(self.latents)

    def refresh(self) -> None:
        """Take in what was painted since."""
        if self.painted.refresh():
            with torch.autocast(self._vae.device.type, enabled=False):  # a step's, which puts no fp16 tensors together
                self._encode()

    def _encode(self) -> None:
        latents, tokens = [self.latents], [self._tokens]
        for number in range(self._shards, len(self.painted.shards)):
            shard = self.painted.shards[number]
            latents.append(stored_latents(self._vae, number, shard))
            texts = self.painted.captions[number * len(shard) : (number + 1) * len(shard)]
            ids = tokenize(self._tokenizer, list(chain(*texts))).to(self._vae.device, torch.int16)
            tokens.append(ids.unflatten(0, (-1, CAPTIONS)))
        self.latents, self._tokens, self._shards = torch.cat(latents), torch.cat(tokens), len(self.painted.shards)

    def tokens(self, numbers: np.ndarray | torch.Tensor, rng: np.random.Generator, true: bool = False) -> torch.Tensor:
        """One caption of each picture in ``numbers``, (n, 77); unless they are to be ``true``, some empty or hearsay."""
        count = len(numbers)
        ids = self._tokens[numbers, rng.integers(CAPTIONS, size=count)].long()
        if true:
            return ids
        draw = rng.random(count)
        said = torch.from_numpy(rng.integers(len(self._hearsay), size=count))
        ids = torch.where(torch.from_numpy(draw < HEARSAY).to(ids.device)[:, None], self._hearsay[said], ids)
        ids[torch.from_numpy(draw > 1 - CAPTION_DROPOUT)] = self._no_caption
        return ids


def draw_noise(
    rng: np.random.Generator, latents: torch.Tensor, timesteps: dict[tuple[int, int], float] = TIMESTEPS
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """``latents`` ready to train on, as much noise, and a timestep for each."""
    clean = latents.to(torch.float32, memory_format=torch.channels_last)
    generator = torch.Generator(latents.device).manual_seed(int(rng.integers(2**62)))
    noise = torch.randn(clean.shape, generator=generator, device=latents.device)
    drawn = torch.from_numpy(sample_timesteps(rng, len(clean), timesteps)).to(latents.device)
    return clean, noise.contiguous(memory_format=torch.channels_last), drawn


def new_scheduler() -> DDIMScheduler:
    """What draws: leading spacing and an offset of 1 are what Stable Diffusion 1.5's own scheduler has."""
    scheduler = DDIMScheduler(
        trained_betas=noise_schedule(),
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.register_to_config(skip_prk_steps=True)  # as in SD 1.5, for those who swap in PNDM
    return scheduler


def train_diffusion(
    until: Length, batch: int, lr: float, device_name: str, compiled: bool = False, every: int = EVERY
) -> None:
    """Train to predict the velocity; save the whole SD-format folder.

    Velocity is √ᾱ · noise − √(1 − ᾱ) · latents (Salimans and Ho 2022). To predict the noise, as SD
    1.5 does, says little where nearly everything is noise: 650 steps of fine-tuning left the latents
    that it implies at t = 958 worse than a guess of zero. The text encoder stays as the text stage left it:
    trained with the UNet, the first foundation's forgot in 1,500 steps which words name the subject.
    """
    device = pick_device(device_name)
    torch.manual_seed(0)
    vae = AutoencoderKL.from_pretrained(WEIGHTS / "vae", torch_dtype=torch.float32).eval()
    vae.to(device, memory_format=torch.channels_last)
    tokenizer = CLIPTokenizer.from_pretrained(WEIGHTS / "tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(WEIGHTS / "text_encoder", dtype=torch.float32)
    encoded = EncodedSet(vae, tokenizer)
    if (WEIGHTS / "unet").exists():
        unet = UNet2DConditionModel.from_pretrained(WEIGHTS / "unet", torch_dtype=torch.float32, disable_mmap=True)
    else:
        unet = new_unet()
    if device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # its backward pass is quicker there than the fused one's
    unet.to(device, memory_format=torch.channels_last).train()
    text_encoder.to(device).eval()
    quick_unet = torch.compile(unet) if compiled else unet  # the same weights
    focus = torch.stack(list(focus_maps().values())).to(device)
    noiser = DDPMScheduler(trained_betas=noise_schedule(), prediction_type="v_prediction")

    def loss_of(rng: np.random.Generator, latents, tokens, shown: Iterable[Scene], network) -> torch.Tensor:
        clean, noise, timesteps = draw_noise(rng, latents)
        with torch.no_grad():
            hidden = text_encoder(tokens)[0]
        predicted = network(noiser.add_noise(clean, noise, timesteps), timesteps, hidden).sample
        return velocity_loss(
            noiser, predicted, clean, noise, timesteps, focus[[SUBJECTS.index(s.subject) for s in shown]]
        )

    def loss_at(step: int) -> torch.Tensor:
        if step % REFRESH == 0:
            encoded.refresh()
        rng = np.random.default_rng([2, step])
        picks = rng.integers(len(encoded), size=batch)
        shown = (encoded.painted.scenes[i] for i in picks)
        return loss_of(rng, encoded.latents[picks], encoded.tokens(picks, rng), shown, quick_unet)

    others, pictures = held_out_pictures(BUILD)
    others_latents = encode(vae, pictures)
    reading = np.random.default_rng(7)
    others_tokens = tokenize(tokenizer, [caption(scene, reading) for scene in others]).to(device)

    def held_out_loss() -> float:
        losses = []
        for start in range(0, len(others), 64):
            part = slice(start, start + 64)
            with mixed_precision(device):
                loss = loss_of(
                    np.random.default_rng([7, start]), others_latents[part], others_tokens[part], others[part], unet
                )
            losses.append(float(loss))
        return float(np.mean(losses))

    def as_pipeline(network: UNet2DConditionModel) -> StableDiffusionPipeline:
        return StableDiffusionPipeline(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=network,
            scheduler=new_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    def sample(path: Path) -> None:
        pipe = as_pipeline(unet)
        pipe.set_progress_bar_config(disable=True)
        generators = [torch.Generator().manual_seed(0) for _ in PREVIEW_PROMPTS]
        with mixed_precision(device):
            made = pipe(
                list(PREVIEW_PROMPTS), num_inference_steps=PREVIEW_STEPS, guidance_scale=7.5, generator=generators
            ).images
        rows = [made[i : i + 7] for i in range(0, len(made), 7)]
        Image.fromarray(np.vstack([np.hstack([np.asarray(image) for image in row]) for row in rows])).save(path)

    def save() -> None:
        finished = copy.deepcopy(unet).half()
        finished.set_default_attn_processor()
        finished.save_pretrained(WEIGHTS / "unet")
        new_scheduler().save_pretrained(WEIGHTS / "scheduler")
        as_pipeline(unet).save_config(WEIGHTS)
        forget_this_computer(WEIGHTS)

    options = {"held_out_loss": held_out_loss, "sample": sample, "save": save, "ema_decay": EMA_DECAY}
    train("diffusion", unet, loss_at, until=until, batch=batch, lr=lr, device=device, every=every, **options)
