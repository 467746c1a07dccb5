"""What the reports say, as tables: one column a device, and a page for each."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from align.records import RESULTS
from alignbook.gpu.anchors import (
    COUNT,
    DATA,
    ERM_RESNET18,
    ERM_RESNET50,
    GOALS,
    LOOP,
    METRICS,
    RATE,
)
from alignbook.gpu.folder import read

FOLDER = RESULTS / "gpu"
"""One folder a device."""

NOT_RUN = "Not run here: no folder of a device stands in `results/gpu/` yet."

Units = dict[str, dict]


def reports(folder: Path = FOLDER) -> dict[str, dict]:
    """The reports of all devices by name; rehearsals are no devices.

    Args:
        folder: one folder a device.
    """
    found = {}
    for part in sorted(folder.glob("*/")):
        content = read(part)
        if content is not None and content["device"]["kind"] != "cpu":
            found[content["device"]["name"]] = content
    return found


def devices(folder: Path = FOLDER) -> pd.DataFrame | str:
    """One column a device and one row a number, or a sentence where there is no device.

    Args:
        folder: one folder a device.
    """
    columns = {name: column(content) for name, content in reports(folder).items()}
    return pd.DataFrame(columns).fillna("–") if columns else NOT_RUN


def column(content: dict) -> dict[str, str]:
    """A device's numbers by row, as texts; rows that were not measured are left out."""
    units = {
        key: unit["result"] for key, unit in content["units"].items() if unit["state"] == "done"
    }
    rows = {
        "memory, GiB": content["device"].get("memory"),
        "torch": content["device"]["torch"],
        "checks that hold": _checks(units),
    }
    for name, value in numbers(content).items():
        rows[name] = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    rows |= _accuracies(units)
    rows["minutes of all sessions"] = sum(s["seconds"] for s in content["sessions"]) / 60
    rows["code"] = ", ".join(dict.fromkeys(s["revision"] for s in content["sessions"]))
    texts = {n: f"{v:.1f}" if isinstance(v, float) else str(v) for n, v in rows.items() if v}
    return texts


def numbers(content: dict) -> dict[str, float]:
    """A device's measured speeds by row."""
    done = {k: u["result"] for k, u in content["units"].items() if u["state"] == "done"}
    readers: dict[str, Callable[[Units], float]] = {
        RATE: lambda u: u["speed/rates-resnet50"]["erm"],
        "ALIGN, ResNet-50, 224 px, images/s": lambda u: u["speed/rates-resnet50"]["align"],
        "ERM, ResNet-18, 224 px, images/s": lambda u: u["speed/rates-resnet18"]["erm"],
        "batch size of these, ResNet-50": lambda u: u["speed/rates-resnet50"]["batch"],
        "ALIGN's step over ERM's, ResNet-50": lambda u: _align(u)["ratio to erm"],
        COUNT: lambda u: _align(u)["ratio to erm"] / _align(u)["with its own parts"],
        LOOP: lambda u: min(u["speed/loop-resnet50"][name] for name in ("erm", "align")),
        DATA: lambda u: u["speed/loop-resnet50"]["data"] / u["speed/rates-resnet50"]["erm"],
        METRICS: lambda u: min(
            row["of pure inference"] for row in u["speed/metrics-resnet50"]["rows"].values()
        ),
        "a DataLoader's time over ours": lambda u: u["speed/peers-resnet50"]["jpeg"],
        "captum's map, its step over ours": lambda u: u["speed/peers-resnet50"]["captum"],
        "ERM's gain by torch.compile": lambda u: _options(u)["erm"]["compiled"],
        "ALIGN's gain by torch.compile": lambda u: _options(u)["align"]["compiled"],
        "ERM's gain by cuDNN's search": lambda u: _options(u)["erm"]["search"],
    }
    found = {}
    for name, reader in readers.items():
        try:
            value = reader(done)
        except KeyError:
            continue
        if value is not None:
            found[name] = float(value)
    return found


def _align(units: Units) -> dict:
    return units["speed/steps-resnet50"]["rows"]["align"]


def _options(units: Units) -> dict:
    return units["speed/options-resnet50"]["rows"]


def _checks(units: Units) -> str:
    held = [result["holds"] for key, result in units.items() if key.startswith("checks/")]
    return f"{sum(held)} of {len(held)}" if held else ""


