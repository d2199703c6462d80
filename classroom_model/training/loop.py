"""What the training stages share: device, precision, checkpoints that a later run resumes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file, save_file
from torch import nn
from tqdm.auto import tqdm

FOLDER = Path(__file__).parent.parent  # classroom_model
BUILD = FOLDER / "build"  # painted pictures, latents, checkpoints, logs: never committed
WEIGHTS = FOLDER.parent / "img2img_helpers" / "classroom"  # the committed SD-format folder


def pick_device(name: str = "auto") -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def mixed_precision(device: torch.device):
    """bf16 where it is quicker: on CUDA and on CPUs that have it (2 to 3 times on AVX512-BF16)."""
    return torch.autocast(device.type, torch.bfloat16) if device.type in ("cpu", "cuda") else nullcontext()


def train(
    name: str,
    model: nn.Module,
    loss_at: Callable[[int], torch.Tensor],
    *,
    steps: int,
    lr: float,
    device: torch.device,
    ema_decay: float = 0.999,
    sample: Callable[[Path], None] | None = None,
    every: int = 500,
) -> EMAModel:
    """Minimise ``loss_at(step)`` over ``model`` for ``steps`` steps: AdamW, warm-up, cosine decay, EMA.

    Every ``every`` steps it writes a checkpoint to ``BUILD/<name>`` from which the same command
    goes on after an interruption, a line to ``log.csv`` (step, mean loss, seconds) and, through
    ``sample``, a picture made with the averaged weights. Returns the average; its ``copy_to`` puts
    it into the model. Call :func:`publish` when that is saved.
    """
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    schedule = get_cosine_schedule_with_warmup(optimizer, min(500, steps // 10), steps)
    ema = EMAModel(parameters, decay=ema_decay, use_ema_warmup=True, power=0.75)
    first, weights_file, state_file = 0, folder / "model.safetensors", folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file, map_location=device, weights_only=True)
        first = state["step"]
        model.load_state_dict(load_file(weights_file))
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        ema.load_state_dict(state["ema"])
    ema.to(device)

    def checkpoint(step: int) -> None:
        state = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(), "ema": ema.state_dict()}
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights_file)
        torch.save({"step": step, **state}, state_file)

    running, counted, started = 0.0, 0, time.monotonic()
    for step in tqdm(range(first, steps), initial=first, total=steps, desc=name, mininterval=10):
        with mixed_precision(device):
            loss = loss_at(step)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        ema.step(parameters)
        running, counted = running + loss.item(), counted + 1
        if (step + 1) % every == 0 or step + 1 == steps:
            with open(folder / "log.csv", "a") as log:
                log.write(f"{step + 1},{running / counted:.5f},{time.monotonic() - started:.0f}\n")
            running, counted = 0.0, 0
            checkpoint(step + 1)
            if sample:
                ema.store(parameters)
                ema.copy_to(parameters)
                with torch.no_grad():
                    sample(folder / f"samples-{step + 1:06d}.png")
                ema.restore(parameters)
    return ema


def publish(name: str, folder: Path) -> None:
    """Finish stage ``name``, whose result has been saved in ``folder``.

    What the libraries wrote about this computer is removed, and the checkpoint too: the next run
    then starts a new schedule from the weights just saved.
    """
    for file in folder.rglob("*.json"):
        settings = json.loads(file.read_text())
        if private := {"_name_or_path", "is_local", "local_files_only"} & set(settings):
            file.write_text(json.dumps({k: v for k, v in settings.items() if k not in private}, indent=2) + "\n")
    for file in ("model.safetensors", "state.pt"):
        (BUILD / name / file).unlink()
