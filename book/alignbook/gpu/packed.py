"""Pictures packed into a few files: what a machine without the data sets trains on.

A shard is a safetensors file of one domain's pictures, their compressed bytes one after the other
in a uint8 tensor, with labels, masks and whatever else the domain holds; its header is JSON.
"""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor

from align.data import Benchmark, Domain

FORMAT = "align-packed-1"
IMAGES, MASKS = "images", "masks"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Kind:
    """A packed benchmark, before its pictures are decoded.

    Args:
        name: the benchmark's.
        domains: its domains, the one to train on first.
        has_masks: whether the pictures trained on have masks.
        options: what was packed: side, quality and number of pictures.
        network: backbone and weights that came along, as arguments of `align.Config`.
    """

    name: str
    domains: tuple[str, ...]
    has_masks: bool
    options: dict
    network: dict


def found(folder: Path) -> list[Kind]:
    """The benchmarks that are packed in a folder.

    Args:
        folder: with shards; an absent one holds none.

    Raises:
        ValueError: if a shard is broken, or one of several is missing.
    """
    heads = _heads(folder)
    kinds = []
    for name in dict.fromkeys(head["benchmark"]["name"] for head in heads.values()):
        own = [head for head in heads.values() if head["benchmark"]["name"] == name]
        _check_whole(folder, name, own)
        benchmark = own[0]["benchmark"]
        first = next(head for head in own if head["domain"]["name"] == benchmark["domains"][0])
        network = benchmark["network"]
        kinds.append(
            Kind(
                name, tuple(benchmark["domains"]), MASKS in first["tensors"],
                benchmark["options"], network,
            )
        )  # fmt: skip
    return kinds


@lru_cache(maxsize=2)
def unpack(folder: Path, name: str) -> Benchmark:
    """Read a packed benchmark.

    Args:
        folder: with shards.
        name: the benchmark's.

    Returns:
        The benchmark; a domain's pictures are decoded when it is asked for.

    Raises:
        ValueError: if it is not packed there, or not whole.
    """
    heads = {path: h for path, h in _heads(folder).items() if h["benchmark"]["name"] == name}
    if not heads:
        raise ValueError(f"no benchmark '{name}' is packed in '{folder}'; pack it first")
    _check_whole(folder, name, list(heads.values()))
    told = next(iter(heads.values()))["benchmark"]
    loaders = {}
    for domain in told["domains"]:
        parts = [(path, head) for path, head in heads.items() if head["domain"]["name"] == domain]
        parts.sort(key=lambda part: part[1]["part"])
        loaders[domain] = lambda parts=parts: _domain(parts)
    known = {field.name for field in fields(Benchmark)}
    more = {key: value for key, value in told["more"].items() if key in known}
    return Benchmark(name, tuple(told["classes"]), loaders, **more)


def decode(data: bytes) -> np.ndarray:
    """Pixels of one compressed picture, uint8 `(H, W, 3)` or `(H, W)`."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def _domain(parts: list[tuple[Path, dict]]) -> Domain:
    values: dict = {}
    rows: dict[str, list[Tensor]] = {}
    for path, head in parts:
        values = head["domain"]
        with safe_open(path, "pt") as file:
            for name in head["tensors"]:
                rows.setdefault(name, []).append(_tensor(file, name))
    tensors = {name: torch.cat(pieces) for name, pieces in rows.items()}
    if MASKS in tensors:
        tensors[MASKS] = tensors[MASKS].float() / 255
    files = None
    if values.get("files") is not None:
        files = tuple(name for _, head in parts for name in head["domain"]["files"])
    known = {field.name for field in fields(Domain)}
    others = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
        if key in known and key != "files"
    }
    return Domain(**others, **tensors, files=files)


def _tensor(file: object, name: str) -> Tensor:
    if name not in (IMAGES, MASKS):
        return file.get_tensor(name)
    data, ends = file.get_tensor(name).numpy(), file.get_tensor(f"{name}.ends").tolist()
    pieces = [data[a:b].tobytes() for a, b in zip([0, *ends], ends, strict=False)]
    with ThreadPoolExecutor() as pool:
        pixels = torch.from_numpy(np.stack(list(pool.map(decode, pieces))))
    return pixels.permute(0, 3, 1, 2).contiguous() if name == IMAGES else pixels


def _heads(folder: Path) -> dict[Path, dict]:
    heads = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        if path.name == WEIGHTS:
            continue
        try:
            with safe_open(path, "pt") as file:
                head = json.loads(file.metadata()["pack"])
            if head["format"] != FORMAT:
                raise ValueError(f"its format is '{head['format']}'")
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"'{path}' is broken or no packed pictures ({error}); pack them again"
            ) from error
        heads[path] = head
    return heads


def _check_whole(folder: Path, name: str, heads: list[dict]) -> None:
    for domain in heads[0]["benchmark"]["domains"]:
        own = [head for head in heads if head["domain"]["name"] == domain]
        parts = sorted(head["part"] for head in own)
        wanted = own[0]["parts"] if own else 1
        if parts != list(range(wanted)):
            raise ValueError(
                f"'{folder}' has {len(parts)} of {wanted} shards of {name}, {domain}; copy the "
                "missing ones, or pack it again"
            )
