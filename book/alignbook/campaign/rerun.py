"""A recorded run made again from its record alone, and compared number by number."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from align import records
from align.checks import check_kind
from align.config import LATER, Config
from align.experiment import Experiment, run

PLACE = ("device", "processor", "threads", "torch", "torchvision", "python")
"""What may change the last digits of a run: where these agree, all numbers must be the same."""


@dataclass(frozen=True)
class Rerun:
    """A record beside the same run made again.

    Args:
        before: the record.
        after: the record of the new run.
    """

    before: dict
    after: dict

    def differences(self) -> dict[str, tuple[Any, Any]]:
        """What was measured differently: `(before, after)` by path, such as `metrics/noon/iou`."""
        found: dict[str, tuple[Any, Any]] = {}
        for part in ("data", "metrics", "human", "history"):
            if part in self.before:
                _compare(part, self.before[part], self.after[part], found)
        return found

    def largest(self) -> float:
        """The largest difference of two numbers; infinity where one is there and one is not."""
        sizes = [
            abs(a - b) if _is_number(a) and _is_number(b) else float("inf")
            for a, b in self.differences().values()
        ]
        return max(sizes, default=0.0)

    def place(self) -> dict[str, tuple[Any, Any]]:
        """What differs about where the two were made: `(before, after)` by name."""
        pairs = {name: (self.before.get(name), self.after.get(name)) for name in PLACE}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def rerun(
    record: dict,
    *,
    root: str | Path | None = None,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> Rerun:
    """Make a recorded run again: load the data, train, test, compare.

    Args:
        record: a record of `align.experiment.run`.
        root: where real data are; see `align.load`.
        device: where to run; None takes a GPU if there is one.
        progress: show a progress bar.

    Returns:
        Both records.

    Raises:
        ValueError: if the record does not say how it was made, or another version of the library
            wrote it.
    """
    after, _ = run(experiment_of(record), root=root, device=device, progress=progress)
    return Rerun(record, json.loads(json.dumps(after)))


def experiment_of(record: dict) -> Experiment:
    """The experiment that a record describes."""
    revision = record.get("revision", "unknown") if isinstance(record, dict) else "unknown"
    try:
        values = {f.name: record[f.name] for f in fields(Experiment) if f.name in record}
        values["config"] = Config(**LATER | values["config"])
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        experiment = Experiment(**values)
        same = experiment.key() == record["key"]
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(
            f"the record does not describe a run of this version of the library ({error}); it was "
            f"made at revision {revision}: check that out to make it again"
        ) from error
    if not same:
        raise ValueError(
            f"the record's key is {record['key']} and what it describes has the key "
            f"{experiment.key()}: it was changed, or another version of the library wrote it "
            f"(revision {revision})"
        )
    return experiment


def find(name: str) -> dict:
    """The record that a reader means.

    Args:
        name: a `.json` file with one record, or the beginning of a record's key, looked up in
            `results/*.jsonl`; `FILE.jsonl:KEY` looks in another file.

    Raises:
        ValueError: if there is none, or more than one.
        FileNotFoundError: if there is no such file.
    """
    check_kind("name", name, str, "a .json file or the beginning of a record's key")
    if name.endswith(".json"):
        try:
            return json.loads(Path(name).read_text())
        except ValueError as error:
            raise ValueError(f"{name} holds no record ({error})") from error
    file, _, key = name.rpartition(":")
    if file and not Path(file).is_file():
        raise FileNotFoundError(f"there is no file {file}; expected FILE.jsonl:KEY")
    files = [Path(file)] if file else sorted(records.RESULTS.glob("*.jsonl"))
    found = [r for path in files for r in records.read(path) if str(r.get("key")).startswith(key)]
    if len(found) != 1 or not key:
        raise ValueError(
            f"{len(found)} records have a key that begins with '{key}' in "
            f"{file or records.RESULTS.name}, expected one; `key` is each record's first field"
        )
    return found[0]


def _compare(path: str, before: Any, after: Any, found: dict[str, tuple[Any, Any]]) -> None:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            _compare(f"{path}/{name}", before.get(name), after.get(name), found)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after, strict=True)):
            _compare(f"{path}/{number}", *pair, found)
    elif before != after:
        found[path] = (before, after)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
