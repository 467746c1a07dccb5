"""The checks of a device: on a GPU where there is one, their own soundness on the CPU."""

from __future__ import annotations

import math

import pytest
import torch

from alignbook.gpu import checks
from alignbook.gpu.device import find
from alignbook.gpu.plan import NotHereError
from alignbook.gpu.sizes import FULL, REHEARSAL
from alignbook.gpu.stages import checks as stage

CPU = torch.device("cpu")
QUICK = ("outputs", "gradients", "metrics", "resume")
GPU_ALONE = ("memory", "no-waiting")


@pytest.mark.gpu
@pytest.mark.parametrize("name", checks.CHECKS)
def test_it_holds_on_the_gpu(name):
    if not torch.cuda.is_available():
        pytest.skip("no GPU is visible to PyTorch")
    check, _ = checks.CHECKS[name]
    try:
        finding = check(torch.device("cuda"), FULL)
    except NotHereError as reason:
        pytest.skip(str(reason))
    assert finding.holds, finding


# The longer ones are run by the rehearsal, `make gpu DEVICE=cpu`.
@pytest.mark.parametrize("name", QUICK)
def test_it_holds_between_two_layouts_on_the_cpu(name):
    finding = checks.CHECKS[name][0](CPU, REHEARSAL)
    assert finding.holds and finding.value <= finding.limit / 100, finding


@pytest.mark.parametrize("name", GPU_ALONE)
def test_what_a_cpu_cannot_show_says_why(name):
    with pytest.raises(NotHereError, match="CPU|GPUs only"):
        checks.CHECKS[name][0](CPU, REHEARSAL)


@pytest.mark.parametrize("name", ["outputs", "metrics"])
def test_a_device_that_computes_otherwise_is_noticed(name, monkeypatch):
    twins = checks.twins

    def faulty(backbone, device):
        there, here = twins(backbone, device)
        with torch.no_grad():
            there.linear.weight.mul_(1.1)
        return there, here

    monkeypatch.setattr(checks, "twins", faulty)
    assert not checks.CHECKS[name][0](CPU, REHEARSAL).holds


def test_a_gradient_that_is_a_tenth_too_long_is_noticed(monkeypatch):
    ready = checks.timing.ready
    made = []

    def faulty(changes, backbone, domain, device):
        method = ready(changes, backbone, domain, device)
        if not made:  # the first of all: the device's ERM
            method.classifier.linear.weight.register_hook(lambda gradient: 1.1 * gradient)
        made.append(method)
        return method

    monkeypatch.setattr(checks.timing, "ready", faulty)
    assert not checks.gradients(CPU, REHEARSAL).holds


def test_a_run_that_was_not_cut_off_is_noticed():
    training, _ = checks.check_data(REHEARSAL)
    with pytest.raises(RuntimeError, match="nothing was cut off"), checks._cut_off(10**6):
        checks._trained("erm", training, REHEARSAL, CPU)


def test_a_run_that_starts_anew_after_the_break_is_noticed(monkeypatch):
    trained, starts = checks._trained, []

    def forgetful(method, training, sizes, device, seed=0, checkpoint=None):
        starts.append(checkpoint)
        if len(starts) == 5:  # the second half of the second pair
            return trained(method, training, sizes, device, seed + 1)
        return trained(method, training, sizes, device, seed, checkpoint)

    monkeypatch.setattr(checks, "_trained", forgetful)
    assert checks.resume(CPU, REHEARSAL).value > 0


def test_precision_decides_and_comes_back():
    seen, autocast = [], torch.autocast
    for bf16 in (True, False):
        with checks.precision(bf16), torch.autocast("cpu", torch.bfloat16, enabled=not bf16):
            seen.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
    assert seen == [torch.bfloat16, torch.float32]
    assert torch.autocast is autocast


def test_a_number_that_is_none_does_not_hold():
    told = checks.Finding(math.nan, 1.0, "nothing").told()
    assert told["holds"] is False and told["value"] is None
    assert checks.Finding(1.0, 1.0, "the limit itself").holds


def test_the_stage_has_each_check_and_what_it_found():
    units = {unit.name: unit for unit in stage.units(find("cpu"), REHEARSAL)}
    assert set(units) == set(checks.CHECKS)
    told = units["outputs"].work()
    assert told["holds"] is True and told["limit"] > 0 and "logits" in told["what"]
