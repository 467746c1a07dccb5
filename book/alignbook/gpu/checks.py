"""What must hold on a device: the CPU's numbers, half precision, compiling, resuming, memory.

Each check measures one number and states its limit, so that a report says by how much it holds.
`pytest -m gpu` runs the same checks.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import align
from align.config import METHODS, Config
from align.data import Domain
from align.data.batches import Batches
from align.methods import Align, Method
from align.metrics import comprehensiveness, deletion_auc, insertion_auc, sufficiency
from align.networks.compilation import compiled, missing_compiler
from align.saliency import grad_cam
from alignbook import timing
from alignbook.gpu.plan import NotHereError
from alignbook.gpu.sizes import Sizes

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Finding:
    """What a check measured.

    Args:
        value: the number.
        limit: what it may be at most.
        what: the number in words.
    """

    value: float
    limit: float
    what: str

    @property
    def holds(self) -> bool:
        """Whether the number is within its limit; one that is not finite is not."""
        return self.value <= self.limit

    def told(self) -> dict:
        """JSON-ready."""
        value = self.value if abs(self.value) < float("inf") else None
        return {"value": value, "limit": self.limit, "holds": self.holds, "what": self.what}


Check = Callable[[torch.device, Sizes], Finding]


def outputs(device: torch.device, sizes: Sizes) -> Finding:
    """Logits and Grad-CAM maps in single precision, against the CPU's."""
    images = timing.images(sizes.check_side, sizes.check_images).images.float() / 255
    labels = torch.arange(len(images)) % 5
    errors = []
    for backbone in sizes.check_backbones:
        there, here = twins(backbone, device)
        with single_precision(), torch.no_grad():
            errors.append(distance(there(images.to(device)), here(images)))
            maps = grad_cam(there, images.to(device), labels.to(device), normalize=None)
            errors.append(distance(maps, grad_cam(here, images, labels, normalize=None)))
    return Finding(max(errors), 1e-3, "largest relative distance of logits and maps from the CPU's")


def gradients(device: torch.device, sizes: Sizes) -> Finding:
    """The gradients of each method's loss in single precision, against the CPU's."""
    domain = timing.images(32, 4 * sizes.check_images)
    # SGT draws its noise where the images are: another device has other noise.
    names = [name for name in METHODS if name != "sgt" or device.type == "cpu"]
    # Plainly laid out on the CPU, so that even a CPU's sums are taken in another order.
    places = ((device, torch.channels_last), (CPU, torch.contiguous_format))
    errors = [
        distance(*(_gradient(name, domain, sizes, *place) for place in places)) for name in names
    ]
    what = f"largest relative distance of the gradients of {', '.join(names)} from the CPU's"
    return Finding(max(errors), 1e-2, what)


def metrics(device: torch.device, sizes: Sizes) -> Finding:
    """The faithfulness metrics of the same maps in single precision, against the CPU's."""
    images = timing.images(sizes.check_side, sizes.check_images).images.float() / 255
    maps = torch.rand(images.shape[0], *images.shape[2:], generator=seeded())
    there, here = twins("small-cnn", device)
    gaps = []
    with single_precision():
        for metric in (insertion_auc, deletion_auc, sufficiency, comprehensiveness):
            ours = metric(there, images.to(device), maps.to(device))
            gaps.append(float((ours.cpu() - metric(here, images, maps)).abs().max()))
    return Finding(max(gaps), 1e-4, "largest difference of a picture's metric from the CPU's")


def half_precision(device: torch.device, sizes: Sizes) -> Finding:
    """Accuracy after training in bf16 autocast, against single precision, two seeds."""
    gaps = []
    for method in ("erm", "align"):
        reached = {True: 0.0, False: 0.0}
        for seed in (0, 1):
            training, test = check_data(sizes)
            for bf16 in reached:
                with precision(bf16):
                    run = _trained(method, training, sizes, device, seed=seed)
                reached[bf16] += align.evaluate(run, test, max_explained=0)["accuracy"] / 2
        gaps.append(reached[False] - reached[True])
    what = (
        "accuracy that bf16 autocast costs ERM or ALIGN, the larger of the two, mean of two seeds"
    )
    return Finding(max(gaps), sizes.bf16_gap, what)


