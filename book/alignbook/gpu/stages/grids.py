"""Stage 4: the grids of real photographs, where their data are found; cheap and telling first."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from align.config import Config
from align.experiment import Experiment
from alignbook import timing
from alignbook.campaign.grid import experiments
from alignbook.campaign.runner import describe
from alignbook.getting.download import DownloadError
from alignbook.gpu.device import Device
from alignbook.gpu.plan import Unit
from alignbook.gpu.report import Report
from alignbook.gpu.sizes import Sizes
from alignbook.gpu.stages.training import trainer

GRIDS = ("vlcs", "terra", "pacs-methods")
"""The grids of the paper's data, and one that most readers have."""

FIRST = ("erm", "align", "guided")
"""Methods whose comparison tells most, and so comes first."""


def units(
    device: Device, sizes: Sizes, report: Report, root: Path | None, work: Path
) -> list[Unit]:
    """One unit a run of each grid whose data are there.

    Args:
        device: the device.
        sizes: its sizes.
        report: where records go.
        root: folder with the data; None takes `$ALIGN_DATA`.
        work: folder for checkpoints.
    """
    if device.is_rehearsal:
        # Real data would take too long; a tiny tree of pictures goes the same way.
        return [_unit("rehearsal", one, device, report, tree(work), work) for one in rehearsed()]
    return [
        _unit(grid, one, device, report, root, work)
        for grid in GRIDS
        if _is_there(grid, root)
        for one in in_order(experiments(grid))
    ]


def in_order(wanted: list[Experiment]) -> list[Experiment]:
    """Cheap informative runs first: a seed's ERM and ALIGN before other methods and seeds."""

    def value(experiment: Experiment) -> tuple[int, int]:
        method = experiment.config.method
        place = FIRST.index(method) if method in FIRST else len(FIRST)
        return experiment.config.seed, place

    return sorted(wanted, key=value)


def _unit(
    grid: str,
    experiment: Experiment,
    device: Device,
    report: Report,
    root: Path | None,
    work: Path,
) -> Unit:
    seed = experiment.config.seed
    return Unit(
        "grids",
        f"{grid}-{experiment.key()}",
        rank=6 + 2 * seed + (experiment.config.method not in FIRST),
        seconds=120.0,
        what=f"{grid}: {describe(experiment)}",
        work=trainer(experiment, device.torch, report, root, work),
    )


def _is_there(grid: str, root: Path | None) -> bool:
    """Whether a grid's data can be found; nothing is decoded."""
    try:
        experiments(grid)[0].data(root)
    except (FileNotFoundError, DownloadError, ValueError):
        return False
    return True


def rehearsed() -> list[Experiment]:
    """Two runs on a tiny tree of pictures."""
    recipe = {"batch_size": 8, "epochs": 2, "warmup": 1, "head_start": 0}
    return [
        Experiment(
            "folder",
            "first",
            Config(method=method, **recipe),
            {"size": 32, "progress": False},
            explained=2,
        )
        for method in ("erm", "align")
    ]


def tree(work: Path) -> Path:
    """A folder of toy pictures, two domains of three classes, as a reader's own might be."""
    folder = work / "tree"
    if folder.is_dir():
        return folder
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as made:
        whole, domain = Path(made) / "tree", timing.images(32, 60)
        for index, (image, label) in enumerate(zip(domain.images, domain.labels, strict=True)):
            part = whole / ("first" if index % 2 else "second") / domain.classes[int(label) % 3]
            part.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(part / f"{index}.png")
        whole.rename(folder)
    return folder
