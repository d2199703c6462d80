"""Stage 8: instructions. A UNet with four more input channels: latents of the picture that it is to edit."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from PIL import Image
from tqdm.auto import tqdm

from ..world.captions import instruction
from ..world.painter import paint
from ..world.scenes import Scene
from .base import PICTURES, load_base, load_part, ready_to_train, save_part
from .data import SHARD, edit_pair, kept, save_whole
from .diffusion import draw_noise, encode, velocity_loss
from .inpaint import unet_for_masks
from .loop import BUILD, EVERY, PREVIEW_STEPS, Length, train

FOLDER = "unet_instruct"
INSTRUCTIONS = 4  # written for each pair
DROPOUT = 0.05  # the share trained without the text; as many without the picture, and as many without both
# of the rest, the share whose text is another pair's. Of a text that is always true guidance makes a caricature: at a scale
# of 5 what is made sharp was a woodcut, and a lake by night all strokes. What is true half of the time wants twice the guidance.
HEARSAY = 0.5
FOCUS = 4.0  # what an error counts where the edit changes the picture, against 1 elsewhere
# Mean difference of the latents, which have unit deviation, that counts as a change. Away from what an edit changed it
# is 0.01 to 0.05, for the encoder looks at the whole picture; on a car or a coat of another colour, 1 to 3.
CLEAR = 0.5
PREVIEW = (  # scene before, instruction
    (Scene("car", color="red", layout=9003), "make the car blue"),
    (Scene("landscape", foreground="house", layout=9003), "turn it into a watercolor"),
    (Scene("landscape", water="river", layout=9002), "make it night"),
    (Scene("portrait", layout=9006), "add a golden crown"),
    (Scene("portrait", person="man", crown=True, layout=9004), "take the crown off"),
    (Scene("car", color="green", place="beach road", flaws=("blurry",), layout=9001), "make it sharp"),
)


def _paint_pairs(job: tuple[Path, int, int]) -> None:
    folder, shard, count = job
    pairs = [edit_pair(i)[:2] for i in range(shard * count, (shard + 1) * count)]
    images = np.stack([[paint(scene).image for scene in pair] for pair in pairs])
    save_whole(folder / f"pairs-{shard:03d}.npy", images)


def load_pairs(folder: Path, count: int, workers: int | None = None) -> list[np.ndarray]:
    """The first ``count`` pairs of pictures before and after an edit, in shards of (n, 2, 192, 192, 3) uint8.

    They stay on disk, in ``folder``; those that are not there yet are painted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"pairs-{shard:03d}.npy" for shard in range(-(-count // SHARD))]
    todo = [(folder, shard, SHARD) for shard, path in enumerate(paths) if not path.exists()]
    if todo:
        for file in folder.glob("latents-instruct-*.npy"):
            file.unlink()  # latents of an earlier painting
        with ProcessPoolExecutor(workers) as pool:
            for _ in tqdm(pool.map(_paint_pairs, todo), total=len(todo), desc="painting pairs", unit="k"):
                pass
    return [np.load(path, mmap_mode="c")[: count - shard * SHARD] for shard, path in enumerate(paths)]


def _encode_pairs(vae: AutoencoderKL, name: str, count: int) -> torch.Tensor:
    """Latents of the pictures ``before`` or ``after`` the edits, (n, 4, 24, 24) fp16; kept.

    Those before are not scaled: the pipeline shows them to the UNet as they leave the encoder.
    """
    which = ("before", "after").index(name)

    def make() -> np.ndarray:
        pairs = load_pairs(BUILD, count)
        return np.concatenate([encode(vae, shard[:, which], scale=name == "after").cpu().numpy() for shard in pairs])

    return torch.from_numpy(kept(BUILD / f"latents-instruct-{name}.npy", count, make)).to(vae.device)


def change_maps(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """What an error counts at each latent, (n, 1, h, w), on average 1; both latents have unit deviation.

    A crown is a twentieth of the picture, and to copy the picture that is shown is right everywhere else: a model that
    never puts it on would be nearly right.
    """
    changed = ((after.float() - before.float()).abs().mean(1, keepdim=True) / CLEAR).clamp(max=1)
    maps = 1 + (FOCUS - 1) * changed
    return maps / maps.mean((1, 2, 3), keepdim=True)


def without_mask(unet: UNet2DConditionModel, scaling_factor: float) -> UNet2DConditionModel:
    """A copy of the ``unet`` for masks that is told of none, and so draws the picture that it is shown.

    To leave alone what an instruction does not name is most of what the stage has to learn, and the UNet for masks can
    do that: after 5,675 steps from the base model the error away from a change was 0.092, its own 0.040.
    """
    channels = unet.config.out_channels
    bare = UNet2DConditionModel.from_config(unet.config, in_channels=2 * channels)
    state = unet.state_dict()
    noisy, _, picture = state["conv_in.weight"].split((channels, 1, channels), 1)
    state["conv_in.weight"] = torch.cat([noisy, scaling_factor * picture], 1)  # here the pipeline does not scale it
    bare.load_state_dict(state)
    return bare


def train_instruct(
    until: Length, batch: int, lr: float, device_name: str, compiled: bool = False, every: int = EVERY
) -> None:
    """Train the UNet for masks on to do to a picture what a text says; save it as ``unet_instruct``.

    Some of the time text, picture or both are left out, as in the paper (Brooks et al. 2023, "InstructPix2Pix",
    section 3.2), so that the pipeline can guide towards each.
    """
    base = load_base(device_name)
    torch.manual_seed(0)
    device, noiser = base.device, base.noiser
    before, after = (_encode_pairs(base.vae, name, PICTURES) for name in ("before", "after"))
    maps = change_maps(before.float() * base.vae.config.scaling_factor, after)
    reading = np.random.default_rng(12)
    pairs = [edit_pair(i) for i in range(PICTURES)]
    told = base.tokenize([instruction(*pair, reading) for pair in pairs for _ in range(INSTRUCTIONS)])
    told, no_text = told.short().unflatten(0, (-1, INSTRUCTIONS)), base.tokenize([""])
    unet = load_part(UNet2DConditionModel, FOLDER) or without_mask(unet_for_masks(base), base.vae.config.scaling_factor)
    ready_to_train(unet, device)
    quick_unet = torch.compile(unet) if compiled else unet  # the same weights

    def loss_at(step: int) -> torch.Tensor:
        rng = np.random.default_rng([12, step])
        picks = torch.from_numpy(rng.integers(len(after), size=batch)).to(device)
        clean, noise, timesteps = draw_noise(rng, after[picks])
        draw = rng.random(batch)  # first text alone is left out, then both, then the picture alone
        read = torch.from_numpy(draw >= 2 * DROPOUT).to(device)
        seen = torch.from_numpy((draw < DROPOUT) | (draw >= 3 * DROPOUT)).to(device)
        which = torch.from_numpy(rng.integers(INSTRUCTIONS, size=batch)).to(device)
        hearsay = torch.from_numpy(rng.random(batch) < HEARSAY).to(device)
        others = torch.from_numpy(rng.integers(len(after), size=batch)).to(device)
        tokens = told[torch.where(hearsay, others, picks), which].long()
        tokens = torch.where(read[:, None], tokens, no_text)
        shown = before[picks].float() * seen[:, None, None, None]
        noisy = noiser.add_noise(clean, noise, timesteps)
        predicted = quick_unet(torch.cat([noisy, shown], 1), timesteps, base.embed(tokens)).sample
        # where neither text nor picture says what changes, the map would give it away
        told_where = read & seen & ~hearsay
        where = torch.where(told_where[:, None, None, None], maps[picks], 1.0)
        return velocity_loss(noiser, predicted, clean, noise, timesteps, where)

    def sample(path: Path) -> None:
        pipe = base.pipeline(StableDiffusionInstructPix2PixPipeline, unet=unet)
        pictures = [paint(scene).image for scene, _ in PREVIEW]
        made = pipe(
            [text for _, text in PREVIEW],
            image=[Image.fromarray(picture) for picture in pictures],
            num_inference_steps=PREVIEW_STEPS,
            generator=[torch.Generator().manual_seed(0) for _ in PREVIEW],
        ).images
        Image.fromarray(np.vstack([np.hstack(pictures), np.hstack([np.asarray(image) for image in made])])).save(path)

    def save() -> None:
        save_part(unet, FOLDER)

    options = {"save": save, "sample": sample, "every": every}
    train("instruct", unet, loss_at, until=until, batch=batch, lr=lr, device=device, **options)
