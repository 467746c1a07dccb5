"""The recorded runs as one tidy frame, from which every table and every figure is drawn."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from align import records
from alignbook.campaign import same_data
from alignbook.campaign.grid import experiments, records_file
from alignbook.plotting import METHODS

FORMS = {
    **{"energy": "energy", "bce": "BCE", "l1": "L1", "rrr": "input gradient"},
    **{"swap": "swap", "swap+energy": "swap and energy"},
}
SOURCES = {
    "": "true masks",
    "boxes": "human boxes",
    "gray": "brightness as masks",
    "centre": "centre as masks",
    "random": "random masks",
    "another": "another picture's masks",
    "grabcut": "GrabCut's masks",
    "segmenter": "a segmenter's masks",
    "sam": "SAM's masks",
}
TEST = ["label", "seed", "source", "domain"]
"""What tells a row of the frame from every other, in one setting."""


def label(record: dict) -> str:
    """The name under which a run stands in tables: its method, and where it differs, its form.

    Args:
        record: a record, or an experiment's `description()`.
    """
    config = record["config"]
    if config["method"] == "guided":
        source = SOURCES[_masks(record)]
        if area := record.get("mask_area"):
            what = "one disc" if record["mask_source"] == "centre" else source
            source = f"{what} of {area:.0%}"
        shares = {name: record.get(name, 0) for name in ("missed", "leaked")}
        spoilt = "".join(f", {share:.0%} {name}" for name, share in shares.items() if share)
        at_once = ", at once" if config["warmup"] == 0 else ""
        return f"{source}{spoilt}, {FORMS[config['alignment']]}{at_once}"
    if config["method"] != "align":
        # Where classes are drawn alike all methods do so: only ERM stands in both ways.
        alike = ", balanced" if config["method"] == "erm" and config.get("balanced") else ""
        return METHODS[config["method"]].label + alike
    if config["alignment"] == "bce" and config["distinction"] == "probability":
        return "ALIGN, the paper's terms"
    return f"ALIGN, {FORMS[config['alignment']]}{_variant(record)}"


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
    chosen = [found[one.key()] for one in experiments(grid) if one.key() in found]
    same_data.check_same_data(chosen)
    return chosen


def recorded(*grids: str) -> pd.DataFrame:
    """The tidy frame of what is recorded of some grids.

    Args:
        grids: their names.

    Returns:
        What `frame` returns.
    """
    return frame([record for grid in grids for record in current(grid)])


def made_again(*grids: str) -> list[dict]:
    """The records of runs of some grids that were made a second time, on another machine.

    Args:
        grids: their names.

    Returns:
        In the order of the files in `results/again/`; `frame` makes rows of them.
    """
    files = (records_file(grid) for grid in grids)
    return [one for path in files for one in records.read(path.parent / "again" / path.name)]


def complete(*grids: str) -> bool:
    """Whether every run of some grids is recorded.

    Args:
        grids: their names.
    """
    return all(len(current(grid)) == len(experiments(grid)) for grid in grids)


def say_incomplete(*grids: str) -> None:
    """Print how much of a grid is recorded, for each of some that isn't complete.

    Args:
        grids: their names.
    """
    for grid in grids:
        if not complete(grid):
            print(f"{grid}: {len(current(grid))} of {len(experiments(grid))} runs recorded")


def frame(recorded: Iterable[dict]) -> pd.DataFrame:
    """Records as one tidy frame: one row a run and test domain.

    Args:
        recorded: records.

    Returns:
        Columns label, method, seed, key, form (of the alignment), weight (λ3), masks (given to
        guidance), missed, leaked, benchmark, protocol, source (domains trained on, joined by "+"),
        domain (tested on), shift ("in" or "out" of the domains trained on, or "people" where the
        domain is a set of photographs with masks drawn by people), setting (what else the records
        differ in, in words such as "rho = 0.8"), each of the data's options that is one
        number, seconds, images (a fingerprint of the test images), correct (which of them were
        classified rightly, as `records.unpack` reads it) and each metric: numbers, curves as
        lists, and the accuracy of each group under the group's name. Empty, without columns,
        where there are no records.
    """
    chosen = list(recorded)
    options = [{k: v for k, v in record["options"].items() if k != "seed"} for record in chosen]
    varied = sorted({k for one in options for k in one if any(o.get(k) != one[k] for o in options)})
    rows = []
    for record, mine in zip(chosen, options, strict=True):
        run = _run(record) | {k: v for k, v in mine.items() if _is_number(v)}
        run["setting"] = ", ".join(f"{k} = {mine[k]}" for k in varied if k in mine)
        tests = [(name, _shift(record, name), found) for name, found in record["metrics"].items()]
        tests += [(name, "people", found) for name, found in (record.get("human") or {}).items()]
        for domain, shift, found in tests:
            about = {
                "domain": domain,
                "shift": shift,
                "images": record["data"].get(domain, ""),
                "correct": record.get("correct", {}).get(domain, ""),
            }
            kept = {k: v for k, v in found.items() if _is_number(v) or isinstance(v, list)}
            kept |= found.get("accuracy_per_group", {})
            rows.append(run | about | kept)
    return pd.DataFrame(rows)


def tested(table: pd.DataFrame, metric: str, shift: str) -> pd.DataFrame:
    """The rows that have a metric and are of one kind of test.

    Args:
        table: what `frame` returns.
        metric: a metric's name.
        shift: "in" or "out" of distribution, or "people".
    """
    if table.empty or metric not in table:
        return pd.DataFrame()
    return table[(table["shift"] == shift) & table[metric].notna()]


def by_seed(table: pd.DataFrame, metric: str = "accuracy", shift: str = "out") -> pd.Series:
    """A metric's mean over the tests of each label and seed.

    Args:
        table: what `frame` returns.
        metric: a metric's name.
        shift: tests "in" or "out" of distribution.

    Returns:
        Indexed by label and seed, labels in the frame's order.
    """
    part = tested(table, metric, shift)
    if part.empty:
        levels = pd.MultiIndex.from_arrays([[], []], names=["label", "seed"])
        return pd.Series(index=levels, dtype=float, name=metric)
    return part.groupby(["label", "seed"], sort=False)[metric].mean()


def settings(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A frame taken apart by what distinguishes its runs besides method, seed and domains.

    Args:
        table: what `frame` returns.

    Returns:
        For each setting in words its rows; one with an empty name if all have the same.
    """
    return {} if table.empty else dict(list(table.groupby("setting", sort=False)))


