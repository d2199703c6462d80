"""The training set: scenes drawn from a seed, painted once, kept in shards on disk."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from .painter import paint
from .scenes import COLORS, Scene, sample_scene

SHARD = 1000
RECOLOURED = ("car", "portrait", "watch")  # subjects of which pairs in two colours are painted
SPLITS = {"train": 0, "held-out": 1}


def scene_at(index: int, split: str = "train") -> Scene:
    """The scene that every run calls number ``index`` of ``split``; nothing need be stored."""
    return sample_scene(np.random.default_rng([SPLITS[split], index]))


def recoloured(scene: Scene, index: int) -> Scene:
    """Training scene ``index`` with its coat, strap or car in another colour."""
    others = [color for color in COLORS if color != scene.color]
    return replace(scene, color=str(np.random.default_rng([9, index]).choice(others)))


def _paint_recoloured(file: Path) -> None:
    fields = json.loads(file.read_text())
    first = int(file.stem.removeprefix("scenes-")) * SHARD
    numbers = [first + i for i, scene in enumerate(fields) if scene["subject"] in RECOLOURED]
    images = [paint(recoloured(Scene(**fields[i - first]), i)).image for i in numbers]
    part = file.with_name(file.stem.replace("scenes", "recoloured") + ".part.npz")
    np.savez(part, numbers=numbers, images=np.stack(images))
    part.rename(part.with_name(part.name.replace(".part", "")))


def _paint_shard(job: tuple[Path, int]) -> None:
    folder, shard = job
    scenes = [scene_at(i) for i in range(shard * SHARD, (shard + 1) * SHARD)]
    # what was painted is kept beside the pictures: captions drawn anew would drift from them when scenes.py changes
    (folder / f"scenes-{shard:03d}.json").write_text(json.dumps([asdict(scene) for scene in scenes]))
    (folder / f"recoloured-{shard:03d}.npz").unlink(missing_ok=True)  # of the pictures that were there before
    part = folder / f"images-{shard:03d}.part.npy"
    np.save(part, np.stack([paint(scene).image for scene in scenes]))
    part.rename(folder / f"images-{shard:03d}.npy")  # a shard is there whole or not at all


def paint_training_set(folder: Path, count: int, workers: int) -> None:
    """Paint the first ``count`` training scenes into ``folder``; shards that exist are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = range(-(-count // SHARD))
    todo = [(folder, s) for s in shards if not (folder / f"images-{s:03d}.npy").exists()]
    if todo:
        for file in folder.glob("latents*.npy"):
            file.unlink()  # they would be those of other pictures
    with ProcessPoolExecutor(workers) as pool:
        for _ in tqdm(pool.map(_paint_shard, todo), total=len(todo), desc="painting", unit="k"):
            pass


def paint_recoloured(folder: Path, shards: int, workers: int) -> None:
    """Paint the cars, portraits and watches of the first ``shards`` once more, in another colour."""
    files = [folder / f"scenes-{s:03d}.json" for s in range(shards)]
    todo = [f for f in files if not f.with_name(f.stem.replace("scenes", "recoloured") + ".npz").exists()]
    if todo:
        (folder / "latents-recoloured.npy").unlink(missing_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        for _ in tqdm(pool.map(_paint_recoloured, todo), total=len(todo), desc="recolouring", unit="k"):
            pass


def load_recoloured(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the scenes that were painted in another colour, and those pictures."""
    parts = [np.load(file) for file in sorted(folder.glob("recoloured-[0-9][0-9][0-9].npz"))]
    if not parts:
        raise FileNotFoundError(f"no recoloured pictures in {folder}; run the `paint` stage first")
    return tuple(np.concatenate([part[key] for part in parts]) for key in ("numbers", "images"))


def _shards(folder: Path) -> list[Path]:
    shards = sorted(folder.glob("images-[0-9][0-9][0-9].npy"))
    if not shards:
        raise FileNotFoundError(f"no painted pictures in {folder}; run the `paint` stage first")
    return shards


def load_training_images(folder: Path) -> np.ndarray:
    """Every painted picture so far, (n, 128, 128, 3) uint8."""
    return np.concatenate([np.load(shard) for shard in _shards(folder)])


def load_training_scenes(folder: Path) -> list[Scene]:
    """The scene of every painted picture, in the same order."""
    files = [shard.with_name(shard.stem.replace("images", "scenes") + ".json") for shard in _shards(folder)]
    return [Scene(**fields) for file in files for fields in json.loads(file.read_text())]
