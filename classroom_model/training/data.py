"""The training set: scenes drawn from a seed, painted once, kept in shards on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..world.painter import paint
from ..world.scenes import COLORS, STYLES, TIMES, Scene, sample_scene

SHARD = 1000
SPLITS = {"train": 0, "held-out": 1}


def scene_at(index: int, split: str = "train") -> Scene:
    """The scene that every run calls number ``index`` of ``split``; nothing need be stored."""
    return sample_scene(np.random.default_rng([SPLITS[split], index]))


def before_edit(scene: Scene, index: int) -> tuple[Scene, str]:
    """Training scene ``index`` as it may have been before an edit made it what it is, and what the edit changed.

    That is the name of one attribute, whose value there is another. An edit may clean a picture or spoil it,
    and put a crown on a head; it never takes one off, for no caption says that there is none.
    """
    rng = np.random.default_rng([9, index])
    chances = {
        "style": 0.5,
        "time": 0.15,
        "color": 0.4 * scene.colored,
        "crown": 0.15 * (scene.subject == "portrait" and scene.crown),
        "flaws": 0.5 * bool(scene.flaws),
        "fine": 0.4 * scene.fine,
    }
    name = str(rng.choice(list(chances), p=np.array(list(chances.values())) / sum(chances.values())))
    if name == "flaws":
        return replace(scene, flaws=()), name
    if name == "fine":
        flaws = (str(rng.choice(("blurry", "low quality"))),) if rng.random() < 0.6 else ()
        return replace(scene, fine=False, flaws=flaws), name
    values = {"style": STYLES, "time": TIMES, "color": COLORS, "crown": (False, True)}[name]
    others = [value for value in values if value != getattr(scene, name)]
    # most edits start from a photo
    value = "photo" if name == "style" and scene.style != "photo" and rng.random() < 0.6 else rng.choice(others)
    return replace(scene, **{name: value.item() if isinstance(value, np.generic) else value}), name


def save_whole(path: Path, array: np.ndarray) -> None:
    """Save ``array`` so that ``path`` is there whole or not at all, whenever the program is stopped."""
    part = path.with_name(path.stem + ".part.npy")
    np.save(part, array)
    part.rename(path)


def kept(path: Path, count: int, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The array in ``path``; where there is none of ``count`` rows, ``make`` one and keep it."""
    if not path.exists() or len(np.load(path, mmap_mode="r")) != count:
        save_whole(path, make())
    return np.load(path)


def _paint_shard(job: tuple[Path, int]) -> None:
    folder, shard = job
    indices = range(shard * SHARD, (shard + 1) * SHARD)
    scenes = [scene_at(i) for i in indices]
    # what was painted is kept beside the pictures: captions drawn anew would drift from them when scenes.py changes
    (folder / f"scenes-{shard:03d}.json").write_text(json.dumps([asdict(scene) for scene in scenes]))
    save_whole(folder / f"images-{shard:03d}.npy", np.stack([paint(scene).image for scene in scenes]))


def paint_training_set(folder: Path, count: int, workers: int) -> None:
    """Paint the first ``count`` training scenes into ``folder``; keep shards that exist."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = range(-(-count // SHARD))
    todo = [(folder, s) for s in shards if not (folder / f"images-{s:03d}.npy").exists()]
    if todo:
        # what was made of the pictures would be that of other ones
        for file in (*folder.glob("*.np[yz]"), *folder.glob("classifier.safetensors")):
            if not file.stem[-3:].isdecimal():
                file.unlink()
    with ProcessPoolExecutor(workers) as pool:
        for _ in tqdm(pool.map(_paint_shard, todo), total=len(todo), desc="painting", unit="k"):
            pass


def _shards(folder: Path) -> list[Path]:
    shards = sorted(folder.glob("images-[0-9][0-9][0-9].npy"))
    if not shards:
        raise FileNotFoundError(f"no painted pictures in {folder}; run the `paint` stage first")
    return shards


def load_training_images(folder: Path) -> np.ndarray:
    """Every painted picture so far, (n, 192, 192, 3) uint8."""
    return np.concatenate([np.load(shard) for shard in _shards(folder)])


def chances(scenes: Sequence[Scene], photos: float) -> np.ndarray:
    """The chance of each of ``scenes`` to be drawn if the share ``photos`` of the draws is to be photos."""
    shot = np.array([scene.style == "photo" for scene in scenes])
    return np.where(shot, photos / shot.sum(), (1 - photos) / (~shot).sum())


def load_training_scenes(folder: Path) -> list[Scene]:
    """The scene of every painted picture, in the same order."""
    files = [shard.with_name(shard.stem.replace("images", "scenes") + ".json") for shard in _shards(folder)]
    stored = [fields for file in files for fields in json.loads(file.read_text())]
    return [Scene(**fields | {"flaws": tuple(fields["flaws"])}) for fields in stored]
