"""The paired bootstrap against closed forms and its stated confidence; ranks by hand."""

import numpy as np
import pandas as pd
import pytest

from alignbook.campaign.statistics import average_rank, interval, paired_bootstrap


def outcomes(rows):
    return [{"d": np.asarray(row, bool)} for row in rows]


def nothing_right(rows):
    return [{"d": np.zeros(len(row), bool)} for row in rows]


def test_without_noise_over_images_it_is_the_paired_t_interval():
    # Seeds are right on all images, or on none: 1, 1, 0, 0, 0; images add nothing.
    rows = [np.full(50, value, bool) for value in (1, 1, 0, 0, 0)]
    expected = interval([1, 1, 0, 0, 0])
    for shared in ((), ("d",)):
        found = paired_bootstrap(outcomes(rows), nothing_right(rows), shared=shared, draws=20_000)
        assert found.mean == pytest.approx(0.4)
        # A standard deviation of 20,000 draws is known to 0.5 %; 4 of these.
        assert found.high - found.mean == pytest.approx(expected.high - expected.mean, rel=0.02)


@pytest.mark.parametrize("shared", [True, False])
def test_without_noise_over_seeds_it_is_the_binomial_spread_of_the_images(shared):
    # Every seed has the same 30 of 100 images right: σ² = .3 * .7 / 100 for images drawn once for
    # all seeds, and a third of it for images drawn anew for each of three.
    row = np.arange(100) < 30
    spread = np.sqrt(0.3 * 0.7 / 100 / (1 if shared else 3))
    found = paired_bootstrap(
        outcomes([row] * 3),
        nothing_right([row] * 3),
        shared=("d",) if shared else (),
        draws=20_000,
    )
    expected = 1.96 * spread
    assert found.mean == pytest.approx(0.3)
    assert found.high - found.mean == pytest.approx(expected, rel=0.02)


def test_domains_count_alike_whatever_their_size():
    first = [{"small": np.ones(2, bool), "large": np.zeros(1000, bool)}] * 2
    second = [{"small": np.zeros(2, bool), "large": np.zeros(1000, bool)}] * 2
    assert paired_bootstrap(first, second).mean == pytest.approx(0.5)


def test_pairing_by_image_removes_what_the_methods_share():
    # Both err on the same hard images, and the second on one image in fifty besides.
    rng = np.random.default_rng(0)
    hard = [rng.random(2000) < 0.4 for _ in range(5)]
    extra = [rng.random(2000) < 0.02 for _ in range(5)]
    first = outcomes([~h for h in hard])
    second = outcomes([~h & ~e for h, e in zip(hard, extra, strict=True)])
    gain = paired_bootstrap(first, second)
    assert gain.excludes_zero and gain.mean == pytest.approx(0.012, abs=0.003)
    shuffled = outcomes([rng.permutation(~h & ~e) for h, e in zip(hard, extra, strict=True)])
    assert not paired_bootstrap(first, shuffled).excludes_zero


@pytest.mark.parametrize("shared", [True, False])
def test_the_interval_covers_the_truth_at_least_as_often_as_it_says(shared):
    # A gain of .03 on average, a seed's own gain with spread .03, images of every difficulty.
    rng, trials, hits = np.random.default_rng(0), 400, 0
    for _ in range(trials):
        difficulty = rng.random(300)
        first, second = [], []
        for _ in range(4):
            level = difficulty if shared else rng.random(300)
            gain = rng.normal(0.03, 0.03)
            second.append(rng.random(300) < 0.2 + 0.5 * level)
            first.append(rng.random(300) < 0.2 + 0.5 * level + gain)
        found = paired_bootstrap(
            outcomes(first), outcomes(second), shared=("d",) if shared else (), draws=300
        )
        hits += found.low <= 0.03 <= found.high
    # Binomial(400, .95): standard deviation .0109; 4 of them. It may cover more: it is cautious.
    assert hits / trials >= 0.95 - 4 * 0.0109
    assert hits / trials < 1


def test_no_difference_is_rarely_called_one():
    rng, calls = np.random.default_rng(1), 0
    for _ in range(300):
        first, second = ([rng.random(200) < 0.7 for _ in range(5)] for _ in range(2))
        calls += paired_bootstrap(outcomes(first), outcomes(second), draws=300).excludes_zero
    assert calls / 300 <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)


def test_what_does_not_match_is_refused():
    row = np.ones(4, bool)
    with pytest.raises(ValueError, match="the same seeds of both methods"):
        paired_bootstrap(outcomes([row]), outcomes([row]))
    with pytest.raises(ValueError, match="4 images against 5"):
        paired_bootstrap(outcomes([row, row]), outcomes([row, np.ones(5, bool)]))
    with pytest.raises(ValueError, match="domains"):
        paired_bootstrap(outcomes([row, row]), [{"d": row}, {"e": row}])
    with pytest.raises(ValueError, match="said to be shared"):
        two = outcomes([row, np.ones(5, bool)])
        paired_bootstrap(two, two, shared=("d",))


def test_average_rank_by_hand():
    # x: ranks A 1, B 2.5, C 2.5; y: B 1, A 2, C 3.
    scores = pd.DataFrame({"x": [3, 1, 1], "y": [5, 9, 1]}, index=["A", "B", "C"])
    assert average_rank(scores).to_dict() == {"A": 1.5, "B": 1.75, "C": 2.75}
    scores.loc["D"] = [99, np.nan]
    assert "D" not in average_rank(scores)
