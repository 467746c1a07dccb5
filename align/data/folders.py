"""Real images from disk: any `domain/class/image` tree, and those that DomainBed laid out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from align.checks import check_choice, check_flag, check_path

from .benchmark import Benchmark, Domain
from .layouts import PACS, TERRA, VLCS, Layout, PathLike
from .listing import classes_of, domains_of
from .terra import Notes
from .trees import Options, check_names, choose, load_tree


def load_folder(
    root: PathLike | None = None,
    *,
    size: int = 224,
    classes: Sequence[str] | None = None,
    domains: Sequence[str] | None = None,
    name: str = "folder",
    masks: PathLike | None = None,
    mask_threshold: int | None = None,
    on_error: str = "raise",
    cache: PathLike | None = None,
    progress: bool = True,
) -> Benchmark:
    """Load a tree `root/domain/class/*.jpg|jpeg|png`, images in the order of labels, then of names.

    Each domain is decoded once and then memory-mapped from the cache; nothing is ever written below
    `root`. What is not there is said in the benchmark's `missing`, one sentence each, and changes
    no label; so is what looks like pictures and is not read: other types, a folder deeper, links
    to themselves. Names that begin with a dot are passed over.

    Args:
        root: the folder that holds one folder a domain; None means `$ALIGN_DATA`.
        size: images are squeezed to squares of this side, in pixels.
        classes: class folders to read, in label order; None means all that any domain has, sorted,
            and each must have images in one of them.
        domains: domain folders to read, in order; None means all, sorted.
        name: the benchmark's name.
        masks: a folder with the same tree of mask images: `masks/domain/class/name.png` (or .jpg,
            .jpeg) belongs to `root/domain/class/name.jpg`. A domain without any mask gets None;
            within a domain every image needs its mask.
        mask_threshold: this and what follows: see `align.data.trees.Options`.
        on_error: "raise" or "skip".
        cache: folder for the decoded images.
        progress: whether to show progress bars.

    Raises:
        FileNotFoundError: if there is no image, or no mask where masks are asked for.
        ValueError: if an argument is out of range, or on_error is "raise" and an image cannot be
            read or has no mask, or a class folder holds no image in any domain.
    """
    options = Options(size, mask_threshold, on_error, cache, progress)
    check_path("root", root)
    check_path("masks", masks)
    if not (root := root or os.environ.get("ALIGN_DATA")):
        raise FileNotFoundError("no folder of images is given: pass root=DIR or set ALIGN_DATA=DIR")
    root = Path(root).expanduser()
    domains = check_names("domains", domains) or domains_of(root, masks)
    classes = check_names("classes", classes) or classes_of(root, domains, on_error == "skip")
    absent = (
        f"no images found in {root} for domains {', '.join(domains) or '(none)'} and classes "
        f"{', '.join(classes) or '(none)'}: expected files DOMAIN/CLASS/NAME.jpg, .jpeg or .png "
        "below it"
    )
    layout = Layout(name, "domain", (), domains, classes, {}, "")
    return load_tree(layout, root, masks, absent, options)


def load_vlcs(root: PathLike | None = None, *, split: str = "random", **options) -> Benchmark:
    """Load VLCS from DomainBed's layout, `VLCS/{Caltech101,LabelMe,SUN09,VOC2007}/CLASS/*.jpg`.

    Labels are the same whatever part of the benchmark is there: bird, car, chair, dog, person.
    `missing` says where a class has fewer images than in DomainBed.

    Args:
        root: the folder that holds `VLCS/`, or that folder itself; None means `$ALIGN_DATA`.
        split: what `Domain.split` deals out. "random" is single images, as in DomainBed;
            "near-duplicates" keeps Caltech101's photographs of a person, each there whole and cut
            to the face, on one side (`align.data.duplicates`).
        **options: as for `load_folder`, without `name`; `domains` and `classes` choose among the
            benchmark's own.

    Raises:
        FileNotFoundError: if nothing of it is there; the message says how to get it.
        ValueError: as for `load_folder`, or for an unknown domain or class.
    """
    check_choice("split", split, ("random", "near-duplicates"))
    benchmark = _load_layout(VLCS, root, **options)
    return benchmark if split == "random" else _changed(benchmark, _grouped_by_scene)


def load_terra(
    root: PathLike | None = None, *, split: str = "random", boxes: bool = False, **options
) -> Benchmark:
    """Load Terra Incognita from DomainBed's layout, `terra_incognita/location_*/CLASS/*.jpg`.

    Args:
        root: the folder that holds `terra_incognita/`, or that folder itself.
        split: what `Domain.split` deals out. "random" is single images, as in DomainBed;
            "sequence" keeps what a camera took in one go, a frame a second, on one side.
        boxes: take the animals' boxes as masks (zeros for an image without boxes: right for
            measuring localisation, wrong for guiding a classifier).
        **options: as for `load_vlcs`.

    Raises:
        FileNotFoundError: if nothing of it is there, or sequences or boxes are asked for and the
            folder has no notes of them; the message says how to get it.
        ValueError: as for `load_vlcs`.
    """
    check_choice("split", split, ("random", "sequence"))
    check_flag("boxes", boxes)
    if boxes and options.get("masks") is not None:
        raise ValueError("boxes=True and masks= are both given, expected one kind of mask")
    benchmark = _load_layout(TERRA, root, **options)
    if split == "random" and not boxes:
        return benchmark
    notes = Notes.read(TERRA.find(root))

    def noted(domain: Domain) -> Domain:
        if split == "sequence":
            domain = replace(domain, groups=notes.sequences(domain.files), split_by="group")
        if boxes:
            masks = notes.masks(domain.files, domain.images.shape[-1])
            domain = replace(domain, masks=masks, mask_source="boxes")
        return domain

    return _changed(benchmark, noted)


def load_pacs(root: PathLike | None = None, **options) -> Benchmark:
    """Load PACS from DomainBed's layout, `PACS/{art_painting,cartoon,photo,sketch}/CLASS/*.jpg`.

    Labels are dog, elephant, giraffe, guitar, horse, house, person; arguments and errors are those
    of `load_vlcs`, without `split`.
    """
    return _load_layout(PACS, root, **options)


def _changed(benchmark: Benchmark, change: Callable[[Domain], Domain]) -> Benchmark:
    """The benchmark with each domain changed when it is first asked for."""
    loaders = {name: lambda load=load: change(load()) for name, load in benchmark.loaders.items()}
    return replace(benchmark, loaders=loaders)


def _grouped_by_scene(domain: Domain) -> Domain:
    """Every image a group of its own, but for the near-duplicates among Caltech101's people."""
    groups = torch.arange(len(domain))
    if domain.name == "Caltech101" and "person" in domain.classes:
        from .duplicates import near_duplicates

        people = (domain.labels == domain.classes.index("person")).nonzero()[:, 0]
        groups[people] = len(domain) + near_duplicates(domain.images[people])
    return replace(domain, groups=groups, split_by="group")


def _load_layout(
    layout: Layout,
    root: PathLike | None,
    *,
    domains: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    masks: PathLike | None = None,
    **given,
) -> Benchmark:
    options = Options(**given)
    check_path("masks", masks)
    domains = choose("domains", domains, layout.domains, f"{layout.title} has no domain")
    classes = choose("classes", classes, layout.classes, f"{layout.title} has no class")
    base, folder = layout.find(root), layout.folders[0]
    if masks is not None and (Path(masks).expanduser() / folder).is_dir():
        masks = Path(masks) / folder
    remedy = layout.remedy.format(root=base.parent if base.name == folder else base)
    absent = f"no images of {layout.title} in {base} for {', '.join(domains)}; {remedy}"
    chosen = replace(layout, domains=domains, classes=classes)
    return load_tree(chosen, base, masks, absent, options)
