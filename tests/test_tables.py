"""Tables: against numbers worked out by hand from records made up for it."""

import re
from dataclasses import replace

import nbformat
import numpy as np
import pandas as pd
import pytest
from synthetic import record

from align import records
from align.config import Config
from align.experiment import Experiment
from alignbook import coverage, figures, results, tables
from alignbook.campaign import grid, swap_choices
from alignbook.campaign.statistics import interval, paired
from alignbook.estimates import compare
from alignbook.measures import bounds
from alignbook.published import PUBLISHED
from alignbook.results import frame
from book.tools import project

ONCE = {"alignment": "energy", "rounds": 1}
ERM, MIXUP = Config(method="erm"), Config(method="mixup")
GUIDED = Config(method="guided", **ONCE)
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


def test_a_cell_is_a_mean_with_its_interval_and_what_the_comparison_says():
    recorded = made([ERM, GUIDED, MIXUP])
    table = tables.per_domain(frame(recorded))
    heads = list(dict.fromkeys(table.columns.get_level_values(0)))
    assert heads == ["noon (held out)", "dusk", "film", "fog"]
    values = [r["metrics"]["fog"]["accuracy"] for r in recorded if r["config"]["method"] == "erm"]
    fog = table["fog"]
    assert tuple(fog.loc["ERM", ["mean", "low", "high"]]) == pytest.approx(interval(values))
    assert fog["verdict"].to_dict() == {"ERM": 0, "true masks, energy": 1, "Mixup": -1}
    for name in table.index:  # in distribution all are alike
        gain = compare(frame(recorded), name, "ERM", domain="noon")
        assert (table.loc[name, ("noon (held out)", "verdict")] != 0) == gain.excludes_zero
        assert abs(gain.mean) < 0.1


def test_the_comparison_shows_effect_spread_and_rank():
    recorded = frame(made([ERM, GUIDED, MIXUP], seeds=5))
    table = tables.comparison(recorded)
    assert list(table.index) == ["true masks, energy", "ERM", "Mixup"]
    assert list(table["average rank"]) == [1, 2, 3] and list(table["seeds"]) == [5, 5, 5]
    means = recorded.query("shift == 'out'").groupby(["label", "seed"])["accuracy"].mean().unstack()
    noise, effect = means.loc["Mixup"].std(), (means.loc["Mixup"] - means.loc["ERM"]).mean()
    row = table.loc["Mixup"]
    assert row["spread over seeds", ""] == pytest.approx(noise)
    assert row["− ERM", "difference"] == pytest.approx(effect)
    assert np.isnan(table.loc["ERM", ("− ERM", "difference")])


def test_images_are_paired_only_where_they_are_known_to_be_the_same():
    recorded = made([ERM, GUIDED])

    def by_seeds(found, **where):
        chosen = frame(found).query(" and ".join(f"{k} == '{v}'" for k, v in where.items()))
        means = chosen.groupby(["label", "seed"])["accuracy"].mean()
        return paired(means["true masks, energy"].tolist(), means["ERM"].tolist())

    over_images = compare(frame(recorded), "true masks, energy", "ERM", shift="in")
    over_seeds = by_seeds(recorded, shift="in")
    assert over_images.mean == pytest.approx(over_seeds.mean)
    assert over_images.low != pytest.approx(over_seeds.low, abs=1e-6)
    assert compare(frame(recorded), "true masks, energy", "ERM", "insertion_auc").mean == 0
    old = made([ERM, GUIDED], correctness=False)
    found = compare(frame(old), "true masks, energy", "ERM", shift="in")
    assert found == pytest.approx(by_seeds(old, shift="in"))
    recorded[0]["data"]["fog"] = "another"
    found = compare(frame(recorded), "true masks, energy", "ERM", shift="out")
    assert found == pytest.approx(by_seeds(recorded, shift="out"))


def test_too_few_pairs_are_nothing_and_misuse_is_refused():
    recorded = frame(made([ERM, GUIDED]))
    assert compare(recorded.query("seed == 0"), "true masks, energy", "ERM") is None
    assert compare(recorded, "DRE", "ERM") is None  # not run yet
    assert compare(frame([]), "DRE", "ERM") is None
    unknown = "no record here has a metric 'acuracy', expected"
    with pytest.raises(ValueError, match=unknown):
        compare(recorded, "true masks, energy", "ERM", "acuracy")
    for make in (tables.per_domain, tables.comparison, tables.differences, tables.summary):
        with pytest.raises(ValueError, match=unknown):
            make(recorded, "acuracy")
    with pytest.raises(ValueError, match="shift is 'away', expected"):
        compare(recorded, "true masks, energy", "ERM", shift="away")


