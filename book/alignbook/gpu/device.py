"""What the device is, in words and numbers."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import asdict, dataclass
from importlib.metadata import version

import torch


@dataclass(frozen=True)
class Device:
    """A device on which everything is run.

    Args:
        kind: "cuda", which PyTorch also calls AMD's GPUs, or "cpu".
        name: what it calls itself.
        memory: its memory in GiB, or None for a CPU.
        capability: the GPU's generation, such as "9.0", or "".
        cores: processor cores that this process may use.
    """

    kind: str
    name: str
    memory: float | None
    capability: str
    cores: int

    @property
    def torch(self) -> torch.device:
        """The device as PyTorch names it."""
        return torch.device(self.kind)

    @property
    def slug(self) -> str:
        """The name as a folder's: small letters, digits, dots and hyphens."""
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-.")

    @property
    def is_rehearsal(self) -> bool:
        """Whether this is a CPU, on which sizes are tiny and numbers mean nothing."""
        return self.kind == "cpu"

    def described(self) -> dict[str, object]:
        """Device and versions, JSON-ready."""
        return asdict(self) | {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": version("torchvision"),
            "cuda": torch.version.cuda or torch.version.hip or "",
        }


def find(wanted: str | None = None) -> Device:
    """Ask what the device is.

    Args:
        wanted: "cuda", "cpu" for a rehearsal, or None for the GPU.

    Raises:
        ValueError: if it is another word, or there is no GPU where one is wanted.
    """
    if wanted not in (None, "", "cuda", "cpu"):
        raise ValueError(f"device is '{wanted}', expected cuda, or cpu for a rehearsal")
    if wanted == "cpu":
        return Device("cpu", "cpu", None, "", _cores())
    if not torch.cuda.is_available():
        raise ValueError(
            f"no GPU is visible to PyTorch {torch.__version__}; on Colab choose Runtime > Change "
            "runtime type > T4 GPU; `make gpu DEVICE=cpu` rehearses everything in tiny sizes"
        )
    found = torch.cuda.get_device_properties(0)
    capability = ".".join(map(str, torch.cuda.get_device_capability(0)))
    return Device("cuda", found.name, round(found.total_memory / 2**30, 1), capability, _cores())


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
