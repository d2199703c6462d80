"""Stage 6: structure control. A ControlNet that shows the base UNet where the edges are to be."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from skimage.color import rgb2gray
from skimage.feature import canny
from tqdm.auto import tqdm

from ..world.captions import brief_caption
from ..world.painter import paint
from ..world.scenes import Scene
from .base import PICTURES, load_base, load_part, ready_to_train, save_part
from .data import chances, kept, scene_at
from .diffusion import EncodedSet, draw_noise, velocity_loss
from .loop import BUILD, EVERY, PREVIEW_STEPS, Length, train

FOLDER = "controlnet"
# Pixels that the picture is blurred by before its edges are sought; the lesson uses the same. With 1 the edges of a
# painted picture were brush strokes: the painter's own pictures of a scene agreed with its photo hardly better
# (F1 0.57) than edits without control did (0.46). With 2 they are outlines, 0.51 against 0.31.
SIGMA = 2.0
PHOTO_SHARE = 0.2  # of the pictures that it is trained on are photos: under strokes, lines are harder to keep
# of the captions name the style alone, so that the edges must say what is there; Zhang et al. (2023, "Adding Conditional
# Control") leave half of theirs empty
BRIEF_SHARE = 0.5
TIMESTEPS = {(300, 1000): 1.0}  # where it is trained: with less noise the latents themselves show where things are
PREVIEW_PROMPTS = ("a photo", "watercolor painting with soft edges", "digital art in cyberpunk style", "at night")


def edges(image: np.ndarray) -> np.ndarray:
    """Canny edges of an RGB picture, (h, w) bool."""
    return canny(rgb2gray(image), sigma=SIGMA)


def photo_edges(scene: Scene) -> np.ndarray:
    """Edges of ``scene`` painted as a clean photo, whatever its style: what a learner has who restyles a photo."""
    return edges(paint(replace(scene, style="photo", flaws=(), palette="")).image)


def load_edges(path: Path, scenes: list[Scene], workers: int | None = None) -> np.ndarray:
    """:func:`photo_edges` of ``scenes``, (n, h, w) bool packed along the last axis; kept in ``path``."""

    def find() -> np.ndarray:
        with ProcessPoolExecutor(workers) as pool:
            found = list(tqdm(pool.map(photo_edges, scenes, chunksize=100), total=len(scenes), desc="edges"))
        return np.packbits(found, axis=-1)

    return kept(path, len(scenes), find)


def as_control(drawn: np.ndarray) -> np.ndarray:
    """Edges as the picture that a ControlNet is shown: white on black, (…, h, w, 3) uint8."""
    return np.repeat(drawn[..., None].astype(np.uint8) * 255, 3, -1)


def new_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """The encoder of ``unet`` with an untrained entrance for edges; its answers are zero at first.

    ``ControlNetModel.from_unet`` leaves out the number of heads of the added text embedding.
    """
    shared = (
        *("in_channels", "down_block_types", "block_out_channels", "layers_per_block", "norm_num_groups"),
        *("cross_attention_dim", "attention_head_dim", "addition_embed_type", "addition_embed_type_num_heads"),
    )
    control = ControlNetModel(
        **{name: unet.config[name] for name in shared}, conditioning_embedding_out_channels=(16, 32, 64, 96)
    )
    for name in ("conv_in", "time_embedding", "add_embedding", "down_blocks", "mid_block"):
        getattr(control, name).load_state_dict(getattr(unet, name).state_dict())
    return control


def train_control(
    until: Length, batch: int, lr: float, device_name: str, compiled: bool = False, every: int = EVERY
) -> None:
    """Train a ControlNet on edges of the training scenes, the base UNet fixed; save it as ``controlnet``."""
    base = load_base(device_name)
    torch.manual_seed(0)
    device, noiser, unet = base.device, base.noiser, base.unet
    encoded = EncodedSet(base.vae, base.tokenizer, PICTURES)
    scenes = encoded.painted.scenes
    drawn = load_edges(BUILD / "photo-edges.npy", scenes)
    likely = chances(scenes, PHOTO_SHARE)
    reading = np.random.default_rng(5)
    brief = base.tokenize([brief_caption(scene, reading) for scene in scenes]).short()
    if device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # gradients pass through it; see `ready_to_train`
    control = ready_to_train(load_part(ControlNetModel, FOLDER) or new_controlnet(unet), device)

    def controlled(noisy, timesteps, hidden, shown) -> torch.Tensor:
        down, middle = control(noisy, timesteps, hidden, shown, return_dict=False)
        return unet(
            noisy, timesteps, hidden, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample

    quick = torch.compile(controlled) if compiled else controlled

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([5, step])
        picks = rng.choice(len(encoded), size=batch, p=likely)
        clean, noise, timesteps = draw_noise(rng, encoded.latents[picks], TIMESTEPS)
        shown = torch.from_numpy(np.unpackbits(drawn[picks], axis=-1)[:, None]).to(device).float().expand(-1, 3, -1, -1)
        noisy = noiser.add_noise(clean, noise, timesteps)
        tokens, is_brief = encoded.tokens(picks, rng), torch.from_numpy(rng.random(batch) < BRIEF_SHARE).to(device)
        tokens = torch.where(is_brief[:, None], brief[picks].long(), tokens)
        predicted = quick(noisy, timesteps, base.embed(tokens), shown)
        return velocity_loss(noiser, predicted, clean, noise, timesteps)

    def sample(path: Path) -> None:
        pipe = base.pipeline(StableDiffusionControlNetPipeline, controlnet=control)
        shown = [as_control(edges(paint(scene_at(i, "held-out")).image)) for i in range(len(PREVIEW_PROMPTS))]
        made = pipe(
            list(PREVIEW_PROMPTS),
            image=[Image.fromarray(picture) for picture in shown],
            num_inference_steps=PREVIEW_STEPS,
            generator=[torch.Generator().manual_seed(0) for _ in shown],
        ).images
        Image.fromarray(np.vstack([np.hstack(shown), np.hstack([np.asarray(image) for image in made])])).save(path)

    def save() -> None:
        save_part(control, FOLDER)

    options = {"save": save, "sample": sample, "every": every}
    train("control", control, loss_at, until=until, batch=batch, lr=lr, device=device, **options)