def _accuracies(units: Units) -> dict[str, str]:
    """Accuracy elsewhere, in the worst group and in the mean of groups, mean over seeds."""
    found: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for key, result in units.items():
        if key.startswith(("training/", "grids/")):
            for metric in ("out", "worst group", "mean of groups"):
                if metric in result:
                    name = (result["benchmark"], result["form"], metric)
                    settings = found.setdefault(name, {})
                    settings.setdefault(result["setting"], []).append(result[metric])
    rows = {}
    for (benchmark, form, metric), settings in found.items():
        for setting, values in settings.items():
            # Two settings of one form are two rows: their mean would be nobody's.
            which = f" [{setting}]" if len(settings) > 1 else ""
            runs = f"{len(values)} {'run' if len(values) == 1 else 'runs'}"
            name = f"{benchmark}, {form}{which}, accuracy {metric}"
            rows[name] = f"{statistics.mean(values):.3f} ({runs})"
    return rows


def goals(content: dict) -> list[str]:
    """A sentence for each goal: reached, not reached, or not measured."""
    measured, name = numbers(content), content["device"]["name"]
    lines = []
    for goal in GOALS:
        value = measured.get(goal.row)
        if goal.only and goal.only not in name:
            continue
        verdict = (
            "not measured"
            if value is None
            else f"{'reached' if goal.met(value) else 'not reached'}, {value:,.2f}"
        )
        lines.append(f"{goal.text}: {verdict}")
    return lines


def page(content: dict) -> str:
    """A report as Markdown: what the device is, what holds, how fast, what was learnt, what not."""
    device = content["device"]
    lines = [f"# {device['name']}", ""]
    if device["kind"] == "cpu":
        lines += [
            "A rehearsal in tiny sizes: every line was run, and no number means anything.",
            "",
        ]
    lines += ["| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in column(content).items()]
    lines += ["", "## Goals", "", *(f"- {line}" for line in goals(content))]
    lines += ["", "## Beside published rates", "", *_published(content)]
    lines += ["", "## Units", "", "| unit | state | seconds | |", "|---|---|---|---|"]
    for key, unit in content["units"].items():
        said = _line(unit).replace("|", "/")
        lines.append(f"| {key} | {unit['state']} | {unit['seconds']:.1f} | {said} |")
    return "\n".join(lines) + "\n"


def _published(content: dict) -> list[str]:
    """Others' rates of plain training, and this device's as a multiple of each."""
    done = {k: u["result"] for k, u in content["units"].items() if u["state"] == "done"}
    lines = []
    for backbone, rates in (("resnet50", ERM_RESNET50), ("resnet18", ERM_RESNET18)):
        ours = done.get(f"speed/rates-{backbone}", {}).get("erm")
        for where, rate in rates:
            beside = "" if ours is None else f"; here {ours:,.0f}, {ours / rate:.2f} times it"
            lines.append(f"- {where}: {rate:,.0f} images/s{beside}")
    return lines


def _line(unit: dict) -> str:
    if unit["state"] != "done":
        return unit["reason"]
    result = unit["result"]
    if "limit" in result:
        value = "not a number" if result["value"] is None else f"{result['value']:.3g}"
        held = "" if result["holds"] else ", **does not hold**"
        return f"{result['what']}: {value}, at most {result['limit']:g}{held}"
    if isinstance(result.get("erm"), list):
        return "; ".join(
            f"{name}: " + ", ".join(f"{cost['name']} {cost['share']:.0%}" for cost in costs)
            for name, costs in result.items()
        )
    flat = {k: v for k, v in result.items() if isinstance(v, int | float) and k != "seed"}
    told = [f"{name} {value:.4g}" for name, value in flat.items()]
    rows = result.get("rows")
    if isinstance(rows, dict):
        told += [f"{name}: {_row(row)}" for name, row in rows.items()]
    return "; ".join([", ".join(told[: len(flat)]), *told[len(flat) :]]).removeprefix("; ")


def _row(row: dict[str, float]) -> str:
    """What was measured of one method or metric, and of compiling whether it pays."""
    said = ", ".join(f"{name} {value:.3g}" for name, value in row.items())
    if "compiled" not in row:
        return said
    gain = row["compiled"]
    return f"{said} times as fast as the default: {'compiled' if gain > 1 else 'eager'} is faster"
