"""Tables: against numbers worked out by hand from records made up for it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import record

from align.benchmark import grid, records
from align.benchmark.experiment import Experiment
from align.benchmark.statistics import interval, paired
from align.config import Config
from alignbook import coverage, tables
from alignbook.published import NOT_RUN, PUBLISHED

ERM, GUIDED, MIXUP = Config(method="erm"), Config(method="guided"), Config(method="mixup")
CONFIGS = ERM, GUIDED, MIXUP
GOOD, BAD = 0.9, 0.5


def made(configs, seeds=4, **options):
    levels = {"erm": 0.7, "guided": GOOD, "mixup": BAD}
    return [
        record(
            Experiment("toy-vlcs", "noon", replace(config, seed=seed)),
            lambda domain, shift, c=config: 0.7 if shift == "in" else levels[c.method],
            **options,
        )
        for seed in range(seeds)
        for config in configs
    ]


def test_a_cell_is_mean_and_half_width_and_marked_only_if_the_interval_excludes_zero():
    recorded = made([ERM, GUIDED, MIXUP])
    table = tables.per_domain(recorded)
    assert list(table.columns) == ["noon (held out)", "dusk", "film", "fog"]
    values = [r["metrics"]["fog"]["accuracy"] for r in recorded if r["config"]["method"] == "erm"]
    by_hand = interval(values)
    assert table.loc["ERM", "fog"] == f"{by_hand.mean:.3f} ± {by_hand.high - by_hand.mean:.3f}"
    assert table.loc["true masks, energy", "fog"].endswith("*")
    assert table.loc["Mixup", "fog"].endswith("†")
    for name in table.index:  # in distribution all are alike
        gain, _ = tables.compare(recorded, name, "ERM", domain="noon")
        assert table.loc[name, "noon (held out)"][-1].isdigit() == (not gain.excludes_zero)
        assert abs(gain.mean) < 0.1


def test_the_comparison_shows_effect_noise_and_rank():
    recorded = made([ERM, GUIDED, MIXUP])
    table = tables.comparison(recorded)
    assert list(table.index) == ["true masks, energy", "ERM", "Mixup"]
    assert list(table["average rank"]) == ["1.0", "2.0", "3.0"]
    scores = tables.runs(recorded).query("shift == 'out'")
    means = scores.groupby(["label", "seed"])["accuracy"].mean().unstack()
    noise, effect = means.loc["Mixup"].std(), (means.loc["Mixup"] - means.loc["ERM"]).mean()
    assert table.loc["Mixup", "seed noise"] == f"{noise:.3f}"
    assert table.loc["Mixup", "effect / noise"] == f"{effect / noise:+.1f}"
    assert table.loc["Mixup", "− ERM"].startswith(f"{effect:+.3f} [")
    assert set(table["paired over"]) == {"seeds and images", ""}


def test_images_are_paired_only_where_they_are_known_to_be_the_same():
    recorded = made([ERM, GUIDED])
    assert tables.compare(recorded, "true masks, energy", "ERM")[1] == "seeds and images"
    gain, over = tables.compare(recorded, "true masks, energy", "ERM", "insertion_auc")
    assert (over, gain.mean) == ("seeds", 0)
    old = made([ERM, GUIDED], correctness=False)
    gain, over = tables.compare(old, "true masks, energy", "ERM", shift="in")
    accuracy = [
        [r["metrics"]["noon"]["accuracy"] for r in old if r["config"]["method"] == method]
        for method in ("guided", "erm")
    ]
    assert (over, gain) == ("seeds", paired(*accuracy))
    recorded[0]["data"]["fog"] = "another"
    assert tables.compare(recorded, "true masks, energy", "ERM")[1] == "seeds"
    with pytest.raises(ValueError, match="expected at least 2"):
        tables.compare(recorded[:2], "true masks, energy", "ERM")
    with pytest.raises(ValueError, match="have 0 seeds in common"):
        tables.compare(recorded, "DRE", "ERM")


def test_photographs_that_all_seeds_share_widen_the_interval_by_their_number():
    few, many = (made([ERM, GUIDED], images="shared", count=n) for n in (30, 3000))
    widths = [
        np.diff(tables.compare(r, "true masks, energy", "ERM", shift="out")[0][1:])[0]
        for r in (few, many)
    ]
    assert widths[0] > 3 * widths[1]


def test_a_missing_run_leaves_both_methods_on_the_same_tests():
    recorded = []
    for seed in range(3):
        for target in ("noon", "fog"):
            for config in (ERM, GUIDED):
                one = Experiment("toy-vlcs", "", replace(config, seed=seed), target=target)
                recorded.append(record(one, lambda d, s, t=target: 0.9 if t == "fog" else 0.3))
    without = recorded[:-1]  # one guided run, of the easy target
    gain, _ = tables.compare(without, "true masks, energy", "ERM", shift="out")
    assert abs(gain.mean) < 0.1


def test_only_records_of_the_grid_as_it_is_now_count(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "RESULTS", tmp_path)
    wanted = grid.toy()
    stale = record(replace(wanted[0], explained=7), lambda d, s: 0.5)
    fresh = record(wanted[3], lambda d, s: 0.5)
    for one in (stale, fresh):
        records.append(tmp_path / "toy.jsonl", one)
    assert [r["key"] for r in tables.current("toy")] == [wanted[3].key()]
    assert tables.current("toy-terra") == []
    assert tables.per_domain([]).empty and tables.comparison([]).empty


def test_every_run_of_a_grid_has_its_own_key_and_every_row_its_own_label():
    for name in grid.GRIDS:
        wanted = grid.experiments(name)
        assert len({one.key() for one in wanted}) == len(wanted), name
    levels = grid.ablation_levels()
    assert set(levels) == {one.key() for one in grid.ablations()}
    labels = {tables.label(one.description()) for one in grid.toy()}
    # Guidance by true masks and ALIGN stand twice: with our alignment and with the paper's.
    assert len(labels) == len(grid.COMPARED) + 2
    # On photographs masks are a segmenter's: its own, spoilt in three ways, and three that know
    # nothing; none of them is the truth.
    for one in (grid.pacs(), grid.caltech()):
        rows = {tables.label(experiment.description()) for experiment in one}
        assert len(rows) == 9 == len(one) / 3
        assert "a segmenter's masks, 50% missed, 50% leaked, energy" in rows
        assert not any("true" in row for row in rows)
    assert {one.protocol for one in grid.toy_leave_one_out()} == {"leave-one-out"}
    assert {one.config.seed for one in grid.toy_leave_one_out()} == {0, 1, 2}


def test_the_ablations_change_every_choice_that_a_reader_may_doubt():
    factors = set(grid.ABLATIONS)
    assert {
        "masker's steps a batch",
        "output stride",
        "first or second order",
        "mask resolution",
    } <= (factors)
    default = next(one for one in grid.ablations() if one.config.seed == 0)
    for factor, levels in grid.ABLATIONS.items():
        for level, changes in levels.items():
            config = {k: v for k, v in changes.items() if k != "mask_source"}
            changed = {
                name
                for name, value in vars(replace(default.config, **config)).items()
                if value != getattr(default.config, name)
            }
            assert changed == set(config), (factor, level)


def test_settings_are_chosen_in_distribution_even_where_another_is_better_outside():
    table = pd.DataFrame(
        {"lambda3": [1, 1, 2, 2], "accuracy in": [0.8, 0.9, 0.7, 0.7], "accuracy out": [0, 0, 1, 1]}
    )
    assert tables.selected(table, "lambda3").name == 1


def test_our_cells_stand_under_a_published_table_of_the_same_protocol_only():
    ours = record(Experiment("toy-vlcs", "noon", ERM), lambda d, s: 0.9)
    renamed = {
        "benchmark": "vlcs",
        "trained_on": ["VOC2007"],
        "metrics": {"VOC2007": ours["metrics"]["noon"], "SUN09": ours["metrics"]["fog"]},
    }
    table = tables.with_published(PUBLISHED["align-vlcs"], [ours | renamed])
    accuracy = 100 * ours["metrics"]["noon"]["accuracy"]
    assert table.loc[("ours", "ERM"), "VOC2007"] == f"{accuracy:.1f}"
    assert table.loc[("ours", "ERM"), "SUN09"] == NOT_RUN  # tested there, not trained there
    other = ours | renamed | {"protocol": "leave-one-out"}
    table = tables.with_published(PUBLISHED["align-vlcs"], [other, ours])
    assert (table.loc["ours"] == NOT_RUN).all(axis=None)
    yardstick = tables.with_published(PUBLISHED["single-source-vlcs"], [ours | renamed])
    accuracy = 100 * ours["metrics"]["fog"]["accuracy"]
    assert yardstick.loc[("ours", "ERM"), "VOC2007"] == f"{accuracy:.1f}"


NOT_YET = {"vlcs", "vlcs-leave-one-out", "terra", "terra-leave-one-out"}


@pytest.mark.parametrize("name", sorted(set(grid.GRIDS) - NOT_YET))
def test_every_experiment_of_a_recorded_grid_finds_its_record(name):
    """A changed default would change keys, and figures would say 'not run here' of what was run."""
    wanted = [one.key() for one in grid.experiments(name)]
    assert [record["key"] for record in tables.current(name)] == wanted


def test_a_label_names_the_papers_terms_only_where_all_are_the_papers():
    paper = Config(method="align", alignment="bce", distinction="probability")
    wanted = {
        (paper.alignment, paper.distinction): "ALIGN, the paper's terms",
        ("bce", "margin"): "ALIGN, BCE",
        ("energy", "probability"): "ALIGN, energy",
    }
    for (alignment, distinction), name in wanted.items():
        config = replace(paper, alignment=alignment, distinction=distinction)
        assert tables.label(Experiment("toy-vlcs", "noon", config).description()) == name


def test_runs_in_and_out_of_distribution_are_told_apart_and_a_star_is_an_interval(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(tables, "records_file", lambda name: tmp_path / f"{name}.jsonl")
    wanted = [Experiment("toy-vlcs", "noon", replace(c, seed=s)) for s in (0, 1) for c in CONFIGS]
    monkeypatch.setattr(tables, "experiments", lambda name: wanted)
    with pytest.raises(FileNotFoundError, match="align benchmark run here"):
        tables.by_seed("here")
    levels = {"erm": 0.5, "guided": 0.9, "mixup": 0.5}
    for one in wanted:
        level = levels[one.config.method]
        made = record(one, lambda d, s, level=level: 1.0 if s == "in" else level, count=20_000)
        records.append(tmp_path / "here.jsonl", made)
    table = tables.by_seed("here")
    assert len(table) == 6 and (table["accuracy in"] == 1).all()
    assert table["accuracy out"].between(0.4, 0.95).all()
    summary = tables.summary("here")
    assert list(summary["runs"]) == [2, 2, 2]
    for name in ("true masks, energy", "Mixup"):
        gain = tables.difference(table, name, "ERM", "accuracy out")
        cell = summary.loc[name, "accuracy out − ERM"]
        assert cell.endswith("*") == gain.excludes_zero == (name != "Mixup")
        assert cell.startswith(f"{gain.mean:+.3f} [")


def test_two_seeds_are_enough_for_an_interval_and_one_is_none():
    for seeds in (1, 2):
        cell = tables.per_domain(made([ERM], seeds=seeds)).loc["ERM", "fog"]
        assert ("±" in cell) == (seeds == 2)
    noise = tables.comparison(made([ERM, GUIDED], seeds=2))["seed noise"]
    assert (noise.astype(float) > 0).all()
    assert (tables.comparison(made([ERM, GUIDED], seeds=1))["seed noise"] == "").all()


def test_differences_say_what_the_interval_says():
    recorded = made([ERM, GUIDED, MIXUP])
    found = tables.differences(recorded)
    assert list(found.index) == ["true masks, energy", "Mixup"]  # from the largest down
    for name, cell in found.items():
        gain, _ = tables.compare(recorded, name, "ERM", shift="out")
        assert cell == f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]{cell[-1]}"
    assert found.iloc[0].endswith("]*") and found.iloc[1].endswith("]†")
    assert tables.differences(recorded, "insertion_auc").str.endswith("]").all()
    against = tables.differences(recorded, against="Mixup")
    assert set(against.index) == {"true masks, energy", "ERM"} and against["ERM"].endswith("*")
    for nothing in ([], made([ERM, GUIDED], seeds=1)):
        assert tables.differences(nothing).tolist() == ["not run here"]


def test_coverage_counts_what_is_recorded_and_says_what_the_rest_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "RESULTS", tmp_path)
    records.append(tmp_path / "toy.jsonl", record(grid.toy()[0], lambda d, s: 0.5))
    table = coverage.grids()
    assert tuple(table.loc["toy", ["recorded", "wanted"]]) == (1, 55)
    assert table.loc["toy", "devices"] == "cpu" and "run toy`" in table.loc["toy", "missing"]
    assert "photographs of vlcs" in table.loc["vlcs", "missing"]
    assert "a GPU" in table.loc["vlcs", "missing"] and "GPU" not in table.loc["rho", "missing"]
    states = coverage.figures()["state"]
    assert (states["cost"], states["ablations"]) == ("partly", "not run here")


def test_what_a_grid_takes_is_said_for_each_kind_of_data():
    takes = {name: coverage.needs(name, grid.experiments(name)[0]) for name in grid.GRIDS}
    assert "the masked photographs and scenes on disk" in takes["composite"]
    assert "photographs" not in takes["toy"] and "GPU" not in takes["toy"]
    assert "the photographs of terra on disk (ALIGN_DATA), a GPU" in takes["terra"]
    assert all(f"`align benchmark run {name}`" in words for name, words in takes.items())


def test_settings_are_compared_one_at_a_time():
    recorded = []
    for rho, level in ((0.5, 0.7), (0.9, BAD)):
        for seed in range(3):
            for config, gain in ((ERM, 0.0), (GUIDED, 0.2)):
                one = Experiment("toy-vlcs", "noon", replace(config, seed=seed), {"rho": rho})
                recorded.append(record(one, lambda *_, a=level + gain: a))
    with pytest.raises(ValueError, match=r"two records of .* one setting at a time"):
        tables.compare(recorded, "true masks, energy", "ERM")
    for mixing in (tables.per_domain, tables.comparison, tables.differences):
        with pytest.raises(ValueError, match="compare one setting at a time"):
            mixing(recorded)
    with pytest.raises(ValueError, match="compare one setting at a time"):
        tables.summary("rho")
    parts = tables.settings(recorded)
    assert list(parts) == ["rho = 0.5", "rho = 0.9"]
    means = {name: tables.comparison(part)["mean"]["ERM"] for name, part in parts.items()}
    assert abs(float(means["rho = 0.5"]) - float(means["rho = 0.9"]) - 0.2) < 0.1
    assert list(tables.settings(made([ERM, GUIDED]))) == [""]


def test_a_seeds_runs_on_several_domains_count_as_one():
    table = pd.DataFrame(
        [
            {"label": label, "seed": seed, "accuracy out": level + 0.01 * seed + 0.1 * part}
            for label, level in (("A", 0.7), ("B", 0.5))
            for seed in range(3)
            for part in range(4)
        ]
    )
    assert tables.difference(table, "A", "B", "accuracy out") == pytest.approx((0.2, 0.2, 0.2))
