"""The training set: scenes drawn from a seed, painted and captioned once, kept in shards on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..world.captions import caption
from ..world.painter import paint
from ..world.scenes import COLORS, FLAWS, STYLES, TIMES, Scene, sample_scene

SHARD = 1000
HELD_OUT = 512  # scenes that no stage trains on: losses are watched on them
CAPTIONS = 4  # written for each picture when it is painted
SPLITS = {"train": 0, "held-out": 1}


def scene_at(index: int, split: str = "train") -> Scene:
    """The scene that every run calls number ``index`` of ``split``; nothing need be stored."""
    return sample_scene(np.random.default_rng([SPLITS[split], index]))


def edit_pair(index: int, split: str = "train") -> tuple[Scene, Scene, str]:
    """Scene ``index`` before and after an edit, and the one attribute that the edit changed.

    An edit changes the style, the time of day, the colour of the thing that has one, puts a crown on or takes it off, or
    mends a flaw ("flaws"). The scene is the one after, without its flaws; before, the picture is most often a photo.
    """
    rng = np.random.default_rng([9, SPLITS[split], index])
    after = replace(scene_at(index, split), flaws=())
    shares = {
        "style": 0.35,
        "time": 0.15,
        "color": 0.3 * after.colored,
        "crown": 0.35 * (after.subject == "portrait"),
        "flaws": 0.15,
    }
    name = str(rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values())))
    if name == "flaws":
        return replace(after, flaws=(str(rng.choice(FLAWS)),)), after, name
    values = {"style": STYLES, "time": TIMES, "color": COLORS, "crown": (False, True)}[name]
    value = rng.choice([value for value in values if value != getattr(after, name)])
    if name == "style" and after.style != "photo" and rng.random() < 0.6:
        value = "photo"
    elif name != "style" and (after.style == "pencil" or rng.random() < 0.5):  # pencil shows no colour
        after = replace(after, style="photo")
    return replace(after, **{name: value.item() if isinstance(value, np.generic) else value}), after, name


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


def _paint_shard(job: tuple[Path, int, int]) -> None:
    folder, shard, count = job
    rng = np.random.default_rng([8, shard])
    (folder / f"latents-{shard:03d}.npy").unlink(missing_ok=True)  # of an earlier painting
    scenes = [scene_at(i) for i in range(shard * count, (shard + 1) * count)]
    captions = [[caption(scene, rng) for _ in range(CAPTIONS)] for scene in scenes]
    # what was painted is kept beside the pictures: captions drawn anew would drift from them when scenes.py changes
    kept_scenes = {"scenes": [asdict(scene) for scene in scenes], "captions": captions}
    (folder / f"scenes-{shard:03d}.json").write_text(json.dumps(kept_scenes))
    save_whole(folder / f"images-{shard:03d}.npy", np.stack([paint(scene).image for scene in scenes]))


def _paint_image(scene: Scene) -> np.ndarray:
    return paint(scene).image


def paint_all(scenes: Sequence[Scene], workers: int | None = None) -> np.ndarray:
    """The pictures of ``scenes``, (n, 192, 192, 3) uint8."""
    with ProcessPoolExecutor(workers) as pool:
        return np.stack(list(pool.map(_paint_image, scenes, chunksize=16)))


def held_out_pictures(folder: Path, workers: int | None = None) -> tuple[list[Scene], np.ndarray]:
    """HELD_OUT scenes that no stage trains on, and their pictures; kept in ``folder``."""
    scenes = [scene_at(i, "held-out") for i in range(HELD_OUT)]
    return scenes, kept(folder / "held-out.npy", HELD_OUT, lambda: paint_all(scenes, workers))


def paint_training_set(folder: Path, count: int, workers: int) -> None:
    """Paint the first ``count`` training scenes into ``folder``; keep shards that exist."""
    folder.mkdir(parents=True, exist_ok=True)
    held_out_pictures(folder, workers)
    shards = range(-(-count // SHARD))
    todo = [(folder, s, SHARD) for s in shards if not (folder / f"images-{s:03d}.npy").exists()]
    with ProcessPoolExecutor(workers) as pool:
        for _ in tqdm(pool.map(_paint_shard, todo), total=len(todo), desc="painting", unit="k"):
            pass


class TrainingSet:
    """The pictures that were painted so far, each with its scene and CAPTIONS captions. Painting may still go on.

    The pictures stay on disk. Number i is the picture of ``scene_at(i)`` as the painter had it then.
    """

    def __init__(self, folder: Path, most: int | None = None) -> None:
        self.folder, self.most = folder, most
        self.shards: list[np.ndarray] = []  # (SHARD, 192, 192, 3) uint8 each
        self.scenes: list[Scene] = []
        self.captions: list[list[str]] = []
        if not self.refresh():
            raise FileNotFoundError(f"no painted pictures in {folder}; run the `paint` stage first")

    def __len__(self) -> int:
        return len(self.scenes)

    def refresh(self) -> bool:
        """Take in what was painted since, at most ``most`` pictures in all; whether there was anything."""
        before = len(self)
        while self.most is None or len(self) < self.most:
            shard = len(self.shards)
            path = self.folder / f"images-{shard:03d}.npy"
            if not path.exists():
                break
            stored = json.loads((self.folder / f"scenes-{shard:03d}.json").read_text())
            self.scenes += [Scene(**fields | {"flaws": tuple(fields["flaws"])}) for fields in stored["scenes"]]
            self.captions += stored["captions"]
            self.shards.append(np.load(path, mmap_mode="c"))
        return len(self) > before

    def pictures(self, numbers: Iterable[int]) -> np.ndarray:
        """Pictures by their numbers, (n, 192, 192, 3) uint8."""
        return np.stack([self.shards[i // SHARD][i % SHARD] for i in numbers])


def chances(scenes: Sequence[Scene], photos: float) -> np.ndarray:
    """The chance of each of ``scenes`` to be drawn if the share ``photos`` of the draws is to be photos."""
    shot = np.array([scene.style == "photo" for scene in scenes])
    return np.where(shot, photos / shot.sum(), (1 - photos) / (~shot).sum())