def refuse_unknown(table: pd.DataFrame, metric: str) -> None:
    """Refuse a metric that no row has.

    Args:
        table: what `frame` returns; without rows there is nothing to refuse.
        metric: a metric's name.

    Raises:
        ValueError: if there are rows, and none has the metric.
    """
    if len(table) and (metric not in table or table[metric].isna().all()):
        raise ValueError(
            f"no record here has a metric '{metric}', expected one that they have, such as accuracy"
        )


def refuse_mixed(table: pd.DataFrame) -> None:
    """Refuse rows that a mean over a label's runs would mix, or a pair would confuse.

    Args:
        table: what `frame` returns.

    Raises:
        ValueError: if two runs of a label and seed are tested on the same domain.
    """
    if table.empty or not (twice := table.duplicated(TEST)).any():
        return
    name, seed, source, _ = table.loc[twice, TEST].iloc[0]
    raise ValueError(
        f"two records of '{name}' with seed {seed}, trained on {source}, differ in another "
        "choice, expected one setting; compare one setting at a time, see "
        "alignbook.results.settings"
    )


def _run(record: dict) -> dict[str, object]:
    """What the rows of a run share."""
    config = record["config"]
    return {
        "label": label(record),
        "method": config["method"],
        "seed": config["seed"],
        "key": record["key"],
        "form": FORMS.get(config.get("alignment", ""), ""),
        "weight": config.get("lambda3", float("nan")),
        "masks": _masks(record) if config["method"] == "guided" else "",
        "missed": record.get("missed", 0.0),
        "leaked": record.get("leaked", 0.0),
        "benchmark": record["benchmark"],
        "protocol": record.get("protocol", "single-source"),
        "source": "+".join(records.trained_on(record)),
        "seconds": record["seconds"],
    }


STARTS = {"birds": "objectness of birds"}
"""What a masker's start is called in a label, where it isn't its own name."""


def _variant(record: dict) -> str:
    """What a run of ALIGN's second version has chosen, and its rounds if there are several."""
    config = record["config"]
    parts = _second_version(record)
    if "rounds" in config:
        parts.append(f"{config['rounds']} rounds")
    return "".join(f", {part}" for part in parts)


def _second_version(record: dict) -> list[str]:
    """What stands behind, the loss, the start; nothing where the masker begins as the paper's."""
    config, parts = record["config"], []
    if not {"masker_reads", "looked_at_masks", "judge_epochs"} & config.keys():
        return parts
    whole = "masker_reads" in config and "swap_background" not in config
    if config["alignment"].startswith("swap") and whole:
        parts.append("whole backgrounds")
    if "mask_level" in config:
        parts.append(f"cut at {config['mask_level']:g}")
    if "swap_loss" in config:
        parts.append(config["swap_loss"])
    parts.append(_taught(record))
    if config["target"] != "hard":
        parts.append(f"{config['target']} masks")
    if "swap_weight" in config:
        parts.append(f"swap weight {config['swap_weight']:g}")
    return parts


def _taught(record: dict) -> str:
    """What a masker had learned before training, and whether it learns on."""
    config, lessons = record["config"], []
    if "masker_start" in config:
        lessons.append(STARTS.get(config["masker_start"], config["masker_start"]))
    if count := config.get("looked_at_masks"):
        source = _masks(record)
        known = {"": "looked-at masks", "centre": "discs"}
        lessons.append(f"{count} {known.get(source) or 'of ' + SOURCES.get(source, source)}")
    if "judge_epochs" in config:
        lessons.append("a frozen judge")
    if not lessons:
        own = " on its own maps" if config["masker_reads"] == "classifier" else ""
        return f"masks from nothing{own}"
    later = "held, then refined" if "hold" in config else "refined"
    return f"{' and '.join(lessons)} {'held' if config['masker_lr'] == 0 else later}"


def _shift(record: dict, domain: str) -> str:
    return "in" if domain in records.trained_on(record) else "out"


def _masks(record: dict) -> str:
    """Whose masks guidance was given, a key of `SOURCES`."""
    given = record.get("options", {}).get("masks")
    known = {None: "", "boxes": "boxes"}.get(given, "segmenter")
    return record.get("mask_source", "") or known


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
