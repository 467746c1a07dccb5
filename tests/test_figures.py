"""Figures from records: they show the records' numbers, and say so where there are none."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from synthetic import record

from align import records
from alignbook import ablations, figures, plotting
from alignbook.campaign import grid
from alignbook.campaign.statistics import paired
from alignbook.drawing import look, name_lines, pairs
from alignbook.figures import FIGURES
from alignbook.results import frame


def accuracy(one):
    better = {"guided": 0.1, "align": 0.05}.get(one.config.method, 0)
    return lambda domain, shift: 0.8 if shift == "in" else 0.6 + better


@pytest.fixture(scope="module")
def recorded():
    found = {}
    photographs = ("pacs", "pacs-methods", "caltech", "composite")
    for name in ("toy", "toy-sources", "toy-leave-one-out", "ablations", "weights", *photographs):
        found[name] = [record(one, accuracy(one)) for one in grid.experiments(name)]
    return found


@pytest.fixture(scope="module")
def results(recorded, tmp_path_factory):
    """The records as files, written once for every figure."""
    folder = tmp_path_factory.mktemp("results")
    for name, found in recorded.items():
        for one in found:
            records.append(folder / f"{name}.jsonl", one)
    return folder


def texts(drawn):
    return [t.get_text() for t in drawn.figure.findobj(lambda o: hasattr(o, "get_text"))]


@pytest.mark.parametrize("name", FIGURES)
def test_without_records_a_figure_says_so(name, tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "RESULTS", tmp_path)
    drawn = FIGURES[name].draw()
    assert "not run here" in drawn.alt
    assert any("not run here" in text for text in texts(drawn))


@pytest.mark.parametrize("name", FIGURES)
def test_with_records_a_figure_is_drawn_and_said_in_words(name, results, monkeypatch):
    monkeypatch.setattr(grid, "RESULTS", results)
    drawn = FIGURES[name].draw()
    if name == "out-of-distribution-terra":
        assert "not run here" in drawn.alt
        return
    assert not drawn.alt.startswith("An empty figure")
    assert re.search(r"\d", drawn.alt) and drawn.alt.endswith(".")
    png, said = drawn._repr_png_()  # what a notebook shows, and reads out
    assert png.startswith(b"\x89PNG") and len(png) > 3000 and said == {"alt": drawn.alt}


def test_the_methods_on_pacs_are_those_trained_on_photographs(results, monkeypatch):
    monkeypatch.setattr(grid, "RESULTS", results)
    panels = [ax for ax in FIGURES["pacs-methods"].draw().figure.axes if ax.get_visible()]
    # Trained on paintings, a method would have the photographs as another domain.
    assert {ax.get_title("left") for ax in panels} == {"paintings", "cartoons", "sketches"}


def test_the_matrix_shows_each_pair_of_domains(recorded):
    table = frame(recorded["toy"] + recorded["toy-sources"])
    drawn = figures.matrix(table)
    for label in ("ERM", "true masks, energy"):
        part = table[(table["label"] == label) & (table["source"] == "dusk")]
        for domain in ("noon", "dusk", "film", "fog"):
            mean = part[part["domain"] == domain]["accuracy"].mean()
            assert f"{mean:.2f}" in texts(drawn)
    assert "Mixup" not in texts(drawn)  # trained on noon alone
    partly = figures.matrix(table.query("source != 'fog'"))
    assert "not\nrun\nhere" in texts(partly)


def test_an_ablation_is_the_paired_difference_to_the_default(recorded):
    table = frame(recorded["ablations"])
    effects = ablations.effects(table)
    out = table[table["shift"] == "out"].groupby(["key", "seed"])["accuracy"].mean()
    levels = grid.ablation_levels()
    change = [
        [out[key].iloc[0] for key, names in levels.items() if names == wanted]
        for wanted in (("masks given", "centre"), ("", ""))
    ]
    row = effects.loc["masks given: centre"]
    assert row["difference"] == pytest.approx(np.mean(change[0]) - np.mean(change[1]))
    assert row["runs"] == 3 and row["low"] < row["difference"] < row["high"]
    # Accuracy is paired over images too, as in every table; the same mean, another width.
    seeds = paired(*change)
    assert row["low"] != pytest.approx(seeds.low, abs=1e-6)
    few = table[table["key"].map(levels).isin([("", ""), ("fill", "zero")])]
    effects = ablations.effects(few)
    assert effects["difference"].notna().sum() == 1 and effects.loc["alignment: L1", "runs"] == 0
    assert any("not run here" in text for text in texts(ablations.draw(few)))
    without = few[few["key"].map(levels) != ("", "")]
    assert "not run here" in ablations.draw(without).alt


def test_an_ablation_matters_if_it_is_clear_and_large(recorded):
    rows = pd.DataFrame(
        {
            "difference": [-0.1, 0.002, -0.1, np.nan],
            "low": [-0.2, 0.001, -0.5, np.nan],
            "high": [-0.05, 0.003, 0.1, np.nan],
        },
        index=["clear", "clear and tiny", "wide", "not run"],
    )
    assert list(ablations.mattered(rows).index) == ["clear"]
    drawn = ablations.draw(frame(recorded["ablations"]))
    told = ablations.mattered(ablations.effects(frame(recorded["ablations"])))
    titles = [ax.get_title("left") for ax in drawn.figure.axes]
    assert titles == [title for title in ablations.TITLES if len(told) or title == titles[-1]]
    assert f"{len(told)} were shown to matter" in drawn.alt


def test_no_two_rows_of_a_figure_look_alike():
    rows = {
        "ERM": "erm",
        "SGT": "sgt",
        "ALIGN, energy": "align",
        "ALIGN, the paper's terms": "align",
        **{f"true masks, {form}": "guided" for form in ("energy", "BCE", "L1", "input gradient")},
        "segmenter, 50% missed": "guided",
        "segmenter, 50% leaked": "guided",
        "segmenter, both": "guided",
        **dict.fromkeys(("brightness", "centre", "random", "GrabCut's"), "guided"),
    }
    assert len({look(label, method) for label, method in rows.items()}) == len(rows)


PHONE = 358
"""Pixels that a figure has across on a phone of 390."""


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_of_a_figure_is_small_on_a_phone(name):
    drawn = FIGURES[name].draw()
    drawn.figure.draw_without_rendering()
    inches = drawn.figure.get_tightbbox().width
    seen = drawn.figure.findobj(lambda o: isinstance(o, Text) and o.get_visible() and o.get_text())
    assert min(text.get_fontsize() for text in seen) / 72 * PHONE / inches > 8


def test_a_long_name_is_broken_and_its_leader_ends_before_it():
    fig, ax = plotting.figure()
    ends = {"random maps (ERM)": (1, 0.5, "k"), "true masks, energy": (1, 0.5, "k")}
    ax.plot([0, 1], [0, 1])
    name_lines(ax, ends)
    fig.draw_without_rendering()
    assert {text.get_text() for text in ax.texts} == {"random maps\n(ERM)", "true masks,\nenergy"}
    first, second = (Text.get_window_extent(text) for text in ax.texts)
    assert not first.overlaps(second)
    for text in ax.texts:
        leader = text.arrow_patch.get_window_extent()
        assert leader.x1 <= Text.get_window_extent(text).x0 + 2


def test_names_beside_lines_do_not_touch():
    fig, ax = plotting.figure()
    ax.set_ylim(0, 1)
    name_lines(ax, {"a": (1, 0.5, "k"), "b": (1, 0.5, "k"), "c": (1, 1.0, "k")}, apart=0.1)
    places = sorted(text.xyann[1] for text in ax.texts)
    assert np.diff(places).min() > 0.099 and 0 <= places[0] and places[-1] <= 1
    assert [text.get_text() for text in ax.texts][-1] == "c"


def test_pairs_stand_at_their_values_and_names_of_meeting_marks_do_not_touch():
    fig, ax = plotting.figure()
    pairs(ax, ["equal", "apart"], {"at home": [0.5, 0.9], "away": [0.5, 0.2]})
    fig.draw_without_rendering()
    drawn = [mark.get_offsets().tolist() for mark in ax.collections[1:]]
    assert drawn == [[[0.5, 0], [0.9, 1]], [[0.5, 0], [0.2, 1]]]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["equal", "apart"]
    first, second = (Text.get_window_extent(text) for text in ax.texts)
    assert not first.overlaps(second) and {t.get_text() for t in ax.texts} == {"at home", "away"}


def test_cost_is_the_ratio_to_plain_training_with_the_same_seed(recorded):
    found = [dict(r) for r in recorded["toy"]]
    for r in found:
        r["seconds"] = (10 + r["config"]["seed"]) * (3 if r["config"]["method"] == "align" else 1)
    table = figures.cost_table(frame(found))
    assert table.loc["ALIGN, energy", "cost"] == 3 and table.loc["ERM", "cost"] == 1
    assert table.loc["ALIGN, energy", "seconds"] == 36
    assert figures.cost_table(frame(found).query("method != 'erm'")).empty


def test_controls_and_curves_are_drawn_from_the_records(recorded):
    assert "true mask" in texts(figures.faithfulness(frame(recorded["toy"])))
    table = frame(recorded["toy"])
    higher = [np.add(curve, 0.1) for curve in table["insertion_curve"]]
    ours = table["label"] == "ALIGN, energy"
    table["insertion_curve"] = table["insertion_curve"].where(~ours, pd.Series(higher, table.index))
    drawn = figures.curves(table)
    assert "random maps\n(ERM)" in texts(drawn) and "ALIGN, energy has the highest" in drawn.alt
    lines = {x.get_label(): x for x in drawn.figure.axes[0].lines}
    np.testing.assert_allclose(lines["ALIGN, energy"].get_ydata(), 0.1)  # above ERM's
    np.testing.assert_allclose(lines["Mixup"].get_ydata(), 0, atol=1e-12)
    assert "not run here" in figures.curves(table[table["method"] != "erm"]).alt
    plain = figures.faithfulness(frame(recorded["toy-leave-one-out"][:9]))
    assert "not run here" not in plain.alt
