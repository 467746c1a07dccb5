"""From a tree of image files, `root/domain/class/image`, to the domains of a `Benchmark`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from align.checks import check_choice, check_flag, check_number, check_path, shown
from align.files import same

from .benchmark import Benchmark, Domain
from .cache import cache_dir, digest_files, pack
from .decoding import decode
from .layouts import Layout, PathLike
from .listing import Shelves, astray, instead, passed_over, shelves

# Image files, relative to the root, with their labels.
Pairs = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Options:
    """How images are read, the same for every tree.

    Args:
        size: images are squeezed to squares of this side, in pixels.
        mask_threshold: stored mask values above it are object. None means 0 (0/1, 0/255 and
            label masks alike), and the middle where a mask was black and white before it was
            smoothed or stored with loss; a mask that may mean several things is refused.
        on_error: "raise" stops at images that cannot be read or have no mask; "skip" leaves them
            out and names them in `missing`.
        cache: folder for the decoded images; None means `$ALIGN_CACHE`, else the user's cache.
        progress: whether to show progress bars.

    Raises:
        ValueError: if one of them is out of range.
    """

    size: int = 224
    mask_threshold: int | None = None
    on_error: str = "raise"
    cache: PathLike | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        check_number("size", self.size, 1, 10**5, whole=True)
        check_choice("on_error", self.on_error, ("raise", "skip"))
        if self.mask_threshold is not None:
            check_number("mask_threshold", self.mask_threshold, 0, 65_535, whole=True)
        check_path("cache", self.cache)
        check_flag("progress", self.progress)


@dataclass
class Reader:
    """A folder of images, read domain by domain; `missing` says what is not there or left out."""

    root: Path
    options: Options
    missing: list[str] = field(default_factory=list)

    def keep(
        self, what: str, pairs: Pairs, is_good: Callable[[str], object], fault: str, remedy: str
    ) -> Pairs:
        """The images that are good; the others are counted and left out, or refused."""
        bad = [file for file, _ in pairs if not is_good(file)]
        if not bad:
            return pairs
        sentence = f"{what}: {len(bad):,} of {len(pairs):,} {fault}, the first is {bad[0]}"
        left = len(pairs) - len(bad)
        if self.options.on_error == "raise" or not left:
            skip = ', or pass on_error="skip" to leave these out' if left else ""
            raise ValueError(f"{sentence}; {remedy}{skip}")
        self.missing.append(f"left out: {sentence}")
        return [pair for pair in pairs if is_good(pair[0])]

    def leave_out(self, name: str, broken: Sequence[str], count: int) -> None:
        """Say of each image that it cannot be read, or refuse all with one error."""
        if broken and self.options.on_error == "raise":
            raise ValueError(
                f"{len(broken):,} of {count:,} images of '{name}' cannot be read: "
                f"{'; '.join(broken[:3])}{'; ...' if len(broken) > 3 else ''}. Delete or replace "
                'them, or pass on_error="skip" to leave them out'
            )
        self.missing += [f"left out of '{name}', cannot be read: {entry}" for entry in broken]

    def read(
        self,
        name: str,
        pairs: Pairs,
        classes: tuple[str, ...],
        mask_root: Path | None = None,
        mask_files: Sequence[str] | None = None,
    ) -> Callable[[], Domain]:
        """Pack images and their masks, or map the pack of the cache; then make the domain."""
        root, options = self.root, self.options
        files = [file for file, _ in pairs]
        folder, masked = cache_dir(options.cache), mask_files is not None
        _check_outside(folder, root)
        # The limit is part of the key because it decides which files are refused as too large.
        key: list[object] = [digest_files(root, files, folder), Image.MAX_IMAGE_PIXELS]
        if masked:
            _check_outside(folder, mask_root)
            key += [mask_files, digest_files(mask_root, mask_files, folder), options.mask_threshold]

        def decode_row(index: int) -> np.ndarray:
            mask = mask_root / mask_files[index] if masked else None
            return decode(root / files[index], mask, options.size, options.mask_threshold)

        shape, label = (3 + masked, options.size, options.size), f"packing {name}"
        packed = pack(
            key, len(files), shape, decode_row, folder, description=label, progress=options.progress
        )
        broken = {index: f"{root / files[index]}: {reason}" for index, reason in packed.failed}
        self.leave_out(name, list(broken.values()), len(files))
        kept = [pair for index, pair in enumerate(pairs) if index not in broken]

        def make() -> Domain:
            pixels = torch.from_numpy(packed.pixels)
            return Domain(
                name=name,
                images=pixels[:, :3],
                labels=torch.tensor([label for _, label in kept], dtype=torch.int64),
                classes=classes,
                masks=pixels[:, 3].float().div_(255) if masked else None,
                files=tuple(file for file, _ in kept),
                mask_source=_place(mask_root, root) if masked else "",
            )

        return make


def load_tree(
    layout: Layout, root: Path, masks: PathLike | None, absent: str, options: Options
) -> Benchmark:
    """Load the domains and classes of a layout; `absent` is the error where there is no image."""
    domains, classes = layout.domains, layout.classes
    held = {domain: shelves(root, domain, classes) for domain in domains}
    images = {domain: _images(shelf) for domain, shelf in held.items()}
    if not any(images.values()):
        raise FileNotFoundError("; ".join([absent, *instead(root, domains)[:3]]))
    mask_root = None if masks is None else Path(masks).expanduser()
    filled = [domain for domain in domains if images[domain]]
    found = {} if masks is None else _list_masks(mask_root, filled, classes)
    reader, loaders = Reader(root, options, astray(root)), {}
    for domain, pairs in images.items():
        what, mask_files = f"{layout.title} {domain}", None
        reader.missing += _shortfall(what, classes, pairs, layout.counts.get(domain, {}))
        reader.missing += [f"{what}: {one}" for one in passed_over(root, domain, held[domain])]
        broken = [
            f"{root / place / file}: a link to what is not there"
            for place, _, inside in held[domain]
            for file in inside.broken
        ]
        reader.leave_out(domain, broken, len(pairs) + len(broken))
        if not pairs:
            continue
        why = "" if masks is None else "".join(f" ({w})" for w in instead(mask_root, [domain])[:1])
        if masks is not None and not found[domain]:
            reader.missing.append(f"{what}: no masks in {mask_root / domain}{why}")
        elif masks is not None:
            has_mask = partial(mask_of, found=found[domain])
            fault = f"images have no mask in {mask_root}{why}"
            remedy = "add the masks or restrict classes= or domains="
            pairs = reader.keep(what, pairs, has_mask, fault, remedy)
            mask_files = [mask_of(file, found[domain]) for file, _ in pairs]
        loaders[domain] = reader.read(domain, pairs, classes, mask_root, mask_files)
    return Benchmark(layout.name, classes, loaders, tuple(reader.missing))


def check_names(what: str, given: Sequence[str] | None) -> tuple[str, ...]:
    """Folder names as a tuple, in composed form; an empty one for None."""
    if given is None:
        return ()
    listed = isinstance(given, list | tuple)
    if not listed or not given or not all(isinstance(name, str) for name in given):
        names = ()
    else:
        names = tuple(dict.fromkeys(map(same, given)))
    if not names or len(names) < len(given):
        words = repr(given) if listed and len(given) < 9 else shown(given)
        raise ValueError(f"{what} is {words}, expected a list of different folder names, or None")
    return names


def choose(
    what: str, given: Sequence[str] | None, known: tuple[str, ...], lacking: str
) -> tuple[str, ...]:
    """Names out of those that there are; all of them for None."""
    names = check_names(what, given) or known
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"{lacking} {', '.join(map(repr, unknown))}; choose among {', '.join(known)}"
        )
    return names


def masks_by_name(files: Sequence[str]) -> dict[str, str]:
    """Mask files by their names without suffix; of two, the PNG."""
    files = sorted(files, key=lambda file: file.lower().endswith(".png"))
    # A mask that is spelled as its image comes first.
    return {same(_stem(file)): file for file in files} | {_stem(file): file for file in files}


def mask_of(file: str, found: Mapping[str, str]) -> str | None:
    """The mask of an image among those by name."""
    return found.get(_stem(file)) or found.get(same(_stem(file)))


def tally(found: Mapping[str, int], off: Mapping[str, int], expected: int) -> str:
    """How many images there are of how many, with the classes whose numbers are not right."""
    if not any(found.values()):
        return f"none of {expected:,} images"
    kinds = ", ".join(f"{kind} {found.get(kind, 0):,} of {off[kind]:,}" for kind in off)
    return f"{sum(found.values()):,} of {expected:,} images ({kinds})"


def _images(held: Shelves) -> Pairs:
    """All pictures, in the order of their labels, then of their names as people read them."""
    pairs = [(f"{place}/{file}", label) for place, label, inside in held for file in inside.images]
    return sorted(pairs, key=lambda pair: (pair[1], same(pair[0]), pair[0]))


def _list_masks(
    root: Path, domains: Sequence[str], classes: Sequence[str]
) -> dict[str, dict[str, str]]:
    """For each domain, its mask files by name."""
    found = {
        domain: masks_by_name([file for file, _ in _images(shelves(root, domain, classes))])
        for domain in domains
    }
    if not any(found.values()):
        sentence = (
            f"no masks found in {root}: expected files DOMAIN/CLASS/NAME.png, .jpg or .jpeg below "
            f"it, named as the images of {', '.join(domains)}"
        )
        raise FileNotFoundError("; ".join([sentence, *instead(root, domains)[:3]]))
    return found


def _shortfall(
    what: str, classes: Sequence[str], pairs: Pairs, full: Mapping[str, int]
) -> list[str]:
    """The sentence on what a domain lacks, if it lacks anything."""
    labels = [label for _, label in pairs]
    found = {kind: labels.count(label) for label, kind in enumerate(classes)}
    short = {kind: full[kind] for kind, number in found.items() if number < full.get(kind, 0)}
    empty = [kind for kind, number in found.items() if number == 0]
    if short:
        return [f"{what}: {tally(found, short, sum(full[kind] for kind in classes))}"]
    if not pairs:
        return [f"{what}: no images"]
    return [f"{what}: no images of {', '.join(empty)}"] if empty else []


def _stem(file: str) -> str:
    return file.rpartition(".")[0]


def _place(masks: Path, root: Path) -> str:
    """Where masks come from, without what is this machine's alone."""
    masks, around = masks.resolve(), root.resolve().parent
    return masks.relative_to(around).as_posix() if masks.is_relative_to(around) else masks.name


def _check_outside(folder: Path, root: Path) -> None:
    if folder.resolve().is_relative_to(root.resolve()):
        raise ValueError(
            f"the cache folder {folder} lies inside the data folder {root}, which is never written "
            "to; choose another with cache= or ALIGN_CACHE"
        )
