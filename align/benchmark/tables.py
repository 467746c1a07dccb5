"""Tables from records: means over seeds with intervals, and paired differences to ERM."""

from __future__ import annotations

import pandas as pd

from align.benchmark import records
from align.benchmark.grid import records_file
from align.benchmark.statistics import Interval, interval, paired


def label(row: dict | pd.Series) -> str:
    """The name under which a run stands in tables: its method, and where it differs, its form."""
    if row["method"] == "erm":
        return "ERM"
    forms = {"energy": "energy", "bce": "BCE", "l1": "L1"}
    if row["method"] == "guided":
        return f"true masks, {forms[row['alignment']]}"
    if row["alignment"] == "bce" and row["distinction"] == "probability":
        return "ALIGN, the paper's terms"
    return f"ALIGN, {forms[row['alignment']]}"


def by_seed(grid: str) -> pd.DataFrame:
    """One row a run: its label and seed, and each metric in distribution and out of it.

    Args:
        grid: a grid's name.

    Returns:
        Columns: label, seed, seconds, and `<metric> in` / `<metric> out`; the latter is the mean
        over the domains not trained on.

    Raises:
        FileNotFoundError: if nothing is recorded.
    """
    path = records_file(grid)
    recorded = records.read(path)
    if not recorded:
        raise FileNotFoundError(
            f"no records in '{path}'; make them with `align benchmark run {grid}`"
        )
    rows = []
    for record in recorded:
        row = {"label": label(record["config"]), "seed": record["config"]["seed"]}
        row["seconds"] = record["seconds"]
        numbers = {
            name: {k: v for k, v in metrics.items() if isinstance(v, int | float)}
            for name, metrics in record["metrics"].items()
        }
        inside = numbers.pop(record["source"])
        row |= {f"{name} in": value for name, value in inside.items()}
        outside = pd.DataFrame(numbers).mean(axis=1) if numbers else pd.Series(dtype=float)
        row |= {f"{name} out": value for name, value in outside.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def difference(table: pd.DataFrame, first: str, second: str, metric: str) -> Interval:
    """Paired 95 % interval of a metric's difference between two labels, over their common seeds.

    Args:
        table: what `by_seed` returns.
        first: a label.
        second: the label it is compared with.
        metric: a column, such as "accuracy out".

    Returns:
        Mean and interval of `first − second`.
    """
    wide = table.pivot(index="seed", columns="label", values=metric)[[first, second]].dropna()
    return paired(wide[first].tolist(), wide[second].tolist())


def summary(grid: str, metrics: tuple[str, ...] = ("accuracy in", "accuracy out")) -> pd.DataFrame:
    """Means over seeds with 95 % intervals, and the paired difference to ERM.

    Args:
        grid: a grid's name.
        metrics: columns of `by_seed`.

    Returns:
        One row a label, in the order recorded; text cells `mean [low, high]`, a difference marked
        "*" where its interval excludes 0.
    """
    table = by_seed(grid)
    rows = {}
    for name in table["label"].drop_duplicates():
        part = table[table["label"] == name]
        cells: dict[str, object] = {"runs": len(part)}
        for metric in metrics:
            if len(part) < 2:
                cells[metric] = f"{part[metric].iloc[0]:.3f}"
                continue
            cells[metric] = _text(interval(part[metric].tolist()))
            if name != "ERM":
                gain = difference(table, name, "ERM", metric)
                cells[f"{metric} − ERM"] = _text(gain) + ("*" if gain.excludes_zero else "")
        rows[name] = cells
    return pd.DataFrame.from_dict(rows, orient="index").fillna("")


def _text(value: Interval) -> str:
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"
