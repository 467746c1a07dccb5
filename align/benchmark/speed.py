"""How fast it is: images rendered a second, and each method's step against plain training's.

Figures of one call compare with each other; across machines only the ratios mean something.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import torch

from align.config import Config
from align.data import load
from align.data.batches import Batches
from align.methods import build
from align.training import flushed_denormals, start

# Forward passes of the classifier that a step needs, a backward pass counting two (one where
# only the input's gradient is wanted), after which a step's cost can be judged.
# SGT: x forward, back to the pixels and back to the weights; x̃ forward and back. DRE and CGC: all
# of ERM's on twice the images.
PASSES = {"erm": 3.0, "guided": 3.0, "sgt": 7.0, "dre": 6.0, "cgc": 6.0, "align": 7.0}


def generator_rate(size: int = 64, n: int = 4000) -> float:
    """Images per second that `toy-vlcs` renders on one core, the median of three domains."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        benchmark = load("toy-vlcs", size=size, n=n)
        _ = benchmark["noon"]  # paints the scenes and silhouettes, once
        seconds = []
        for name in ("dusk", "film", "fog"):
            began = time.perf_counter()
            _ = benchmark[name]
            seconds.append(time.perf_counter() - began)
        return n / statistics.median(seconds)
    finally:
        torch.set_num_threads(threads)


def step_times(
    backbone: str = "small-cnn",
    size: int = 64,
    batch_size: int = 64,
    steps: int = 20,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """Time a step of each method, taken in turn so that a drifting machine touches all alike.

    Args:
        backbone: see `align.Classifier`.
        size: side of the images, in pixels.
        batch_size: images per step.
        steps: rounds; the median is reported.
        device: where; None takes a GPU if there is one.

    Returns:
        One row a method: milliseconds a step, images per second, the ratio to ERM, and the ratio
        that counting forward passes predicts.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    domain = load("toy-vlcs", size=size, n=max(4 * batch_size, 200))["noon"]
    batch = next(Batches(domain, batch_size, device=device).epoch(0))
    updates = {name: _step(name, backbone, domain, batch, device) for name in PASSES}
    times: dict[str, list[float]] = {name: [] for name in updates}
    with flushed_denormals():
        for round_ in range(steps + 3):
            for name, update in updates.items():
                began = time.perf_counter()
                update()
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                if round_ >= 3:  # the first rounds warm up
                    times[name].append(time.perf_counter() - began)
    median = {name: statistics.median(values) for name, values in times.items()}
    ratio = statistics.median
    return pd.DataFrame(
        {
            "ms": {name: 1e3 * value for name, value in median.items()},
            "images/s": {name: batch_size / value for name, value in median.items()},
            "ratio to erm": {
                name: ratio([a / b for a, b in zip(values, times["erm"], strict=True)])
                for name, values in times.items()
            },
            "by forward passes": {name: passes / PASSES["erm"] for name, passes in PASSES.items()},
        }
    )


def _step(name: str, backbone: str, domain, batch, device: torch.device) -> Callable[[], object]:
    config = replace(Config(), method=name, backbone=backbone, warmup=0, head_start=0)
    run = start(config, domain, device)
    run.classifier.train()
    method = build(run.classifier, run.masker, config)
    generator = torch.Generator().manual_seed(0)
    return lambda: method.update(batch, config.joint_from, generator)
