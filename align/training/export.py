"""A trained classifier as one file that runs without this library."""

from __future__ import annotations

import copy
import io
import json
import warnings
from pathlib import Path

import torch

from align.checks import check_kind
from align.files import replacing
from align.training import Run


def export(run: Run, path: str | Path) -> Path:
    """Write a run's classifier as a `torch.export` program.

    `torch.export.load(path).module()` gives it back where only torch is installed. It takes float32
    `(N, 3, H, W)` in [0, 1] of the size trained on, for any N, and returns logits `(N, C)`; the
    normalisation is inside. `torch.export.load(path, extra_files={"classes.json": ""})` also
    fills in the class names.

    Args:
        run: a trained run.
        path: the file, customarily `.pt2`; replaced whole or not at all.

    Returns:
        The path.

    Raises:
        ValueError: if it is no run, or one that does not know its image size.
    """
    check_kind("run", run, Run, "a Run, such as align.Run.load(folder) gives")
    if run.contract is None:
        raise ValueError("the run knows no image size; train it with align.train, which notes it")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    classifier = copy.deepcopy(run.classifier).cpu().eval()
    example = torch.zeros(2, 3, *run.contract.size)
    with torch.no_grad():
        program = torch.export.export(
            classifier, (example,), dynamic_shapes=({0: torch.export.Dim("N")},)
        )
    packed = io.BytesIO()
    notes = {"classes.json": json.dumps(run.contract.classes)}
    with warnings.catch_warnings():
        # torch warns of weights that share storage on a GPU; these are on the CPU.
        warnings.filterwarnings("ignore", "No complete tensor found")
        torch.export.save(program, packed, extra_files=notes)
    with replacing(path) as (partial,):
        partial.write_bytes(packed.getvalue())
    return path
