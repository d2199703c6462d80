"""Which device there is, how much memory it has free, and one sentence for when that is not enough."""

from __future__ import annotations

import os
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .settings import quoted

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline


def pick_device(device: str = "auto") -> tuple[str, str]:
    """Resolve ``auto`` to ``IMG2IMG_DEVICE`` or the best device here; returns it and, if it was picked, the reason."""
    import torch

    if device == "auto":
        device = os.environ.get("IMG2IMG_DEVICE") or "auto"
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        best = next(name for name, found in there.items() if found)
        return best, {"cuda": "an NVIDIA GPU", "mps": "an Apple GPU", "cpu": "no GPU"}[best] + " was found"
    device = str(device)
    kind, _, index = device.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not there.get(kind, False) or (index and not (index.isdecimal() and int(index) < count)):
        here = quoted(name for name, found in there.items() if found)
        raise ValueError(f"This computer has no device {device!r}; it has {here}.")
    return ("cpu" if kind == "cpu" else device), ""  # torch also says cpu:0


def free_memory(device: str | torch.device) -> int:
    """Bytes that are free on a CUDA device, with those that PyTorch holds but does not use; elsewhere in main memory."""
    import torch

    if str(device).startswith("cuda"):
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    import psutil

    return psutil.virtual_memory().available


def place(pipe: DiffusionPipeline, device: str, needed: float) -> str:
    """Move ``pipe`` to the device; where a GPU has no room for it and for the ``needed`` bytes, let its parts take turns.

    Returns:
        What to tell of that, or nothing.
    """
    import torch

    on_gpu = device.startswith("cuda")
    if not on_gpu or free_memory(device) >= needed:
        try:
            pipe.to(device)
            return ""
        except RuntimeError as error:
            if not on_gpu or not is_out_of_memory(error):
                raise
    torch.cuda.empty_cache()
    pipe.enable_model_cpu_offload(device=device)
    pipe.vae.enable_slicing()
    pipe.vae.enable_tiling()
    return (
        f" It needs {needed / 1e9:.1f} GB, and the GPU has less free beside what is loaded: its parts take turns "
        f"there, which is slower; delete pipelines that you no longer need, or restart other notebooks' kernels."
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is what a GPU or a CPU without enough memory for a tensor raises."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # elsewhere than in CUDA's allocator torch has no class for it
    words = ("out of memory", "alloc_failed", "allocate memory", "not enough memory", "invalid buffer size")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def out_of_memory_advice(pipe: DiffusionPipeline, width: int, height: int) -> str:
    """One sentence for when ``pipe`` cannot make a picture of this size."""
    native, device, ways = pipe.unet.config.sample_size * pipe.vae_scale_factor, pipe._execution_device, []
    if width * height > native**2:
        ways.append(f"a picture of {native}×{native}")
    if pipe.unet.dtype.itemsize == 4 and device.type != "cpu":
        ways.append("load_pipeline(…, dtype='float16')")
    if not getattr(pipe.vae, "use_tiling", False):
        ways.append("pipe.vae.enable_tiling()")
    ways.append("closing other notebooks")
    return f"There is not enough memory on {device} for a picture of {width}×{height} pixels; try {', or '.join(ways)}."


@contextmanager
def out_of_memory_told(pipe: DiffusionPipeline, width: int, height: int):
    """Turn what torch says when it is out of memory into :func:`out_of_memory_advice`."""
    import torch

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        # Jupyter keeps the error, which would keep the tensors that filled the memory
        traceback.clear_frames(error.__traceback__)
        raise torch.OutOfMemoryError(out_of_memory_advice(pipe, width, height)) from None
