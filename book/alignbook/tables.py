"""Tables from the frame of recorded runs: numbers in rows and columns; `show` writes them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from alignbook import estimates
from alignbook.campaign.statistics import Interval, average_rank
from alignbook.published import Published
from alignbook.results import by_seed, refuse_mixed, refuse_unknown, tested

NOTHING = Interval(math.nan, math.nan, math.nan)


def difference(found: Interval | None) -> dict[str, float]:
    """The parts of a cell for a difference, as `show` reads them.

    Args:
        found: what `estimates.compare` returns.
    """
    mean, low, high = found or NOTHING
    return {"difference": mean, "low": low, "high": high}


def differences(
    table: pd.DataFrame, metric: str = "accuracy", shift: str = "out", against: str = "ERM"
) -> pd.DataFrame:
    """Each label's paired difference to another one.

    Args:
        table: what `results.frame` returns, of one benchmark and protocol.
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.
        against: the label that the others are compared with.

    Returns:
        Rows labels, from the largest difference down, those without enough pairs last (NaN);
        columns difference, low, high. Empty where nothing can be compared.

    Raises:
        ValueError: if the rows are of several settings, see `results.settings`, or none has the
            metric.
    """
    refuse_mixed(table)
    refuse_unknown(table, metric)
    part = tested(table, metric, shift)
    names = [] if part.empty else [n for n in part["label"].drop_duplicates() if n != against]
    rows = {
        name: difference(estimates.compare(table, name, against, metric, shift=shift))
        for name in names
    }
    found = pd.DataFrame.from_dict(rows, orient="index", columns=["difference", "low", "high"])
    if found["difference"].isna().all():
        return found.iloc[:0]
    return found.sort_values("difference", ascending=False, kind="stable")


def joined(columns: Mapping[str, pd.DataFrame | pd.Series]) -> pd.DataFrame:
    """Columns of one table under their headings, as `show` reads them.

    Args:
        columns: for each heading what `differences` returns, or a series of means.
    """
    parts = {n: c.to_frame("mean") if isinstance(c, pd.Series) else c for n, c in columns.items()}
    return pd.concat(parts, axis=1)


def summary(table: pd.DataFrame, metric: str = "accuracy", against: str = "ERM") -> pd.DataFrame:
    """Each label's means in and out of distribution, and the paired differences to another one.

    Args:
        table: what `results.frame` returns, of one benchmark and protocol.
        metric: a metric's name.
        against: the label that differences are taken to.

    Returns:
        Rows labels, in the order recorded; columns (what, part), see `show`: out of distribution,
        in distribution, seeds. Empty without records.

    Raises:
        ValueError: if the rows are of several settings, see `results.settings`, or none has the
            metric.
    """
    refuse_mixed(table)
    refuse_unknown(table, metric)
    columns: dict[tuple[str, str], dict[str, float]] = {}
    counts: dict[str, float] = {}
    for shift in ("out", "in"):  # what is asked first stands first: a phone shows two columns
        seeds = by_seed(table, metric, shift)
        gains = differences(table, metric, shift, against)
        for name in seeds.index.unique("label"):
            found = estimates.mean(seeds[name], metric) or NOTHING
            counts[name] = len(seeds[name])
            for part, value in found._asdict().items():
                columns.setdefault((f"{metric} {shift}", part), {})[name] = value
        for part in gains:
            columns[f"{metric} {shift} − {against}", part] = gains[part].to_dict()
    return _table(columns | {("seeds", ""): counts} if counts else columns)


def per_domain(table: pd.DataFrame, metric: str = "accuracy", against: str = "ERM") -> pd.DataFrame:
    """Each label on each test domain: mean, 95 % interval over seeds, and what a comparison says.

    Args:
        table: what `results.frame` returns, of one benchmark and protocol.
        metric: a metric's name.
        against: the label that is compared with.

    Returns:
        Rows labels; columns (domain, part), domains trained on saying "held out", with the parts
        mean, low, high, and verdict: 1 where the paired difference to `against` is above 0 and its
        interval excludes 0, −1 where it is below, else 0. Empty without records.

    Raises:
        ValueError: if the rows are of several settings, see `results.settings`, or none has the
            metric.
    """
    refuse_mixed(table)
    refuse_unknown(table, metric)
    if table.empty:
        return pd.DataFrame()
    columns: dict[tuple[str, str], dict[str, float]] = {}
    table = table[table["shift"].isin(("in", "out"))]
    for (domain, shift), part in table.groupby(["domain", "shift"], sort=False):
        head = f"{domain} (held out)" if shift == "in" else domain
        seeds = part.groupby(["label", "seed"], sort=False)[metric].mean()
        for name in seeds.index.unique("label"):
            cell = (estimates.mean(seeds[name], metric) or NOTHING)._asdict()
            gain = None
            if name != against:
                gain = estimates.compare(table, name, against, metric, shift=shift, domain=domain)
            cell["verdict"] = (gain.low > 0) - (gain.high < 0) if gain else 0
            for key, value in cell.items():
                columns.setdefault((head, key), {})[name] = value
    return _table(columns)


def comparison(
    table: pd.DataFrame, metric: str = "accuracy", shift: str = "out", against: str = "ERM"
) -> pd.DataFrame:
    """Each label's mean, its paired difference, its spread over seeds, its rank.

    Args:
        table: what `results.frame` returns, of one benchmark and protocol.
        metric: a metric's name; for ranks, larger is taken as better.
        shift: tests "in" or "out" of distribution.
        against: the label that differences are taken to.

    Returns:
        Rows labels by average rank; columns (what, part), which are mean, − against (difference,
        low, high), spread over seeds (standard deviation of the label's mean), average rank (over
        test domains) and seeds. Empty without records.

    Raises:
        ValueError: if the rows are of several settings, see `results.settings`, or none has the
            metric.
    """
    refuse_mixed(table)
    refuse_unknown(table, metric)
    seeds = by_seed(table, metric, shift)
    if seeds.empty:
        return pd.DataFrame()
    scores = tested(table, metric, shift).pivot_table(
        index="label", columns=["source", "domain"], values=metric
    )
    ranks = average_rank(scores)
    gains = differences(table, metric, shift, against)
    noise = seeds.groupby("label").std()
    counts = seeds.groupby("label").count()
    # What is read first stands first: on a phone the last columns are out of sight.
    columns = {("mean", ""): seeds.groupby("label").mean()}
    columns |= {(f"− {against}", part): gains[part] for part in gains}
    columns |= {
        ("spread over seeds", ""): noise,
        ("average rank", ""): ranks,
        ("seeds", ""): counts,
    }
    order = [*ranks.index, *scores.index.difference(ranks.index)]
    found = _table(columns).reindex(order).dropna(axis=1, how="all").rename_axis(None)
    found.attrs["digits"] = {"average rank": 1}
    return found


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


def with_published(published: Published, table: pd.DataFrame) -> pd.DataFrame:
    """A published table with our own rows under it, apart.

    Args:
        published: what was reported.
        table: what `results.frame` returns, of any runs; those of another benchmark, protocol or
            shift are left out.

    Returns:
        Rows (who, method), who being "published [mark]" or "ours"; columns (domain, part) with the
        parts mean, low, high and, where one was reported, error, in the published table's units.
        `attrs["note"]` says in a sentence what was not run here.
    """
    who = f"published [{published.mark}]"
    cells: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for method, values in published.rows.items():
        errors = published.errors.get(method, [math.nan] * len(values))
        for column, value, error in zip(published.columns, values, errors, strict=True):
            cells.setdefault((column, "mean"), {})[who, method] = value
            cells.setdefault((column, "error"), {})[who, method] = error
    ours = _ours(published, table)
    for (name, column), found in ours.items():
        for part, value in found._asdict().items():
            cells.setdefault((column, part), {})["ours", name] = value
    rows = [(who, method) for method in published.rows]
    rows += dict.fromkeys(("ours", name) for name, _ in ours)
    result = pd.DataFrame(cells, index=pd.MultiIndex.from_tuples(rows, names=["who", "method"]))
    result = result[[c for head in published.columns for c in result.columns if c[0] == head]]
    digits = dict.fromkeys(published.columns, published.digits)
    result.attrs = {"digits": digits, "note": _not_run(published, ours)}
    return result


def _ours(published: Published, table: pd.DataFrame) -> dict[tuple[str, str], Interval]:
    """Our means for a published table's columns, in its units, by label and column."""
    if table.empty or published.metric not in table:
        return {}
    asked = (published.benchmark, published.protocol, published.shift)
    kinds = zip(table["benchmark"], table["protocol"], table["shift"], strict=True)
    part = table[[kind == asked for kind in kinds]]
    # One domain trained on, several tested on: a column is then the one trained on.
    by_source = asked[1:] == ("single-source", "out")
    found = {}
    keys = ["label", "source" if by_source else "domain"]
    for (name, column), rows in part.groupby(keys, sort=False):
        if column in published.columns:
            seeds = rows.groupby("seed")[published.metric].mean()
            if one := estimates.mean(seeds, published.metric):
                found[name, column] = Interval(*(100 * value for value in one))
    return found


def _not_run(published: Published, ours: dict[tuple[str, str], Interval]) -> str:
    """What of ours is missing, in a sentence; an empty text where nothing is."""
    make = f"`align benchmark run {published.grid}` makes them"
    if not ours:
        return f"Our own runs of this table were not made here; {make}."
    # A method that we have in one form or several ("ALIGN, energy") is not missing.
    forms = {name.partition(",")[0] for name, _ in ours}
    missing = [method for method in published.rows if method not in forms]
    return f"Not run here: {', '.join(missing)}; {make}." if missing else ""


def _table(columns: dict[tuple[str, str], object]) -> pd.DataFrame:
    """Columns by (what, part), rows in the order in which labels first appear."""
    if not columns:
        return pd.DataFrame()
    rows = dict.fromkeys(name for column in columns.values() for name in dict(column))
    return pd.DataFrame(
        {head: pd.Series(dict(column)).reindex(rows) for head, column in columns.items()}
    )