def lacking(metric, method, seeds, domains=("noon", "dusk", "film", "fog"), of=4):
    """Records in which some runs of a method have no value of a metric on some domains."""
    recorded = made([ERM, GUIDED, MIXUP], seeds=of)
    for place, one in enumerate(recorded):
        for domain, metrics in one["metrics"].items():
            metrics[metric] = 0.5 + 0.01 * place
            if one["config"]["method"] == method and one["config"]["seed"] in seeds:
                if domain in domains:
                    del metrics[metric]
    return frame(recorded)


def test_a_metric_that_one_seed_lacks_is_compared_over_the_pairs_that_exist():
    """In every table alike: no row vanishes, none is unmarked, none crashes."""
    metric, name = "insertion_auc_normalized", "true masks, energy"
    table = lacking(metric, "guided", [2])
    wanted = compare(table.query("seed != 2"), name, "ERM", metric, shift="out")
    assert compare(table, name, "ERM", metric, shift="out") == wanted
    parts = ["difference", "low", "high"]
    assert tuple(tables.differences(table, metric).loc[name, parts]) == wanted
    row = tables.comparison(table, metric).loc[name]
    assert tuple(row["− ERM"][parts]) == wanted and row["seeds", ""] == 3
    assert tuple(tables.summary(table, metric).loc[name][f"{metric} out − ERM"][parts]) == wanted
    cell = tables.per_domain(table, metric).loc[name]["fog"]
    assert cell["verdict"] == 1 and cell.notna().all()  # 0.01 above, by the same in every seed
    # Where a whole seed lacks one test, that test is left out of the pairs of all seeds.
    table = lacking(metric, "guided", [2], ["fog"])
    without = compare(table.query("domain != 'fog'"), name, "ERM", metric, shift="out")
    assert compare(table, name, "ERM", metric, shift="out") == without
    # With a single seed left there is nothing to compare, and still a mean.
    table = lacking(metric, "guided", [0, 1, 2])
    assert compare(table, name, "ERM", metric) is None
    assert tables.differences(table, metric).loc[name].isna().all()
    row = tables.comparison(table, metric).loc[name]
    assert np.isnan(row["− ERM", "low"]) and row["mean", ""] > 0 and row["seeds", ""] == 1


def test_intervals_end_where_the_metric_does():
    recorded = frame(made([ERM, GUIDED], seeds=2))
    recorded["evidence_inside"] = recorded["seed"] * 0.9 + 0.05
    cells = tables.per_domain(recorded, "evidence_inside")["fog"]
    assert (cells["low"] == 0).all() and (cells["high"] == 1).all()
    recorded["sufficiency_zero"] = recorded["seed"] * 1.5 - 0.75  # a loss may be negative
    cells = tables.per_domain(recorded, "sufficiency_zero")["fog"]
    assert (cells["low"] == -1).all() and (cells["high"] == 1).all()
    guided = recorded["label"] == "true masks, energy"
    recorded.loc[guided, "evidence_inside"] = 0.95 - recorded["seed"] * 0.9
    found = compare(recorded, "true masks, energy", "ERM", "evidence_inside")
    assert (found.low, found.high) == (-1, 1)


def test_every_recorded_value_lies_within_the_range_of_its_metric():
    for name in ("toy", "pacs", "composite"):
        table = results.recorded(name).select_dtypes("number")
        columns = table.columns.drop(["seed", "weight", "missed", "leaked", "seconds"])
        columns = columns.drop([c for c in ("size", "rho") if c in columns])
        for metric in columns:
            least, most = bounds(metric)
            assert np.isfinite(least), metric
            assert least <= table[metric].min() and table[metric].max() <= most, metric
    assert bounds("margin") == (-np.inf, np.inf)


