"""Why a trained classifier said what it said of some pictures: map, mask, and what remains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torchvision
from torch import Tensor

from align.checks import check_kind, check_tensor
from align.config import Config
from align.data.decoding import SUFFIXES, UnreadableImageError, decode
from align.data.listing import UNREAD
from align.metrics.inputs import as_float, upsample
from align.metrics.localisation import energy_inside
from align.networks.classifier import Classifier
from align.networks.models import evaluation_mode, inference, suited
from align.networks.weights import read_tensors
from align.saliency import contrastive_evidence, grad_cam
from align.training import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a classifier says of N pictures, and what that rests on.

    Args:
        classes: class names, in the order of the probabilities.
        images: float32 `(N, 3, H, W)` in [0, 1], as the classifier saw them.
        probabilities: float32 `(N, C)`.
        predicted: int64 `(N,)`, the most probable class.
        maps: float32 `(N, H, W)` in [0, 1], Grad-CAM of the predicted class, min-max normalised.
        masks: float32 `(N, H, W)` in [0, 1], the masker's; None without a masker.
        evidence_inside: float32 `(N,)` in [0, 1], share of the predicted class's contrastive
            evidence inside the mask; None without a masker.
        kept: float32 `(N,)`, probability of the predicted class where all that the mask does not
            mark is the mean colour; None without a masker.
        removed: float32 `(N,)`, the same where all that it marks is.
    """

    classes: tuple[str, ...]
    images: Tensor
    probabilities: Tensor
    predicted: Tensor
    maps: Tensor
    masks: Tensor | None = None
    evidence_inside: Tensor | None = None
    kept: Tensor | None = None
    removed: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def join(cls, parts: Sequence[Explanation]) -> Explanation:
        """One explanation of what several of one classifier explain."""
        names = [name for name, value in vars(parts[0]).items() if isinstance(value, Tensor)]
        values = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
        return cls(parts[0].classes, **values)

    def row(self, index: int) -> dict[str, Any]:
        """The numbers of one picture, ready for JSON."""
        shares = zip(self.classes, self.probabilities[index].tolist(), strict=True)
        best = sorted(shares, key=lambda pair: -pair[1])[:5]
        row = {"predicted": self.classes[self.predicted[index]], "probabilities": dict(best)}
        names = () if self.masks is None else ("evidence_inside", "kept", "removed")
        return row | {name: getattr(self, name)[index].item() for name in names}


def explain(
    run: Run | Classifier, images: Tensor, *, classes: Sequence[str] | None = None
) -> Explanation:
    """Predict some pictures, and say where the prediction comes from.

    Args:
        run: a `Run`, whose masker is used where it has one, or an `align.Classifier`.
        images: `(N, 3, H, W)`, uint8 or floating point in [0, 1], of the size trained on.
        classes: class names; None takes the run's, or numbers where it knows none.

    Returns:
        The explanation, on the CPU; the networks are left as they were.

    Raises:
        ValueError: if the images have another shape or size than the run was trained on.

    Book: your_own_pictures.
    """
    check_kind("run", run, (Classifier, Run), "a Run or an align.Classifier")
    run = Run(Config(), run, None) if isinstance(run, Classifier) else run
    classifier, contract = run.classifier, run.contract
    check_tensor("images", images)
    if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
        raise ValueError(
            f"images have shape {tuple(images.shape)}, expected (N, 3, H, W) with N at least 1"
        )
    if contract is not None and tuple(images.shape[2:]) != contract.size:
        raise ValueError(
            f"images are {images.shape[2]}x{images.shape[3]} pixels and the run was trained on "
            f"{contract.size[0]}x{contract.size[1]}; resize them to that"
        )
    count = classifier.linear.out_features
    numbers = [f"class {number}" for number in range(count)]
    names = tuple(classes or (contract.classes if contract else numbers))
    if len(names) != count:
        raise ValueError(f"{len(names)} class names for {count} logits, expected one a logit")
    return Explanation.join([_explain(run, names, i) for i in images.split(32)])


def _explain(run: Run, names: tuple[str, ...], images: Tensor) -> Explanation:
    classifier, masker = run.classifier, run.masker
    with inference(classifier, images.device) as device:
        images = suited(as_float(images.to(device)), classifier)
        features = classifier.features(images)
        probabilities = classifier.head(features).softmax(1)
        predicted = probabilities.argmax(1)
        size = contrastive_evidence(features, classifier.linear.weight, predicted).abs().sum(1)
    found = {"images": images, "probabilities": probabilities, "predicted": predicted}
    with evaluation_mode(classifier):
        found["maps"] = grad_cam(classifier, images.clone(), predicted.clone(), upsample=True)
    if masker is not None:
        with inference(masker, device), inference(classifier, device):
            masks = masker(images)
            share = energy_inside(upsample(size, *images.shape[2:]), masks[:, 0])
            marked, mean = (masks > 0.5).to(images.dtype), classifier.mean.expand_as(images)
            views = [torch.lerp(mean, images, marked), torch.lerp(images, mean, marked)]
            rest = classifier(torch.cat(views)).softmax(1)
            kept, removed = rest.gather(1, predicted.repeat(2)[:, None])[:, 0].chunk(2)
        found |= {"masks": masks[:, 0], "evidence_inside": share, "kept": kept, "removed": removed}
    for name, value in found.items():
        found[name] = (value if name == "predicted" else value.float()).cpu().clone()
    return Explanation(names, **found)


