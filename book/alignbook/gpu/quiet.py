"""Silence for one voice: what PyTorch's profiler says of itself from C++ to the error stream."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

CHATTER = re.compile(rb"^[A-Z]+:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \d+:\d+ \w+\.(?:cpp|h|cu):\d+\] ")
"""How a line of the profiler begins: its level, the time, the process, and a place in its code."""


@contextmanager
def profiler_silenced() -> Iterator[None]:
    """Drop the profiler's lines in a block; whatever else is written to the error stream follows.

    Its own setting, `KINETO_LOG_LEVEL`, is read when PyTorch is imported and so comes too late.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            caught.seek(0)
            rest = b"".join(line for line in caught if not CHATTER.match(line))
            while rest:
                rest = rest[os.write(kept, rest) :]
            os.close(kept)
