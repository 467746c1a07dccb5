"""Checks of arguments: one sentence that says what was given and what was expected.

Each takes the argument's `name`, for the message, and the `value` that was given, and raises a
ValueError where it is not as the check's own sentence says. A `shape` has one letter an axis, such
as "NCHW"; `sizes` are those that some letters must have, from an argument checked before.
Only shapes and dtypes are looked at on every device. Values are looked at on a CPU alone: on a GPU
each look would make a training step wait.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

Sizes = dict[str, int]


def checked(check: Callable) -> Callable[[Callable], Callable]:
    """Put a check, which takes the same arguments and raises, before a function.

    The function without the check is its `unchecked`, for callers that know what they pass, such
    as the steps of training.
    """

    def decorate(function: Callable) -> Callable:
        @wraps(function)
        def door(*args: Any, **kwargs: Any) -> Any:
            check(*args, **kwargs)
            return function(*args, **kwargs)

        door.unchecked = function
        return door

    return decorate


def shown(value: Any) -> str:
    """What was given, for a message: a short value itself, of anything else its type."""
    short = value is None or isinstance(value, bool | int | float | str | os.PathLike)
    return repr(value) if short else f"of type {type(value).__name__}"


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, of Python or of NumPy."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_kind(name: str, value: Any, kind: type | tuple[type, ...], expected: str) -> None:
    """Refuse what is not of a type."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} is {shown(value)}, expected {expected}")


def check_function(name: str, value: Any) -> None:
    """Refuse what is neither a function nor None."""
    if value is not None and not callable(value):
        raise ValueError(f"{name} is {shown(value)}, expected a function, or None")


def check_path(name: str, value: Any) -> None:
    """Refuse what is neither a path nor None."""
    check_kind(name, value, (str, os.PathLike, type(None)), "a path, or None")


def check_texts(name: str, value: Any) -> None:
    """Refuse what is not a tuple of texts."""
    if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
        given = "a tuple of other things" if isinstance(value, tuple) else shown(value)
        raise ValueError(f"{name} is {given}, expected a tuple of texts")


def check_choice(name: str, value: Any, known: Sequence[str]) -> None:
    """Refuse what is not one of a few words."""
    if not isinstance(value, str) or value not in known:
        some = " or ".join(map(repr, known)) if len(known) < 3 else f"one of {', '.join(known)}"
        raise ValueError(f"{name} is {shown(value)}, expected {some}")


def check_device(value: Any) -> None:
    """Refuse what names no device."""
    try:
        torch.device(value if isinstance(value, str | torch.device) else "")
    except RuntimeError:
        raise ValueError(f"device is {shown(value)}, expected 'cpu' or 'cuda'") from None


def check_bytes(name: str, value: Any) -> None:
    """Refuse what is not a batch of colour images in bytes."""
    check_shape(name, value, "N3HW", {"3": 3}, torch.uint8)


def check_images(images: Any, *, bytes_too: bool = False) -> None:
    """Refuse what is not a batch of colour images in floating point.

    A metric takes `bytes_too`, and looks at the values once, on any device: they are finite and in
    [0, 1], and there is at least one image.
    """
    check_tensor("images", images)
    shape, fits = tuple(images.shape), images.ndim == 4 and images.shape[1] == 3
    if bytes_too and (not fits or 0 in shape):
        raise ValueError(
            f"images have shape {shape}, expected (N, 3, H, W) with at least one image; add a "
            "batch dimension to a single image with images[None]"
        )
    if bytes_too and images.dtype == torch.uint8:
        return
    if not fits or not images.is_floating_point():
        raise ValueError(
            f"images are {images.dtype} of shape {shape}, expected floating point of shape "
            f"(N, 3, H, W) in [0, 1]{', or torch.uint8' if bytes_too else ''}; divide bytes by 255 "
            "first"
        )
    low, high = (end.item() for end in images.aminmax()) if bytes_too else (0, 1)
    if not (low >= -1e-4 and high <= 1 + 1e-4):  # written so that NaN fails too
        raise ValueError(
            f"image values run from {low:.3g} to {high:.3g}, expected [0, 1]; "
            "give the images before normalisation, since the classifier normalises them itself"
        )


