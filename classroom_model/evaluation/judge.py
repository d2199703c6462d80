"""A small classifier that says what a picture shows; it has only ever seen the painter's pictures.

One is kept, so that figures of this year and of the next can be compared: two that were trained alike differ by some points.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..training.data import TrainingSet, scene_at
from ..training.loop import BUILD, mixed_precision
from ..training.vae import to_tensor
from ..world.painter import paint
from ..world.scenes import COLORS, FOREGROUNDS, STYLES, SUBJECTS, TIMES, Scene

FILE = Path(__file__).with_name("judge.npz")
PICTURES = 20_000  # of the training set, the first ones
VALUES = {
    "subject": SUBJECTS,
    "style": STYLES,
    "time": TIMES,
    "color": COLORS,
    "crown": (False, True),
    "foreground": FOREGROUNDS,
}
LEVELS = 63  # of a weight each way, as it is kept
UNSEEN = -1  # the label of an attribute that the picture does not show
MARGIN = 6  # pixels that a training picture may be shifted by


def shows(scene: Scene, attribute: str) -> bool:
    """Whether ``attribute`` can be told from the picture of ``scene``."""
    if attribute == "color":
        # a palette turns every colour blue or orange
        altered = scene.palette or {"monochrome", "desaturated", "color shift"} & set(scene.flaws)
        return scene.colored and not altered and scene.style != "pencil"
    if attribute == "time":
        return scene.style != "pencil"
    return scene.subject == {"crown": "portrait", "foreground": "landscape"}.get(attribute, scene.subject)


def labels(scenes: list[Scene]) -> dict[str, torch.Tensor]:
    """For each attribute the index of every scene's value in :data:`VALUES`, or :data:`UNSEEN`."""
    return {
        name: torch.tensor([values.index(getattr(s, name)) if shows(s, name) else UNSEEN for s in scenes])
        for name, values in VALUES.items()
    }


class Classifier(nn.Module):
    """Convolutions that halve the picture four times, and a linear head for each attribute."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for wide, narrow, stride in ((3, 24, 2), (24, 48, 2), (48, 96, 2), (96, 96, 1), (96, 128, 2), (128, 128, 1)):
            layers += [nn.Conv2d(wide, narrow, 3, stride, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({name: nn.Linear(128, len(values)) for name, values in VALUES.items()})

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """What is seen of each picture before any question is asked, (n, 128)."""
        return self.body(pixels).mean((2, 3))

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = self.features(pixels)
        return {name: head(seen).float() for name, head in self.heads.items()}


def masked_loss(logits: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> torch.Tensor:
    """Cross-entropy summed over the attributes, each averaged over the pictures that show it."""
    total = 0.0
    for name, target in wanted.items():
        loss = F.cross_entropy(logits[name], target, ignore_index=UNSEEN, reduction="sum")
        total = total + loss / (target != UNSEEN).sum().clamp(min=1)
    return total


def _blur(pixels: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.softmax(-(reach**2) / (2 * sigma**2), 0).expand(3, 1, -1)
    pixels = F.conv2d(pixels, kernel[:, :, None, :], padding=(0, 3), groups=3)
    return F.conv2d(pixels, kernel[:, :, :, None], padding=(3, 0), groups=3)


def augment(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Mirror, shift, soften, brighten and roughen a batch, as a generated picture may differ from a painted one."""
    if rng.random() < 0.5:
        pixels = pixels.flip(-1)
    y, x = rng.integers(0, 2 * MARGIN + 1, 2)
    height, width = pixels.shape[2:]
    pixels = F.pad(pixels, (MARGIN,) * 4, mode="reflect")[..., y : y + height, x : x + width]
    soft = len(pixels) // 2
    pixels = torch.cat([_blur(pixels[:soft], rng.uniform(0.3, 1.2)), pixels[soft:]])
    contrast, brightness = torch.from_numpy(rng.normal(0, 0.08, (2, len(pixels), 1, 1, 1)).astype(np.float32))
    grain = torch.randn(len(pixels), 1, height, width) * rng.uniform(0, 0.06)
    pixels = pixels * (1 + contrast) + brightness + grain
    return pixels.contiguous(memory_format=torch.channels_last)


