"""The profiler's own lines stay out of the terminal, and nothing else does."""

from __future__ import annotations

import os

import pytest

from alignbook.gpu.quiet import profiler_silenced
from alignbook.gpu.stages import speed

CHATTER = b"USDT:2026-01-31 15:03:53 476:476 SyncActivityProfilerHandler.cpp:39] profiler_start\n"
OTHERS = b"ERROR: a sentence of ours\nCUDA error, half a line"


def test_the_profilers_lines_go_and_all_others_stay_in_order(capfd):
    with profiler_silenced():
        for text in (OTHERS[:10], OTHERS[10:26], CHATTER, OTHERS[26:]):
            os.write(2, text)
    os.write(2, b"!")
    assert capfd.readouterr().err == OTHERS.decode() + "!"


def test_a_fault_in_the_block_gives_the_error_stream_back(capfd):
    with pytest.raises(RuntimeError, match="a fault"), profiler_silenced():
        os.write(2, b"said before" + b"\n" + CHATTER)
        raise RuntimeError("a fault")
    os.write(2, b"said after")
    assert capfd.readouterr().err == "said before\nsaid after"


def test_a_profile_says_nothing_to_the_terminal(capfd):
    import torch

    costs = speed._costs(lambda: torch.ones(64, 64) @ torch.ones(64, 64))
    assert len(costs) == 3 and "aten::mm" in [cost["name"] for cost in costs]
    assert capfd.readouterr() == ("", "")
