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

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent
# Beside the library in a clone; inside it where it was installed, as in Colab (see setup.py).
RESULTS = (ROOT if (ROOT / "pyproject.toml").is_file() else PACKAGE) / "results"


def provenance(device: torch.device | str) -> dict[str, str]:
    """Where a run was made: device, versions and the code's revision.

    Args:
        device: the device that the run used.

    Returns:
        A dict with the keys device, processor, python, torch, torchvision and revision. The
        processor stands with the instructions that torch uses on it, which decide the order of
        sums. The revision ends in "+" if files of the library differed from it.
    """
    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {
        "device": name,
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
    """Add a record to a file, whole or not at all, also beside other processes.

    Args:
        path: the `.jsonl` file; made if it is not there.
        record: JSON-ready values.

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
    """All whole records of a file, in the order they were written; a torn line is left out.

    Args:
        path: the `.jsonl` file; an absent file holds no records.
    """
    if not path.is_file():
        return []
    records = []
    for line in path.read_bytes().split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):  # the head of a torn line may be JSON by chance
            records.append(record)
    return records


def trained_on(record: dict) -> tuple[str, ...]:
    """The domains that a recorded run was trained on; their tests are on held-out images.

    Args:
        record: what `read` returns, also of a time before there were several protocols.
    """
    return tuple(record.get("trained_on") or [record["source"]])


def pack(correct: torch.Tensor) -> str:
    """Write which images were classified rightly as text, eight images a byte.

    Args:
        correct: bool `(N,)`, in the order of the domain's images.

    Returns:
        Base64; `unpack` reads it.
    """
    return base64.b64encode(np.packbits(correct.cpu().numpy()).tobytes()).decode()


def unpack(text: str, count: int) -> NDArray[np.bool_]:
    """Read what `pack` wrote.

    Args:
        text: base64.
        count: number of images N.

    Returns:
        bool `(N,)`.

    Raises:
        ValueError: if the text is not of that many images.
    """
    packed = np.frombuffer(base64.b64decode(text), np.uint8)
    if len(packed) != -(-count // 8):
        raise ValueError(
            f"{len(packed)} bytes of correctness for {count} images, expected {-(-count // 8)}; "
            "the record is not of these images"
        )
    return np.unpackbits(packed, count=count).astype(bool)


def correctness(record: dict, domain: str) -> NDArray[np.bool_] | None:
    """Which of a test domain's images a recorded run classified rightly.

    Args:
        record: what `read` returns.
        domain: a domain that it was tested on.

    Returns:
        bool `(N,)`, or None if the record is of a time before this was kept.
    """
    text = record.get("correct", {}).get(domain)
    return None if text is None else unpack(text, record["metrics"][domain]["count"])
