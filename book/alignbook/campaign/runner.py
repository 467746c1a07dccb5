"""Making the runs of a grid: any number of processes, each run once, whatever is interrupted.

A run belongs to the process that holds the lock of its claim file. The operating system takes the
lock back when the process ends, however it ends, so a killed process leaves nothing to clear away:
its run is free again, and goes on from its last checkpoint. A checkpoint's folder is named by the
run and by the contents of its data: where these have changed, the run begins anew.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from align import records
from align.checks import check_kind, check_texts
from align.experiment import Experiment, Prepared, prepare, run
from alignbook.campaign import same_data


def choose(
    experiments: Sequence[Experiment], shard: str | None = None, only: Sequence[str] = ()
) -> list[Experiment]:
    """A part of a grid.

    Args:
        experiments: the grid.
        shard: "i/n" takes every n-th experiment from the i-th on, 1 <= i <= n, after `only`: n
            machines that are given 1/n to n/n share the grid.
        only: "name=value" pairs of an experiment's or its configuration's values, all of which
            must hold; a bare word is a method.

    Returns:
        The experiments chosen, in the grid's order.

    Raises:
        ValueError: if a name or a shard is not one.
    """
    check_kind("shard", shard, (str, type(None)), "i/n, such as 2/4, or None")
    check_texts("only", tuple(only) if isinstance(only, list) else only)
    chosen = list(experiments)
    for condition in only:
        name, mark, value = condition.partition("=")
        name, value = (name, value) if mark else ("method", condition)
        values = [_value(experiment, name) for experiment in chosen]
        chosen = [e for e, found in zip(chosen, values, strict=True) if str(found) == value]
    if shard is None:
        return chosen
    first, _, count = shard.partition("/")
    if not (first.isdigit() and count.isdigit() and 1 <= int(first) <= int(count)):
        raise ValueError(f"shard is '{shard}', expected i/n with 1 <= i <= n, such as 2/4")
    return chosen[int(first) - 1 :: int(count)]


def _value(experiment: Experiment, name: str) -> object:
    values = {"protocol": experiment.protocol} | asdict(experiment) | experiment.config.values()
    if name not in values:
        raise ValueError(f"only {name}=...: expected one of {', '.join(values)}")
    return values[name]


def missing(experiments: Sequence[Experiment], path: Path) -> list[Experiment]:
    """The experiments that have no record yet."""
    done = {record["key"] for record in records.read(path)}
    return [experiment for experiment in experiments if experiment.key() not in done]


def run_all(
    experiments: Sequence[Experiment],
    path: Path,
    *,
    root: str | Path | None = None,
    work: Path | None = None,
    jobs: int = 1,
    progress: bool = True,
) -> int:
    """Make the runs that are not recorded yet, and record each as it ends.

    Any number of processes may do this at a time with the same `path` and `work`, on one machine or
    over a file system whose locks work: no run is made twice.

    Args:
        experiments: what is wanted.
        path: the `.jsonl` file of records.
        root: where real data are.
        work: folder for claims and for the checkpoints of unfinished runs; None keeps claims beside
            the records and no checkpoints.
        jobs: processes; each gets its share of the cores. With one, the runs are made in this
            process.
        progress: print each run as it ends, with the time left.

    Returns:
        The number of runs of `experiments` recorded meanwhile.

    Raises:
        ValueError: if jobs is less than 1.
        RuntimeError: if a run diverged or lacks an optional package, once every other run is made;
            if the data are not those of the records that are there; or if a process has ended
            before its time.
    """
    if jobs < 1:
        raise ValueError(f"jobs is {jobs}, expected at least 1")
    wanted = missing(experiments, path)
    arguments = (list(experiments), path, root, work, progress)
    if jobs == 1 or len(wanted) < 2:
        failed = _work(*arguments)
    else:
        failed = _share_out(min(jobs, len(wanted)), arguments)
    left = {experiment.key() for experiment in missing(experiments, path)}
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(wanted)} runs failed: {'; '.join(failed)}")
    return sum(experiment.key() not in left for experiment in wanted)


def _share_out(jobs: int, arguments: tuple) -> list[str]:
    """Work in several processes; their failures."""
    context = multiprocessing.get_context("spawn")  # a GPU's state does not survive a fork
    failures = context.SimpleQueue()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    workers = [
        context.Process(target=_child, args=(threads, failures, arguments)) for _ in range(jobs)
    ]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    except BaseException:
        for worker in workers:
            worker.terminate()
        raise
    failed = []
    while not failures.empty():
        failed.append(failures.get())
    broken = [worker for worker in workers if worker.exitcode != 0]
    if broken:
        raise RuntimeError(
            f"{len(broken)} of {jobs} processes ended before their time (exit codes "
            f"{', '.join(str(worker.exitcode) for worker in broken)}; their messages are above); "
            "what is recorded is safe: the same command goes on from there"
        )
    return failed


def _child(threads: int, failures: multiprocessing.SimpleQueue, arguments: tuple) -> None:
    torch.set_num_threads(threads)
    for sentence in _work(*arguments):
        failures.put(sentence)


def _work(
    experiments: list[Experiment],
    path: Path,
    root: str | Path | None,
    work: Path | None,
    progress: bool,
) -> list[str]:
    """Make whatever nobody has made or is making; a sentence for each run that failed."""
    claims = (path.with_suffix("") if work is None else work) / "claims"
    began, to_do, failed = time.monotonic(), len(missing(experiments, path)), []
    for experiment in experiments:
        if _orphaned():
            break
        key = experiment.key()
        with claim(claims / key) as mine:
            # Read after the claim: whoever held it before may have made the run.
            if not mine or not missing([experiment], path):
                continue
            data = prepare(experiment, root)
            if mixed := same_data.mixed([*records.read(path), _promised(experiment, data)]):
                failed.append(f"{describe(experiment)}: {mixed[0]}; {OTHER_DATA.format(path=path)}")
                break
            folder = None if work is None else work / f"{key}-{data.training_data}"
            try:
                record, _ = run(experiment, prepared=data, root=root, folder=folder, progress=False)
            except (FloatingPointError, ModuleNotFoundError) as error:
                # A setting that diverges, or lacks an optional package, must not end the grid.
                failed.append(f"{describe(experiment)}: {error}")
                continue
            records.append(path, record)
            for done in () if work is None else work.glob(f"{key}-*"):
                shutil.rmtree(done, ignore_errors=True)  # its checkpoint has done its service
        if progress:
            left = len(missing(experiments, path))
            _report(experiment, record, len(experiments) - left, len(experiments))
            _time_left(time.monotonic() - began, to_do - left, left)
    return failed


OTHER_DATA = "give the root of the same data, or move '{path}' away to begin anew"


def _promised(experiment: Experiment, data: Prepared) -> dict:
    """What the record of a run will say of its data."""
    trained_on = list(experiment.trained_on(data.benchmark.domains))
    said = {"key": experiment.key(), "trained_on": trained_on, "data": data.data}
    return experiment.description() | said | {"training_data": data.training_data}


def _orphaned() -> bool:
    """Whether the process that started this one is gone: then nobody wants the rest."""
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


@contextmanager
def claim(path: Path) -> Iterator[bool]:
    """Hold a claim for the length of a block.

    Yields:
        True if the claim is held, False if another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(path).acquire(blocking=False)
    except Timeout:
        yield False
        return
    with held:
        yield True


def describe(experiment: Experiment) -> str:
    """A run in a few words, for progress and errors."""
    config = experiment.config
    where = experiment.source or f"all but {experiment.target}"
    return f"{config.method}, {experiment.benchmark} from {where}, seed {config.seed}"


def _report(experiment: Experiment, record: dict, done: int, count: int) -> None:
    print(f"[{done}/{count}] {describe(experiment)}: {record['seconds']:.0f} s", flush=True)


def _time_left(elapsed: float, made: int, left: int) -> None:
    """Say how long the rest takes if all processes go on as they did."""
    if made and left:
        minutes = elapsed / made * left / 60
        print(f"    {left} to go, about {_duration(minutes)}", flush=True)


def _duration(minutes: float) -> str:
    if minutes < 1:
        return "a minute"
    if minutes < 90:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.1f} hours"
