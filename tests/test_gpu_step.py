"""A training step on a GPU never waits, which a device without values shows on a CPU.

On PyTorch's device `meta` tensors have shapes and no values: whoever looks at a value there fails,
as whoever does so on a GPU waits. What is sent there is seen by a hook on every call.
"""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import align
from align.config import Config
from align.data.batches import Batches, mirror_and_shift
from align.methods import METHODS, base, sgt
from align.methods import align as joint
from align.training import start
from align.transfer import upload

META, CPU = torch.device("meta"), torch.device("cpu")

CASES = [
    *({"method": name} for name in METHODS),
    {"method": "align", "lambda4": 0.5},
    {"method": "align", "alignment": "bce", "distinction": "probability", "target": "soft"},
    {"method": "align", "alignment": "swap+energy", "target": "sampled"},
    {"method": "guided", "alignment": "swap", "swap_background": "emptied"},
    {"method": "guided", "alignment": "rrr"},
]


class Uploads(TorchDispatchMode):
    """Notes each copy from the CPU to another device, and whether the caller waits for it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        target = kwargs.get("device")
        if function is torch.ops.aten._to_copy.default and target is not None:
            if args[0].device.type == "cpu" and torch.device(target).type != "cpu":
                self.seen.append(bool(kwargs.get("non_blocking")))
        return function(*args, **kwargs)


class OnCpu(torch.Generator):
    """A generator for a device that has none of its own."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls, "cpu")


@pytest.fixture(scope="module")
def domain():
    return align.load("toy-vlcs", n=60, size=32)["noon"]


def ready(changes, domain, monkeypatch, device=META):
    """A method in its last phase with networks and data on a device, and a batch there."""

    def adamw(module, lr, weight_decay):  # the fused one knows real devices only
        return torch.optim.AdamW(module.parameters(), lr, weight_decay=weight_decay, foreach=False)

    monkeypatch.setattr(base, "adamw", adamw)
    monkeypatch.setattr(joint, "adamw", adamw)
    monkeypatch.setattr(sgt.torch, "Generator", OnCpu)
    config = Config(warmup=0, head_start=0, rounds=1, **changes)
    first = start(config.method, domain, config)
    networks = [None if one is None else one.to(device) for one in (first.classifier, first.masker)]
    method = type(first)(networks[0].train(), config, masker=networks[1])
    return method, Batches(domain, 8, device=device)


def one_step(method, batches):
    batch = next(batches.epoch(0))
    return method.update(batch, method.config.joint_from, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("changes", CASES, ids=lambda changes: "-".join(map(str, changes.values())))
def test_a_step_looks_at_no_value_and_waits_for_no_copy(changes, domain, monkeypatch):
    method, batches = ready(changes, domain, monkeypatch)
    with Uploads() as uploads:
        terms = one_step(method, batches)
    assert terms["loss"].is_meta
    assert uploads.seen and all(uploads.seen)


@pytest.mark.parametrize("look", [lambda v: v.item(), lambda v: bool(v > 0), lambda v: v.cpu()])
def test_a_look_at_a_value_would_be_noticed(look, domain, monkeypatch):
    method, batches = ready({"method": "erm"}, domain, monkeypatch)
    loss = type(method).loss

    def looking(*words):
        terms = loss(method, *words)
        look(terms["loss"])
        return terms

    method.loss = looking
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        one_step(method, batches)


def test_a_copy_that_waits_would_be_noticed():
    with Uploads() as uploads:
        torch.zeros(3).to(META)
        upload(torch.zeros(3), META)
    assert uploads.seen == [False, True]


def test_an_upload_converts_and_leaves_a_cpu_alone():
    values = torch.arange(3)
    assert upload(values, CPU) is values
    there = upload(values.double(), META, torch.float32)
    assert there.is_meta and there.dtype == torch.float32


def test_the_two_forwards_of_the_masker_are_one(domain, monkeypatch):
    method, batches = ready({"method": "align"}, domain, monkeypatch, CPU)
    seen = []
    method.classifier.trunk.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    method.update_masker(next(batches.epoch(0)), torch.Generator().manual_seed(0))
    assert seen == [16]  # kept and removed, eight pictures each


def test_the_optimiser_is_one_kernel_a_step(domain):
    method = start("erm", domain)
    assert method.optimizer.defaults["fused"] is True


def test_augmentation_moves_each_image_by_its_own_draw():
    """As drawn and applied on the CPU, picture by picture, in the same order of draws."""
    n, side, bound = 6, 16, 2
    images = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))
    moved, _ = mirror_and_shift(images, None, torch.Generator().manual_seed(3))
    draws = torch.Generator().manual_seed(3)
    down, right = (torch.randint(-bound, bound + 1, (n,), generator=draws) for _ in range(2))
    flip = torch.rand(n, generator=draws) < 0.5
    for i in range(n):
        rows = (torch.arange(side) + down[i]).clamp(0, side - 1)
        columns = (torch.arange(side) + right[i]).clamp(0, side - 1)
        columns = columns.flip(0) if flip[i] else columns
        assert torch.equal(moved[i], images[i][:, rows][:, :, columns])
