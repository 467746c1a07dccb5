"""Recorded runs: one JSON line a run, with everything needed to trust it and to do it again."""

from __future__ import annotations

import base64
import json
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
# Beside the library in a clone; inside it where it was installed, as in Colab (see setup.py).
RESULTS = (ROOT if (ROOT / "pyproject.toml").is_file() else PACKAGE) / "results"


def provenance(device: torch.device | str) -> dict[str, str]:
    """Where a run was made: device, processor, python, torch, torchvision and revision.

    The processor stands with the instructions that torch uses on it, which decide the order of
    sums. The revision ends in "+" if files of the library differed from it.
    """
    device = torch.device(device)
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": _processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "revision": _revision(),
    }


def _processor() -> str:
    name = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.is_file():
        models = re.findall(r"(?m)^model name\s*:\s*(.+)$", described.read_text())
        name = models[0] if models else name
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def _revision() -> str:
    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "align")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def append(path: Path, record: dict) -> None:
    """Add a record to a `.jsonl` file, whole or not at all, also beside other processes.

    Raises:
        ValueError: if a value is not finite or not JSON.
    """
    line = json.dumps(record, sort_keys=True, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock_of(path)), path.open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":  # a writer was killed in mid-line: close its line
                file.write(b"\n")
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def lock_of(path: Path) -> Path:
    """The file whose lock whoever writes to `path` holds; it lies beside it, and stays."""
    return path.with_name(f".{path.name}.lock")


def read(path: Path) -> list[dict]:
    """All whole records of a `.jsonl` file, in order; without torn lines; none where it is absent.

    Raises:
        ValueError: if a line is whole and no record.
    """
    if not path.is_file():
        return []
    records = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        known = record if isinstance(record, dict) else {}
        lacking = [name for name, kind in FIELDS.items() if not isinstance(known.get(name), kind)]
        if lacking:
            raise ValueError(
                f"line {number:,} of '{path}' is JSON and no record (it lacks "
                f"{', '.join(lacking)}): delete that line, or take the file from where it came"
            )
        records.append(record)
    return records


FIELDS = {"key": str, "benchmark": str, "config": dict, "options": dict, "metrics": dict}
"""What every record has, and as what."""


def trained_on(record: dict) -> tuple[str, ...]:
    """The domains that a recorded run was trained on; their tests are on held-out images."""
    # Of a time before there were several protocols a record has the source alone.
    return tuple(record.get("trained_on") or [record["source"]])


def pack(correct: torch.Tensor) -> str:
    """Which images were classified rightly, bool `(N,)`, as base64, eight images a byte."""
    return base64.b64encode(np.packbits(correct.cpu().numpy()).tobytes()).decode()


def unpack(text: str, count: int) -> NDArray[np.bool_]:
    """What `pack` wrote of `count` images, bool `(N,)`; a ValueError if it is of another number."""
    packed = np.frombuffer(base64.b64decode(text), np.uint8)
    if len(packed) != -(-count // 8):
        raise ValueError(
            f"{len(packed)} bytes of correctness for {count} images, expected {-(-count // 8)}; "
            "the record is not of these images"
        )
    return np.unpackbits(packed, count=count).astype(bool)


def correctness(record: dict, domain: str) -> NDArray[np.bool_] | None:
    """Which of a test domain's images a recorded run classified rightly, bool `(N,)`.

    None if the record is of a time before this was kept.
    """
    text = record.get("correct", {}).get(domain)
    return None if text is None else unpack(text, record["metrics"][domain]["count"])
