"""What a live cell ran, and what is recorded of the same method: the line under its table."""

from __future__ import annotations

import inspect
from pathlib import Path

from align import Config
from align.data import Domain
from align.training import Run
from alignbook import estimates, results
from alignbook.worlds.toy import load_toy


def ran(
    domain: Domain, config: Config, *, seeds: int = 1, grid: str = "toy", label: str = "ERM"
) -> str:
    """Say what a live run was trained on, and what the records say of its method.

    Args:
        domain: the images that were trained on.
        config: the run's choices.
        seeds: how many runs there were, from the configuration's seed on.
        grid: a grid of recorded runs.
        label: the method that is looked up.

    Returns:
        A sentence on the live run and one on the recorded ones.
    """
    first, last = config.seed, config.seed + seeds - 1
    which = f"seed {first}" if seeds == 1 else f"mean of seeds {first} to {last}"
    live = f"Run for this page: {_what(domain, config)}, {which}."
    return f"{live} {recorded(grid, label)}"


def network(folder: Path) -> str:
    """Say which network a page reads, and what the records say of plain training.

    Args:
        folder: where the recorded one lies; without it the page has trained its own.
    """
    if not folder.is_dir():
        return f"A network that was trained for this page. {recorded()}"
    seed = Run.load(folder).config.seed
    return f"The recorded network of seed {seed}, on pictures drawn for this page. {recorded()}"


def recorded(grid: str = "toy", label: str = "ERM") -> str:
    """Say what the records have of a method, and with which data and epochs.

    Args:
        grid: a grid of recorded runs.
        label: the method that is looked up.

    Returns:
        A sentence with the mean accuracies in and out of distribution.
    """
    runs = [one for one in results.current(grid) if results.label(one) == label]
    if not runs:
        return f"No run of {label} is recorded in the grid `{grid}`."
    table, one = results.frame(runs), runs[0]
    defaults = {k: p.default for k, p in inspect.signature(load_toy).parameters.items()}
    data = defaults | one["options"]
    found = {s: estimates.mean(results.by_seed(table, shift=s)[label]) for s in ("in", "out")}
    count = len({run["config"]["seed"] for run in runs})
    return (
        f"For comparison, the recorded runs of {label} on {one['benchmark']}, {data['n']:,} "
        f"images of {data['size']} pixels a domain, {one['config']['epochs']} epochs, "
        f"mean of {count} seeds: "
        f"accuracy {found['in'].mean:.3f} in distribution and {found['out'].mean:.3f} out of it."
    )


def spot(grid: str = "toy") -> str:
    """Say what share inside the object a map has that knows nothing but where the middle is.

    Args:
        grid: a grid of recorded runs in which the controls were measured.
    """
    inside = results.by_seed(results.recorded(grid), "control_centre_energy_inside")
    return f"A spot in the middle has {inside['ERM'].mean():.2f} of its light inside."


def _what(domain: Domain, config: Config) -> str:
    return (
        f"{len(domain):,} images of {domain.images.shape[-1]} pixels from {domain.name}, "
        f"{config.epochs} epochs"
    )
