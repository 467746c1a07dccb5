"""How long each chapter runs: measured by the build, kept by tier, with the machine that measured.

    make minutes        # after a build: keep what it measured, and let first cells announce it

Nothing in `book/minutes.json` is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from book.tools import execute, first_cell, project, strip

RECORD = project.ROOT / "book" / "minutes.json"


def measured(cache_folder: Path, tier: str) -> dict[str, Any]:
    """Return what the last build at a tier measured.

    Args:
        cache_folder: where its executed notebooks are.
        tier: the tier it ran at.

    Returns:
        The machine, the day, and the seconds of each chapter, such as `{"book/saliency": 21.0}`.

    Raises:
        ValueError: if the cache holds no run of the sources as they are, at this tier.
    """
    from jupyter_cache import get_cache

    stamp = cache_folder / "key.txt"
    if not stamp.is_file() or stamp.read_text() != execute.cache_key(tier):
        raise ValueError(f"'{cache_folder}' holds no build of these sources at tier '{tier}'")
    cache, seconds = get_cache(cache_folder), {}
    for path in project.notebooks():
        try:
            record = cache.match_cache_notebook(execute.read(path))
        except KeyError:
            continue
        name = project.page(path)
        seconds[name] = round(record.data["execution_seconds"], 1)
    return {"machine": machine(tier), "day": f"{datetime.now(UTC):%Y-%m-%d}", "seconds": seconds}


def machine(tier: str) -> str:
    """Return in words what this computer is."""
    cores = os.cpu_count() or 1
    words = f"{cores} CPU core{'' if cores == 1 else 's'}, {platform.machine()}"
    if tier == "gpu":
        import torch

        if torch.cuda.is_available():
            words = f"{torch.cuda.get_device_name(0)}, {words}"
    return words


def recorded(path: Path = RECORD) -> dict[str, Any]:
    """Return what was kept: for each tier what `measured` returned."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def shown(record: dict[str, Any]) -> tuple[list[str], dict[str, list[str]], list[str]]:
    """Return what the pages show of the record: tiers that nobody measured have no column.

    Args:
        record: what `recorded` returns.

    Returns:
        The head; for each chapter, such as `book/saliency`, its cells after the first; and a
        sentence for each tier that says where it was measured, or that it was not.
    """
    tiers = [tier for tier in first_cell.TIERS if record.get(tier, {}).get("seconds")]
    head = ["chapter", *(f"minutes, {tier}" for tier in tiers)]
    rows = {
        name: [_said(record[tier]["seconds"].get(name)) for tier in tiers]
        for name in map(project.page, project.notebooks())
    }
    notes = [
        f"{tier}: {record[tier]['machine']}; measured on {record[tier]['day']}."
        if tier in tiers
        else f"No chapter has been measured at tier {tier} yet."
        for tier in first_cell.TIERS
    ]
    return head, rows, notes


def _said(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds / 60:.1f}"


def keep(found: dict[str, Any], tier: str, path: Path = RECORD) -> None:
    """Keep a tier's measurement in place of its last one."""
    record = recorded(path) | {tier: found}
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def announce(found: dict[str, Any], tier: str) -> None:
    """Let the first cell of each measured chapter announce what was measured.

    Args:
        found: what `measured` returned.
        tier: the tier that was measured.
    """
    repository = project.config()["repository"]
    for path in project.notebooks():
        seconds = found["seconds"].get(project.page(path))
        if seconds is not None:
            notebook = project.notebook(path)
            notebook.metadata["align"]["minutes"][tier] = max(0.1, round(seconds / 60, 1))
            first_cell.update(notebook, repository)
            path.write_text(strip.text(notebook), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", default=os.environ.get("ALIGN_TIER", "book"))
    parser.add_argument("--cache", type=Path, default=project.ROOT / "_build" / ".jupyter_cache")
    options = parser.parse_args()
    try:
        found = measured(options.cache, options.tier)
    except ValueError as error:
        print(f"{error}; run `make book` first", file=sys.stderr)
        return 1
    keep(found, options.tier)
    announce(found, options.tier)
    print(f"kept the minutes of {len(found['seconds'])} chapters at tier {options.tier}")
    return 0


if __name__ == "__main__":
    sys.exit(project.told(main))
