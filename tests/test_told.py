"""One sentence and a non-zero exit: unknown metrics, kernels, tiers; lines that are no record."""

import json
import sys
from dataclasses import replace

import nbformat
import numpy as np
import pytest
import torch
from synthetic import BARE, record
from typer.testing import CliRunner

import align
from align import cli, records
from align.cli import app
from alignbook import commands, overlays, plotting
from alignbook.campaign import grid, rerun
from book.tools import build, execute, first_cell, project, strip


def said(words, monkeypatch, capsys):
    """The exit status of the command line and what it says on the error stream."""
    monkeypatch.setattr(sys, "argv", ["align", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return stop.value.code, error


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "RESULTS", tmp_path)
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    for one in grid.toy()[:4]:
        records.append(tmp_path / "toy.jsonl", record(one, lambda domain, shift: 0.5))
    return tmp_path


NO_RECORD = ['{"a": 1}', "3", "null", "[]", '"text"', json.dumps(BARE | {"metrics": 1})]


@pytest.mark.parametrize("line", NO_RECORD)
@pytest.mark.parametrize("words", [["table", "toy"], ["status", "toy"], ["rerun", "abc"]])
def test_a_line_that_is_no_record_is_named(line, words, results, monkeypatch, capsys):
    with (results / "toy.jsonl").open("a") as file:
        file.write(line + "\n")
    code, error = said(["benchmark", *words], monkeypatch, capsys)
    assert code == 2 and "line 5 of" in error and "toy.jsonl" in error and "no record" in error
    assert error.count("\n") == 1


def test_a_torn_line_is_left_out_and_no_error(results):
    with (results / "toy.jsonl").open("a") as file:
        file.write('{"key": "abc", "metr')
    assert len(records.read(results / "toy.jsonl")) == 4


def test_a_json_file_that_is_no_record_is_named(tmp_path, monkeypatch, capsys):
    for text in ("3", "{}", "[1]"):
        (tmp_path / "record.json").write_text(text)
        code, error = said(["benchmark", "rerun", tmp_path / "record.json"], monkeypatch, capsys)
        assert code == 2 and "does not describe a run" in error
    with pytest.raises(ValueError, match="holds no record"):
        (tmp_path / "record.json").write_text("{")
        rerun.find(str(tmp_path / "record.json"))


@pytest.mark.parametrize("metric", ["acuracy", "", "option_n", "correct"])
def test_an_unknown_metric_is_named_with_those_that_there_are(metric, results, monkeypatch, capsys):
    words = ["benchmark", "table", "toy", "--metric", metric]
    code, error = said(words, monkeypatch, capsys)
    assert code == 2 and f"metric '{metric}'" in error and "accuracy" in error
    done = CliRunner().invoke(app, ["benchmark", "table", "toy", "--metric", "insertion_auc"])
    assert done.exit_code == 0 and "ERM" in done.stdout


@pytest.mark.parametrize(
    ("metric", "near"),
    [("acuracy", "accuracy"), ("control_random_iuo", "control_random_iou"), ("xx", None)],
)
def test_an_unknown_metric_is_answered_with_what_is_near_and_a_dozen(
    metric, near, results, monkeypatch, capsys
):
    """Over a hundred names are counted; those of the controls are not told one by one."""
    (old,) = records.read(results / "toy.jsonl")[:1]
    values = {name: 0.5 for name in commands.MAIN_METRICS}
    values |= {f"control_{kind}_iou": 0.5 for kind in ("random", "centre", "constant")}
    values |= {f"extra_{number}": 0.5 for number in range(100)}
    metrics = {name: values | before for name, before in old["metrics"].items()}
    known = {name for one in metrics.values() for name in one if isinstance(one[name], int | float)}
    (results / "toy.jsonl").write_text(json.dumps(old | {"metrics": metrics}) + "\n")
    words = ["benchmark", "table", "toy", "--metric", metric]
    code, error = said(words, monkeypatch, capsys)
    assert code == 2 and error.count("\n") == 1 and len(error) < 400
    given, _, expected = error.partition("expected ")
    names, _, others = expected.partition(", or one of ")
    assert f"metric '{metric}', " in given and ("near" in given) == bool(near)
    assert not near or f"which is near {near}" in given
    assert names.split(", ") == list(commands.MAIN_METRICS[:12])
    controls = sum(name.startswith("control_") for name in known)
    assert others == f"{len(known) - 12} others ({controls} begin with control_)\n"


def test_a_metric_that_a_grids_table_does_not_show_is_refused(results, monkeypatch, capsys):
    records.append(results / "weights.jsonl", record(grid.weights()[0], lambda *_: 0.5))
    words = ["benchmark", "table", "weights", "--metric", "insertion_auc"]
    code, error = said(words, monkeypatch, capsys)
    assert code == 2 and error.endswith("'insertion_auc', expected accuracy\n")


def test_a_condition_that_no_run_fulfils_is_refused(results, monkeypatch, capsys):
    words = ["benchmark", "run", "toy", "--only", "alignn"]
    code, error = said(words, monkeypatch, capsys)
    assert code == 2 and "no run of grid 'toy' has alignn" in error


# Building the book.


def notebook(path, kernel):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)", id="a")])
    made.metadata["kernelspec"] = {"name": kernel, "display_name": kernel}
    nbformat.write(made, path)
    return path


def test_an_unknown_kernel_is_named_before_anything_is_run(tmp_path, capfd):
    good = notebook(tmp_path / "good.ipynb", "python3")
    bad = notebook(tmp_path / "bad.ipynb", "conda-env-mine-py")
    assert execute.cached([good, bad], tmp_path / "cache", "key", workers=1) is False
    shown = capfd.readouterr()
    assert "bad.ipynb asks for the kernel 'conda-env-mine-py'" in shown.err
    assert "python3" in shown.err and shown.err.count("\n") == 1 and "must run" not in shown.out