def pretrained(backbone: str, weights: str | Path) -> tuple[Classifier, tuple[str, ...]]:
    """A torchvision ImageNet model with its own head, as an `align.Classifier`.

    Args:
        backbone: "resnet18", "resnet50" or "mobilenet_v2".
        weights: a torchvision weights name, or a file in torchvision's layout.

    Returns:
        `(classifier, classes)`: the network in evaluation mode, and ImageNet's class names.

    Raises:
        ValueError: if backbone and weights do not belong together.
    """
    classifier = Classifier(backbone, 1000, weights)
    known = torchvision.models.get_model_weights(backbone)
    if str(weights) in known.__members__:
        state = known[str(weights)].get_state_dict(check_hash=True)
    else:
        state = read_tensors(Path(weights), "a file in torchvision's layout for this backbone")
    head = "classifier.1" if backbone == "mobilenet_v2" else "fc"
    try:
        own = {name: state[f"{head}.{name}"] for name in ("weight", "bias")}
        classifier.linear.load_state_dict(own)
    except (KeyError, RuntimeError):
        raise ValueError(
            f"weights '{weights}' have no head of 1,000 ImageNet classes; use a file that has one"
        ) from None
    return classifier.eval(), tuple(known.DEFAULT.meta["categories"])


def pictures(paths: Sequence[str | Path]) -> list[Path]:
    """The picture files that some files, folders and patterns name, each once, in order.

    Args:
        paths: files, patterns such as `*.jpg`, and folders, whose pictures at any depth are meant,
            also of types that are not read, which `read` tells.

    Raises:
        FileNotFoundError: if one of them names no picture.
    """
    kinds = (*SUFFIXES, *UNREAD)
    found: dict[Path, None] = {}
    for given in paths:
        here = [Path(given)]
        if not here[0].exists() and has_magic(str(given)):
            here = [Path(name) for name in sorted(glob(str(given), recursive=True))]
        named: list[Path] = []
        for path in here:
            inside = [one for one in sorted(path.rglob("*")) if one.suffix.lower() in kinds]
            named += [one for one in (inside if path.is_dir() else [path]) if one.is_file()]
        if not named:
            raise FileNotFoundError(
                f"no picture at '{given}', expected a file, a folder that holds some "
                f"({', '.join(SUFFIXES)}), or a pattern"
            )
        found |= dict.fromkeys(named)
    return list(found)


def read(paths: Sequence[Path], size: int) -> Iterator[tuple[Path, Tensor | str]]:
    """Each picture as uint8 `(3, size, size)`, or the reason why it cannot be read."""
    for path in paths:
        try:
            yield path, torch.from_numpy(decode(path, None, size, None).copy())
        except (UnreadableImageError, OSError) as error:
            yield path, str(error)


def draw(explanation: Explanation, names: Sequence[str] | None = None) -> Figure:
    """A row a picture: the picture, its map laid over it, and the mask where there is one.

    Args:
        explanation: what `explain` returned.
        names: a title for each picture; None leaves only the predictions.
    """
    from matplotlib.figure import Figure

    columns = 2 if explanation.masks is None else 3
    rows = len(explanation)
    figure = Figure(figsize=(1.85 * columns, 2.3 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, row in enumerate(axes):
        for ax in row:
            ax.imshow(explanation.images[index].permute(1, 2, 0).clamp(0, 1).numpy())
            ax.set_axis_off()
        share = explanation.probabilities[index].max().item()
        label = f"{explanation.classes[explanation.predicted[index]]}, {share:.0%}"
        row[0].set_title(f"{names[index]}\n{label}" if names else label, fontsize=10, loc="left")
        heat = explanation.maps[index].numpy()
        row[1].imshow(heat, cmap="magma", alpha=0.55, vmin=0, vmax=1)
        row[1].set_title("its evidence", fontsize=10, loc="left")
        if explanation.masks is not None:
            row[2].imshow(explanation.masks[index].numpy(), cmap="gray", vmin=0, vmax=1)
            kept, removed = explanation.kept[index], explanation.removed[index]
            words = f"mask\nkept {kept:.0%}, removed {removed:.0%}"
            row[2].set_title(words, fontsize=10, loc="left")
    return figure