def test_photographs_that_all_seeds_share_widen_the_interval_by_their_number():
    few, many = (made([ERM, GUIDED], images="shared", count=n) for n in (30, 3000))
    widths = [
        np.diff(compare(frame(r), "true masks, energy", "ERM", shift="out")[1:])[0]
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
    gain = compare(frame(without), "true masks, energy", "ERM", shift="out")
    assert abs(gain.mean) < 0.1


def test_only_records_of_the_grid_as_it_is_now_count(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "RESULTS", tmp_path)
    wanted = grid.toy()
    stale = record(replace(wanted[0], explained=7), lambda d, s: 0.5)
    fresh = record(wanted[3], lambda d, s: 0.5)
    for one in (stale, fresh):
        records.append(tmp_path / "toy.jsonl", one)
    assert [r["key"] for r in results.current("toy")] == [wanted[3].key()]
    assert results.current("toy-terra") == []
    assert tables.per_domain(frame([])).empty and tables.comparison(frame([])).empty


def test_what_was_made_again_stands_apart_from_what_was_recorded_first(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "RESULTS", tmp_path)
    (tmp_path / "again").mkdir()
    first, second = (record(grid.toy()[0], lambda d, s, a=a: a) for a in (0.5, 0.6))
    records.append(tmp_path / "toy.jsonl", first)
    records.append(tmp_path / "again" / "toy.jsonl", second)
    (again,), (recorded,) = results.made_again("toy", "toy-terra"), results.current("toy")
    assert [again] == records.read(tmp_path / "again" / "toy.jsonl")
    assert again["key"] == recorded["key"] and again["metrics"] != recorded["metrics"]


def test_every_run_of_a_grid_has_its_own_key_and_every_row_its_own_label():
    for name in grid.GRIDS:
        wanted = grid.experiments(name)
        assert len({one.key() for one in wanted}) == len(wanted), name
    levels = grid.ablation_levels()
    assert set(levels) == {one.key() for one in grid.ablations()}
    labels = {results.label(one.description()) for one in grid.toy()}
    # Guidance by true masks and ALIGN stand twice: with our alignment and with the paper's.
    assert len(labels) == len(grid.COMPARED) + 2
    # On photographs masks are a segmenter's: its own, spoilt in three ways, and three that know
    # nothing; none of them is the truth.
    for one in (grid.pacs(), grid.caltech()):
        rows = {results.label(experiment.description()) for experiment in one}
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


def test_each_row_of_the_swaps_choices_differs_from_its_default_in_one_choice():
    runs = {one.key(): one for one in grid.swap_choices()}
    kinds = {kind: swap_choices.levels(kind) for kind in swap_choices.KINDS}
    assert set(runs) == {key for levels in kinds.values() for key in levels}
    assert sum(map(len, kinds.values())) == len(runs)  # no run is of two kinds
    for kind, levels in kinds.items():
        names = {names: runs[key] for key, names in levels.items() if not runs[key].config.seed}
        default = names.pop(("", "")).description()
        assert default["config"]["alignment"] == "swap"
        for (factor, _), one in names.items():
            other = one.description()
            data = [name for name in default if name != "config" and other[name] != default[name]]
            both = default["config"], other["config"]
            recipe = [
                name for name in {**both[0], **both[1]} if both[0].get(name) != both[1].get(name)
            ]
            assert len(data) + len(recipe) == 1, (kind, factor)


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
    table = tables.with_published(PUBLISHED["align-vlcs"], frame([ours | renamed]))
    assert table["VOC2007"]["mean"]["published [N]", "ERM"] == 85.35
    accuracy = 100 * ours["metrics"]["noon"]["accuracy"]
    assert table["VOC2007"]["mean"]["ours", "ERM"] == pytest.approx(accuracy)
    assert np.isnan(table["SUN09"]["mean"]["ours", "ERM"])  # tested there, not trained there
    assert "SGT, DRE, ALIGN; `align benchmark run vlcs`" in table.attrs["note"]
    other = ours | renamed | {"protocol": "leave-one-out"}
    table = tables.with_published(PUBLISHED["align-vlcs"], frame([other, ours]))
    assert "ours" not in table.index and "not made here" in table.attrs["note"]
    yardstick = tables.with_published(PUBLISHED["single-source-vlcs"], frame([ours | renamed]))
    accuracy = 100 * ours["metrics"]["fog"]["accuracy"]
    assert yardstick["VOC2007"]["mean"]["ours", "ERM"] == pytest.approx(accuracy)


def test_a_method_in_one_form_or_several_is_not_missing_and_errors_stay():
    ours = record(Experiment("toy-vlcs", "noon", Config(method="align", **ONCE)), lambda d, s: 0.9)
    renamed = {"benchmark": "vlcs", "metrics": {"VOC2007": ours["metrics"]["noon"]}}
    found = frame([ours | renamed | {"trained_on": ["VOC2007"]}])
    table = tables.with_published(PUBLISHED["align-vlcs"], found)
    assert list(table.loc["ours"].index) == ["ALIGN, energy"]
    assert "Not run here: ERM, SGT, DRE;" in table.attrs["note"]
    table = tables.with_published(PUBLISHED["domainbed-vlcs"], frame([]))
    assert table["Caltech101"]["error"].tolist() == [0.4]


def test_means_stand_beside_differences_under_their_headings():
    gains = pd.DataFrame({"difference": [0.5], "low": [0.1], "high": [0.9]}, index=["ours"])
    table = tables.joined({"gain": gains, "IoU": pd.Series({"ours": 0.25})})
    assert list(table.columns) == [*(("gain", part) for part in gains), ("IoU", "mean")]
    assert table.loc["ours"].tolist() == [0.5, 0.1, 0.9, 0.25]


def test_each_figure_of_the_records_stands_on_the_page_that_they_name():
    found = {}
    for path in sorted(project.ROOT.glob("book/**/*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        (title,) = re.findall(r"^# (.+)", cells[0].source, re.MULTILINE)
        for cell in cells:
            for name in re.findall(r'figures\.FIGURES\["([a-z-]+)"\]\.draw', cell.source):
                found.setdefault(title, set()).add(name)
    assert found == {page: set(names) for page, names in coverage.PAGES.items()}
    assert {*figures.FIGURES} == {name for names in coverage.PAGES.values() for name in names}


NOT_YET = {
    "vlcs",
    "vlcs-leave-one-out",
    "terra",
    "terra-leave-one-out",
}


@pytest.mark.parametrize("name", sorted(set(grid.GRIDS) - NOT_YET))
def test_every_experiment_of_a_recorded_grid_finds_its_record(name):
    """A changed default would change keys, and figures would say 'not run here' of what was run."""
    wanted = [one.key() for one in grid.experiments(name)]
    assert [record["key"] for record in results.current(name)] == wanted


def test_a_label_names_the_papers_terms_only_where_all_are_the_papers():
    paper = Config(method="align", alignment="bce", distinction="probability", rounds=1)
    wanted = {
        (paper.alignment, paper.distinction): "ALIGN, the paper's terms",
        ("bce", "margin"): "ALIGN, BCE",
        ("energy", "probability"): "ALIGN, energy",
    }
    for (alignment, distinction), name in wanted.items():
        config = replace(paper, alignment=alignment, distinction=distinction)
        assert results.label(Experiment("toy-vlcs", "noon", config).description()) == name


def test_a_label_says_the_rounds_what_guides_at_once_and_whose_masks_were_looked_at():
    def name(source="", **choices):
        one = Experiment("toy-vlcs", "noon", Config(**{"rounds": 1} | choices), mask_source=source)
        return results.label(one.description())

    assert name(alignment="swap+energy", rounds=2) == "ALIGN, swap and energy, 2 rounds"
    held = {"alignment": "swap", "looked_at_masks": 30, "masker_lr": 0.0}
    assert name(**held, rounds=2) == "ALIGN, swap, 30 looked-at masks held"  # it learns in none
    assert name("grabcut", **held) == "ALIGN, swap, 30 of GrabCut's masks held"
    assert name("centre", **held) == "ALIGN, swap, 30 discs held"
    assert name("random", **held) == "ALIGN, swap, 30 of random masks held"
    given = {"method": "guided", "alignment": "energy"}
    assert name("centre", **given, warmup=0) == "centre as masks, energy, at once"
    assert name("centre", **given, warmup=1) == "centre as masks, energy"


def test_the_summary_shows_both_distributions_and_the_differences():
    table = frame(made([ERM, GUIDED, MIXUP]))
    summary = tables.summary(table)
    assert list(summary["seeds"]) == [4, 4, 4]
    for shift in ("in", "out"):
        for name in ("true masks, energy", "Mixup"):
            gain = compare(table, name, "ERM", shift=shift)
            assert tuple(summary.loc[name][f"accuracy {shift} − ERM"]) == gain
        means = results.by_seed(table, "accuracy", shift)
        wanted = interval(means["ERM"].tolist()).within(0, 1)
        assert tuple(summary.loc["ERM"][f"accuracy {shift}"]) == pytest.approx(wanted)
    assert tables.summary(frame([])).empty


def test_two_seeds_are_enough_for_an_interval_and_one_is_none():
    for seeds in (1, 2):
        cell = tables.per_domain(frame(made([ERM], seeds=seeds))).loc["ERM"]["fog"]
        assert np.isfinite(cell["mean"]) and np.isfinite(cell["low"]) == (seeds == 2)
    noise = tables.comparison(frame(made([ERM, GUIDED], seeds=2)))["spread over seeds"]
    assert (noise > 0).all()
    assert "spread over seeds" not in tables.comparison(frame(made([ERM, GUIDED], seeds=1)))


def test_differences_are_the_comparisons_from_the_largest_down():
    recorded = frame(made([ERM, GUIDED, MIXUP]))
    found = tables.differences(recorded)
    assert list(found.index) == ["true masks, energy", "Mixup"]
    for name, row in found.iterrows():
        assert tuple(row) == compare(recorded, name, "ERM", shift="out")
    assert found["low"].iloc[0] > 0 > found["high"].iloc[1]
    assert (tables.differences(recorded, "insertion_auc") == 0).all(axis=None)
    against = tables.differences(recorded, against="Mixup")
    assert set(against.index) == {"true masks, energy", "ERM"} and against.loc["ERM", "low"] > 0
    for nothing in ([], made([ERM, GUIDED], seeds=1)):
        assert tables.differences(frame(nothing)).empty


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
    mixed = frame(recorded)
    with pytest.raises(ValueError, match=r"two records of .* one setting at a time"):
        compare(mixed, "true masks, energy", "ERM")
    for mixing in (tables.per_domain, tables.comparison, tables.differences, tables.summary):
        with pytest.raises(ValueError, match="compare one setting at a time"):
            mixing(mixed)
    parts = results.settings(mixed)
    assert list(parts) == ["rho = 0.5", "rho = 0.9"]
    assert set(parts["rho = 0.9"]["rho"]) == {0.9}
    means = {name: tables.comparison(part)["mean"]["ERM"] for name, part in parts.items()}
    assert abs(means["rho = 0.5"] - means["rho = 0.9"] - 0.2) < 0.1
    assert list(results.settings(frame(made([ERM, GUIDED])))) == [""]


def test_a_seeds_runs_on_several_domains_count_as_one():
    recorded = []
    for seed in range(3):
        for target in ("noon", "dusk", "film", "fog"):
            for config in (ERM, GUIDED):
                one = Experiment("toy-vlcs", "", replace(config, seed=seed), target=target)
                recorded.append(record(one, lambda *_: 0.5))
    table = frame(recorded)
    level = {"ERM": 0.5, "true masks, energy": 0.7}
    targets = {"noon": 0.0, "dusk": 0.1, "film": 0.2, "fog": 0.3}
    table["insertion_auc"] = (
        table["label"].map(level) + 0.01 * table["seed"] + table["domain"].map(targets)
    )
    found = compare(table, "true masks, energy", "ERM", "insertion_auc", shift="out")
    assert found == pytest.approx((0.2, 0.2, 0.2))
    seeds = results.by_seed(table, "insertion_auc")
    assert seeds["ERM"].tolist() == pytest.approx([0.65, 0.66, 0.67])


def test_the_frame_holds_what_a_figure_may_ask_for():
    config = Config(method="guided", alignment="l1", lambda3=0.5, seed=1)
    human = {"human_masks": ("weizmann_horse",), "missed": 0.5}
    one = Experiment("toy-vlcs", "noon", config, {"rho": 0.9, "seed": 1}, **human)
    table = frame([record(one, lambda d, s: 0.5)])
    assert table["shift"].tolist() == ["in", "out", "out", "out", "people"]
    assert table["domain"].tolist() == ["noon", "dusk", "film", "fog", "weizmann_horse"]
    row = table.iloc[1]
    assert (row["label"], row["form"], row["weight"]) == ("true masks, 50% missed, L1", "L1", 0.5)
    assert (row["seed"], row["rho"], row["missed"], row["source"]) == (1, 0.9, 0.5, "noon")
    assert row["setting"] == "" and len(row["insertion_curve"]) == 29
    assert table["energy_inside"].notna().tolist() == [False] * 4 + [True]
