"""How fast it is: images rendered, steps beside plain training, loops and metrics beside floors.

Every figure is a ratio of times taken in turn within one call, so that a busy moment touches both
sides alike. Ratios travel between machines, seconds do not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd
import torch

from align.config import Config
from align.data import load
from align.data.batches import Batch
from align.methods import ERM, METHODS, Align
from align.methods.base import Passes, descend
from align.methods.sgt import replace_least
from align.metrics import comprehensiveness, deletion_auc, insertion_auc, reliance, sufficiency
from align.metrics.inputs import images_at_once
from align.training import start, train
from alignbook import peers, timing
from alignbook.timing import Task

L_REG = {"lambda4": 0.5}
"""ALIGN with its regulariser, which also shows the batch's mixtures, forward and back."""

ON_FEATURES = {"masker_reads": "classifier"}
"""ALIGN with a masker that decodes feature maps, here the classifier's own."""

ON_FROZEN = {"masker_reads": "pretrained"}
"""The same with the feature maps of a frozen copy of the network that the classifier began as."""

OWN = {
    "sgt": "noise",
    "align, on features": "decoder",
    "align, on frozen features": "decoder of a copy",
}
"""Steps that do much besides the classifier's passes; others with a masker have its work."""


def kinds_of_step() -> dict[str, tuple[str, dict, Passes]]:
    """The steps to measure: every method's, ALIGN's with its regulariser, and on feature maps.

    Returns:
        For each its method, choices of the configuration, and what it asks of the classifier.
    """
    kinds = {name: (name, {}, kind.passes) for name, kind in METHODS.items()}
    more = Align.passes._replace(forward=4, to_weights=2)
    return kinds | {
        "align, L_reg": ("align", L_REG, more),
        "align, on features": ("align", ON_FEATURES, Align.passes),
        "align, on frozen features": ("align", ON_FROZEN, Align.passes),
    }


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
        One row a method: milliseconds a step, images per second, the ratio to ERM, the ratio that
        counting forward passes of the classifier predicts, and that prediction with the time of
        the method's own parts added, measured alone: ALIGN's masker (forward, backward and its
        optimiser's step, and once more forward for the target; on feature maps with the passes that
        make them), SGT's choice of pixels and noise.
    """
    device = timing.chosen(device)
    domain = timing.images(size, max(4 * batch_size, 200))
    batch = timing.first_batch(domain, batch_size, device)
    wanted = kinds_of_step()
    updates = {
        name: timing.step(
            timing.ready({"method": method, **changes}, backbone, domain, device), batch
        )
        for name, (method, changes, _) in wanted.items()
    }
    alone = {"masker": {}, "decoder": ON_FEATURES, "decoder of a copy": ON_FROZEN}
    parts = {
        name: _masker_alone(
            timing.ready({"method": "align", **changes}, backbone, domain, device), batch
        )
        for name, changes in alone.items()
    }
    parts["noise"] = _noise_alone(batch)
    times = timing.in_turn(updates | parts, steps, device)
    masked = {name: "masker" for name, (own, *_) in wanted.items() if METHODS[own].learns_masks}
    own = masked | OWN
    counted = {name: passes.cost / ERM.passes.cost for name, (*_, passes) in wanted.items()}
    return pd.DataFrame(
        {
            "ms": {name: 1e3 * statistics.median(times[name]) for name in updates},
            "images/s": {name: batch_size / statistics.median(times[name]) for name in updates},
            "ratio to erm": {name: timing.ratio(times[name], times["erm"]) for name in updates},
            "by forward passes": counted,
            "with its own parts": {
                name: passes + (timing.ratio(times[own[name]], times["erm"]) if name in own else 0)
                for name, passes in counted.items()
            },
        }
    )


def loop_times(
    backbone: str = "small-cnn",
    size: int = 64,
    batch_size: int = 64,
    rounds: int = 3,
    device: torch.device | str | None = None,
) -> dict[str, float]:
    """The training loop's rate from resident data, as a share of the same step on a fixed batch.

    Args:
        backbone: see `align.Classifier`.
        size: side of the images, in pixels.
        batch_size: images per step.
        rounds: epochs of ten steps; the median is reported.
        device: where; None takes a GPU if there is one.

    Returns:
        The share for "erm" and for "align"; 1 where shuffling, augmentation and logging are free.
    """
    device, steps = timing.chosen(device), 10
    domain = timing.images(size, steps * batch_size)
    batch = timing.first_batch(domain, batch_size, device)
    shares = {}
    for name in ("erm", "align"):
        method = timing.ready({"method": name}, backbone, domain, device)
        config = replace(method.config, epochs=1, batch_size=batch_size)
        fixed, looped = [], []
        for _ in range(rounds + 1):
            run = train(name, domain, config=config, device=device, progress=False)
            looped.append(run.seconds / steps)
            fixed.append(
                sum(timing.in_turn({"step": timing.step(method, batch)}, steps, device, 0)["step"])
            )
        fixed = [seconds / steps for seconds in fixed]
        shares[name] = timing.ratio(fixed[1:], looped[1:])
    return shares


def metric_times(
    backbone: str = "small-cnn",
    size: int = 64,
    images: int = 64,
    rounds: int = 3,
    device: torch.device | str | None = None,
    only: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The metrics' rates, beside pure inference and beside a RISE-style loop.

    Args:
        backbone: see `align.Classifier`.
        size: side of the images, in pixels.
        images: how many images are explained.
        rounds: rounds; the median is reported.
        device: where; None takes a GPU if there is one.
        only: which metrics; None means all.

    Returns:
        One row a metric: the share of the rate of pure inference on as many pictures in batches of
        the same size, and, for the two areas, how many times faster than the loop of
        `alignbook.peers.rise_curve`.
    """
    device = timing.chosen(device)
    domain = timing.images(size, images)
    model = start("erm", domain, Config(backbone=backbone), device).classifier.eval()
    pictures = domain.images.to(device).float() / 255
    maps = torch.rand(images, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    known = {"target": model(pictures).argmax(1).detach()}
    steps, shares = 28, (0.01, 0.05, 0.1, 0.2, 0.5)
    tasks: dict[str, tuple[Task, int]] = {
        "insertion": (lambda: insertion_auc(model, pictures, maps, **known), steps + 1),
        "deletion": (lambda: deletion_auc(model, pictures, maps, **known), steps + 1),
        "sufficiency": (lambda: sufficiency(model, pictures, maps), len(shares) + 1),
        "comprehensiveness": (lambda: comprehensiveness(model, pictures, maps), len(shares) + 1),
        "reliance": (lambda: reliance(model, pictures, maps), 3),
    }
    tasks = {name: task for name, task in tasks.items() if only is None or name in only}
    named = {name: task for name, (task, _) in tasks.items()}
    floors = {
        f"{passes} passes": _inference(model, pictures, passes) for _, passes in tasks.values()
    }
    plain = {
        f"{name}, RISE-style": lambda name=name: peers.rise_curve(
            model, pictures, maps, insertion=name == "insertion"
        )
        for name in ("insertion", "deletion")
        if name in tasks
    }
    times = timing.in_turn(named | floors | plain, rounds, device)
    return pd.DataFrame(
        {
            "of pure inference": {
                name: timing.ratio(times[f"{passes} passes"], times[name])
                for name, (_, passes) in tasks.items()
            },
            "RISE-style time over ours": {
                name: timing.ratio(times[f"{name}, RISE-style"], times[name])
                for name in ("insertion", "deletion")
                if name in tasks
            },
        }
    )


def peer_times(
    backbone: str = "small-cnn",
    size: int = 64,
    batch_size: int = 64,
    rounds: int = 3,
    device: torch.device | str | None = None,
) -> dict[str, float | None]:
    """How many times longer others' ways take than ours for the same work.

    Args:
        backbone: see `align.Classifier`.
        size: side of the images, in pixels.
        batch_size: images per step.
        rounds: rounds; the median is reported.
        device: where; None takes a GPU if there is one.

    Returns:
        "jpeg": ERM from JPEG files through worker processes, over ERM from resident data;
        "captum": an ALIGN step whose map captum makes, over ours with the same loss, or None where
        captum is not installed.
    """
    device, steps = timing.chosen(device), 10
    domain = timing.images(size, steps * batch_size)
    batch = timing.first_batch(domain, batch_size, device)
    found: dict[str, float | None] = {}
    method = timing.ready({"method": "erm"}, backbone, domain, device)
    config = replace(method.config, epochs=1, batch_size=batch_size)
    with peers.jpegs(domain, batch_size) as decoded:
        theirs, ours = [], []
        for _ in range(rounds + 1):
            run = train("erm", domain, config=config, device=device, progress=False)
            ours.append(run.seconds)
            began = time.perf_counter()
            for _, (images, labels) in zip(range(steps), decoded, strict=False):
                timing.step(method, Batch(images.to(device), labels.to(device), None))()
            timing.wait(device)
            theirs.append(time.perf_counter() - began)
        found["jpeg"] = timing.ratio(theirs[1:], ours[1:])
    changes = {"method": "align", "alignment": "bce"}
    own = timing.ready(changes, backbone, domain, device)
    other = peers.captum_align(timing.ready(changes, backbone, domain, device))
    if other is None:
        return found | {"captum": None}
    times = timing.in_turn(
        {"ours": timing.step(own, batch), "theirs": timing.step(other, batch)}, rounds, device
    )
    return found | {"captum": timing.ratio(times["theirs"], times["ours"])}


def report(
    backbone: str = "small-cnn",
    size: int = 64,
    batch_size: int = 64,
    device: torch.device | str | None = None,
) -> Iterator[tuple[str, str]]:
    """Everything above, one part after the other.

    Args:
        backbone: see `align.Classifier`.
        size: side of the images, in pixels.
        batch_size: images per step.
        device: where; None takes a GPU if there is one.

    Yields:
        `(heading, text)` as soon as a part is measured.
    """
    sizes = {"backbone": backbone, "size": size, "device": timing.chosen(device)}
    yield "toy-vlcs at 64 px, one core", f"{generator_rate():,.0f} images/s"
    table = step_times(batch_size=batch_size, steps=7, **sizes)
    yield f"one step of {backbone} at {size} px, {batch_size} images", _text(table)
    over = table["ratio to erm"] / table["with its own parts"]
    goal = "forward passes and own parts (goal: at most 1.15)"
    rows = [(f"{name} over its count", share, goal) for name, share in over.drop("erm").items()]
    rows.append(("guidance over ERM", table.loc["guided", "ratio to erm"], "ERM (at most 1.10)"))
    yield "steps against their counts", _rows(rows)
    loops = loop_times(batch_size=batch_size, **sizes)
    rows = [
        (name, share, "its step on a fixed batch (at least .95)") for name, share in loops.items()
    ]
    yield "rate of the training loop from resident data", _rows(rows)
    metrics = metric_times(**sizes)
    yield "rates of the metrics (goal: at least .9 of pure inference)", _text(metrics)
    others = peer_times(batch_size=batch_size, **sizes)
    lines = [("ERM from JPEG files, two workers", others["jpeg"], "ours from resident data")]
    if others["captum"] is not None:
        lines.append(("ALIGN step with captum's map", others["captum"], "ours with the same loss"))
    missing = (
        "" if others["captum"] is not None else "\ncaptum is not installed: its step is left out"
    )
    yield "others' time over ours, the same work", _rows(lines) + missing


def _masker_alone(method: Align, batch: Batch) -> Task:
    """What ALIGN's step asks of the masker, without the classifier."""

    def both() -> None:
        descend(method.masker_optimizer, method.masker(batch.images).mean())
        method.target(batch.images)

    return both


def _noise_alone(batch: Batch) -> Task:
    size, generator = batch.images.mean(1), torch.Generator()
    return lambda: replace_least(batch.images, size, Config().sgt_share, generator)


def _inference(model: torch.nn.Module, pictures: torch.Tensor, passes: int) -> Task:
    """The pictures shown `passes` times, in batches of the metrics' own size."""
    size = images_at_once(None, pictures.device)
    many = pictures.repeat(-(-size // len(pictures)), 1, 1, 1)[:size]

    def infer() -> None:
        with torch.inference_mode():
            for start_ in range(0, passes * len(pictures), size):
                model(many[: min(size, passes * len(pictures) - start_)])

    return infer


def _rows(rows: list[tuple[str, float, str]]) -> str:
    return _text(pd.DataFrame(rows, columns=["", "ratio", "to"]).set_index(""))


def _text(table: pd.DataFrame) -> str:
    return table.to_string(float_format="{:.2f}".format, na_rep="")
