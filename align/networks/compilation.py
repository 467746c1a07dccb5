"""`torch.compile` for the classifier's trunk, while a training lasts."""

from __future__ import annotations

import copy
import importlib.util
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from align.config import Config
from align.networks.classifier import Classifier

BACKEND = "inductor"
"""PyTorch's own; it writes code and has a compiler of the machine build it."""


@contextmanager
def compiled(classifier: Classifier, backend: str | None = None) -> Iterator[None]:
    """Compile a classifier's trunk in a block; before and after it is as it was.

    Args:
        classifier: its trunk is compiled when it is first called, once for each shape; its
            parameters and their names stay the same.
        backend: a name that `torch.compile` takes; None means `BACKEND`.
    """
    classifier.trunk.compile(backend=backend or BACKEND, dynamic=False)
    try:
        with warnings.catch_warnings():
            # PyTorch's own look at pictures that a mask made, of which nobody asks the gradient.
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
            yield
    finally:
        # A shallow copy has the same layers and leaves the compiled call behind.
        classifier.trunk = copy.copy(classifier.trunk)


def missing_compiler(device: torch.device) -> str:
    """What `torch.compile` lacks on a device, in words; "" where it lacks nothing.

    Args:
        device: where the classifier is.
    """
    on_gpu = device.type == "cuda"
    if on_gpu and importlib.util.find_spec("triton") is None:
        return "Triton"
    names = ("gcc", "clang", "cc") if on_gpu else ("g++", "clang++")
    chosen = os.environ.get("CC" if on_gpu else "CXX")
    found = any(shutil.which(name) for name in ([chosen] if chosen else names))
    return "" if found else f"a {'C' if on_gpu else 'C++'} compiler"


def check_compile(config: Config, device: torch.device) -> None:
    """Refuse a training that cannot be compiled.

    Args:
        config: the run's choices.
        device: where it is trained.

    Raises:
        ValueError: if the loss needs second derivatives, or no compiler is found.
    """
    if config.alignment == "rrr" and "alignment" in config.method_class.reads:
        raise ValueError(
            "compile is True with alignment 'rrr', expected False: compiled code has no second "
            "derivative; leave compile out, or choose another alignment"
        )
    if BACKEND == "inductor" and (lacking := missing_compiler(device)):
        raise ValueError(
            f"compile is True and torch.compile finds no compiler for {device.type} here: "
            f"{lacking} is missing; install it, or leave compile out"
        )
