"""Figures from records: they show the records' numbers, and say so where there are none."""

import re
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from synthetic import record
from test_plotting import VISIONS, contrast, lab, linear

from align import records
from alignbook import ablations, figures, photographs, plotting, weighting
from alignbook.campaign import grid
from alignbook.campaign.statistics import paired
from alignbook.drawing import FORM_STYLES, half_width, look, name_lines, pairs, text_on
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
        for wanted in (("masks given", "a disc"), ("", ""))
    ]
    row = effects.loc["masks given: a disc"]
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


def test_a_row_has_one_name_in_figure_and_table_and_each_part_is_in_order(recorded):
    table = frame(recorded["ablations"])
    effects = ablations.effects(table)
    drawn = ablations.draw(table)
    names = [text.get_text() for ax in drawn.figure.axes for text in ax.get_yticklabels()]
    assert sorted(names) == sorted(map(ablations.named, effects.index))
    assert len(set(names)) == len(names) and "sparsity λ₁: 0.0" in names
    assert {"the paper's four terms", "gradient's order: first, with BCE"} <= set(names)
    assert ablations.named("masker's steps a batch") == "masker's steps"  # a factor alone
    # A synthetic change is the same everywhere; here they differ, and two were not run.
    levels = grid.ablation_levels()
    away = {name: 0.001 * (7 * i % 11) for i, name in enumerate(dict.fromkeys(levels.values()))}
    moved = table.assign(accuracy=table["accuracy"] + table["key"].map(levels).map(away))
    drawn = ablations.draw(moved[~moved["key"].map(levels).isin([("fill", "zero")])])
    changes = {ablations.named(i): x for i, x in ablations.effects(moved)["difference"].items()}
    for ax in drawn.figure.axes:
        shown = [changes[text.get_text()] for text in ax.get_yticklabels()]
        there = shown[:-1] if ax is drawn.figure.axes[-1] else shown
        assert there == sorted(there)
    assert ax.get_yticklabels()[-1].get_text() == "fill: zero"  # not run: last


def test_no_two_rows_of_a_figure_look_alike():
    rows = {
        "ERM": "erm",
        "SGT": "sgt",
        "ALIGN, energy": "align",
        "ALIGN, the paper's terms": "align",
        **{f"true masks, {form}": "guided" for form in ("energy", "BCE", "L1", "input gradient")},
        "segmenter, half missed": "guided",
        "segmenter, half leaked": "guided",
        "segmenter, both": "guided",
        **dict.fromkeys(("brightness", "centre", "random", "GrabCut's"), "guided"),
    }
    assert len({look(label, method) for label, method in rows.items()}) == len(rows)


@pytest.mark.parametrize("vision", VISIONS)
def test_forms_of_alignment_differ_in_colour_for_every_eye(vision):
    colors = [color for color, *_ in FORM_STYLES.values()]
    colors += [plotting.method_style(name).color for name in ("erm", "align")]
    seen = [lab(np.clip(VISIONS[vision] @ linear(color), 0, 1)) for color in colors]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) >= 20
    # The BCE form stands among all methods too.
    methods = [linear(style.color) for style in plotting.METHODS.values()]
    others = [lab(np.clip(VISIONS[vision] @ color, 0, 1)) for color in methods]
    bce = seen[list(FORM_STYLES).index("BCE")]
    assert min(np.linalg.norm(bce - other) for other in others) >= 20
    assert min(contrast(color, plotting.PAPER) for color in colors) >= 3
    assert all(look(form, "guided") == style[:2] for form, style in FORM_STYLES.items())


def test_a_run_of_a_form_is_a_small_copy_of_its_mark(recorded):
    drawn = weighting.draw(frame(recorded["weights"]))
    for form, (color, marker, _) in FORM_STYLES.items():
        for ax in drawn.figure.axes:
            runs, means = (x for x in ax.lines if x.get_color() == color and len(x.get_xdata()) > 2)
            assert means.get_label() == form and runs.get_marker() == means.get_marker() == marker
            assert runs.get_markersize() < means.get_markersize() and runs.get_alpha() < 0.5


def test_a_number_can_be_read_on_any_colour():
    shades = [mpl.colormaps[name](i) for name in ("Blues", "cividis", "gray") for i in range(256)]
    assert min(contrast(text_on(color), color) for color in shades) >= 4.5


def test_lines_that_marks_are_read_against_lie_behind_them(recorded):
    for name, draw in (("pacs", photographs.guidance), ("composite", photographs.composite_masks)):
        drawn = draw(frame(recorded[name]))
        for ax in drawn.figure.axes:
            (line,) = (x for x in ax.lines if x.get_transform() != ax.transData)
            marks = [x for x in ax.lines if x is not line]
            assert line.get_zorder() < min(x.get_zorder() for x in (*marks, *ax.collections))
            assert line.get_zorder() > ax.xaxis.get_zorder()  # and over the grid
            assert not {x.get_marker() for x in marks} & set("+x|")  # which a line would hide


def test_lines_of_composite_worlds_are_named_once(recorded):
    for metric, place in (("accuracy", -1), ("evidence_inside", 0)):
        panels = photographs.composite(frame(recorded["composite"]), metric).figure.axes
        named = [len(ax.texts) for ax in panels]
        assert named[place] == sum(named) == len(panels[0].lines) - 1  # one is level


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


def test_names_stand_four_points_beside_their_marks(recorded):
    found = [dict(r) for r in recorded["toy"]]
    for r in found:
        slow = {"mixup": 1.13, "irm": 1.5, "dre": 2, "sgt": 2.5, "cgc": 2.7, "align": 3.4}
        r["seconds"] = 10 * slow.get(r["config"]["method"], 1)
    drawn = figures.cost(frame(found))
    drawn.figure.draw_without_rendering()
    (ax,), unit = drawn.figure.axes, drawn.figure.dpi / 72
    assert ax.get_ylabel() == "accuracy out of distribution" and len(ax.texts) > 4
    marks = [(m, ax.transData.transform((m.get_xdata()[0], m.get_ydata()[0]))) for m in ax.lines]
    for text in ax.texts:
        box = Text.get_window_extent(text)
        edges = []
        for mark, (x, y) in marks:
            wide = half_width(mark.get_marker(), mark.get_markersize()) * unit
            edges += [max(box.x0 - x - wide, x - wide - box.x1)] if box.y0 < y < box.y1 else []
        assert min(edge for edge in edges if edge > 0) == pytest.approx(4 * unit, abs=unit)
    assert half_width("s", 10) == 5 and half_width("D", 10) == pytest.approx(50**0.5)


def test_no_control_hides_another(recorded):
    drawn = figures.faithfulness(frame(recorded["toy"]))
    drawn.figure.draw_without_rendering()
    for ax in drawn.figure.axes:
        controls = [x for x in ax.lines if not str(x.get_label()).startswith("_")]
        assert len({x.get_marker() for x in controls}) == len(controls) == len(figures.CONTROLS)
        up = [
            ax.transData.transform(x.get_xydata())[:, 1] * 72 / drawn.figure.dpi for x in controls
        ]
        spot, true = up[1:]
        # Whatever their values: within a row, and between neighbours.
        gaps = np.abs(spot[:, None] - true[None])
        assert gaps.min() >= controls[1].get_markersize()


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
