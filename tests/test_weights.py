"""Forms of alignment over their weights: the weight is chosen at home, and only there."""

import numpy as np
import pytest
from synthetic import record

from align.benchmark import grid
from alignbook import drawing, tables, weights

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
    return [record(one, accuracy(one), count=400) for one in grid.weights()]


def test_the_weight_is_chosen_at_home_and_the_best_one_away_is_named_beside(recorded):
    table = weights.chosen(recorded)
    assert list(table.index) == ["energy", "BCE", "L1", "input gradient"]
    assert table["weight"].tolist() == list(BEST.values())
    assert table["in"].str.endswith("*").all() and table["out"].str.endswith("\u2020").all()
    # The same numbers as the tables of differences, for the same runs.
    pair = [
        one
        for one in recorded
        if one["config"]["method"] == "erm"
        or (one["config"]["alignment"], one["config"]["lambda3"]) == ("l1", 0.5)
    ]
    assert table.loc["L1", "out"] == tables.differences(pair)["true masks, L1"]
    # Away from home another weight is better; it is told and not taken.
    for form, told in table["any weight"].items():
        gain, weight = told.split(" at ")
        assert float(gain) > 0.2 and float(weight) != table.loc[form, "weight"]


def test_lines_show_the_means_over_seeds_and_plain_training(recorded):
    drawn = weights.draw(recorded)
    lines = {str(line.get_label()): line for line in drawn.figure.axes[0].lines}
    away = weights.by_weight(recorded).query("shift == 'out' and form == 'BCE'")
    wanted = away.groupby("weight")["accuracy"].mean()
    np.testing.assert_allclose(lines["BCE"].get_xdata(), grid.WEIGHTS["bce"])
    np.testing.assert_allclose(lines["BCE"].get_ydata(), wanted)
    plain = tables.tested(recorded, "accuracy", "out").query("method == 'erm'")["accuracy"].mean()
    np.testing.assert_allclose(lines["ERM"].get_ydata(), plain)
    assert f"BCE from {wanted.min():.2f} to {wanted.max():.2f}" in drawn.alt


def test_every_form_of_the_grid_has_a_style_and_few_runs_are_said_to_be_too_few(recorded):
    assert set(weights.by_weight(recorded)["form"]) == set(drawing.FORM_STYLES)
    first = [one for one in recorded if one["config"]["seed"] == 0]
    table = weights.chosen(first)
    assert (table[["out", "any weight"]] == "not run here").all(axis=None)
    assert weights.chosen([]).empty and "not run here" in weights.draw([]).alt
