"""Freely licensed photographs, and the maps that an ImageNet network was found to have on them."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torchvision.models import MobileNet_V2_Weights

import align
from align.networks.weights import read_tensors
from align.saliency import contrastive_evidence
from alignbook import overlays, plotting

FOLDER = Path(__file__).parent
MAPS = FOLDER / "maps.json"
NAMES: list[str] = MobileNet_V2_Weights.IMAGENET1K_V2.meta["categories"]
GRID = 7
"""Boxes are given in so many parts of a picture's side."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph, what is known of it, and what the network made of it.

    Args:
        name: its file's stem.
        shows: what it shows, in words.
        classes: the ImageNet classes that name this; empty where there is none.
        boxes: where it is: left, top, right, bottom in `GRID` parts of the side.
        author: who made it.
        licence: "public domain" or "CC0 1.0".
        source: the address of the original.
        through: the package that passed it on.
        answer: the class that the network answers.
        probability: the answer's probability, in [0, 1].
        evidence: `(h, w)`, what each cell adds to the answer's margin over the mean of the others.
    """

    name: str
    shows: str
    classes: tuple[str, ...]
    boxes: tuple[tuple[float, ...], ...]
    author: str
    licence: str
    source: str
    through: str
    answer: str = ""
    probability: float = float("nan")
    evidence: NDArray[np.float64] | None = None

    def pixels(self) -> NDArray[np.uint8]:
        """The picture, uint8 `(H, W, 3)`."""
        with Image.open(FOLDER / f"{self.name}.jpg") as image:
            return np.asarray(image.convert("RGB"))

    def inside(self, height: int, width: int) -> NDArray[np.float64]:
        """The share of each cell of an `(height, width)` grid that the boxes cover, in [0, 1]."""
        fine = 10 * GRID  # boxes are given to a tenth of a cell
        mask = np.zeros((fine, fine))
        for box in self.boxes:
            left, top, right, bottom = (round(10 * edge) for edge in box)
            mask[top:bottom, left:right] = 1
        image = Image.fromarray(mask.astype(np.float32)).resize(
            (width, height), Image.Resampling.BOX
        )
        return np.asarray(image, dtype=np.float64)

    def share(self) -> float:
        """The share of the size of the evidence that lies in the boxes, in [0, 1]."""
        size = np.abs(self.evidence)
        return float((size * self.inside(*size.shape)).sum() / size.sum())

    def area(self) -> float:
        """The boxes' share of the picture: what a map that knows nothing has inside."""
        return float(self.inside(10 * GRID, 10 * GRID).mean())

    def verdict(self) -> str:
        """Whether the answer is right: "right", "wrong", or "no such class"."""
        if not self.classes:
            return "no such class"
        return "right" if self.answer in self.classes else "wrong"


def photographs() -> list[Photograph]:
    """All photographs of the gallery, in their order in SOURCES.toml, with their stored maps."""
    sources = tomllib.loads((FOLDER / "SOURCES.toml").read_text(encoding="utf-8"))
    known = json.loads(MAPS.read_text(encoding="utf-8")) if MAPS.is_file() else {}
    found = []
    for name, said in sources.items():
        one = Photograph(
            name,
            classes=tuple(said.pop("classes")),
            boxes=tuple(map(tuple, said.pop("boxes"))),
            **said,
        )
        if name in known:
            stored = known[name]
            one = replace(one, **stored | {"evidence": np.array(stored["evidence"])})
        found.append(one)
    return found


def imagenet(weights: str | Path) -> align.Classifier:
    """MobileNetV2 with all its layers, the last one too, as trained on ImageNet.

    Args:
        weights: a `.safetensors` file in torchvision's layout.

    Raises:
        ValueError: if the file has no last layer.
    """
    network = align.Classifier("mobilenet_v2", len(NAMES), weights=weights)
    tensors = read_tensors(Path(weights), "a file in torchvision's layout")
    if "classifier.1.weight" not in tensors:
        raise ValueError(f"'{weights}' holds no last layer, expected a file with 'classifier.1'")
    head = {part: tensors[f"classifier.1.{part}"] for part in ("weight", "bias")}
    network.linear.load_state_dict(head)
    return network.eval()


