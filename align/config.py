"""One flat record of every choice in a training run."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields

from align.checks import check_number, shown

ALIGNMENTS = ("energy", "bce", "l1", "rrr", "swap", "swap+energy")
CHOICES: dict[str, tuple] = {
    "alignment": ALIGNMENTS,
    "fill": ("shuffle", "zero"),
    "distinction": ("margin", "probability"),
    "target": ("hard", "stretch", "soft", "sampled"),
    "mask_stride": (2, 4, 8, 16, 32),
    "swap_background": ("picture", "emptied", "blur"),
    "swap_loss": ("label", "consistency"),
    "masker_reads": ("pixels", "pretrained", "classifier"),
}
"""The values that a choice between some may have."""

METHODS: dict[str, type] = {}
"""The methods by name. It is empty here, and `align.methods`, which imports this module, fills it:
so imports run one way."""

COMMON = (
    *("method", "backbone", "weights", "output_stride", "epochs", "batch_size"),
    *("lr", "weight_decay", "augment", "balanced", "seed"),
)
"""The values that every method reads; the others are read by those methods that say so."""

LATER = {
    **{"second_order": True, "masker_steps": 1.0, "mask_stride": 2},
    **{"swap_weight": 1.0, "swap_background": "picture", "swap_loss": "label"},
    **{"masker_reads": "pixels", "masker_start": None, "start_weight": 1.0},
    **{"balanced": False, "mask_level": 0.5, "looked_at_masks": 0, "hold": 0},
    **{"judge_epochs": 0, "rounds": 1},
}
"""Choices that came after the first recorded runs, with what was done before there was a choice.
`Config.used` names them only where they are another, so that older runs keep their keys."""

KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a text"),
    "str | type": ((str, type), "a method's name or class"),
    "str | None": ((str, type(None)), "a text, or None"),
    "int": ((int,), "a whole number"),
    "int | None": ((int, type(None)), "a whole number, or None"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "True or False"),
}
"""For each way in which a value is annotated the types it may have, and their name in words."""


@dataclass(frozen=True)
class Config:
    """Everything that determines a run besides its data.

    Args:
        method: "erm", "mixup", "irm", "groupdro", "sgt", "dre", "cgc", "guided" (given masks) or
            "align" (learned masks); or the class of a method of your own, see `align.methods`.
        backbone: see `align.Classifier`.
        weights: see `align.Classifier`.
        output_stride: see `align.Classifier`.
        epochs: passes over the training images, all phases together.
        batch_size: images per step.
        lr: the classifier's learning rate at the start; it falls to zero along a cosine.
        weight_decay: AdamW's, for classifier and masker.
        augment: mirror and shift the training images.
        seed: fixes initial weights, order and augmentation.
        balanced: draw the classes equally often, whatever their shares of the training images.
        alignment: of the evidence, "energy" (contrastive evidence outside the mask), "bce" (the
            paper's, on the min-max Grad-CAM), "l1" (GRADIA's) or "rrr" (input gradients outside
            the mask); "swap" (the answer must stand when what lies outside is exchanged); or both,
            "swap+energy".
        warmup: epochs of plain training before any guidance; a second round has none.
        head_start: epochs after that in which the masker learns and the classifier does not follow.
        masker_lr: the masker's learning rate.
        distinction: "margin" (ours) or "probability" (the paper's).
        fill: what stands in for hidden pixels, "shuffle" (another image of the batch) or "zero"
            (the paper's: zeros of the normalised image).
        target: what the classifier is aligned with, the mask cut at `mask_level` ("hard"; ours),
            min-max normalised ("stretch"), as it is ("soft"; the paper's) or cut at a level drawn
            for each image ("sampled").
        lambda1: weight of the mask's sparsity.
        lambda2: weight of the mask's smoothness.
        lambda3: weight of the alignment of the evidence.
        lambda4: weight of ALIGN's same-class mixup regulariser L_reg; 0 leaves it out.
        second_order: let gradients of the alignment and of L_reg also flow through the map's
            channel weights; False takes them as constants. "rrr" is of second order by nature.
        masker_steps: the masker's steps for each of the classifier, above 0; 0.5 is every second.
        mask_stride: image pixels per cell of the mask before it is enlarged, 2, 4, 8, 16 or 32.
        mask_level: below 1; a lower one misses less of the object and leaks more.
        swap_weight: weight of the swap.
        swap_background: what stands outside the mask, another "picture" of the batch, another
            picture "emptied" of its own object, or the picture's own "blur".
        swap_loss: "label" (cross-entropy of the swapped picture) or "consistency" (its divergence
            from the answer to the picture itself).
        masker_reads: "pixels"; the feature maps of a frozen copy of the "pretrained" backbone; or
            those of the "classifier" itself, detached.
        masker_start: None for random weights, "objectness" or "birds" for an embedded decoder that
            was learned on other classes' masks, or a `.safetensors` file of one.
        start_weight: weight of the pull to the start's masks; it fades to zero along the run.
        looked_at_masks: so many of the training images' masks, drawn by the seed, teach the masker
            before training; what it has learned from them is its start.
        judge_epochs: epochs before training in which a frozen judge, the network that `weights`
            are of with its own classes, teaches the masker what it must see; neither labels nor
            masks of the training images are used. What the masker has learned is its start.
        hold: epochs of guidance before a masker with a start learns on, judged by a classifier that
            its masks have guided; 0 lets it learn from the end of the warm-up.
        rounds: 2 trains a second time: the classifier begins anew and is guided from the first
            epoch on by the masker of the first round, which learns no more. With a swap the first
            round aligns the evidence, "energy", in its place. With `weights`, evidence is aligned
            after the warm-up in both. A masker that never learns has one round.
        mixup_concentration: a in Mixup's shares m ~ Beta(a, a), above 0.
        irm_weight: weight of IRM's penalty once it counts in full; 1 before.
        irm_anneal: epochs before that.
        groupdro_eta: step η of GroupDRO's weights.
        sgt_weight: weight of SGT's divergence.
        sgt_share: share of the pixels that SGT replaces by noise, at most 1.
        dre_consistency: weight of DRE's consistency of maps.
        dre_sparsity: weight of DRE's size of maps.
        dre_mixed: weight of DRE's cross-entropy on mixtures.
        cgc_weight: weight of CGC's contrast.
        cgc_temperature: T in CGC's contrast, above 0.

    Raises:
        ValueError: if a value is of another type or out of range.
    """

    method: str | type = "align"
    backbone: str = "small-cnn"
    weights: str | None = None
    output_stride: int | None = None
    epochs: int = 12
    batch_size: int = 32
    lr: float = 3e-3
    weight_decay: float = 1e-2
    augment: bool = True
    balanced: bool = False
    seed: int = 0
    alignment: str = "swap"
    warmup: int = 5
    head_start: int = 1
    masker_lr: float = 6e-3
    distinction: str = "margin"
    fill: str = "shuffle"
    target: str = "hard"
    lambda1: float = 6.0
    lambda2: float = 0.2
    lambda3: float = 2.0
    lambda4: float = 0.0
    second_order: bool = True
    masker_steps: float = 1.0
    mask_stride: int = 2
    mask_level: float = 0.5
    swap_weight: float = 1.0
    swap_background: str = "picture"
    swap_loss: str = "label"
    masker_reads: str = "pixels"
    masker_start: str | None = None
    start_weight: float = 1.0
    looked_at_masks: int = 0
    judge_epochs: int = 0
    hold: int = 0
    rounds: int = 2
    mixup_concentration: float = 0.2
    irm_weight: float = 100.0
    irm_anneal: int = 8
    groupdro_eta: float = 0.01
    sgt_weight: float = 1.0
    sgt_share: float = 0.5
    dre_consistency: float = 1.0
    dre_sparsity: float = 0.5
    dre_mixed: float = 0.1
    cgc_weight: float = 0.5
    cgc_temperature: float = 0.5

    def __post_init__(self) -> None:
        _check_method(self.method)
        if self.method_name in METHODS:  # a name and its class are the same choice
            object.__setattr__(self, "method", self.method_name)
        check_values(self)
        for name, allowed in CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                listed = ", ".join(map(str, allowed))
                raise ValueError(f"{name} is {shown(value)}, expected one of {listed}")
        check_number("seed", self.seed, 0, 10**13, whole=True)
        for name, fits, expected in (
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch_size", self.batch_size >= 1, "at least 1"),
            ("rounds", self.rounds in (1, 2), "1 or 2: a third would end as the second"),
            ("mixup_concentration", self.mixup_concentration > 0, "a number above 0"),
            ("cgc_temperature", self.cgc_temperature > 0, "a number above 0"),
            ("masker_steps", self.masker_steps > 0, "a number above 0"),
            ("mask_level", self.mask_level < 1, "a level below 1"),
            ("sgt_share", self.sgt_share <= 1, "a share between 0 and 1"),
        ):
            if not fits:
                raise ValueError(f"{name} is {getattr(self, name)}, expected {expected}")
        if self.batch_size == 1:
            _check_alone(self)
        if self.alignment == "rrr" and not self.second_order:
            raise ValueError(
                "second_order is False with alignment 'rrr', expected True: constant input "
                "gradients teach nothing"
            )
        if self.masker_start is not None and self.masker_reads == "pixels":
            raise ValueError(
                f"masker_start is {shown(self.masker_start)} and masker_reads is 'pixels', "
                "expected 'pretrained': a start is learned for the feature maps of one backbone"
            )
        if self.hold and not self.has_start:
            raise ValueError(
                f"hold is {self.hold} and the masker has no start to be held at, expected 0; or "
                "give it masker_start, looked_at_masks or judge_epochs"
            )
        if self.has_second_round and self.masker_reads == "classifier":
            raise ValueError(
                f"rounds is {self.rounds} and masker_reads is 'classifier', expected 'pixels' or "
                "'pretrained', or rounds=1: the classifier whose maps it reads ends with its round"
            )

    @property
    def method_class(self) -> type:
        """The method's class."""
        return self.method if isinstance(self.method, type) else METHODS[self.method]

    @property
    def method_name(self) -> str:
        """The method's name, that of a class in lower case where it stands in no table yet."""
        return name_of(self.method)

    @property
    def joint_from(self) -> int:
        """The first epoch in which the classifier is guided, in the last round."""
        # The masker is there already. But where a trained network has a new head, evidence that is
        # aligned at once can be met by features that are all zero.
        if self.has_second_round and (self.alignment == "swap" or self.weights is None):
            return 0
        return self._joint_at_first

    @property
    def _joint_at_first(self) -> int:
        return self.warmup + (self.head_start if "head_start" in self.method_class.reads else 0)

    @property
    def has_second_round(self) -> bool:
        """Whether a classifier begins anew under what the masker of a first round has learned."""
        asked = "rounds" in self.method_class.reads and self.rounds == 2
        return asked and self.masker_lr > 0 and self.masker_from < self.epochs

    @property
    def has_start(self) -> bool:
        """Whether the masker is taught before training."""
        return self.masker_start is not None or self.looked_at_masks > 0 or self.judge_epochs > 0

    @property
    def masker_from(self) -> int:
        """The first epoch in which the masker learns, in the first round."""
        return self._joint_at_first + self.hold if self.hold else self.warmup

    def masker_learns(self, epoch: int) -> bool:
        """Whether the masker learns in an epoch of the last round."""
        return not self.has_second_round and self.masker_lr > 0 and epoch >= self.masker_from

    def values(self) -> dict[str, object]:
        """All values, ready for JSON: a method's class by its name."""
        return asdict(self) | {"method": self.method_name}

    def used(self) -> dict[str, object]:
        """The values that this method reads: two runs that agree on them are the same run."""
        reads = {*COMMON, *self.method_class.reads}
        reads -= {name for name, before in LATER.items() if getattr(self, name) == before}
        reads -= set() if self.has_second_round else {"rounds"}
        return {name: value for name, value in self.values().items() if name in reads}

    def hash(self) -> str:
        """The first 12 hexadecimal digits of a SHA-256 over the values that are read."""
        text = json.dumps(self.used(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def name_of(method: str | type) -> str:
    """The name of a method: a class's in `METHODS`, or its own in lower case."""
    if isinstance(method, str):
        return method
    return next((name for name, kind in METHODS.items() if kind is method), method.__name__.lower())


def _check_method(method: object) -> None:
    """Refuse what is neither a name in `METHODS` nor the class of a method."""
    if isinstance(method, type) and hasattr(method, "reads"):
        if METHODS.get(name_of(method), method) is not method:
            raise ValueError(
                f"method is a class {method.__name__}, whose name in records, '{name_of(method)}', "
                "another method has; name the class otherwise"
            )
    elif not isinstance(method, str) or method not in METHODS:
        raise ValueError(
            f"method is {shown(method)}, expected one of {', '.join(METHODS)}, or a class that "
            "inherits from align.methods.Method; one of your own has a name once it stands in "
            "align.methods.METHODS"
        )


def _check_alone(config: Config) -> None:
    """Refuse a batch of one image where the method sets each against another of its batch."""
    for pairing in config.method_class.pairs_images:
        if all(getattr(config, name) in values for name, values in pairing.items()):
            chosen = "".join(f' and {name} "{getattr(config, name)}"' for name in pairing)
            raise ValueError(
                f"batch_size is 1 with method '{config.method_name}'{chosen}, expected at least 2: "
                "it sets each image against another of its batch"
                + "".join(f"; or choose another {name}" for name in pairing)
            )


def check_values(choices: object) -> None:
    """Refuse values of other types than `KINDS` says, and negative and infinite numbers."""
    for field in fields(choices):
        name, value = field.name, getattr(choices, field.name)
        if field.type not in KINDS:
            continue
        kinds, expected = KINDS[field.type]
        # To Python, True is a whole number: here it is none.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{name} is {shown(value)}, expected {expected}")
        if isinstance(value, int | float) and not 0 <= value < math.inf:
            raise ValueError(
                f"{name} is {value}, expected a number that is not negative, and not infinite"
            )
