"""Tensors by name, to a file and from one that a stranger made: nothing in it is run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def read_tensors(path: Path, remedy: str) -> dict[str, Tensor]:
    """Read a file of weights.

    Args:
        path: a `.safetensors` file, or one that `torch.save` wrote, read with `weights_only=True`.
        remedy: what to use instead of a file that cannot be read, for the message.

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: if it holds anything else, or is broken.
        OSError: if the operating system cannot read it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weights file at '{path}', expected {remedy}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        # Unpicklers raise errors of many kinds on broken bytes: whichever, the file is at fault.
        raise ValueError(
            f"weights file '{path}' holds more than tensors, or is broken, and is not read "
            f"({type(error).__name__}); use {remedy}"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(one, Tensor) for one in found.values()):
        raise ValueError(
            f"weights file '{path}' holds other things than tensors by name; use {remedy}"
        )
    return found


def profile(network: nn.Module) -> list[float]:
    """Of each of a network's tensors its mean size and one value, which tell trainings apart."""
    tensors = (one.float() for one in network.state_dict().values() if one.is_floating_point())
    return [value.item() for one in tensors for value in (one.abs().mean(), one.flatten()[-1])]


def alike(known: list[float], other: list[float]) -> bool:
    """Whether two profiles are of one network, up to a hundredth of each size (half precision)."""
    if len(known) != len(other):
        return False
    sizes = [abs(size) for size in known[::2] for _ in range(2)]
    pairs = zip(known, other, sizes, strict=True)
    return all(abs(one - two) <= 0.01 * size for one, two, size in pairs)


def read_start(path: Path) -> tuple[dict[str, Tensor], list[float] | None]:
    """The tensors of a masker's start, and the profile of the network that it reads, if told.

    Raises:
        ValueError: if the file holds anything else, or is broken.
    """
    tensors = read_tensors(path, "a start as align.training.objectness learns one")
    told = None
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            told = (file.metadata() or {}).get("profile")
    return tensors, told and json.loads(told)


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a `.safetensors` file, with texts in its header; an OSError may leave half of it."""
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata)
    except SafetensorError as error:
        raise OSError(
            f"the folder {path.parent} cannot be written to ({error}); free some space, or choose "
            "another"
        ) from error
