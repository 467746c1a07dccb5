"""What a device's folder says, read back."""

from __future__ import annotations

import json
from pathlib import Path

REPORT = "report.json"


def read(folder: Path) -> dict | None:
    """What a report says, or None where there is none.

    Args:
        folder: a device's folder.

    Raises:
        ValueError: if the file is not a report.
    """
    path = folder / REPORT
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: content[name] for name in ("device", "units", "sessions")}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' is broken or no report ({error}); move it away to start anew"
        ) from error
