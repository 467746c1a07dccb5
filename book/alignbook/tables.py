"""Tables from records: means over seeds with intervals, and paired differences to ERM."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from align.benchmark import records
from align.benchmark.grid import experiments, records_file
from align.benchmark.statistics import Interval, average_rank, interval, paired, paired_bootstrap
from alignbook.plotting import METHODS
from alignbook.published import NOT_RUN, Published, beside

FORMS = {"energy": "energy", "bce": "BCE", "l1": "L1", "rrr": "input gradient"}
SOURCES = {
    "": "true masks",
    "gray": "brightness as masks",
    "centre": "centre as masks",
    "random": "random masks",
    "grabcut": "GrabCut's masks",
    "segmenter": "a segmenter's masks",
    "sam": "SAM's masks",
}


def label(record: dict) -> str:
    """The name under which a run stands in tables: its method, and where it differs, its form.

    Args:
        record: a record, or an experiment's `description()`.
    """
    config = record["config"]
    if config["method"] == "guided":
        given = "segmenter" if record.get("options", {}).get("masks") else ""
        source = SOURCES[record.get("mask_source", "") or given]
        shares = {name: record.get(name, 0) for name in ("missed", "leaked")}
        spoilt = "".join(f", {share:.0%} {name}" for name, share in shares.items() if share)
        return f"{source}{spoilt}, {FORMS[config['alignment']]}"
    if config["method"] != "align":
        return METHODS[config["method"]].label
    if config["alignment"] == "bce" and config["distinction"] == "probability":
        return "ALIGN, the paper's terms"
    return f"ALIGN, {FORMS[config['alignment']]}"


def current(grid: str) -> list[dict]:
    """The records of a grid's experiments as they are defined now.

    Records of settings that the grid no longer has stay in the file and are left out here.

    Args:
        grid: a grid's name.

    Returns:
        One record an experiment that was run, in the grid's order; empty if none was.

    Raises:
        ValueError: if some were made on other photographs than the rest.
    """
    found = {record["key"]: record for record in records.read(records_file(grid))}
    recorded = [found[one.key()] for one in experiments(grid) if one.key() in found]
    records.check_same_data(recorded)
    return recorded


def runs(recorded: Iterable[dict]) -> pd.DataFrame:
    """One row a run and test domain.

    Args:
        recorded: records.

    Returns:
        Columns: label, method, seed, key, benchmark, protocol, source (domains trained on, joined
        by "+"), domain (tested on), shift ("in" or "out"), seconds, and each metric that is one
        number.
    """
    rows = []
    for record in recorded:
        table = records.frame([record])
        # Choices are in the label; a choice's name must not hide a metric's.
        kept = [c for c in table if c not in record["config"] and not c.startswith("option_")]
        table = table[kept].assign(
            label=label(record),
            method=record["config"]["method"],
            seed=record["config"]["seed"],
            key=record["key"],
        )
        rows.append(table)
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def tested(recorded: list[dict], metric: str, shift: str) -> pd.DataFrame:
    """The rows of `runs` that have a metric and are "in" or "out" of distribution.

    Args:
        recorded: records.
        metric: a metric's name.
        shift: "in" or "out".
    """
    table = runs(recorded)
    if table.empty or metric not in table:
        return pd.DataFrame()
    return table[(table["shift"] == shift) & table[metric].notna()]


def by_seed(grid: str) -> pd.DataFrame:
    """One row a run: its label and seed, and each metric in distribution and out of it.

    Args:
        grid: a grid's name.

    Returns:
        Columns: label, seed, seconds, and `<metric> in` / `<metric> out`: means over the domains
        trained on, tested on their held-out parts, and over those not trained on.

    Raises:
        FileNotFoundError: if nothing is recorded.
    """
    recorded = current(grid)
    if not recorded:
        raise FileNotFoundError(
            f"no records in '{records_file(grid)}'; make them with `align benchmark run {grid}`"
        )
    rows = []
    for record in recorded:
        config = record["config"]
        row = {"label": label(record), "seed": config["seed"]}
        row["seconds"] = record["seconds"]
        numbers = {
            name: {k: v for k, v in metrics.items() if isinstance(v, int | float)}
            for name, metrics in record["metrics"].items()
        }
        trained = records.trained_on(record)
        for shift in ("in", "out"):
            part = {n: v for n, v in numbers.items() if (n in trained) == (shift == "in")}
            means = pd.DataFrame(part).mean(axis=1) if part else pd.Series(dtype=float)
            row |= {f"{name} {shift}": value for name, value in means.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def difference(table: pd.DataFrame, first: str, second: str, metric: str) -> Interval:
    """Paired 95 % interval of a metric's difference between two labels, over their common seeds.

    A seed's runs on several domains count as one, by their mean.

    Args:
        table: what `by_seed` returns.
        first: a label.
        second: the label it is compared with.
        metric: a column, such as "accuracy out".

    Returns:
        Mean and interval of `first − second`.
    """
    wide = table.pivot_table(index="seed", columns="label", values=metric)
    wide = wide.reindex(columns=[first, second]).dropna()
    return paired(wide[first].tolist(), wide[second].tolist())


def summary(grid: str, metrics: tuple[str, ...] = ("accuracy in", "accuracy out")) -> pd.DataFrame:
    """Means over seeds with 95 % intervals, and the paired difference to ERM.

    Args:
        grid: a grid's name.
        metrics: columns of `by_seed`.

    Returns:
        One row a label, in the order recorded; text cells `mean [low, high]`, a difference with the
        marks of `per_domain`.

    Raises:
        FileNotFoundError: if nothing is recorded.
        ValueError: if the grid has several settings, see `settings`.
    """
    table = by_seed(grid)
    _refuse_mixed(current(grid))
    rows = {}
    for name in table["label"].drop_duplicates():
        part = table[table["label"] == name]
        cells: dict[str, object] = {"runs": len(part)}
        for metric in metrics:
            seeds = part.groupby("seed")[metric].mean()
            if len(seeds) < 2:
                cells[metric] = f"{seeds.iloc[0]:.3f}"
                continue
            cells[metric] = _text(interval(seeds.tolist()))
            if name != "ERM":
                gain = difference(table, name, "ERM", metric)
                cells[f"{metric} − ERM"] = gain.marked()
        rows[name] = cells
    return _filled(pd.DataFrame.from_dict(rows, orient="index"))


def compare(
    recorded: list[dict],
    first: str,
    second: str,
    metric: str = "accuracy",
    *,
    shift: str | None = None,
    domain: str | None = None,
) -> tuple[Interval, str]:
    """Paired 95 % interval of a metric's difference between two labels.

    Accuracy is paired over seeds and images where both methods' records say which images were
    right, and were tested on the same images; everything else over seeds.

    Args:
        recorded: records of one benchmark and protocol.
        first: a label.
        second: the label it is compared with.
        metric: a metric's name.
        shift: only tests "in" or "out" of distribution; None takes all.
        domain: only this test domain; None takes all.

    Returns:
        `(interval, over)`: mean and interval of `first − second`, and "seeds and images" or
        "seeds", what it is paired over.

    Raises:
        ValueError: if there are fewer than 2 seeds that both have, or the records are of several
            settings, see `settings`.
    """
    _refuse_mixed(recorded)
    sides = [_tests(recorded, name, shift, domain) for name in (first, second)]
    seeds = sorted(set(sides[0]) & set(sides[1]))
    # Only tests that every seed of both methods has: a missing run must not tilt the means.
    having = [set(side[seed]) for side in sides for seed in seeds]
    tests = sorted(set.intersection(*having)) if having else []
    if len(seeds) < 2 or not tests:
        raise ValueError(
            f"'{first}' and '{second}' have {len(seeds)} seeds in common, expected at least 2 "
            "with the same tests; make more runs"
        )
    outcomes = [
        [
            {"/".join(test): records.correctness(side[seed][test], test[1]) for test in tests}
            for seed in seeds
        ]
        for side in sides
    ]
    known = all(right is not None for side in outcomes for row in side for right in row.values())
    if metric == "accuracy" and known and _same_images(sides, seeds, tests):
        shared = [
            "/".join(test)
            for test in tests
            if len({sides[0][seed][test]["data"][test[1]] for seed in seeds}) == 1
        ]
        return paired_bootstrap(*outcomes, shared=shared), "seeds and images"
    means = [
        [sum(side[s][t]["metrics"][t[1]][metric] for t in tests) / len(tests) for s in seeds]
        for side in sides
    ]
    return paired(*means), "seeds"


def settings(recorded: list[dict]) -> dict[str, list[dict]]:
    """Records apart by what distinguishes them besides method, seed and domains.

    Args:
        recorded: records of one grid.

    Returns:
        For each setting of the data's options, in words such as "rho = 0.8", its records; one with
        an empty name if all have the same.
    """
    options = [{k: v for k, v in r["options"].items() if k != "seed"} for r in recorded]
    varied = sorted({k for one in options for k in one if any(o.get(k) != one[k] for o in options)})
    found: dict[str, list[dict]] = {}
    for record, chosen in zip(recorded, options, strict=True):
        name = ", ".join(f"{k} = {chosen[k]}" for k in varied if k in chosen)
        found.setdefault(name, []).append(record)
    return found


def _refuse_mixed(recorded: list[dict]) -> None:
    """Refuse records that a mean over a label's runs would mix, or a pair would confuse."""
    seen = set()
    for record in recorded:
        seed = record["config"]["seed"]
        run = label(record), seed, records.trained_on(record)
        if run in seen:
            raise ValueError(
                f"two records of '{run[0]}' with seed {seed}, trained on {'+'.join(run[2])}, "
                "differ in another choice, expected one setting; compare one setting at a time, "
                "see alignbook.tables.settings"
            )
        seen.add(run)