def look(network: align.Classifier, photograph: Photograph) -> Photograph:
    """A photograph with what a network makes of it now.

    Args:
        network: what `imagenet` returns.
        photograph: a photograph.

    Returns:
        The photograph with answer, probability and evidence.
    """
    image = torch.from_numpy(photograph.pixels().copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        features = network.features(image)
        shares = network.head(features).softmax(1)[0]
        best = shares.argmax()[None]
        over = contrastive_evidence(features, network.linear.weight, best)[0]
        evidence = over.sum(0) / (len(over) - 1)
    return replace(
        photograph,
        answer=NAMES[int(best)],
        probability=float(shares[best]),
        evidence=evidence.double().numpy(),
    )


@dataclass(frozen=True)
class Sheet:
    """A figure of photographs, and what it shows in words.

    Args:
        figure: the figure.
        alt: its text alternative.
    """

    figure: Figure
    alt: str

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        """What a notebook shows: a picture of 256 colours, a quarter as heavy as with all."""
        whole, light = BytesIO(), BytesIO()
        self.figure.savefig(whole, format="png", dpi=100)
        image = Image.open(whole).convert("RGB")
        image.quantize(256, dither=Image.Dither.NONE).save(light, format="png", optimize=True)
        return light.getvalue(), {"alt": self.alt}


def draw(chosen: list[Photograph], *, columns: int = 3, width: float = 4.8) -> Sheet:
    """Each photograph and, under it, the same with its map, the boxes outlined.

    Args:
        chosen: photographs with their maps.
        columns: pairs a row.
        width: the figure's width in inches.

    Returns:
        What a notebook shows, with a text alternative that says what each pair holds.
    """
    fig, axes = _strips(2, len(chosen), columns, width, title=0.275)
    for (above, below), one in zip(axes, chosen, strict=True):
        above.imshow(one.pixels())
        above.set_title(one.shows.removeprefix("a ").removeprefix("an "), fontsize=9, pad=3)
        _map_over(below, one)
        _outline(below, one)
        below.set_title(f"{one.answer}, {one.probability:.0%}", fontsize=9, pad=3)
    words = (
        f"{one.shows}, called {one.answer} ({one.probability:.2f}), "
        f"with {one.share():.0%} of the evidence in the box"
        for one in chosen
    )
    return Sheet(fig, "Photographs above their maps: " + "; ".join(words) + ".")


def riddles(chosen: list[Photograph], *, maps: bool, columns: int = 5, width: float = 9.0) -> Sheet:
    """Numbered photographs to guess the answers of: nothing says what they show or were called.

    Args:
        chosen: photographs with their maps.
        maps: whether each stands above the same with its map.
        columns: photographs a row.
        width: the figure's width in inches.

    Returns:
        What a notebook shows, its text alternative as silent as the figure.
    """
    fig, axes = _strips(1 + maps, len(chosen), columns, width, title=0.2)
    for number, ((above, *below), one) in enumerate(zip(axes, chosen, strict=True), start=1):
        above.imshow(one.pixels())
        above.set_title(str(number), fontsize=9, pad=3)
        for ax in below:
            _map_over(ax, one)
    return Sheet(fig, f"{len(chosen)} photographs{' above their maps' if maps else ''}, unnamed.")


def _strips(high: int, count: int, columns: int, width: float, *, title: float):
    """A figure of `count` columns of `high` square axes without frames, wrapped into rows.

    `title` is the height, in inches, left above each axes; axes past `count` stay empty.
    """
    rows, side = -(-count // columns), width / columns
    fig, axes = plotting.figure(
        high * rows, columns, size=(width, rows * high * (side + title)), squeeze=False
    )
    for ax in axes.flat:
        ax.set_axis_off()
    stacks = axes.reshape(rows, high, columns).transpose(0, 2, 1).reshape(-1, high)
    return fig, stacks[:count]


def _map_over(ax, one: Photograph) -> None:
    """The map over its photograph."""
    ax.imshow(overlays.blend(one.pixels(), np.maximum(one.evidence, 0)))


def _outline(ax, one: Photograph) -> None:
    """The boxes that hold the thing, all four sides within the picture."""
    high, wide = one.pixels().shape[:2]
    edge = 3.5  # pixels from the edge to the middle of a line on it: a strip of picture shows
    for left, top, right, bottom in one.boxes:
        xs = np.clip(np.array([left, right, right, left, left]) * wide / GRID, edge, wide - edge)
        ys = np.clip(np.array([top, top, bottom, bottom, top]) * high / GRID, edge, high - edge)
        ax.plot(xs - 0.5, ys - 0.5, color="#ffffff", linewidth=1.2, clip_on=True)
    ax.set(xlim=(-0.5, wide - 0.5), ylim=(high - 0.5, -0.5))
