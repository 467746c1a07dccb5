"""Forms of alignment over their weights: the weight is chosen at home, and only there."""

import numpy as np
import pytest
from synthetic import record

from alignbook import drawing, results, tables, weighting
from alignbook.campaign import grid
from alignbook.results import frame

BEST = {"energy": 8.0, "bce": 0.1, "l1": 0.5, "rrr": 0.002}
"""For each form the weight that is best at home; away from home it is the worst."""


def accuracy(one):
    config = one.config
    if config.method == "erm":
        return lambda domain, shift: 0.7
    best = config.lambda3 == BEST[config.alignment]
    return lambda domain, shift: 0.95 if best == (shift == "in") else 0.5


@pytest.fixture(scope="module")
def recorded():
    return frame([record(one, accuracy(one), count=400) for one in grid.weights()])


def test_the_weight_is_chosen_at_home_and_the_best_one_away_is_named_beside(recorded):
    table = weighting.chosen(recorded)
    assert list(table.index) == ["energy", "BCE", "L1", "input gradient"]
    assert table["weight"].tolist() == list(BEST.values())
    assert (table["in distribution"]["low"] > 0).all()
    assert (table["out of distribution"]["high"] < 0).all()
    # The same numbers as the tables of differences, for the same runs.
    pair = recorded.query("method == 'erm' or (form == 'L1' and weight == 0.5)")
    wanted = tables.differences(pair).loc["true masks, L1"]
    assert table.loc["L1"]["out of distribution"].to_dict() == wanted.to_dict()
    # Away from home another weight is better; it is told and not taken.
    assert (table[weighting.LARGEST]["difference"] > 0.2).all()
    assert (table["at weight"] != table["weight"]).all()


def test_lines_show_the_means_over_seeds_and_plain_training(recorded):
    drawn = weighting.draw(recorded)
    lines = {str(line.get_label()): line for line in drawn.figure.axes[0].lines}
    away = weighting.guided(recorded).query("shift == 'out' and form == 'BCE'")
    wanted = away.groupby("weight")["accuracy"].mean()
    np.testing.assert_allclose(lines["BCE"].get_xdata(), grid.WEIGHTS["bce"])
    np.testing.assert_allclose(lines["BCE"].get_ydata(), wanted)
    plain = results.tested(recorded, "accuracy", "out").query("method == 'erm'")["accuracy"].mean()
    np.testing.assert_allclose(lines["ERM"].get_ydata(), plain)
    assert f"BCE from {wanted.min():.2f} to {wanted.max():.2f}" in drawn.alt


def test_every_form_of_the_grid_has_a_style_and_few_runs_are_said_to_be_too_few(recorded):
    assert set(weighting.guided(recorded)["form"]) == set(drawing.FORM_STYLES)
    table = weighting.chosen(recorded.query("seed == 0"))
    assert table["out of distribution"].isna().all(axis=None)
    assert table[weighting.LARGEST].isna().all(axis=None) and table["weight"].notna().all()
    assert weighting.chosen(frame([])).empty and "not run here" in weighting.draw(frame([])).alt