def _tests(
    recorded: list[dict], name: str, shift: str | None, domain: str | None
) -> dict[int, dict[tuple[str, str], dict]]:
    """A label's records by seed, then by (domains trained on, domain tested on)."""
    found: dict[int, dict[tuple[str, str], dict]] = {}
    for record in recorded:
        if label(record) != name:
            continue
        trained = records.trained_on(record)
        for tested in record["metrics"]:
            where = "in" if tested in trained else "out"
            if shift in (None, where) and domain in (None, tested):
                tests = found.setdefault(record["config"]["seed"], {})
                tests["+".join(trained), tested] = record
    return found


def _same_images(sides: list[dict], seeds: list[int], tests: list[tuple[str, str]]) -> bool:
    return all(
        sides[0][seed][test]["data"][test[1]] == sides[1][seed][test]["data"][test[1]]
        for seed in seeds
        for test in tests
    )


def per_domain(
    recorded: list[dict], metric: str = "accuracy", against: str = "ERM"
) -> pd.DataFrame:
    """Each method on each test domain: mean and half of the 95 % interval over seeds.

    Args:
        recorded: records of one benchmark and protocol.
        metric: a metric's name.
        against: the label that the marks compare with.

    Returns:
        Rows labels, columns test domains (those trained on say "held out"); text cells
        `mean ± half width`, with "*" where the paired difference to `against` is above 0, "†" where
        it is below, and its 95 % interval excludes 0. Empty without records.

    Raises:
        ValueError: if the records are of several settings, see `settings`.
    """
    _refuse_mixed(recorded)
    table = runs(recorded)
    if table.empty or metric not in table:
        return pd.DataFrame()
    names = list(table["label"].drop_duplicates())
    cells: dict[str, dict[str, str]] = {}
    for (domain, shift), part in table.groupby(["domain", "shift"], sort=False):
        column = f"{domain} (held out)" if shift == "in" else domain
        for name in names:
            values = part[part["label"] == name].groupby("seed")[metric].mean().dropna()
            text = _half(values.tolist())
            if text and name != against:
                text += _mark(recorded, name, against, metric, shift=shift, domain=domain)
            cells.setdefault(column, {})[name] = text
    return _filled(pd.DataFrame(cells).reindex(names))


