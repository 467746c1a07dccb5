"""Tiers: who chooses, what a wrong name does, and what the first cell of a chapter prints."""

import subprocess
import sys
import types

import pytest

from alignbook import tiers


@pytest.mark.parametrize("name", ["smoke", "book", "gpu"])
def test_the_environment_chooses(monkeypatch, name):
    monkeypatch.setenv("ALIGN_TIER", name)
    assert tiers.tier() == name
    assert tiers.pick(smoke="smoke", book="book", gpu="gpu") == name


@pytest.mark.parametrize(("cuda", "expected"), [(True, "gpu"), (False, "book")])
def test_without_a_word_the_device_chooses(monkeypatch, cuda, expected):
    monkeypatch.delenv("ALIGN_TIER", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    assert tiers.tier() == expected


def test_a_wrong_name_is_refused(monkeypatch):
    monkeypatch.setenv("ALIGN_TIER", "laptop")
    with pytest.raises(ValueError, match="'laptop', expected smoke, book or gpu"):
        tiers.tier()


def test_announces_tier_device_and_minutes(monkeypatch, capsys):
    monkeypatch.setenv("ALIGN_TIER", "book")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    tiers.announce(smoke=0.1, book=1.6, gpu=5, gpu_pays=True)
    said = capsys.readouterr().out
    assert (
        said.startswith("experiments sized for these pages (tier book) · CPU")
        and "about 2 minutes" in said
    )
    assert "Runtime" not in said


def test_on_colab_without_a_gpu_says_the_cure_only_where_it_pays(monkeypatch, capsys):
    monkeypatch.setenv("ALIGN_TIER", "smoke")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    tiers.announce(smoke=0.1, book=2, gpu=5)
    assert "Runtime" not in capsys.readouterr().out
    tiers.announce(smoke=0.1, book=2, gpu=5, gpu_pays=True)
    assert "Runtime > Change runtime type" in capsys.readouterr().out


def test_importing_tiers_loads_no_torch_by_itself():
    code = (
        "import sys, importlib.util as u;"
        f"s = u.spec_from_file_location('tiers', {tiers.__file__!r});"
        "m = u.module_from_spec(s); s.loader.exec_module(m);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
