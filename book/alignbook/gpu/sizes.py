"""How large everything is: as large as a GPU deserves, or tiny for a rehearsal."""

from __future__ import annotations

from dataclasses import dataclass

from alignbook.gpu.device import Device


@dataclass(frozen=True)
class Sizes:
    """Sizes of one kind of device.

    Args:
        side: image side of the speed measurements, in pixels.
        backbones: the networks that are timed, the most telling first.
        batches: batch sizes tried, ascending; the first that does not fit ends the trial.
        rounds: rounds of each timing, besides two that warm up.
        pictures: images that the metrics explain.
        check_side: image side of the checks, in pixels.
        check_images: images of a check.
        check_backbones: networks whose numbers are compared.
        check_training: arguments of `align.Config` for the checks that train.
        check_world: options of `toy-vlcs` for these.
        bf16_gap: by how much bf16 may miss the accuracy of fp32.
        compiler: the backend of `torch.compile`.
        seeds: seeds of the trainings, the first of all methods before the second.
        toy: options of `toy-vlcs` for the trainings.
        recipe: arguments of `align.Config` for them.
        photographs: arguments of `align.Config` for trainings on packed pictures.
        explained: images per domain whose explanations are measured.
        pace: how many times as long as the first guesses everything should take.
        tier: the sizes' name; numbers of two tiers do not mix.
    """

    side: int
    backbones: tuple[str, ...]
    batches: tuple[int, ...]
    rounds: int
    pictures: int
    check_side: int
    check_images: int
    check_backbones: tuple[str, ...]
    check_training: dict
    check_world: dict
    bf16_gap: float
    compiler: str
    seeds: tuple[int, ...]
    toy: dict
    recipe: dict
    photographs: dict
    explained: int
    pace: float
    tier: str


FULL = Sizes(
    side=224,
    backbones=("resnet50", "resnet18"),
    batches=(64, 128, 256, 512, 1024),
    rounds=5,
    pictures=256,
    check_side=96,
    check_images=32,
    check_backbones=("small-cnn", "mobilenet_v2", "resnet18", "resnet50"),
    check_training={"epochs": 8, "warmup": 2, "head_start": 1, "batch_size": 64},
    check_world={"size": 48, "n": 2000},
    bf16_gap=0.03,
    compiler="inductor",
    seeds=(0, 1, 2),
    toy={"size": 64, "n": 5000},
    recipe={"batch_size": 128},
    photographs={
        "output_stride": 16,
        "epochs": 10,
        "warmup": 3,
        "head_start": 1,
        "batch_size": 64,
        "lr": 3e-4,
        "balanced": True,
    },
    explained=256,
    pace=1.0,
    tier="gpu",
)
"""What a GPU is given; `toy` is the tier `gpu` of the chapters."""

REHEARSAL = Sizes(
    side=32,
    backbones=("small-cnn",),
    batches=(8, 16),
    rounds=1,
    pictures=8,
    check_side=32,
    check_images=8,
    check_backbones=("small-cnn",),
    check_training={"epochs": 3, "warmup": 1, "head_start": 0, "batch_size": 16},
    check_world={"size": 32, "n": 60},
    bf16_gap=0.25,
    compiler="aot_eager",
    seeds=(0,),
    toy={"size": 32, "n": 40},
    recipe={"batch_size": 8, "epochs": 3, "warmup": 1, "head_start": 1},
    photographs={
        "output_stride": 16,  # the embedded start of a masker knows this one
        "batch_size": 8,
        "epochs": 3,
        "warmup": 1,
        "head_start": 1,
    },
    explained=4,
    pace=0.15,
    tier="rehearsal",
)
"""What a CPU is given: every line is run, and no number means anything."""


def sizes(device: Device) -> Sizes:
    """The sizes for a device."""
    return REHEARSAL if device.is_rehearsal else FULL
