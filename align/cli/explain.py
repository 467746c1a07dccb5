"""`align explain`: pictures from the disk to numbers and figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tqdm.auto import tqdm

from align.explanation import Explanation, draw, explain, pictures, pretrained, read
from align.networks.classifier import Classifier
from align.training import Run

FIGURES = (".png", ".svg", ".pdf")
MOST = 100
"""Pictures in one figure: a row each."""


def explain_files(
    paths: list[str],
    run: Path | None,
    backbone: str | None,
    weights: str,
    size: int | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Explain each picture that is named; returns how many could not be read."""
    model, classes, side = _model(run, backbone, weights, size)
    files = pictures(paths)
    done: list[tuple[Path, Explanation]] = []
    broken = 0
    for path, image in tqdm(read(files, side), total=len(files), unit="picture", disable=None):
        if isinstance(image, str):
            broken += 1
            print(f"align: '{path}' cannot be read: {image}", file=sys.stderr)
            continue
        found = explain(model, image[None], classes=classes)
        done.append((path, found))
        if not as_json:
            print(f"{path}: {_sentence(found)}")
    if as_json:
        print(json.dumps([{"file": path.as_posix()} | found.row(0) for path, found in done]))
    if out is not None and done:
        _draw(done, out)
    return broken


def _model(
    run: Path | None, backbone: str | None, weights: str, size: int | None
) -> tuple[Run | Classifier, tuple[str, ...] | None, int]:
    if backbone is not None:
        if run is not None:
            raise ValueError("--run and --backbone are both given, expected one of them")
        model, classes = pretrained(backbone, weights)
        return model, classes, size or 224
    trained = Run.load(run or Path("runs/latest"))
    if trained.contract is None:
        raise ValueError(f"the run in '{run}' does not say what it was trained on; train it anew")
    return trained, None, size or trained.contract.size[0]


def _sentence(found: Explanation) -> str:
    row = found.row(0)
    words = f"{row['predicted']} ({found.probabilities.max():.0%})"
    if found.masks is None:
        return words
    return (
        f"{words}; {row['evidence_inside']:.0%} of the evidence inside the mask; "
        f"{row['kept']:.0%} when it is kept, {row['removed']:.0%} when it is removed"
    )


def _draw(done: list[tuple[Path, Explanation]], out: Path) -> None:
    if out.suffix.lower() in FIGURES:
        if len(done) > MOST:
            raise ValueError(
                f"--out is one figure, '{out}', for {len(done)} pictures, expected at most {MOST}; "
                "name a folder, which gets a figure a picture, or explain fewer"
            )
        out.parent.mkdir(parents=True, exist_ok=True)
        _joined([found for _, found in done], [path.name for path, _ in done], out)
        return
    if out.suffix:
        raise ValueError(f"--out is '{out}', expected a folder, or a file of {', '.join(FIGURES)}")
    out.mkdir(parents=True, exist_ok=True)
    for path, found in done:
        name, number = path.stem, 1
        while (out / f"{name}.png").exists() and number < 10**4:
            number += 1
            name = f"{path.stem}-{number}"
        draw(found, [path.name]).savefig(out / f"{name}.png", dpi=120)


def _joined(parts: list[Explanation], names: list[str], out: Path) -> None:
    def together(name: str) -> torch.Tensor | None:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else torch.cat(values)

    fields = ("images", "probabilities", "predicted", "maps", "masks")
    fields += ("evidence_inside", "kept", "removed")
    whole = Explanation(parts[0].classes, **{name: together(name) for name in fields})
    draw(whole, names).savefig(out, dpi=120)
