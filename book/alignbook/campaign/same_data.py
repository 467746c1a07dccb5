"""Whether records that are compared are of the same data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache

from align.data import is_rendered
from align.records import trained_on


def mixed(recorded: Iterable[dict], rendered: bool = False) -> list[str]:
    """In words, where records that should be of the same data are of different data.

    Whole test domains are the same for every method, and for every seed unless it draws the images;
    training and held-out parts are the same for one seed. Looked at are data from a disk, or the
    `rendered` worlds alone, whose last digits differ between processors.
    """
    first: dict[tuple, tuple[str, str]] = {}
    found = {}
    drawn = lru_cache(is_rendered)
    for record in recorded:
        if drawn(record["benchmark"]) != rendered:
            continue
        for place, fingerprint in _fingerprints(record, rendered):
            key, known = first.setdefault(place, (record["key"], fingerprint))
            if known != fingerprint and place not in found:
                found[place] = (
                    f"the records {key} and {record['key']} are of different data: {place[2]} of "
                    f"'{place[0]}' is {known} in the one and {fingerprint} in the other"
                )
    return list(found.values())


def check_same_data(recorded: Iterable[dict]) -> None:
    """Raise a ValueError if two records that should be of the same data from a disk are not."""
    if sentences := mixed(recorded):
        raise ValueError(
            f"{sentences[0]}; such runs are not comparable: make one of them again, or keep their "
            "records in different files"
        )


COMPUTED = ("grabcut", "segmenter", "sam")
"""Sources of masks that may differ in the last digits from machine to machine."""


def _fingerprints(record: dict, rendered: bool) -> Iterator[tuple[tuple, str]]:
    """The data of a record, each under all that they should depend on."""
    config, trained = record["config"], trained_on(record)
    benchmark = (record["benchmark"], json.dumps(record["options"], sort_keys=True))
    drawn = config.get("seed") if rendered else None
    for domain, fingerprint in record.get("data", {}).items():
        seed = config.get("seed") if domain in trained else drawn
        yield (*benchmark, f"domain {domain}", domain in trained, seed), fingerprint
    source = record.get("mask_source", "")
    if "training_data" in record and source not in COMPUTED:
        shares = ("mask_area", "missed", "leaked")
        masks = (source, *(record.get(share, 0) for share in shares))
        what = f"the training part of {' and '.join(trained)}"
        yield (*benchmark, what, masks, config.get("seed")), record["training_data"]
