"""How a model is read: as it is, without changing it, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Model = Callable[[Tensor], Tensor]


@contextmanager
def evaluation_mode(model: Model) -> Iterator[None]:
    """Put a model in evaluation mode for a while.

    The training flag of every submodule is restored one by one, because a frozen BatchNorm inside
    a training model is in evaluation mode on purpose.

    Args:
        model: an `nn.Module`; any other callable is left alone.
    """
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    flags = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, flag in zip(modules, flags, strict=True):
            module.training = flag


@contextmanager
def inference(model: Model, default: torch.device) -> Iterator[torch.device]:
    """Run a model in evaluation mode and without gradients, then give it back unchanged.

    Args:
        model: an `nn.Module`, or any callable.
        default: the device to use for a model without parameters.

    Yields:
        The device that the model's inputs belong on.
    """
    with evaluation_mode(model), torch.inference_mode():
        yield device_of(model, default)


def device_of(model: Model, default: torch.device) -> torch.device:
    """The device of a model's first parameter, or `default` where there is none."""
    parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return default if parameter is None else parameter.device


def suited(images: Tensor, model: Model) -> Tensor:
    """Images in the dtype of a model's first floating-point parameter, if it has one."""
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    return images.to(next((p.dtype for p in parameters if p.is_floating_point()), images.dtype))


def pooled_linear(classifier: nn.Module, features: Tensor) -> Tensor | None:
    """The weights `(C, K)` of a head that is average pooling and one linear layer, or None.

    What the head computes decides, not how its parts are called: `classifier.linear` is believed
    where the head gives, for these features, what pooling and that layer give.

    Args:
        classifier: a module with `head`.
        features: `(N, K, h, w)`, the feature map.
    """
    linear, head = getattr(classifier, "linear", None), getattr(classifier, "head", None)
    if not isinstance(linear, nn.Linear) or linear.in_features != features.shape[1]:
        return None
    with torch.no_grad():
        pooled = linear(features.mean((2, 3)))
        given = head(features.clone())  # a head may work in place
    if given.shape != pooled.shape:
        return None
    precision = 16 * torch.finfo(features.dtype).eps ** 0.75
    scale = pooled.float().abs().amax().clamp_min(torch.finfo(torch.float32).tiny)
    same = (given.float() - pooled.float()).abs().amax() <= precision * scale
    return linear.weight if bool(same) else None
