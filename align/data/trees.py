"""From a tree of image files, `root/domain/class/image`, to the domains of a `Benchmark`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from align.checks import check_flag, check_path, shown
from align.files import same

from .benchmark import Benchmark, Domain
from .cache import cache_dir, digest_files, pack
from .decoding import decode
from .listing import Contents, astray, contents, list_folders, named

PathLike = str | Path
# Images by domain and class.
Counts = Mapping[str, Mapping[str, int]]
# Image files, relative to the root, with their labels.
Pairs = Sequence[tuple[str, int]]
# Class folders below the root, with their labels and what they hold.
Shelves = Sequence[tuple[str, int, Contents]]


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
        if not _is_whole(self.size) or self.size < 1:
            raise ValueError(
                f"size is {shown(self.size)}, expected a positive whole number of pixels"
            )
        if not isinstance(self.on_error, str) or self.on_error not in ("raise", "skip"):
            raise ValueError(f'on_error is {shown(self.on_error)}, expected "raise" or "skip"')
        threshold = self.mask_threshold
        if threshold is not None and (not _is_whole(threshold) or threshold < 0):
            raise ValueError(
                f"mask_threshold is {shown(threshold)}, expected None or a whole number from 0: "
                "the largest stored value that is still background"
            )
        check_path("cache", self.cache)
        check_flag("progress", self.progress)


def load_tree(
    name: str,
    root: Path,
    *,
    title: str,
    domains: Sequence[str],
    classes: tuple[str, ...],
    masks: PathLike | None,
    counts: Counts,
    absent: str,
    options: Options,
) -> Benchmark:
    """Load the named domains and classes of a tree.

    Args:
        name: the benchmark's name.
        root: the folder that holds one folder a domain.
        title: the word before a domain's name in the sentences of `missing`.
        domains: domain folders, in order.
        classes: class folders, in label order.
        masks: a folder with the same tree of mask images, or None.
        counts: how many images a complete copy has; {} where that is not known.
        absent: the error message for a tree without any image.
        options: how images are read.

    Returns:
        The benchmark, its domains already packed.

    Raises:
        FileNotFoundError: if there is no image, or no mask where masks are asked for.
        ValueError: if options.on_error is "raise" and an image cannot be read or has no mask.
    """
    shelves = {domain: _shelves(root, domain, classes) for domain in domains}
    images = {domain: _images(held) for domain, held in shelves.items()}
    if not any(images.values()):
        raise FileNotFoundError("; ".join([absent, *_instead(root, domains)[:3]]))
    check_path("masks", masks)
    mask_root = None if masks is None else Path(masks).expanduser()
    found = _list_masks(mask_root, [d for d in domains if images[d]], classes)
    missing = astray(root)
    loaders = {}
    for domain, pairs in images.items():
        what = f"{title} {domain}"
        missing += _shortfall(what, classes, pairs, counts.get(domain, {}))
        missing += [f"{what}: {said}" for said in _passed_over(root, domain, shelves[domain])]
        missing += _broken_links(domain, shelves[domain], len(pairs), root, options)
        if not pairs:
            continue
        mask_files = None
        if mask_root is not None and not found[domain]:
            why = _instead(mask_root, [domain])[:1]
            missing.append("; ".join([f"{what}: no masks in {mask_root / domain}", *why]))
        elif mask_root is not None:
            pairs, said = _keep_masked(what, pairs, found[domain], mask_root, options)
            missing += said
            mask_files = [_mask_of(file, found[domain]) for file, _ in pairs]
        loaders[domain], said = read_domain(
            domain, pairs, root, classes, options, mask_root, mask_files
        )
        missing += said
    return Benchmark(name, classes, loaders, tuple(missing))


def read_domain(
    name: str,
    pairs: Pairs,
    root: Path,
    classes: tuple[str, ...],
    options: Options,
    mask_root: Path | None = None,
    mask_files: Sequence[str] | None = None,
) -> tuple[Callable[[], Domain], list[str]]:
    """Pack a list of images, or map the pack that the cache holds.

    Args:
        name: the domain's name.
        pairs: `(file, label)` of every image, in order.
        root: the folder that image files are relative to.
        classes: the class names, in label order.
        options: how images are read.
        mask_root: the folder that mask files are relative to.
        mask_files: one mask file an image, or None.

    Returns:
        A function that makes the domain, and one sentence for every image left out.

    Raises:
        ValueError: if options.on_error is "raise" and an image cannot be read.
    """
    files = [file for file, _ in pairs]
    folder = cache_dir(options.cache)
    _check_outside(folder, root)
    # The limit is part of the key because it decides which files are refused as too large.
    key: list[object] = [digest_files(root, files, folder), Image.MAX_IMAGE_PIXELS]
    if mask_files is not None:
        _check_outside(folder, mask_root)
        key += [mask_files, digest_files(mask_root, mask_files, folder), options.mask_threshold]

    def decode_row(index: int) -> np.ndarray:
        mask = None if mask_files is None else mask_root / mask_files[index]
        return decode(root / files[index], mask, options.size, options.mask_threshold)

    packed = pack(
        key,
        len(files),
        (3 if mask_files is None else 4, options.size, options.size),
        decode_row,
        folder,
        description=f"packing {name}",
        progress=options.progress,
    )
    broken = [f"{root / files[index]}: {reason}" for index, reason in packed.failed]
    left_out = _left_out(name, broken, len(files), options)
    failed = {index for index, _ in packed.failed}
    kept = [pair for index, pair in enumerate(pairs) if index not in failed]

    def make() -> Domain:
        pixels = torch.from_numpy(packed.pixels)
        return Domain(
            name=name,
            images=pixels[:, :3],
            labels=torch.tensor([label for _, label in kept], dtype=torch.int64),
            classes=classes,
            masks=None if mask_files is None else pixels[:, 3].float().div_(255),
            files=tuple(file for file, _ in kept),
            mask_source="" if mask_files is None else _place(mask_root, root),
        )

    return make, left_out


def check_names(what: str, given: Sequence[str] | None) -> tuple[str, ...]:
    """Folder names as a tuple.

    Returns:
        The names; an empty tuple for None.

    Raises:
        ValueError: if it is neither.
    """
    if given is None:
        return ()
    names = tuple(given) if isinstance(given, list | tuple) else ()
    if all(isinstance(name, str) for name in names):
        names = tuple(same(name) for name in names)
    if not names or not all(isinstance(n, str) for n in names) or len(set(names)) < len(names):
        said = repr(given) if isinstance(given, list | tuple) and len(given) < 9 else shown(given)
        raise ValueError(f"{what} is {said}, expected a list of different folder names, or None")
    return names


def _shelves(root: Path, domain: str, classes: Sequence[str]) -> Shelves:
    """Each class's folder in a domain, in all spellings of both names."""
    return [
        (f"{place}/{folder}", label, contents(root / place / folder))
        for place in named(root, domain)
        for label, kind in enumerate(classes)
        for folder in named(root / place, kind)
    ]