def train_classifier(
    steps: int, images: np.ndarray | None = None, scenes: list[Scene] | None = None, *, batch: int = 64
) -> Classifier:
    """Train on painted pictures, by default the first PICTURES of the training set."""
    if images is None:
        painted = TrainingSet(BUILD, most=PICTURES)
        images, scenes = painted.pictures(range(len(painted))), painted.scenes
    wanted = labels(scenes)
    torch.manual_seed(0)
    classifier = Classifier().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(classifier.parameters(), 3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    running, started = 0.0, time.monotonic()
    for step in range(steps):
        rng = np.random.default_rng([2, step])
        picks = rng.integers(len(images), size=batch)
        pixels = augment(to_tensor(images[picks]), rng)
        with mixed_precision(torch.device("cpu")):
            logits = classifier(pixels)
        loss = masked_loss(logits, {name: target[picks] for name, target in wanted.items()})
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        if (step + 1) % 100 == 0:
            rate = (step + 1) / (time.monotonic() - started)
            print(f"classifier, step {step + 1} of {steps}: loss {running:.3f}, {rate:.1f} steps/s", flush=True)
    return classifier.eval()


def _questions() -> str:
    return json.dumps(VALUES)


def save_classifier(classifier: Classifier, file: Path = FILE) -> None:
    """Save ``classifier``, and what it was asked.

    Each filter in whole numbers, with a scale of its own: with the model's, all weights must stay below 96 MB.
    """
    arrays = {"questions": np.array(_questions())}
    for name, value in classifier.state_dict().items():
        arrays[name] = value.numpy()
        if value.ndim > 1:
            scale = value.flatten(1).abs().amax(1).clamp(min=1e-12) / LEVELS
            arrays[f"{name}.scale"] = scale.numpy()
            arrays[name] = (value / _beside(scale, value)).round().to(torch.int8).numpy()
    np.savez_compressed(file, **arrays)


def load_classifier(file: Path = FILE) -> Classifier:
    """The classifier kept in ``file``; ``ValueError`` if it was asked other questions than :data:`VALUES`."""
    with np.load(file) as stored:
        if str(stored["questions"]) != _questions():
            raise ValueError(
                f"{file.name} answers other questions than the painter's world asks now; train a judge anew by "
                "`python -m classroom_model.train judge`, and measure all rows with it."
            )
        state = {name: torch.from_numpy(stored[name]) for name in stored.files if name != "questions"}
    for name in [name for name in state if name.endswith(".scale")]:
        filters = name.removesuffix(".scale")
        scale = state.pop(name)
        state[filters] = state[filters] * _beside(scale, state[filters])
    classifier = Classifier()
    classifier.load_state_dict(state)
    return classifier.to(memory_format=torch.channels_last).eval()


def _beside(scale: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    return scale.view(-1, *[1] * (filters.ndim - 1))


def recognise(classifier: Classifier, images: np.ndarray) -> dict[str, list]:
    """What each of ``images``, (n, 192, 192, 3) uint8, seems to show: for every attribute a list of values."""
    with torch.no_grad():
        parts = [classifier(to_tensor(images[i : i + 64])) for i in range(0, len(images), 64)]
    return {
        name: [values[i] for part in parts for i in part[name].argmax(1).tolist()] for name, values in VALUES.items()
    }


def frechet_distance(classifier: Classifier, images: np.ndarray, others: np.ndarray) -> float:
    """How far apart two sets of pictures are as wholes: 0 if Gaussians of the same shape fit the classifier's features.

    As in the Fréchet inception distance (Heusel et al. 2017), with this classifier in Inception's place.
    """
    with torch.no_grad():
        first, second = (
            np.concatenate([classifier.features(to_tensor(some[i : i + 64])).numpy() for i in range(0, len(some), 64)])
            for some in (images, others)
        )
    apart = first.mean(0) - second.mean(0)
    one, two = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    common = np.sqrt(np.linalg.eigvals(one @ two).astype(complex)).real.sum()  # the trace of the product's root
    return float(apart @ apart + np.trace(one) + np.trace(two) - 2 * common)


def held_out_accuracy(classifier: Classifier, count: int = 1000) -> dict[str, tuple[float, int]]:
    """Share of ``count`` clean pictures, none of the training set's, that are named rightly, and of how many.

    For each attribute, over the pictures that show it; time and colour also without cyberpunk, which
    turns every light violet.
    """
    indices = iter(range(10_000, 10_000 + 2 * count))
    scenes = [scene for scene in (scene_at(i, "held-out") for i in indices) if not scene.flaws][:count]
    seen = recognise(classifier, np.stack([paint(scene).image for scene in scenes]))
    right = {
        name: [(s, getattr(s, name) == value) for s, value in zip(scenes, seen[name], strict=True) if shows(s, name)]
        for name in VALUES
    }
    for name in ("time", "color"):
        right[f"{name}, without cyberpunk"] = [(s, ok) for s, ok in right[name] if s.style != "cyberpunk"]
    return {name: (float(np.mean([ok for _, ok in pairs])), len(pairs)) for name, pairs in right.items()}