def comparison(
    recorded: list[dict], metric: str = "accuracy", shift: str = "out", against: str = "ERM"
) -> pd.DataFrame:
    """Each method's mean, its paired difference, that difference beside the seeds' noise, its rank.

    Args:
        recorded: records of one benchmark and protocol.
        metric: a metric's name; for ranks, larger is taken as better.
        shift: tests "in" or "out" of distribution.
        against: the label that differences are taken to.

    Returns:
        Rows labels by average rank. Columns: mean, difference (text, with its interval and the
        marks of `per_domain`), seed noise (standard deviation of the method's mean over seeds),
        effect / noise, average rank (over test domains), seeds, paired over. Empty without records.

    Raises:
        ValueError: if the records are of several settings, see `settings`.
    """
    _refuse_mixed(recorded)
    table = tested(recorded, metric, shift)
    if table.empty:
        return pd.DataFrame()
    scores = table.pivot_table(index="label", columns=["source", "domain"], values=metric)
    ranks = average_rank(scores)
    rows = {}
    for name in [*ranks.index, *scores.index.difference(ranks.index)]:
        seeds = table[table["label"] == name].groupby("seed")[metric].mean()
        row = {"seeds": len(seeds), "mean": f"{seeds.mean():.3f}"}
        noise = seeds.std() if len(seeds) > 1 else float("nan")
        if name != against and against in scores.index and len(seeds) > 1:
            row |= _effect(recorded, name, against, metric, shift, noise)
        row["seed noise"] = f"{noise:.3f}" if noise == noise else ""
        row["average rank"] = f"{ranks[name]:.1f}" if name in ranks else ""
        rows[name] = row
    # What is read first stands first: on a phone the last columns are out of sight.
    columns = ["mean", f"− {against}", "seed noise", "effect / noise", "average rank", "seeds"]
    table = pd.DataFrame.from_dict(rows, orient="index")
    return _filled(table.reindex(columns=[*columns, "paired over"]))


