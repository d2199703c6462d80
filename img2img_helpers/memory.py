"""How much memory is free, and one sentence for when it is not enough."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

GIB = 2**30


def free_memory(device: str | torch.device) -> int:
    """Bytes that are free on a CUDA device, with those that PyTorch holds but does not use; elsewhere in main memory."""
    import torch

    if str(device).startswith("cuda"):
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    import psutil

    return psutil.virtual_memory().available


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
