"""Accuracies by group made again from records, and their intervals over seeds and pictures."""

import numpy as np
import pytest

from align import records
from alignbook import estimates, group_pictures, results
from alignbook.campaign.statistics import interval
from alignbook.group_pictures import Groups, compare, score

GROUPS = Groups(np.repeat([0, 1], [400, 100]).astype(np.int8), np.array([0.9, 0.1]))


def answers(shares: tuple[float, float], seeds: int = 3, seed: int = 0) -> np.ndarray:
    """Independent right answers with the given chance in each of two groups."""
    chance = np.array(shares)[GROUPS.of_pictures]
    return np.random.default_rng(seed).random((seeds, len(chance))) < chance


@pytest.mark.parametrize("grid", ["waterbirds", "waterbirds-128"])
def test_every_recorded_group_metric_follows_from_the_pictures(grid):
    known = group_pictures.groups("waterbirds", "test")
    runs = [one for one in results.current(grid) if records.correctness(one, "test") is not None]
    assert len(runs) > 5
    for one in runs:
        right, found = records.correctness(one, "test"), one["metrics"]["test"]
        each = np.array([right[known.of_pictures == group].mean() for group in range(4)])
        for metric in group_pictures.METRICS:
            assert score(metric, each, known.shares) == pytest.approx(found[metric], abs=1e-9)


@pytest.mark.parametrize("metric", group_pictures.METRICS)
def test_where_seeds_agree_the_width_is_that_of_the_pictures(metric):
    one, other = answers((0.9, 0.6), 1), answers((0.9, 0.4), 1, seed=1)
    found = compare(metric, one.repeat(3, 0), other.repeat(3, 0), GROUPS, draws=4000)
    wrong = {"worst_group": (0, 1), "mean_group": (0.5, 0.5), "accuracy_adjusted": (0.9, 0.1)}
    variance = 0.0
    for group, weight in enumerate(wrong[metric]):
        at = GROUPS.of_pictures == group
        spread = (one[0, at].astype(int) - other[0, at].astype(int)).var()
        variance += weight**2 * spread / at.sum()
    # 4,000 draws know a standard deviation to about one in a hundred; five such are allowed.
    assert (found.high - found.mean) == pytest.approx(1.96 * variance**0.5, rel=0.06)


def test_both_widths_count_and_the_mean_is_that_of_the_seeds():
    one, other = answers((0.9, 0.6)), answers((0.9, 0.5), seed=1)
    found = compare("worst_group", one, other, GROUPS)
    at = GROUPS.of_pictures == 1
    seeds = interval((one[:, at].mean(1) - other[:, at].mean(1)).tolist())
    assert found.mean == pytest.approx(seeds.mean)
    assert found.high - found.low > seeds.high - seeds.low


def test_a_recorded_comparison_is_wider_than_over_seeds_alone():
    table = results.recorded("waterbirds-128")
    held = "ALIGN, swap, whole backgrounds, objectness held, soft masks"
    options = {"metric": "worst_group", "domain": "test"}
    found = estimates.compare(table, held, "ERM, balanced", **options)
    alone = estimates.compare(table.assign(correct=""), held, "ERM, balanced", **options)
    assert found.mean == pytest.approx(alone.mean) and 0 < found.low < alone.low


def test_a_benchmark_without_groups_has_none():
    assert group_pictures.groups("toy-vlcs", "dusk") is None
    assert group_pictures.groups("waterbirds", "elsewhere") is None


def test_no_interval_leaves_what_a_share_can_be():
    table = results.recorded("waterbirds-128")
    for metric in group_pictures.METRICS:
        wide = estimates.compare(table, "IRM", "ERM, balanced", metric, domain="test")
        assert -1 <= wide.low < wide.high <= 1