def differences(
    recorded: list[dict], metric: str = "accuracy", shift: str = "out", against: str = "ERM"
) -> pd.Series:
    """Each method's paired difference to another one: a column of a table.

    Args:
        recorded: records of one benchmark and protocol.
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.
        against: the label that the others are compared with.

    Returns:
        By label, from the largest difference down, text `difference [low, high]` with the marks of
        `per_domain`; "not run here" for all methods where there is nothing to compare.

    Raises:
        ValueError: if the records are of several settings, see `settings`.
    """
    _refuse_mixed(recorded)
    table = runs(recorded)
    names = [] if table.empty else [n for n in table["label"].drop_duplicates() if n != against]
    gains = {}
    for name in names:
        try:
            gains[name] = compare(recorded, name, against, metric, shift=shift)[0]
        except (ValueError, KeyError):  # too few seeds in common, or a metric that one lacks
            continue
    ordered = sorted(gains, key=lambda name: -gains[name].mean)
    cells = {name: gains[name].marked() for name in ordered}
    return pd.Series(cells or {"all methods": NOT_RUN}, dtype=object)


def _effect(
    recorded: list[dict], name: str, against: str, metric: str, shift: str, noise: float
) -> dict[str, str]:
    try:
        gain, over = compare(recorded, name, against, metric, shift=shift)
    except ValueError:  # too few seeds in common yet
        return {}
    return {
        f"− {against}": gain.marked(),
        "paired over": over,
        "effect / noise": f"{gain.mean / noise:+.1f}" if noise else "",
    }


def ours(recorded: list[dict], published: Published) -> dict[str, dict[str, str]]:
    """Our cells for a published table: the same benchmark, protocol and metric.

    Args:
        recorded: records of any kind; what does not belong is left out.
        published: the table they are to stand beside.

    Returns:
        For each of our labels and each of the table's domains `mean ± half width`, in the table's
        units.
    """
    table = runs(
        record
        for record in recorded
        if (record["benchmark"], record.get("protocol", "single-source"))
        == (published.benchmark, published.protocol)
    )
    cells: dict[str, dict[str, str]] = {}
    if table.empty or published.metric not in table:
        return cells
    table = table[table["shift"] == published.shift]
    # One domain trained on, several tested on: a column is then the one trained on.
    by_source = (published.protocol, published.shift) == ("single-source", "out")
    column = "source" if by_source else "domain"
    for (name, domain), part in table.groupby(["label", column], sort=False):
        values = 100 * part.groupby("seed")[published.metric].mean().dropna()
        cells.setdefault(name, {})[domain] = _half(values.tolist(), digits=1)
    return cells


def with_published(published: Published, recorded: list[dict]) -> pd.DataFrame:
    """A published table with our own records under it, apart; see `published.beside`.

    Args:
        published: what was reported.
        recorded: our records of any kind.
    """
    return beside(published, ours(recorded, published))


def selected(table: pd.DataFrame, choice: str, metric: str = "accuracy") -> pd.Series:
    """The level of a choice that does best in distribution; no other distribution has a say.

    Its in-distribution value is the best of several and so a little flattered; values out of
    distribution are not.

    Args:
        table: one row a run, with the columns `choice` and `<metric> in`.
        choice: the column to choose in, such as "lambda3".
        metric: a metric's name; larger is better.

    Returns:
        The means over the rows of the chosen level, named by it.
    """
    means = table.groupby(choice).mean(numeric_only=True)
    return means.loc[means[f"{metric} in"].idxmax()]


def _mark(recorded: list[dict], name: str, against: str, metric: str, **where: str) -> str:
    try:
        return compare(recorded, name, against, metric, **where)[0].mark
    except (ValueError, KeyError):  # nothing to compare with, or too few seeds
        return ""


def _filled(table: pd.DataFrame) -> pd.DataFrame:
    """Cells without a value as empty text; a column may be without any, where one seed was run."""
    return table.astype(object).fillna("")


def _half(values: list[float], digits: int = 3) -> str:
    if len(values) < 2:
        return "".join(f"{value:.{digits}f}" for value in values)
    found = interval(values)
    return f"{found.mean:.{digits}f} ± {found.high - found.mean:.{digits}f}"


def _text(value: Interval) -> str:
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"
