"""What the training stages share: device, precision, and a loop that can be stopped and goes on where it was."""

from __future__ import annotations

import csv
import functools
import json
import signal
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from timeit import Timer

import torch
import torch.nn.functional as F
from diffusers.training_utils import EMAModel
from torch import nn
from tqdm.auto import tqdm

from img2img_helpers.common.writing import write_whole

FOLDER = Path(__file__).parent.parent
BUILD = FOLDER / "build"  # painted pictures, latents, checkpoints, logs: never committed
WEIGHTS = FOLDER.parent / "img2img_helpers" / "classroom"  # what the stages make and go on from: committed
WARM_UP = 200  # steps until the full learning rate, also where a run goes on from weights alone
EVERY = 500  # steps between checkpoints
REFRESH = 250  # steps after which a stage looks whether more pictures were painted
PREVIEW_STEPS = 30  # of the pictures that a checkpoint draws, as in the lessons
DECAY = 0.2  # the share of all steps, at the end, in which the learning rate falls to zero


def pick_device(name: str = "auto") -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@functools.cache
def bf16_is_quicker() -> bool:
    """Whether this CPU makes a convolution sooner in bf16: some do 2 to 3 times as fast, some at half the speed."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        picture = torch.randn(32, 96, 24, 24, dtype=dtype).to(memory_format=torch.channels_last)
        weight = torch.randn(96, 96, 3, 3, dtype=dtype)
        timer = Timer("conv2d(picture, weight, padding=1)", globals={"conv2d": F.conv2d} | locals())
        seconds[dtype] = min(timer.repeat(repeat=5, number=1))  # the first is a warm-up
    return seconds[torch.bfloat16] < seconds[torch.float32]


def mixed_precision(device: torch.device):
    """bf16 where it is quicker: on CUDA and on some CPUs."""
    quicker = device.type == "cuda" or (device.type == "cpu" and bf16_is_quicker())
    return torch.autocast(device.type, torch.bfloat16) if quicker else nullcontext()


def read_progress() -> dict[str, dict[str, int]]:
    """The steps made and pictures seen by the weights in ``WEIGHTS``, for each stage."""
    file = WEIGHTS / "training.json"
    return json.loads(file.read_text()) if file.exists() else {}


def write_progress(name: str, **numbers: int) -> None:
    told = json.dumps(read_progress() | {name: numbers}, indent=2) + "\n"
    write_whole(WEIGHTS / "training.json", lambda part: part.write_text(told))


@contextmanager
def stop_signal():
    """A list that is no longer empty once this process was asked to stop, so that it can stop after a whole step."""
    asked: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True)
class Length:
    """How long to train: until so many steps were made in all, or for so many minutes from now."""

    steps: int | None = None
    minutes: float | None = None

    def share_left(self, step: int, seconds: float) -> float:
        """What is left after ``step`` steps in all and ``seconds`` seconds of this run, from 1 to 0."""
        return 1 - step / self.steps if self.minutes is None else 1 - seconds / (60 * self.minutes)


def train(
    name: str,
    model: nn.Module,
    loss_at: Callable[[int], torch.Tensor],
    *,
    until: Length,
    batch: int,
    lr: float,
    device: torch.device,
    save: Callable[[], None],
    held_out_loss: Callable[[], float] | None = None,
    sample: Callable[[Path], None] | None = None,
    ema_decay: float = 0.999,
    every: float = EVERY,
    anew: bool = False,
) -> None:
    """Minimise ``loss_at(step)`` over ``model``, in one run or in many, as long as ``until`` says.

    AdamW, warm-up, a constant learning rate that falls at the end, an average of the weights (EMA). Every ``every``
    steps, at the end and when the process gets SIGTERM it writes a checkpoint to ``BUILD/<name>``, from which the same
    command goes on; a line to ``log.csv`` there (step, mean loss, ``held_out_loss`` of the averaged weights, seconds); and,
    with the averaged weights in ``model``, calls ``save``, which puts them into ``WEIGHTS``, and ``sample`` for a picture.
    Without a checkpoint it goes on from ``model`` as it is, counting from the steps that ``WEIGHTS`` has seen; with
    ``anew`` from zero.
    """
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    parameters = [p for p in model.parameters() if p.requires_grad]
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}  # may be newer the next time
    optimizer = torch.optim.AdamW(parameters, lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    ema = EMAModel(parameters, decay=ema_decay, use_ema_warmup=True, power=0.75, foreach=True)
    state_file = folder / "state.pt"
    seen = {"steps": 0, "pictures": 0} if anew else read_progress().get(name, {"steps": 0, "pictures": 0})
    since = seen["steps"]
    if state_file.exists() and not anew:
        state = torch.load(state_file, map_location=device, weights_only=True)
        seen, since = state["seen"], state["since"]
        model.load_state_dict(state["model"], strict=False)
        optimizer.load_state_dict(state["optimizer"])
        ema.load_state_dict(state["ema"])
    ema.to(device)
    first = seen["steps"]

    def checkpoint(step: int, loss: float, seconds: float) -> None:
        now = {"steps": step, "pictures": seen["pictures"] + (step - first) * batch}
        learning = {k: v for k, v in model.state_dict().items() if k not in frozen}
        state = {"seen": now, "since": since, "model": learning}
        state |= {"optimizer": optimizer.state_dict(), "ema": ema.state_dict()}
        write_whole(state_file, lambda part: torch.save(state, part))
        ema.store(parameters)
        ema.copy_to(parameters)
        model.eval()
        with torch.no_grad():
            held_out = held_out_loss() if held_out_loss else float("nan")
            save()
            write_progress(name, **now)
            if sample:
                sample(folder / f"samples-{step:06d}.png")
        model.train()
        ema.restore(parameters)
        with open(folder / "log.csv", "a", newline="") as log:
            csv.writer(log).writerow([step, f"{loss:.5f}", f"{held_out:.5f}", round(seconds)])

    step, running, counted, started = first, 0.0, 0, time.monotonic()
    with stop_signal() as asked, tqdm(initial=first, total=until.steps, desc=name, mininterval=10) as bar:
        while not asked and (left := until.share_left(step, time.monotonic() - started)) > 0:
            for group in optimizer.param_groups:
                group["lr"] = lr * min(1, (step + 1 - since) / WARM_UP, left / DECAY)
            with mixed_precision(device):
                loss = loss_at(step)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            ema.step(parameters)
            running, counted, step = running + loss.detach(), counted + 1, step + 1
            bar.update()
            if step % every == 0 and not asked:
                checkpoint(step, float(running) / counted, time.monotonic() - started)
                running, counted = 0.0, 0
        if counted:
            checkpoint(step, float(running) / counted, time.monotonic() - started)
    if asked:
        return
    state_file.unlink(missing_ok=True)  # a later run, with more steps, starts from the averaged weights


def forget_this_computer(folder: Path) -> None:
    """Remove from the settings in ``folder`` what the libraries wrote about this computer."""
    for file in folder.rglob("*.json"):
        settings = json.loads(file.read_text())
        if private := {"_name_or_path", "is_local", "local_files_only"} & set(settings):
            file.write_text(json.dumps({k: v for k, v in settings.items() if k not in private}, indent=2) + "\n")