def _images(shelves: Shelves) -> Pairs:
    """All pictures, in the order of their labels, then of their names as people read them."""
    pairs = [(f"{place}/{file}", label) for place, label, held in shelves for file in held.images]
    return sorted(pairs, key=lambda pair: (pair[1], same(pair[0]), pair[0]))


def _passed_over(root: Path, domain: str, shelves: Shelves) -> list[str]:
    """In words, what a domain's folders hold and what is not read of it."""
    said = [words for place, _, held in shelves for words in held.passed_over(place)]
    for place in named(root, domain):
        said += astray(root / place, f"{place}/")
        beside = len(contents(root / place).images)
        if beside:
            said.append(f"{beside:,} images in {place} itself belong to no class")
    return said


def _instead(root: Path, domains: Sequence[str]) -> list[str]:
    """In words, what is there where no image is read."""
    said = []
    for domain in domains:
        kinds = {kind for place in named(root, domain) for kind in list_folders(root / place)}
        said += _passed_over(root, domain, _shelves(root, domain, sorted(kinds)))
    return said


def _broken_links(
    domain: str, shelves: Shelves, count: int, root: Path, options: Options
) -> list[str]:
    broken = [
        f"{root / place / file}: a link to what is not there"
        for place, _, held in shelves
        for file in held.broken
    ]
    return _left_out(domain, broken, count + len(broken), options)


