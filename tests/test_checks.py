"""Checks stand at the doors: who calls from outside is checked, a step of training is not again."""

from __future__ import annotations

import inspect

import pytest
import torch

from align import Config, losses, saliency
from align.checks import checked
from align.data.batches import Batches
from align.training import start

DOORS = {
    f"{module.__name__}.{name}": function
    for module in (losses, saliency)
    for name, function in vars(module).items()
    if hasattr(function, "unchecked") and function.__module__ == module.__name__
}


def test_a_door_checks_and_what_is_behind_it_does_not():
    seen = []

    @checked(lambda value, *, scale=1: seen.append((value, scale)))
    def double(value, *, scale=1):
        """Twice."""
        return 2 * scale * value

    assert double(3, scale=2) == 12 and seen == [(3, 2)]
    assert double.unchecked(3) == 6 and seen == [(3, 2)]
    assert double.__doc__ == "Twice." and list(inspect.signature(double).parameters) == [
        "value",
        "scale",
    ]


def test_there_are_doors():
    assert len(DOORS) == 18 and "align.losses.sparsity" in DOORS


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_door_refuses_what_is_behind_it_would_fail_on(door):
    given = [
        "no tensor" for _ in inspect.signature(door).parameters.values() if _.default is _.empty
    ]
    with pytest.raises(ValueError, match="is of type str, expected|carry no graph"):
        door(*given)
    with pytest.raises((TypeError, AttributeError)):
        door.unchecked(*given)


STEPS = {
    "energy": (
        {"method": "align", "alignment": "energy", "lambda4": 1.0, "warmup": 0, "head_start": 0},
        ["masks"],
    ),
    "probability, BCE": (
        {"method": "align", "distinction": "probability", "alignment": "bce", "target": "stretch"}
        | {"warmup": 0, "head_start": 0},
        ["masks"],
    ),
    "L1": ({"method": "guided", "alignment": "l1", "warmup": 0}, ["masks"]),
    "input gradient": ({"method": "guided", "alignment": "rrr", "warmup": 0}, []),
    "DRE": ({"method": "dre"}, []),
    "CGC": ({"method": "cgc"}, []),
    "SGT": ({"method": "sgt"}, []),
}


@pytest.mark.parametrize(("choices", "looked_at"), STEPS.values(), ids=STEPS)
def test_a_step_looks_at_its_masks_once_and_at_nothing_that_it_made(
    domain, monkeypatch, choices, looked_at
):
    calls = []
    for module in (losses, saliency):

        def noted(name, *rest, real=module.check_floats, **options):
            calls.append(name)
            return real(name, *rest, **options)

        monkeypatch.setattr(module, "check_floats", noted)
    config = Config(epochs=9, batch_size=16, rounds=1, **choices)
    batch = next(Batches(domain, 16).epoch(5))
    terms = start(config.method, domain, config).update(batch, 5, torch.Generator().manual_seed(0))
    assert all(value.isfinite() for value in terms.values())
    assert calls == looked_at
