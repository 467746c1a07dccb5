"""Figures from the runs on photographs: against numbers worked out from records made up for it."""

import numpy as np
import pytest
from synthetic import record

from alignbook import photographs
from alignbook.campaign import grid
from alignbook.campaign.photo_grids import COMPOSITE_RHOS
from alignbook.estimates import compare
from alignbook.results import frame


def chance(one):
    worth = {"erm": 0.0, "guided": 0.2, "align": 0.1}[one.config.method]
    rho = one.options.get("rho", 0.5)
    return lambda domain, shift: 0.9 if shift == "in" else 0.6 + worth - 0.3 * (rho - 0.5)


@pytest.fixture(scope="module")
def recorded():
    return {
        name: frame([record(one, chance(one)) for one in grid.experiments(name)])
        for name in ("pacs", "caltech", "composite")
    }


def marks(ax):
    """The means drawn, from the top row down."""
    return [float(line.get_xdata()[0]) for line in ax.lines if len(line.get_xdata()) == 1]


def test_the_table_has_a_row_for_each_run_and_set_of_photographs(recorded):
    table = photographs.human(recorded["pacs"])
    assert len(table) == 2 * recorded["pacs"]["key"].nunique()
    row = table[(table["label"] == "ALIGN, energy") & (table["seed"] == 2)].iloc[0]
    assert row["energy_inside"] == pytest.approx(0.52)
    assert photographs.human(frame([])).empty


def test_guidance_shows_accuracy_and_the_evidence_inside_masks_of_people(recorded):
    drawn = photographs.guidance(recorded["pacs"])
    axes = {ax.get_title("left"): ax for ax in drawn.figure.axes}
    assert list(axes)[:2] == ["accuracy gained, held out", "accuracy gained, other domains"]
    horses = axes["evidence inside, horses"]
    gain = compare(recorded["pacs"], "random masks, energy", "ERM", shift="out")
    assert f"random {gain.mean:+.3f}" in drawn.alt
    names = [text.get_text() for text in drawn.figure.axes[0].get_yticklabels()]
    shown = dict(zip(names, marks(horses), strict=True))
    assert shown["ERM"] == pytest.approx(0.31)  # the mean of .30, .31 and .32
    assert shown["segmenter"] == pytest.approx(0.61)
    assert {"segmenter, half missed", "segmenter, both", "brightness", "random", "ALIGN"} <= set(
        names
    )
    constant = next(line for line in horses.lines if len(line.get_xdata()) == 2)
    assert constant.get_xdata()[0] == pytest.approx(0.2)
    # In distribution only, there is no panel of other domains and no panel of horses.
    titles = [ax.get_title("left") for ax in photographs.guidance(recorded["caltech"]).figure.axes]
    assert titles == ["accuracy gained, held out", "evidence inside, pedestrians"]


def test_evidence_for_a_class_that_is_never_named_is_not_shown(recorded):
    table = recorded["pacs"].copy()
    table.loc[table["domain"] == "pennfudan_person", "accuracy"] = 0.0
    titles = [ax.get_title("left") for ax in photographs.guidance(table).figure.axes]
    assert titles[2:] == ["evidence inside, horses"]
    shown = photographs.named(photographs.human(table))
    assert set(shown["photographs"]) == {"weizmann_horse"}
    assert len(photographs.named(photographs.human(recorded["pacs"]))) == 2 * len(shown)


def test_the_quality_of_masks_stands_beside_that_of_masks_that_know_nothing(recorded):
    drawn = photographs.mask_quality(recorded["pacs"])
    assert "learned mask 0.40, disc in the middle 0.35" in drawn.alt
    # A panel for each of the two sets of photographs, a row for each kind of mask.
    assert {ax.get_title("left") for ax in drawn.figure.axes} == {"horses", "pedestrians"}
    rows = [text.get_text() for text in drawn.figure.axes[0].get_yticklabels()]
    assert rows == [name for name, *_ in photographs.FITS.values()]
    erm = recorded["pacs"].query("method == 'erm'").drop(columns="masker_iou")
    assert "not run here" in photographs.mask_quality(erm).alt


def test_composite_worlds_are_drawn_over_rho_one_panel_a_domain(recorded):
    drawn = photographs.composite(recorded["composite"])
    assert [ax.get_title("left") for ax in drawn.figure.axes] == [
        "paired (held out)",
        "unpaired",
        "reversed",
    ]
    table = recorded["composite"]
    means = table[table["domain"] == "reversed"].groupby(["label", "rho"])["accuracy"].mean()
    wanted = means["ALIGN, energy"] - means["ERM"]
    line = next(x for x in drawn.figure.axes[2].lines if x.get_label() == "ALIGN, energy")
    np.testing.assert_allclose(line.get_xdata(), COMPOSITE_RHOS)
    np.testing.assert_allclose(line.get_ydata(), wanted)
    assert f"ALIGN, energy {wanted.iloc[-1]:+.2f}" in drawn.alt
    inside = photographs.composite(table, "evidence_inside").figure.axes[2]
    plain = next(x for x in inside.lines if x.get_label() == "ERM")
    np.testing.assert_allclose(plain.get_ydata(), 0.3)


def test_sources_of_masks_are_compared_with_plain_training_at_the_strongest_correlation(recorded):
    drawn = photographs.composite_masks(recorded["composite"])
    gained, inside = drawn.figure.axes
    names = [text.get_text() for text in gained.get_yticklabels()]
    expected = ["ERM", "ALIGN", "true", "GrabCut's", "true, half missed", "true, half leaked"]
    assert names == [*expected, "true, both", "brightness", "disc", "random"]
    hardest = recorded["composite"].query("rho == 0.95")
    shown = [line for line in gained.lines if len(line.get_xdata()) == 1]
    for label, name in (
        ("true masks, 50% missed, 50% leaked, energy", "true, both"),
        ("ALIGN, energy", "ALIGN"),
    ):
        wanted = compare(hardest, label, "ERM", shift="out")
        line = next(line for line in shown if line.get_ydata()[0] == names.index(name))
        assert line.get_xdata()[0] == pytest.approx(wanted.mean) and wanted.mean > 0
        assert f"{name} {wanted.mean:+.3f}, with 0.30 of the evidence inside" in drawn.alt
    assert "ERM +0.000" in drawn.alt
    assert marks(inside) == pytest.approx([0.3] * len(names))
    constant = next(line for line in inside.lines if len(line.get_xdata()) == 2)
    assert constant.get_xdata()[0] == pytest.approx(0.15)
    # With one seed there is nothing to pair.
    first = recorded["composite"].query("seed == 0")
    assert "ALIGN not run here" in photographs.composite_masks(first).alt


def test_each_way_of_training_in_composite_worlds_is_shown_in_a_figure(recorded):
    labels = set(recorded["composite"]["label"])
    drawn = photographs.composite(recorded["composite"], "evidence_inside")
    lines = drawn.figure.axes[0].lines
    shown = {str(line.get_label()) for line in lines} & labels
    assert shown == set(photographs.COMPOSITE_STYLES)
    # The rest aligns energy: the rows of the dots (the test above).
    assert all(label.endswith(", energy") for label in labels - shown)