def _left_out(name: str, broken: Sequence[str], count: int, options: Options) -> list[str]:
    """One sentence for each image that cannot be read, or one error for all."""
    if broken and options.on_error == "raise":
        raise ValueError(
            f"{len(broken):,} of {count:,} images of '{name}' cannot be read: "
            f"{'; '.join(broken[:3])}{'; ...' if len(broken) > 3 else ''}. Delete or replace them, "
            'or pass on_error="skip" to leave them out'
        )
    return [f"left out of '{name}', cannot be read: {entry}" for entry in broken]


def _list_masks(
    root: Path | None, domains: Sequence[str], classes: Sequence[str]
) -> dict[str, dict[str, str]]:
    """For each domain, its mask files by their names without suffix; of two, the PNG."""
    if root is None:
        return {}
    found = {}
    for domain in domains:
        files = [file for file, _ in _images(_shelves(root, domain, classes))]
        files.sort(key=lambda file: file.lower().endswith(".png"))
        found[domain] = {same(_stem(file)): file for file in files}
        found[domain] |= {_stem(file): file for file in files}  # the same spelling comes first
    if not any(found.values()):
        said = (
            f"no masks found in {root}: expected files DOMAIN/CLASS/NAME.png, .jpg or .jpeg below "
            f"it, named as the images of {', '.join(domains)}"
        )
        raise FileNotFoundError("; ".join([said, *_instead(root, domains)[:3]]))
    return found


def _mask_of(file: str, found: Mapping[str, str]) -> str | None:
    return found.get(_stem(file)) or found.get(same(_stem(file)))


def _keep_masked(
    what: str, pairs: Pairs, found: Mapping[str, str], mask_root: Path, options: Options
) -> tuple[Pairs, list[str]]:
    """The images that have a mask, and the sentence on those that have none."""
    kept = [pair for pair in pairs if _mask_of(pair[0], found)]
    if len(kept) == len(pairs):
        return pairs, []
    said = f"{what}: {len(pairs) - len(kept):,} of {len(pairs):,} images have no mask"
    first = next(file for file, _ in pairs if not _mask_of(file, found))
    domain = first.partition("/")[0]
    why = "".join(f" ({words})" for words in _instead(mask_root, [domain])[:1])
    if options.on_error == "raise" or not kept:
        raise ValueError(
            f"{said} in {mask_root}, the first is {first}{why}; add the masks, restrict classes= "
            'or domains=, or pass on_error="skip" to leave out the images without a mask'
        )
    return kept, [f"{said} and are left out, the first is {first}{why}"]


def _shortfall(
    what: str, classes: Sequence[str], pairs: Pairs, full: Mapping[str, int]
) -> list[str]:
    """The sentence on what a domain lacks, if it lacks anything."""
    labels = [label for _, label in pairs]
    found = {kind: labels.count(label) for label, kind in enumerate(classes)}
    expected = sum(full.get(kind, 0) for kind in classes)
    if not pairs:
        return [f"{what}: {f'none of {expected:,}' if expected else 'no'} images"]
    short = {kind: full[kind] for kind, n in found.items() if n < full.get(kind, 0)}
    if short:
        return [f"{what}: {tally(found, short, expected)}"]
    empty = [kind for kind, number in found.items() if number == 0]
    return [f"{what}: no images of {', '.join(empty)}"] if empty else []


def tally(found: Mapping[str, int], off: Mapping[str, int], expected: int) -> str:
    """How many images there are of how many, with the classes whose numbers are not right."""
    if not any(found.values()):
        return f"none of {expected:,} images"
    kinds = ", ".join(f"{kind} {found.get(kind, 0):,} of {off[kind]:,}" for kind in off)
    return f"{sum(found.values()):,} of {expected:,} images ({kinds})"


def _stem(file: str) -> str:
    return file.rpartition(".")[0]


def _place(masks: Path, root: Path) -> str:
    """Where masks come from, without what is this machine's alone."""
    masks, around = masks.resolve(), root.resolve().parent
    return masks.relative_to(around).as_posix() if masks.is_relative_to(around) else masks.name


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_outside(folder: Path, root: Path) -> None:
    if folder.resolve().is_relative_to(root.resolve()):
        raise ValueError(
            f"the cache folder {folder} lies inside the data folder {root}, which is never written "
            "to; choose another with cache= or ALIGN_CACHE"
        )
