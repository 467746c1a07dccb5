"""A training run in mid-course as one safetensors file: tensors, and JSON in its header.

Nothing is pickled, so a checkpoint from a stranger can be opened without running their code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from align.files import replacing
from align.weights import write_tensors

Part = nn.Module | Optimizer


def write(path: Path, parts: Mapping[str, Part], notes: dict) -> None:
    """Write networks, optimisers and notes, whole or not at all.

    Args:
        path: the file; an older one there is replaced.
        parts: networks and optimisers under names without a "/".
        notes: JSON-ready values.

    Raises:
        OSError: if it cannot be written; the older one is still there.
    """
    tensors: dict[str, Tensor] = {}
    groups = {}
    for name, part in parts.items():
        if isinstance(part, Optimizer):
            state = part.state_dict()
            groups[name] = state["param_groups"]
            for number, values in state["state"].items():
                tensors |= {f"{name}/{number}/{key}": value for key, value in values.items()}
        else:
            tensors |= {f"{name}/{key}": value for key, value in part.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {"notes": json.dumps(notes), "groups": json.dumps(groups)}
    with replacing(path) as (partial,):
        write_tensors(partial, tensors, texts)


def notes(path: Path) -> dict:
    """The notes of a checkpoint.

    Args:
        path: a file that `write` wrote.

    Raises:
        ValueError: if it is none.
    """
    try:
        with safe_open(path, "pt") as file:
            found = json.loads(file.metadata()["notes"])
            return {**found}
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' is broken or no checkpoint ({error}); delete it to start anew"
        ) from error


def restore(path: Path, parts: Mapping[str, Part]) -> None:
    """Bring networks and optimisers to where they were when the checkpoint was written.

    Args:
        path: a file that `write` wrote.
        parts: networks and optimisers of the same shapes under the same names; changed in place.

    Raises:
        ValueError: if the checkpoint is of other networks or optimisers.
    """
    try:
        _restore(path, parts)
    except (SafetensorError, ValueError, KeyError, TypeError, IndexError, RuntimeError) as error:
        raise ValueError(
            f"'{path}' does not fit the networks of this run ({type(error).__name__}): it is "
            "broken or of another version of the library; delete it to start anew"
        ) from error


def _restore(path: Path, parts: Mapping[str, Part]) -> None:
    with safe_open(path, "pt") as file:
        groups = json.loads(file.metadata()["groups"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, part in parts.items():
        own = {
            key.removeprefix(f"{name}/"): value
            for key, value in tensors.items()
            if key.startswith(f"{name}/")
        }
        if isinstance(part, Optimizer):
            part.load_state_dict({"state": _by_parameter(own, part), "param_groups": groups[name]})
        else:
            part.load_state_dict(own)


def _by_parameter(values: dict[str, Tensor], optimizer: Optimizer) -> dict[int, dict[str, Tensor]]:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in values.items():
        number, name = key.split("/")
        parameter = parameters[int(number)]
        if value.shape == parameter.shape:
            # In the parameter's own memory order, which fused optimisers rely on.
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        state.setdefault(int(number), {})[name] = value
    return state
