"""Sending small tensors to a GPU without making the processor wait for it."""

from __future__ import annotations

import torch
from torch import Tensor


def upload(tensor: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """Send a tensor from the CPU, converted first, to a device; the processor goes on meanwhile.

    An ordinary copy to a GPU waits for all that it was given before. The tensor may not be changed
    afterwards: on a CPU it is returned itself.
    """
    tensor = tensor if dtype is None else tensor.to(dtype)
    # From pinned memory alone can a GPU read by itself.
    source = tensor.pin_memory() if device.type == "cuda" else tensor
    return source.to(device, non_blocking=True)