def check_tensor(name: str, value: Any) -> None:
    """Refuse what is not a tensor at all."""
    if not isinstance(value, Tensor):
        raise ValueError(
            f"{name} is of type {type(value).__name__}, expected a torch.Tensor; turn an array "
            "into one with torch.from_numpy"
        )


def check_shape(
    name: str, value: Any, shape: str, sizes: Sizes | None = None, dtype: torch.dtype | None = None
) -> Sizes:
    """Refuse what is not a tensor of a shape and a dtype, None being any floating point.

    Returns:
        The size of every letter seen so far.
    """
    check_tensor(name, value)
    known = dict(sizes or {})
    right = value.is_floating_point() if dtype is None else value.dtype == dtype
    fits = value.ndim == len(shape) and all(
        known.setdefault(letter, size) == size
        for letter, size in zip(shape, value.shape, strict=False)
    )
    if right and fits:
        return known
    before = sizes or {}
    wanted = ", ".join(str(before.get(letter, letter)) for letter in shape)
    raise ValueError(
        f"{name} {'are' if name.endswith('s') else 'is'} {value.dtype} of shape "
        f"{tuple(value.shape)}, expected {dtype or 'floating point'} of shape "
        f"({wanted}{',' * (len(shape) == 1)})"
    )


def check_floats(name: str, value: Any, shape: str, sizes: Sizes | None = None) -> Sizes:
    """Refuse what is not a floating-point tensor of a shape; see `check_shape`."""
    return check_shape(name, value, shape, sizes)


def check_classes(name: str, value: Any, sizes: Sizes) -> None:
    """Refuse what is not one class an image; sizes with a letter C say how many classes."""
    check_shape(name, value, "N", sizes, torch.int64)
    if "C" not in sizes or not value.is_cpu or not value.numel():
        return
    low, high = (int(end) for end in value.aminmax())
    if low < 0 or high >= sizes["C"]:
        raise ValueError(
            f"{name} run from {low} to {high}, expected 0 to {sizes['C'] - 1}: there are "
            f"{sizes['C']} classes"
        )


def check_shares(name: str, value: Tensor) -> None:
    """Refuse values outside [0, 1], on a CPU.

    Values that are not numbers pass: training says in which step they came up.
    """
    if not value.is_cpu or not value.numel():
        return
    low, high = (end.item() for end in value.detach().aminmax())
    if low < -1e-4 or high > 1 + 1e-4:
        raise ValueError(
            f"{name} run from {low:.3g} to {high:.3g}, expected [0, 1]; "
            "divide bytes by 255, or take a sigmoid first"
        )


def check_number(
    name: str, value: Any, low: float, high: float, *, whole: bool = False, open_ends: bool = False
) -> None:
    """Refuse what is not a number in a range."""
    kinds = int if whole else int | float
    inside = isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high
    if not inside or (open_ends and value in (low, high)):
        kind = "a whole number" if whole else "a number"
        between = "strictly between" if open_ends else "from"
        joint = "and" if open_ends else "to"
        raise ValueError(
            f"{name} is {shown(value)}, expected {kind} {between} {low:g} {joint} {high:g}"
        )


def check_size(name: str, value: Any) -> None:
    """Refuse what is not a height and a width."""
    pair = isinstance(value, tuple | list) and len(value) == 2
    if not pair or not all(isinstance(side, int) and side >= 1 for side in value):
        given = repr(value) if pair else shown(value)
        raise ValueError(f"{name} is {given}, expected two whole numbers (h, w), at least 1")


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {shown(value)}, expected True or False")


def check_seed(value: Any) -> None:
    """Refuse what cannot seed a random generator."""
    check_number("seed", value, 0, 2**63 - 1, whole=True)