@pytest.mark.parametrize("text", ["", "{", "3", "{}", '{"cells": [{}]}', "\xff"])
def test_a_page_that_is_no_notebook_is_named(text, tmp_path, capfd, monkeypatch):
    path = tmp_path / "page.ipynb"
    path.write_text(text, encoding="latin-1")
    assert execute.cached([path], tmp_path / "cache", "key", workers=1) is False
    assert "page.ipynb' is no notebook" in capfd.readouterr().err
    for tool in (strip, first_cell):
        monkeypatch.setattr(sys, "argv", [f"{tool.__name__}.py", "--check", str(path)])
        assert project.told(tool.main) == 2
        assert capfd.readouterr().err.count("\n") == 1
    monkeypatch.setattr(sys, "argv", ["strip.py", "--check", str(tmp_path / "gone.ipynb")])
    assert project.told(strip.main) == 2 and "gone.ipynb" in capfd.readouterr().err


def test_a_kernel_that_dies_is_told_and_ends_nothing_else(tmp_path, capfd):
    path = notebook(tmp_path / "dies.ipynb", "python3")
    made = project.notebook(path)
    made.cells[0].source = "import os; os._exit(1)"
    nbformat.write(made, path)
    assert execute.cached([path], tmp_path / "cache", "key", workers=1) is False
    assert "dies.ipynb" in capfd.readouterr().err


def test_an_unknown_tier_is_refused_before_building(monkeypatch, capsys):
    monkeypatch.setattr(build, "build", lambda *_: pytest.fail("built"))
    for words, variable in ((["--tier", "large"], "book"), ([], "large")):
        monkeypatch.setattr(sys, "argv", ["build.py", *words])
        monkeypatch.setenv("ALIGN_TIER", variable)
        with pytest.raises(SystemExit) as stop:
            build.main()
        assert stop.value.code == 2
        assert "the tier is 'large', expected one of smoke, book, gpu" in capsys.readouterr().err


# A batch of one.


@pytest.mark.parametrize("method", ["align", "mixup", "dre", "cgc"])
def test_a_batch_of_one_is_refused_where_another_image_is_needed(method):
    with pytest.raises(ValueError, match="batch_size is 1 .*expected at least 2"):
        align.Config(method=method, batch_size=1)
    with pytest.raises(ValueError, match="batch_size is 1"):
        replace(align.Config(method=method), batch_size=1)
    align.Config(method=method, batch_size=2)


@pytest.mark.parametrize("method", ["align", "guided"])
@pytest.mark.parametrize("alignment", ["swap", "swap+energy"])
def test_a_batch_of_one_has_no_other_background_to_swap_with(method, alignment):
    choices = {"method": method, "alignment": alignment, "fill": "zero", "batch_size": 1}
    with pytest.raises(ValueError, match="choose another alignment; or choose another swap_back"):
        align.Config(**choices)
    align.Config(**choices, swap_background="blur")
    align.Config(**choices | {"alignment": "energy"})


def test_a_batch_of_one_is_taken_where_it_teaches():
    for method in ("align", "guided"):
        align.Config(method=method, batch_size=1, fill="zero", alignment="energy")
    for method in ("erm", "irm", "groupdro", "sgt"):
        align.Config(method=method, batch_size=1)


# Figures.

PICTURES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def pixels(figure):
    return np.stack([ax.images[0].get_array() for ax in figure.axes if ax.images])


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_pictures_of_either_scale_and_any_precision_look_alike(kind):
    shown = pixels(overlays.image_grid((PICTURES * 255).round().to(torch.uint8)))
    for given in (PICTURES, PICTURES * 255):
        found = pixels(overlays.image_grid(given.to(kind)))
        assert 0.2 < found.mean() < 0.8
        np.testing.assert_allclose(found, shown, atol=0.01)
    whole = (PICTURES * 255).round().long()
    np.testing.assert_allclose(pixels(overlays.image_grid(whole)), shown)


def test_an_overshoot_is_clipped_and_another_scale_refused():
    assert pixels(overlays.image_grid(PICTURES * 1.05 - 0.02)).max() <= 1
    for given in (PICTURES * 4 - 2, PICTURES * 70_000, PICTURES - float("nan")):
        with pytest.raises(ValueError, match="expected 0 to 1 or 0 to 255"):
            overlays.image_grid(given)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_maps_and_masks_with_a_graph_or_in_half_precision_are_drawn(kind):
    maps = PICTURES[:, 0].clone().requires_grad_().to(kind)
    masks = (PICTURES[:, 1] > 0.5).to(kind).requires_grad_()
    given = PICTURES.clone().requires_grad_()
    drawn = pixels(overlays.image_grid(given, masks=masks, saliency=maps))
    plain = pixels(overlays.image_grid(PICTURES, saliency=PICTURES[:, 0]))
    np.testing.assert_allclose(drawn, plain, atol=0.02)
    assert overlays.blend(given[0], maps[0]).shape == (8, 8, 3)
    axes = plotting.figure()[1]
    mean = torch.ones(3, dtype=kind, requires_grad=True)
    plotting.with_interval(axes, torch.arange(3), mean, mean - 1, mean + 1)


def test_a_table_of_groups_ends_with_who_was_told_them():
    done = CliRunner().invoke(app, ["benchmark", "table", "waterbirds-128"])
    assert done.stdout.endswith("\nTold each training picture's group: GroupDRO, IRM.\n")
    done = CliRunner().invoke(app, ["benchmark", "table", "pattern"])
    assert done.exit_code == 0 and "Told" not in done.stdout