def compiling(device: torch.device, sizes: Sizes) -> Finding:
    """Logits and gradients of a compiled classifier in single precision, against its eager twin."""
    if sizes.compiler == "inductor" and (lacking := missing_compiler(device)):
        raise NotHereError(f"torch.compile needs Triton and a C compiler: {lacking} is missing")
    batch = timing.first_batch(
        timing.images(sizes.check_side, sizes.check_images), sizes.check_images, device
    )
    found = []
    for compile_it in (False, True):
        network, _ = twins(sizes.check_backbones[-1], device)
        network.train()
        block = compiled(network, sizes.compiler) if compile_it else nullcontext()
        with single_precision(), block:
            logits = network(batch.images)
            cross_entropy(logits, batch.labels).backward()
        found.append((logits.detach(), flat_gradient(network)))
    torch.compiler.reset()
    eager, ours = found
    error = max(distance(*pair) for pair in zip(ours, eager, strict=True))
    return Finding(error, 1e-2, f"relative distance of {sizes.compiler} from eager")


def resume(device: torch.device, sizes: Sizes) -> Finding:
    """A run cut off on one device that goes on on the other, both ways, against the whole."""
    training, _ = check_data(sizes)
    half = sizes.check_training["epochs"] // 2
    steps = half * (len(training) // sizes.check_training["batch_size"]) + 1
    with precision(bf16=False), single_precision():
        losses = [_trained("erm", training, sizes, CPU).history]
        for first, second in ((device, CPU), (CPU, device)):
            with tempfile.TemporaryDirectory() as folder:
                with _cut_off(steps):
                    _trained("erm", training, sizes, first, checkpoint=folder)
                run = _trained("erm", training, sizes, second, checkpoint=folder)
            losses.append(run.history)
    # The first epoch after the break: later ones drift by rounding alone.
    whole, *broken = (history[half]["loss"] for history in losses)
    error = max(abs(loss - whole) / whole for loss in broken)
    return Finding(error, 0.05, "relative difference of the loss in the epoch after the break")


def repeat(device: torch.device, sizes: Sizes) -> Finding:
    """The same training twice: how far the accuracies are apart."""
    training, test = check_data(sizes)
    first, second = (
        align.evaluate(_trained("align", training, sizes, device), test, max_explained=0)
        for _ in range(2)
    )
    gap = abs(first["accuracy"] - second["accuracy"])
    return Finding(gap, 0.05, "difference of accuracy between two trainings with one seed")


def memory(device: torch.device, sizes: Sizes) -> Finding:
    """The peak memory of a step of ALIGN, as a multiple of ERM's."""
    if device.type != "cuda":
        raise NotHereError("PyTorch counts the memory of GPUs only")
    peaks, domain = {}, timing.images(sizes.side, sizes.batches[0])
    for name in ("erm", "align"):
        method = timing.ready({"method": name}, sizes.backbones[0], domain, device)
        step = timing.step(method, timing.first_batch(domain, sizes.batches[0], device))
        step()
        torch.cuda.reset_peak_memory_stats()
        step()
        peaks[name] = torch.cuda.max_memory_allocated()
        del method, step
    ratio = peaks["align"] / peaks["erm"]
    gib = {name: f"{peak / 2**30:.2f} GiB" for name, peak in peaks.items()}
    what = f"peak memory of ALIGN's step ({gib['align']}) over ERM's ({gib['erm']})"
    return Finding(ratio, 2.5, what)


def no_waiting(device: torch.device, sizes: Sizes) -> Finding:
    """Steps of every method in which the processor would wait for the GPU."""
    if device.type != "cuda":
        raise NotHereError("on a CPU nothing waits; tests/test_gpu_step.py looks at the calls")
    domain = timing.images(32, 4 * sizes.check_images)
    waiting = []
    for name in METHODS:
        method = timing.ready({"method": name}, "small-cnn", domain, device)
        batches = Batches(domain, sizes.check_images, device=device).epoch(0)
        timing.step(method, next(batches))()  # the first step sets up what later ones find
        torch.cuda.set_sync_debug_mode("error")
        try:
            timing.step(method, next(batches))()
        except RuntimeError as error:
            waiting.append(f"{name} ({str(error).splitlines()[0]})")
        finally:
            torch.cuda.set_sync_debug_mode("default")
    names = f": {'; '.join(waiting)}" if waiting else ""
    return Finding(float(len(waiting)), 0.0, f"methods whose step waits for the GPU{names}")


CHECKS: dict[str, tuple[Check, float]] = {
    "outputs": (outputs, 6),
    "gradients": (gradients, 6),
    "no-waiting": (no_waiting, 4),
    "memory": (memory, 4),
    "metrics": (metrics, 4),
    "resume": (resume, 10),
    "half-precision": (half_precision, 30),
    "repeat": (repeat, 10),
    "compiled": (compiling, 60),
}
"""Each check with a first guess at its seconds on a GPU."""


def check_data(sizes: Sizes) -> tuple[Domain, Domain]:
    """A domain to train on and its held-out fifth."""
    return align.load("toy-vlcs", **sizes.check_world)["noon"].split(0.8)


def distance(ours: Tensor, reference: Tensor) -> float:
    """`‖ours − reference‖ / ‖reference‖`."""
    ours, reference = ours.detach().double().cpu(), reference.detach().double().cpu()
    return float((ours - reference).norm() / reference.norm())


def seeded() -> torch.Generator:
    """A generator that always gives the same."""
    return torch.Generator().manual_seed(0)


@contextmanager
def single_precision() -> Iterator[None]:
    """Single precision without the shorter numbers that GPUs may multiply by instead."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def precision(bf16: bool) -> Iterator[None]:
    """Let `align.train` autocast to bf16, or not, whatever the device."""
    autocast = torch.autocast

    def chosen(device_type: str, dtype: torch.dtype, **_: bool) -> torch.autocast:
        return autocast(device_type, dtype, enabled=bf16)

    with mock.patch.object(torch, "autocast", chosen):
        yield


class _CutOffError(Exception):
    """Stands in for a kill."""


@contextmanager
def _cut_off(steps: int) -> Iterator[None]:
    """End a training with the given step."""
    seen = 0

    def count(module: nn.Module, _: tuple) -> None:
        nonlocal seen
        if module.training and isinstance(module, nn.Conv2d) and module.in_channels == 3:
            seen += 1  # the network's first layer, once a step
            if seen >= steps:
                raise _CutOffError

    hook = nn.modules.module.register_module_forward_pre_hook(count)
    try:
        yield
    except _CutOffError:
        return
    finally:
        hook.remove()
    raise RuntimeError(f"the run ended before step {steps}: nothing was cut off")


def _trained(
    method: str,
    training: Domain,
    sizes: Sizes,
    device: torch.device,
    seed: int = 0,
    checkpoint: str | Path | None = None,
) -> align.Run:
    config = Config(**sizes.check_training, seed=seed)
    return align.train(
        method, training, config=config, device=device, checkpoint=checkpoint, progress=False
    )


def twins(backbone: str, device: torch.device) -> tuple[align.Classifier, align.Classifier]:
    """The same network on the device, laid out as in training, and on the CPU, laid out plainly."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        here = align.Classifier(backbone, 5)
        # As after training: without its statistics a new network's logits are little but biases.
        for layer in here.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1.0
        here.train()(timing.images(64, 16).images.float() / 255)
        here.linear.bias.zero_()
        here.eval()
    there = align.Classifier(backbone, 5)
    there.load_state_dict(here.state_dict())
    return there.to(device, memory_format=torch.channels_last).eval(), here


def _gradient(
    name: str, domain: Domain, sizes: Sizes, device: torch.device, layout: torch.memory_format
) -> Tensor:
    """All gradients of a method's losses on one batch."""
    method = timing.ready({"method": name, "lambda4": 0.5}, "small-cnn", domain, device)
    for network in _networks(method):
        network.to(memory_format=layout)
    batch = timing.first_batch(domain, sizes.check_images, device)
    with single_precision():
        method.loss(batch, method.config.joint_from, seeded())["loss"].backward()
        if isinstance(method, Align):
            method.masker_loss(batch, seeded())["mask"].backward()
    return torch.cat([flat_gradient(network).cpu() for network in _networks(method)])


def _networks(method: Method) -> list[nn.Module]:
    """What an optimiser changes; GroupDRO's weights of its environments are no network."""
    parts = [part for part in method.parts().values() if isinstance(part, nn.Module)]
    return [part for part in parts if any(True for _ in part.parameters())]


def flat_gradient(network: nn.Module) -> Tensor:
    """All gradients of a network in one vector."""
    return torch.cat([p.grad.reshape(-1) for p in network.parameters() if p.grad is not None])
