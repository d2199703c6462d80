"""Stage 5: inpainting. The base UNet with five more input channels: a mask, and latents of what it leaves."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, StableDiffusionInpaintPipeline, UNet2DConditionModel
from PIL import Image
from tqdm.auto import tqdm

from ..world.captions import edit_caption
from ..world.painter import paint
from ..world.scenes import SIZE, Scene
from .base import PICTURES, Base, load_base, load_part, ready_to_train, save_part
from .data import TrainingSet, chances, kept
from .diffusion import CAPTION_DROPOUT, EncodedSet, draw_noise, encode
from .loop import BUILD, EVERY, PREVIEW_STEPS, Length, train
from .vae import in_parts

FOLDER = "unet_inpaint"
PHOTO_SHARE = 0.6  # of the pictures that it is trained on are photos: what learners edit
OUTSIDE = 0.25  # what an error outside the mask counts, against 1 inside
# What an error counts within REACH latents of the border, on either side. The model's own pictures have no seam there: it
# paints the new to fit what it takes the surroundings to be, and where that is wrong the overlay shows it.
BORDER, REACH = 3.0, 2
TONE = 4  # latents to a side of the squares whose mean error counts once more: what the eye sees of a patch is its tone
# What an edit would paint anew, by subject: the attribute of Scene, and the masks that show it.
THINGS = {
    "landscape": {"color": ("house", "roof")},
    "car": {"color": ("car",)},
    "portrait": {"crown": ("crown",), "color": ("coat",)},
    "watch": {"color": ("strap",)},
}
PREVIEW = (  # scene, what stands there, prompt
    (Scene("portrait", layout=9006), "crown", "a golden crown"),
    (Scene("car", color="red", layout=9003), "color", "a blue car on a city street"),
    (Scene("landscape", water="lake", foreground="open", layout=9002), "color", "a house with a red roof"),
    (Scene("landscape", foreground="house", layout=9003), "color", "a meadow"),
)


def thing_mask(scene: Scene, name: str) -> np.ndarray:
    """Where ``scene`` shows the thing that has the attribute ``name``, or would show it: (192, 192) bool."""
    changes = {"foreground": "house"} if scene.subject == "landscape" else {"crown": True} if name == "crown" else {}
    masks = paint(replace(scene, flaws=(), **changes)).masks
    return np.any([masks[part] for part in THINGS[scene.subject][name]], axis=0)


def spread(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``mask`` as a hand would draw it: wider by up to 7 pixels, often as a box or an ellipse around it."""
    ys, xs = np.nonzero(mask)
    if not len(ys) or rng.random() < 0.5:
        reach = int(rng.integers(0, 8))
        return cv2.dilate(mask.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    out = np.zeros(mask.shape, np.uint8)
    (left, right), (top, bottom) = (
        (int(v.min()) - rng.integers(1, 7), int(v.max()) + rng.integers(1, 7)) for v in (xs, ys)
    )
    if rng.random() < 0.6:
        cv2.rectangle(out, (int(left), int(top)), (int(right), int(bottom)), 1, -1)
    else:
        axes = (int(0.71 * (right - left)), int(0.71 * (bottom - top)))  # touches the corners of the box
        cv2.ellipse(out, (int(left + right) // 2, int(top + bottom) // 2), axes, 0, 0, 360, 1, -1)
    return out > 0


def random_mask(rng: np.random.Generator) -> np.ndarray:
    """A box, a few brush strokes or, one time in ten, everything: (192, 192) bool."""
    out = np.zeros((SIZE, SIZE), np.uint8)
    kind = rng.random()
    if kind < 0.1:
        out[:] = 1
    elif kind < 0.5:
        width, height = rng.integers(16, 96, 2)
        x, y = rng.integers(0, SIZE - width), rng.integers(0, SIZE - height)
        out[y : y + height, x : x + width] = 1
    else:
        for _ in range(rng.integers(1, 5)):
            points = rng.integers(8, SIZE - 8, 2) + np.cumsum(rng.normal(0, 18, (rng.integers(2, 7), 2)), 0)
            points = np.clip(np.round(points), 0, SIZE - 1).astype(np.int32)
            cv2.polylines(out, [points], False, 1, int(rng.integers(8, 30)))
    return out > 0


def training_masks(scene: Scene, index: int) -> tuple[np.ndarray, str, np.ndarray]:
    """For training picture ``index`` the mask of a thing, the attribute it shows ("" for none), and a random mask."""
    rng = np.random.default_rng([10, index])
    things = THINGS.get(scene.subject, {})
    if not things or "distorted" in scene.flaws:  # which bends things out of their masks
        return random_mask(rng), "", random_mask(rng)
    name = str(rng.choice(list(things)))
    there = scene.crown if name == "crown" else scene.colored
    return spread(thing_mask(scene, name), rng), name if there else "", random_mask(rng)


def _masks_of(job: tuple[Scene, int]) -> tuple[np.ndarray, str, np.ndarray]:
    return training_masks(*job)


def load_masks(folder: Path, scenes: list[Scene], workers: int | None = None) -> tuple[np.ndarray, list[str]]:
    """Two masks for each of ``scenes``, (n, 2, 192, 192) bool, and what the first shows; kept in ``folder``."""
    path = folder / "masks.npz"
    if not path.exists() or len(np.load(path)["names"]) != len(scenes):
        jobs = [(scene, i) for i, scene in enumerate(scenes)]
        with ProcessPoolExecutor(workers) as pool:
            found = list(tqdm(pool.map(_masks_of, jobs, chunksize=50), total=len(jobs), desc="masks"))
        for file in folder.glob("latents-masked-*.npy"):
            file.unlink()  # they would be those of other masks
        packed = np.packbits([[thing, other] for thing, _, other in found], axis=-1)
        part = path.with_suffix(".part.npz")
        np.savez(part, masks=packed, names=np.array([name for _, name, _ in found]))
        part.rename(path)
    stored = np.load(path)
    return np.unpackbits(stored["masks"], axis=-1).astype(bool), stored["names"].tolist()


def with_more_inputs(unet: UNet2DConditionModel, count: int) -> UNet2DConditionModel:
    """A copy of ``unet`` whose first layer takes ``count`` more channels and, untrained, ignores them."""
    wider = UNet2DConditionModel.from_config(unet.config, in_channels=unet.config.in_channels + count)
    state = unet.state_dict()
    first = state["conv_in.weight"]
    state["conv_in.weight"] = torch.cat([first, first.new_zeros(len(first), count, *first.shape[2:])], 1)
    wider.load_state_dict(state)
    return wider


def unet_for_masks(base: Base) -> UNet2DConditionModel:
    """The one that an earlier run has put beside the base model's or, untrained, one that ignores masks."""
    return load_part(UNet2DConditionModel, FOLDER) or with_more_inputs(base.unet, 1 + base.vae.config.latent_channels)


def shrink(masks: torch.Tensor, size: int) -> torch.Tensor:
    """Masks at the latents' size, as the pipeline shrinks them (nearest pixel)."""
    return F.interpolate(masks, size=(size, size))


def _what_masks_leave(vae: AutoencoderKL, painted: TrainingSet, masks: np.ndarray, kind: int) -> torch.Tensor:
    """Latents of the pipeline's masked images, grey inside masks of ``kind``, (n, 4, 24, 24) fp16; kept."""

    def make() -> np.ndarray:
        shards = np.split(masks[:, kind, ..., None], len(painted.shards))
        return np.concatenate(
            [
                encode(vae, np.where(m, 128, p).astype(np.uint8)).cpu()
                for m, p in zip(shards, painted.shards, strict=True)
            ]
        )

    return torch.from_numpy(kept(BUILD / f"latents-masked-{kind}.npy", len(painted), make)).to(vae.device)


def fill_loss(error: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """What ``error``, of the velocity, (n, 4, h, w), counts where ``mask``, (n, 1, h, w), is 1, at its border and elsewhere.

    The squared means of squares of latents are added, as many times as a square has latents: so an error that is alone counts
    twice, one that all latents share seventeen times. The best answer stays the same, the mean of what is likely there.
    """
    near, beyond = (F.max_pool2d(side, 2 * REACH + 1, stride=1, padding=REACH) for side in (mask, 1 - mask))
    where = torch.where(near * beyond > 0, BORDER, OUTSIDE + (1 - OUTSIDE) * mask)
    where = where / where.mean((1, 2, 3), keepdim=True)
    tone = F.avg_pool2d(error * where.sqrt(), TONE)
    return (where * error**2).mean() + TONE**2 * (tone**2).mean()


def train_inpaint(
    until: Length, batch: int, lr: float, device_name: str, compiled: bool = False, every: int = EVERY
) -> None:
    """Train the base UNet on to fill masks; save it as ``unet_inpaint``.

    Things are masked closely or loosely, things that a picture lacks are masked where they would stand
    (so that a prompt that does not name them removes them), and the rest are boxes and strokes.
    """
    base = load_base(device_name)
    torch.manual_seed(0)
    device, noiser = base.device, base.noiser
    encoded = EncodedSet(base.vae, base.tokenizer, PICTURES)
    painted = encoded.painted
    masks, names = load_masks(BUILD, painted.scenes)
    likely = chances(painted.scenes, PHOTO_SHARE)
    left = [_what_masks_leave(base.vae, painted, masks, kind) for kind in (0, 1)]
    size = encoded.latents.shape[-1]
    small = torch.cat(
        [shrink(torch.from_numpy(part).to(device, torch.float32), size) for part in in_parts(masks, 1000)]
    )
    reading = np.random.default_rng(4)
    edits = [
        edit_caption(scene, name, reading) if name else texts[0]
        for scene, name, texts in zip(painted.scenes, names, painted.captions, strict=True)
    ]
    edit_tokens, edited = base.tokenize(edits).short(), torch.tensor([bool(name) for name in names], device=device)
    unet = ready_to_train(unet_for_masks(base), device)
    quick_unet = torch.compile(unet) if compiled else unet  # the same weights

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([4, step])
        picks = torch.from_numpy(rng.choice(len(encoded), batch, p=likely)).to(device)
        of_things = torch.from_numpy(rng.random(batch) < 0.6).to(device)
        clean, noise, timesteps = draw_noise(rng, encoded.latents[picks])
        tokens = encoded.tokens(picks, rng)
        named = of_things & edited[picks] & torch.from_numpy(rng.random(batch) >= CAPTION_DROPOUT).to(device)
        tokens = torch.where(named[:, None], edit_tokens[picks].long(), tokens)
        mask = torch.where(of_things[:, None, None, None], small[picks, :1], small[picks, 1:])
        rest = torch.where(of_things[:, None, None, None], left[0][picks], left[1][picks]).float()
        noisy = noiser.add_noise(clean, noise, timesteps)
        predicted = quick_unet(torch.cat([noisy, mask, rest], 1), timesteps, base.embed(tokens)).sample
        return fill_loss(predicted.float() - noiser.get_velocity(clean, noise, timesteps), mask)

    def sample(path: Path) -> None:
        pipe = base.pipeline(StableDiffusionInpaintPipeline, unet=unet)
        pictures = [paint(scene).image for scene, _, _ in PREVIEW]
        holes = [spread(thing_mask(scene, name), np.random.default_rng(0)) for scene, name, _ in PREVIEW]
        made = pipe(
            [prompt for _, _, prompt in PREVIEW],
            image=[Image.fromarray(picture) for picture in pictures],
            mask_image=[Image.fromarray(hole) for hole in holes],
            num_inference_steps=PREVIEW_STEPS,
            generator=[torch.Generator().manual_seed(0) for _ in PREVIEW],
            height=SIZE,
            width=SIZE,
        ).images
        rows = (pictures, [np.where(h[..., None], 128, p) for h, p in zip(holes, pictures, strict=True)], made)
        Image.fromarray(np.vstack([np.hstack([np.asarray(p, np.uint8) for p in row]) for row in rows])).save(path)

    def save() -> None:
        save_part(unet, FOLDER)

    options = {"save": save, "sample": sample, "every": every}
    train("inpaint", unet, loss_at, until=until, batch=batch, lr=lr, device=device, **options)
