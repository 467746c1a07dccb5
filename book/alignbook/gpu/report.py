"""What is written: a few files in one folder, each replaced whole after every unit."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from align import records
from align.files import replacing
from alignbook.gpu.device import Device
from alignbook.gpu.folder import REPORT, read
from alignbook.gpu.tables import page

RECORDS, PAGE, LOCK = "records.jsonl", "report.md", ".folder.lock"

LARGEST = 16 * 2**20
"""Bytes that a file may have: small enough to be handed on anywhere."""

ROOM = 2**20
"""Bytes that the next record may need."""


class Report:
    """The folder of one device.

    Args:
        folder: made if it is not there.
        device: whose numbers it holds.
        tier: the sizes' name; numbers of a rehearsal do not mix with others.

    Raises:
        ValueError: if the folder holds another device's or another tier's numbers.
    """

    def __init__(self, folder: Path, device: Device, tier: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for partial in folder.glob(".*.partial"):  # of a process that was killed while it wrote
            partial.unlink(missing_ok=True)
        before = read(folder)
        told = device.described() | {"tier": tier}
        for name in ("name", "kind", "tier"):
            if before and before["device"].get(name) != told[name]:
                raise ValueError(
                    f"'{folder}' holds the numbers of {before['device'].get('name')} "
                    f"({before['device'].get('tier')}), expected {device.name} ({tier}); choose "
                    "another folder"
                )
        self.content = (before or {"units": {}, "sessions": []}) | {"device": told}

    @property
    def records(self) -> Path:
        """The file of recorded runs."""
        return self.folder / RECORDS

    def done(self) -> set[str]:
        """Keys of the units that need not be done again."""
        return {key for key, unit in self.content["units"].items() if unit["state"] == "done"}

    def begin(self, minutes: float) -> None:
        """Note that a session has begun."""
        revision = records.provenance("cpu")["revision"]
        self.content["sessions"].append(
            {
                "day": datetime.now(UTC).strftime("%Y-%m-%d"),
                "minutes": minutes,
                "seconds": 0.0,
                "revision": revision,
                "ended": "cut off",  # true until something better is known
            }
        )
        self.write()

    def add(self, key: str, entry: dict) -> None:
        """Keep what came of a unit, and write everything."""
        self.content["units"][key] = entry | {"session": len(self.content["sessions"]) - 1}
        self.write()

    def end(self, seconds: float, how: str) -> None:
        """Note how a session ended and how long it took."""
        self.content["sessions"][-1] |= {"seconds": round(seconds, 1), "ended": how}
        self.write()

    def has_room(self) -> bool:
        """Whether one more record fits its file."""
        return not self.records.exists() or self.records.stat().st_size + ROOM <= LARGEST

    def write(self) -> None:
        """Replace report and page, whole or not at all."""
        # The numbers first: a page can be made again.
        _replace(self.folder / REPORT, json.dumps(self.content, indent=1, allow_nan=False))
        _replace(self.folder / PAGE, page(self.content))


def _replace(path: Path, text: str) -> None:
    with replacing(path) as (partial,), partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder for one process; the system lets go of it however the process ends.

    Raises:
        BlockingIOError: if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(folder / LOCK).acquire(blocking=False)
    except Timeout:
        raise BlockingIOError(
            f"another `make gpu` writes into '{folder}'; wait for it, or choose another OUT"
        ) from None
    with held:
        yield
