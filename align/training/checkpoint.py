"""A training run in mid-course as one file, which is read without running any code in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from align.files import replacing

Part = nn.Module | Optimizer
States = dict[str, dict]


def write(path: Path, parts: Mapping[str, Part], notes: dict) -> None:
    """Write networks, optimisers and notes, whole or not at all.

    Args:
        path: the file; an older one there is replaced.
        parts: networks and optimisers by name.
        notes: plain values, lists and dicts.

    Raises:
        OSError: if it cannot be written; the older one is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    states = {name: part.state_dict() for name, part in parts.items()}
    with replacing(path) as (partial,):
        try:
            torch.save({"states": states, "notes": notes}, partial)
        except RuntimeError as error:  # so torch calls a disk that is full
            raise OSError(
                f"the folder {path.parent} cannot be written to; free some space or choose another "
                "folder, and run the same again"
            ) from error


def read(path: Path) -> tuple[States, dict]:
    """Read what `write` wrote.

    Returns:
        `(states, notes)`: the state of each part, on the CPU, and the notes.

    Raises:
        ValueError: if it is broken, or holds more than tensors and plain values.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        return {**found["states"]}, {**found["notes"]}
    except (OSError, MemoryError):
        raise
    except Exception as error:
        # Unpicklers raise errors of many kinds on broken bytes: whichever, the file is at fault.
        raise ValueError(
            f"'{path}' is broken or no checkpoint ({type(error).__name__}); delete it to start anew"
        ) from error


def restore(path: Path, parts: Mapping[str, Part], states: States) -> None:
    """Bring networks and optimisers to where they were when a checkpoint was written.

    Raises:
        ValueError: if the checkpoint is of other networks or optimisers.
    """
    try:
        for name, part in parts.items():
            part.load_state_dict(states[name])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise ValueError(
            f"'{path}' does not fit the networks of this run ({type(error).__name__}): it is "
            "broken or of another version of the library; delete it to start anew"
        ) from error
