"""What a reader has on disk, in a form that two readers can compare: counts and a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from align.data.cache import cache_dir, digest_files
from align.data.layouts import Counts
from align.data.listing import contents
from align.data.trees import tally
from align.files import replacing


@dataclass(frozen=True)
class Manifest:
    """The contents of a data set's folder.

    Args:
        name: the data set's name.
        version: which of its versions, or "".
        counts: images by domain and class.
        fingerprint: the first 16 hexadecimal digits of a SHA-256 over the bytes of all images with
            their domains and classes; "" where they were only counted. File names, times and order
            do not matter.
        archives: of each archive that it was built from and whose hash nobody published, the hash
            as it was found at the first success, "sha256:...", by file name.
    """

    name: str
    version: str
    counts: Counts
    fingerprint: str
    archives: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All images."""
        return sum(sum(row.values()) for row in self.counts.values())

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        with replacing(path) as (partial,):
            partial.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read what `write` wrote.

        Raises:
            ValueError: if it is not a manifest.
        """
        try:
            found = json.loads(path.read_text())
            counts = {d: {k: int(n) for k, n in row.items()} for d, row in found["counts"].items()}
            texts = [found[key] for key in ("name", "version", "fingerprint")]
            archives = dict(found.get("archives", {}))
            if not all(isinstance(text, str) for text in (*texts, *archives.values())):
                raise TypeError("a text was expected")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path} is no manifest ({error}); delete it") from error
        return cls(texts[0], texts[1], counts, texts[2], archives)


def describe(
    name: str,
    folder: Path,
    domains: Sequence[str],
    classes: Sequence[str],
    version: str = "",
    *,
    fingerprint: bool = True,
) -> Manifest:
    """Count and fingerprint the images of a tree `folder/domain/class/image`."""
    files = {
        (domain, kind): [
            f"{domain}/{kind}/{file}" for file in contents(folder / domain / kind).images
        ]
        for domain in domains
        for kind in classes
    }
    return summary(name, folder, files, version, fingerprint=fingerprint)


def summary(
    name: str,
    folder: Path,
    files: Mapping[tuple[str, str], Sequence[str]],
    version: str = "",
    *,
    fingerprint: bool = True,
) -> Manifest:
    """Count and fingerprint given images of a folder, by domain and class."""
    counts: dict[str, dict[str, int]] = {}
    for (domain, kind), names in files.items():
        counts.setdefault(domain, {})[kind] = len(names)
    if not fingerprint:
        return Manifest(name, version, counts, "")
    every = [name for names in files.values() for name in names]
    digests = dict(zip(every, digest_files(folder, every, cache_dir()), strict=True))
    whole = hashlib.sha256()
    for (domain, kind), names in sorted(files.items()):
        whole.update(json.dumps([domain, kind, sorted(digests[n] for n in names)]).encode())
    return Manifest(name, version, counts, whole.hexdigest()[:16])


def differences(found: Counts, expected: Counts) -> list[str]:
    """Where counts differ, one sentence a domain."""
    notes = []
    for domain, row in expected.items():
        counted = found.get(domain, {})
        off = {kind: number for kind, number in row.items() if counted.get(kind, 0) != number}
        if off:
            notes.append(f"{domain}: {tally(counted, off, sum(row.values()))}")
    return notes
