"""The short comparison: what its table says, and that a terminal has room for it."""

from types import SimpleNamespace

import pytest
import torch
from synthetic import untrained
from typer.testing import CliRunner

import align
from align.cli import app
from align.config import Config
from alignbook import demo

HEADINGS = (
    *("accuracy", "evidence inside the object", "reliance on the background"),
    *("map inside the object", "learned mask's IoU", "IoU of random pixels"),
)


@pytest.fixture(scope="module")
def measured(domain):
    """What is measured of two methods that nobody trained."""
    part = domain.subset(torch.arange(12))
    return {
        name: align.evaluate(untrained(Config(name, rounds=1), part), part, localisation_only=True)
        for name in ("erm", "align")
    }


def test_the_table_has_words_as_headings_and_fits_a_hundred_columns(measured):
    rows = {
        (name, place, where): measured[name]
        for name in ("erm", "align")
        for place, where in (("noon", "held out"), ("dusk", "elsewhere"))
    }
    table = demo.table(rows)
    assert [" ".join(filter(None, head)) for head in table.columns] == [*HEADINGS]
    ours = [measured["align"][name] for name in demo.SHOWN]
    assert table.loc[("align", "noon", "held out")].tolist() == ours
    # Plain training has no masker.
    assert table.loc["erm"].isna().sum().tolist() == [0, 0, 0, 0, 2, 2]
    printed = table.to_string(float_format="{:.3f}".format).splitlines()
    assert max(map(len, printed)) <= 100 and len(printed) == 3 + len(rows)


def test_the_command_prints_the_table_of_what_was_run(measured, monkeypatch, tmp_path):
    def run(one):
        return {"metrics": {"noon": measured[one.config.method]}}, SimpleNamespace()

    drawn = SimpleNamespace(savefig=lambda path, dpi: path.touch())
    monkeypatch.setattr(demo, "run", run)
    monkeypatch.setattr(demo, "figure", lambda domain, runs: drawn)
    monkeypatch.setattr(demo.Experiment, "data", lambda _: None)
    monkeypatch.setattr(demo.Experiment, "split", lambda *_: (None, {"noon": None}))
    done = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo.png")])
    assert done.exit_code == 0 and (tmp_path / "demo.png").is_file()
    assert "background" in done.stdout and "energy_inside" not in done.stdout
    assert f"{measured['align']['reliance_logits']:.3f}" in done.stdout
