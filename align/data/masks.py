"""Two sets of photographs with masks drawn by people: the truth that localisation is held to."""

from __future__ import annotations

from .benchmark import Domain
from .folders import locate
from .trees import Options, PathLike, list_files, read_domain

# Both lie as DIR/images/NAME.jpg and DIR/masks/NAME.png.
REMEDY = (
    "place it by hand as {{root}}/{folder}/images/*.jpg and {{root}}/{folder}/masks/*.png ({by})"
)


def load_weizmann(root: PathLike | None = None, **options) -> Domain:
    """Load the Weizmann horses: 327 photographs of a horse, each with its outline drawn by hand.

    Args:
        root: the folder that holds `masks/weizmann_horse/`, or that folder itself; None means
            `$ALIGN_DATA`.
        **options: `size`, `mask_threshold`, `on_error`, `cache`, `progress` as for `load_folder`.

    Returns:
        The domain "weizmann_horse" with masks; every label is 0, "horse".

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: as for `load_folder`.

    Source:
        Borenstein and Ullman, "Class-specific, top-down segmentation", ECCV 2002.
    """
    return _load("weizmann_horse", "horse", "Borenstein and Ullman, ECCV 2002", root, options)


def load_pennfudan(root: PathLike | None = None, **options) -> Domain:
    """Load the Penn-Fudan pedestrians: 170 street scenes with masks of the people in them.

    A stored mask numbers the people 1..n; here a pixel is 1 on anybody.

    Args:
        root: the folder that holds `masks/pennfudan_person/`, or that folder itself; None means
            `$ALIGN_DATA`.
        **options: as for `load_weizmann`.

    Returns:
        The domain "pennfudan_person" with masks; every label is 0, "person".

    Raises:
        FileNotFoundError: if it is not there.
        ValueError: as for `load_folder`.

    Source:
        Wang, Shi, Song and Shen, "Object detection combining recognition and segmentation",
        ACCV 2007.
    """
    return _load("pennfudan_person", "person", "Wang et al., ACCV 2007", root, options)


def _load(name: str, kind: str, by: str, root: PathLike | None, options: dict) -> Domain:
    chosen = Options(**options)
    folder = f"masks/{name}"
    remedy = REMEDY.format(folder=folder, by=by)
    base = locate(folder, root, remedy, ("images",))
    pairs = [(f"images/{file}", 0) for file in list_files(base / "images")]
    if not pairs:
        raise FileNotFoundError(f"no images in {base / 'images'}; {remedy.format(root='DIR')}")
    stored = {file.rpartition(".")[0]: file for file in list_files(base / "masks")}
    masks = {file: stored.get(file.removeprefix("images/").rpartition(".")[0]) for file, _ in pairs}
    if bare := [file for file, mask in masks.items() if mask is None]:
        raise ValueError(
            f"{len(bare)} of {len(pairs)} images in {base} have no mask, the first is {bare[0]}; "
            "the copy is incomplete, get it again"
        )
    mask_files = [f"masks/{mask}" for mask in masks.values()]
    make, _ = read_domain(name, pairs, base, (kind,), chosen, base, mask_files)
    return make()
