"""Stage 2: how fast, beside counts, floors and others' ways."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch

from align.data.batches import Batches
from align.methods import Method
from align.networks.compilation import compiled, missing_compiler
from alignbook import speed, timing
from alignbook.gpu.device import Device
from alignbook.gpu.plan import NotHereError, Unit
from alignbook.gpu.quiet import profiler_silenced
from alignbook.gpu.report import Report
from alignbook.gpu.sizes import Sizes


def units(device: Device, sizes: Sizes, report: Report) -> list[Unit]:
    """For each network: rates over batch sizes, then everything else at the best of them.

    Args:
        device: the device.
        sizes: its sizes.
        report: where the best batch size is found.
    """
    found = []
    for place, backbone in enumerate(sizes.backbones):
        later = 2 * place

        def add(
            name: str,
            rank: int,
            seconds: float,
            what: str,
            measure: Callable[[torch.device, Sizes, str, int], dict],
            backbone: str = backbone,
        ) -> None:
            def work() -> dict:
                batch = best_batch(report, backbone, sizes)
                return measure(device.torch, sizes, backbone, batch)

            words = f"{what}, {backbone} at {sizes.side} px"
            found.append(Unit("speed", f"{name}-{backbone}", rank, seconds, words, work))

        add("rates", 1 + later, 40, "images/s of ERM and ALIGN over batch sizes", rates)
        add("steps", 1 + later, 40, "each method's step beside its count", steps)
        add("loop", 3 + later, 30, "the training loop beside its step on a fixed batch", loop)
        add("metrics", 3 + later, 60, "the metrics beside pure inference", metrics)
        add("peers", 3 + later, 60, "a DataLoader's loop and captum's map beside ours", peers)
        add("profile", 3 + later, 20, "the three largest costs of a step", profile)
        add(
            "options", 4 + later, 90, "cuDNN's search and torch.compile beside the default", options
        )
    return found


def best_batch(report: Report, backbone: str, sizes: Sizes) -> int:
    """The batch size at which ERM was fastest among those that ALIGN fits too, else the least."""
    unit = report.content["units"].get(f"speed/rates-{backbone}", {})
    return unit.get("result", {}).get("batch", sizes.batches[0])


def rates(device: torch.device, sizes: Sizes, backbone: str, batch: int) -> dict:
    """Images per second and peak memory as the batch grows, until it does not fit."""
    rows = []
    for count in sizes.batches:
        try:
            rows.append(_rates(device, sizes, backbone, count))
        except torch.OutOfMemoryError:
            break
    if not rows:
        raise NotHereError(f"not even {sizes.batches[0]} pictures fit the memory")
    best = max(rows, key=lambda row: row["erm"])
    return {"batch": best["batch"], "erm": best["erm"], "align": best["align"], "rows": rows}


def _rates(device: torch.device, sizes: Sizes, backbone: str, count: int) -> dict:
    domain = timing.images(sizes.side, count)
    batch, names = timing.first_batch(domain, count, device), ("erm", "align")
    tasks = {
        name: timing.step(timing.ready({"method": name}, backbone, domain, device), batch)
        for name in names
    }
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = timing.in_turn(tasks, sizes.rounds, device)
    row = {name: count / statistics.median(times[name]) for name in names}
    if device.type == "cuda":
        row["gib"] = torch.cuda.max_memory_allocated() / 2**30
    return {"batch": count} | row


def steps(device: torch.device, sizes: Sizes, backbone: str, batch: int) -> dict:
    """Every method's step beside the count of its passes."""
    table = speed.step_times(backbone, sizes.side, batch, sizes.rounds, device)
    return {"batch": batch, "rows": table.to_dict("index")}


def loop(device: torch.device, sizes: Sizes, backbone: str, batch: int) -> dict:
    """The loop's share of its step's rate, and what the data could feed by themselves."""
    shares = speed.loop_times(backbone, sizes.side, batch, sizes.rounds, device)
    domain = timing.images(sizes.side, 4 * batch)
    batches = Batches(domain, batch, device=device)
    passes = []
    for epoch in range(3):
        began = time.perf_counter()
        for _ in batches.epoch(epoch):
            pass
        timing.wait(device)
        passes.append(len(batches) * batch / (time.perf_counter() - began))
    return {"batch": batch, **shares, "data": max(passes)}


def metrics(device: torch.device, sizes: Sizes, backbone: str, batch: int) -> dict:
    """The metrics' share of the rate of pure inference."""
    table = speed.metric_times(backbone, sizes.side, sizes.pictures, min(sizes.rounds, 3), device)
    return {"rows": {name: row.dropna().to_dict() for name, row in table.iterrows()}}


def peers(device: torch.device, sizes: Sizes, backbone: str, batch: int) -> dict:
    """Others' time over ours for the same work; None where one is not installed."""
    return speed.peer_times(backbone, sizes.side, batch, min(sizes.rounds, 2), device)


def profile(device: torch.device, sizes: Sizes, backbone: str, batch: int) -> dict:
    """The three operators that take most of a step, with their shares of it."""
    domain = timing.images(sizes.side, batch)
    images = timing.first_batch(domain, batch, device)
    return {
        name: _costs(timing.step(timing.ready({"method": name}, backbone, domain, device), images))
        for name in ("erm", "align")
    }


def _costs(step: timing.Task, most: int = 3) -> list[dict]:
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    step()
    with profiler_silenced(), torch.profiler.profile(activities=kinds) as profiler:
        step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    rows = profiler.key_averages()
    spent = {row.key: row.self_device_time_total for row in rows}
    if not any(spent.values()):
        spent = {row.key: row.self_cpu_time_total for row in rows}
    total = sum(spent.values())
    dearest = sorted(spent, key=spent.get, reverse=True)[:most]
    return [{"name": name[:80], "share": spent[name] / total} for name in dearest]


def options(device: torch.device, sizes: Sizes, backbone: str, batch: int) -> dict:
    """How many times faster a step is with cuDNN's search, and compiled; 1 is the default."""
    domain = timing.images(sizes.side, batch)
    images = timing.first_batch(domain, batch, device)
    gains: dict[str, dict[str, float]] = {}
    for name in ("erm", "align"):

        def ready(name: str = name) -> Method:
            return timing.ready({"method": name}, backbone, domain, device)

        tasks = {
            "default": timing.step(ready(), images),
            "search": _searching(timing.step(ready(), images)),
        }
        with ExitStack() as stack:
            if sizes.compiler != "inductor" or not missing_compiler(device):
                method = ready()
                stack.enter_context(compiled(method.classifier, sizes.compiler))
                tasks["compiled"] = timing.step(method, images)
            # Warmed up apart: to compile takes much longer than to run.
            times = timing.in_turn(tasks, sizes.rounds, device, warm=3)
        gains[name] = {
            what: timing.ratio(times["default"], times[what]) for what in tasks if what != "default"
        }
    torch.compiler.reset()
    return {"batch": batch, "rows": gains}


def _searching(step: timing.Task) -> timing.Task:
    def one() -> None:
        with _search():
            step()

    return one


@contextmanager
def _search() -> Iterator[None]:
    """Let cuDNN try its algorithms and keep the fastest for each shape."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
