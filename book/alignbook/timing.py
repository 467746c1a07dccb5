"""Timing: tasks in turn, ratios round by round, and a training step by itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch.nn.functional import interpolate

from align.data import Domain, load
from align.data.batches import Batch, Batches
from align.methods import Method
from align.training import start
from align.training.loop import flushed_denormals
from alignbook.campaign.recipes import TOY

Task = Callable[[], object]

DISTINCT = 256
"""Pictures that are rendered; where more are timed, they repeat."""


def in_turn(
    tasks: dict[str, Task], rounds: int, device: torch.device, warm: int = 2
) -> dict[str, list[float]]:
    """Seconds that each task takes, round by round; the first rounds warm up and do not count.

    Args:
        tasks: what is timed, by name.
        rounds: how often.
        device: waited for after each task.
        warm: rounds before.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    with flushed_denormals():
        for round_ in range(rounds + warm):
            for name, task in tasks.items():
                began = time.perf_counter()
                task()
                wait(device)
                if round_ >= warm:
                    times[name].append(time.perf_counter() - began)
    return times


def ratio(over: list[float], under: list[float]) -> float:
    """The median over rounds of the quotient of two times of a round."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def wait(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def chosen(device: torch.device | str | None) -> torch.device:
    """A device; None takes a GPU if there is one."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def images(size: int, count: int) -> Domain:
    """Toy pictures with masks; large ones are enlarged, many repeat: a clock does not see it.

    Args:
        size: side of the pictures, in pixels.
        count: how many.
    """
    domain = load("toy-vlcs", size=min(size, 64), n=min(count, DISTINCT))["noon"]
    if size > 64:
        pixels = interpolate(domain.images.float(), (size, size), mode="bilinear")
        masks = interpolate(domain.masks[:, None], (size, size), mode="bilinear")[:, 0]
        domain = replace(domain, images=pixels.round().to(torch.uint8), masks=masks.clamp(0, 1))
    return domain.subset(torch.arange(count) % len(domain))


def first_batch(domain: Domain, count: int, device: torch.device) -> Batch:
    """The first training batch of a domain."""
    return next(Batches(domain, count, device=device).epoch(0))


def ready(changes: dict, backbone: str, domain: Domain, device: torch.device) -> Method:
    """A method in its last phase, in which every term of its loss counts.

    Args:
        changes: values of the configuration, `method` among them.
        backbone: see `align.Classifier`.
        domain: what it would be trained on.
        device: where.
    """
    config = replace(TOY, backbone=backbone, warmup=0, head_start=0, **changes)
    return start(config.method, domain, config, device)


def step(method: Method, batch: Batch) -> Task:
    """One training step on one batch, as a task; in bf16 on a GPU, as training does it."""
    generator = torch.Generator().manual_seed(0)
    device = batch.images.device.type

    def one() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            method.update(batch, method.config.joint_from, generator)

    return one
