"""What must hold for every input: splits, augmentation, readers, metrics and losses."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

import align
from align import losses, metrics
from align.data import Domain, join
from align.data.batches import Batches, mirror_and_shift
from align.data.boxes import box_mask
from align.data.folders import load_folder
from align.data.masks import corrupt
from align.files import same
from align.metrics.localisation import top_pixels
from align.saliency import minmax

FEW = settings(max_examples=40, deadline=None)
SHARES = st.floats(0, 1, width=32)


def numbered(count: int, groups: list[int] | None = None) -> Domain:
    """A domain whose images tell which one they are."""
    images = torch.arange(count)[:, None, None, None].expand(-1, 3, 4, 4).byte().contiguous()
    return Domain(
        "d",
        images,
        torch.arange(count) % 3,
        ("a", "b", "c"),
        groups=None if groups is None else torch.tensor(groups),
        files=tuple(map(str, range(count))),
        split_by="image" if groups is None else "group",
    )


@FEW
@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 2**63 - 1))
def test_a_split_deals_out_every_image_once(count: int, fraction: float, seed: int) -> None:
    wanted = round(fraction * count)
    if not 0 < wanted < count:
        return
    first, second = numbered(count).split(fraction, seed)
    assert len(first) == wanted
    assert sorted(map(int, first.files + second.files)) == list(range(count))
    assert first.images[:, 0, 0, 0].tolist() == [int(name) for name in first.files]
    assert first.files == numbered(count).split(fraction, seed)[0].files


def test_another_seed_is_another_split() -> None:
    for domain in (numbered(60), numbered(60, [number // 3 for number in range(60)])):
        assert len({domain.split(0.5, seed)[0].files for seed in range(8)}) == 8


def test_a_fingerprint_tells_images_labels_masks_and_classes_apart() -> None:
    domain = numbered(6)
    changes = (
        {"name": "other"},
        {"images": domain.images.flip(0)},
        {"labels": domain.labels.flip(0)},
        {"classes": ("a", "b", "d")},
        {"masks": torch.zeros(6, 4, 4)},
        {"masks": torch.ones(6, 4, 4)},
    )
    prints = [domain.fingerprint(), *(replace(domain, **c).fingerprint() for c in changes)]
    assert prints[0] == prints[1] and len(set(prints[1:])) == len(changes)


@FEW
@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=60), st.floats(0.05, 0.95), st.integers(0, 99)
)
def test_a_split_by_group_tears_none_apart(groups: list[int], fraction: float, seed: int) -> None:
    domain = numbered(len(groups), groups)
    try:
        first, second = domain.split(fraction, seed)
    except ValueError:
        largest = max(groups.count(group) for group in groups)
        assert min(fraction, 1 - fraction) * len(groups) <= largest / 2 + 0.5
        return
    assert not set(first.groups.tolist()) & set(second.groups.tolist())
    assert sorted(map(int, first.files + second.files)) == list(range(len(groups)))
    largest = max(groups.count(group) for group in groups)
    assert abs(len(first) - fraction * len(groups)) <= largest / 2 + 0.5


def test_joined_domains_are_split_by_group_if_one_of_them_is() -> None:
    several = join([numbered(6, [0, 0, 1, 1, 2, 2]), numbered(4, [0, 0, 0, 5])])
    first, second = several.split(0.5)
    assert several.split_by == "group" and len(several.groups.unique()) == 5
    assert not set(first.groups.tolist()) & set(second.groups.tolist())
    assert join([numbered(6, [0] * 6), numbered(4)]).split_by == "image"


@FEW
@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 12), st.integers(0, 999), SHARES)
def test_augmentation_invents_no_pixel(n: int, height: int, width: int, seed: int, reach) -> None:
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(n, height, width, generator=generator)
    images = masks[:, None].expand(-1, 3, -1, -1).contiguous()
    moved, same = mirror_and_shift(images, masks, generator, reach)
    assert torch.equal(moved[:, 1], same) and moved.shape == images.shape
    for before, after in zip(masks, same, strict=True):
        assert set(after.flatten().tolist()) <= set(before.flatten().tolist())
    alone, none = mirror_and_shift(images, None, torch.Generator().manual_seed(seed), reach)
    assert none is None and alone.shape == images.shape


@FEW
@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 99), st.integers(0, 5))
def test_an_epoch_is_a_permutation_cut_to_whole_batches(count, size, seed, number) -> None:
    if size > count:
        return
    batches = Batches(numbered(count), size, seed, augment=False)
    seen = [int(v * 255 + 0.5) for b in batches.epoch(number) for v in b.images[:, 0, 0, 0]]
    assert len(seen) == len(set(seen)) == len(batches) * size > count - size


names = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="/\\.:"),
    min_size=1,
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@given(
    st.dictionaries(st.tuples(names, names, names), st.integers(0, 255), min_size=1, max_size=5),
    st.sampled_from((".png", ".PNG", ".jpg", ".jpeg")),
)
@example({("0", "\U0002f800", "0"): 0}, ".png")
def test_whatever_the_names_every_image_is_read(tree: dict, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        for (domain, kind, name), grey in tree.items():
            path = root / domain / kind / (name + suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (3, 3), (grey,) * 3).save(path, format="PNG")
        found = load_folder(root, size=2, progress=False, cache=Path(folder) / "cache")
        read = {
            file: (int(label), int(image.float().mean()))
            for part in found
            for file, label, image in zip(part.files, part.labels, part.images, strict=True)
        }
        classes = sorted({same(kind) for _, kind, _ in tree})  # classes are in composed form
        assert found.classes == tuple(classes)
        assert read == {
            f"{domain}/{kind}/{name}{suffix}": (classes.index(same(kind)), grey)
            for (domain, kind, name), grey in tree.items()
        }


maps = arrays.arrays(np.float32, (3, 5, 6), elements=st.floats(-9, 9, width=32))
masks = arrays.arrays(np.float32, (3, 5, 6), elements=SHARES)


@FEW
@given(maps, masks)
def test_localisation_is_a_share_and_knows_no_positive_scale(values, soft) -> None:
    found, truth = torch.from_numpy(values), torch.from_numpy(soft)
    truth[:, 2, 3] = 1
    for metric in (metrics.iou, metrics.energy_inside, metrics.pointing_game):
        value = metric(found, truth)
        assert value.shape == (3,) and ((value >= 0) & (value <= 1 + 1e-6)).all()
        torch.testing.assert_close(metric(found * 4, truth), value)
    assert (metrics.iou(truth, truth, threshold=0.5) == 1).all()
    assert metrics.pointing_game(truth, truth).all()


@FEW
@given(maps, st.lists(st.integers(0, 30), min_size=3, max_size=3))
def test_so_many_pixels_as_were_asked_for(values, counts) -> None:
    found = torch.from_numpy(values)
    marked = top_pixels(found, torch.tensor(counts))
    assert marked.sum((1, 2)).tolist() == counts
    for one, level in zip(marked, found, strict=True):
        if one.any() and not one.all():
            assert level[one].min() >= level[~one].max()


@settings(max_examples=15, deadline=None)
@given(arrays.arrays(np.uint8, (2, 3, 9, 8)), arrays.arrays(np.float32, (2, 3, 4), elements=SHARES))
def test_faithfulness_is_made_of_probabilities(pixels, cells) -> None:
    classifier = align.Classifier("small-cnn", 3).eval()
    found = metrics.faithfulness(
        classifier, torch.from_numpy(pixels), torch.from_numpy(cells), steps=4
    )
    for name, value in found.items():
        known = value[~value.isnan()]
        low = -1 if name.startswith(("suff", "compr")) and "normal" not in name else 0
        assert ((known >= low - 1e-6) & (known <= 1 + 1e-6)).all(), name


@FEW
@given(maps, masks, st.integers(0, 99))
def test_losses_stay_in_their_ranges(values, soft, seed) -> None:
    evidence, mask = torch.from_numpy(values), torch.from_numpy(soft)
    labels = torch.randint(5, (3,), generator=torch.Generator().manual_seed(seed))
    logits = evidence[:, :, 0]
    assert 0 <= losses.alignment_energy(evidence[:, None], mask) <= 1 + 1e-6
    assert losses.alignment_energy(evidence[:, None], torch.ones_like(mask)) == 0
    assert 0 <= losses.distinction(logits, logits.flip(0), labels) <= 4
    assert losses.distinction_margin(logits, logits, labels) >= 0
    assert 0 <= losses.sparsity(mask) <= 1
    assert losses.smoothness(torch.full_like(mask, 0.3)) == 0 <= losses.smoothness(mask)
    stretched = minmax(mask)
    assert ((stretched >= 0) & (stretched <= 1)).all()


@FEW
@given(masks, SHARES, SHARES, SHARES, st.integers(0, 99))
def test_spoilt_masks_miss_and_leak_what_was_asked(soft, missed, more, leaked, seed) -> None:
    truth = torch.from_numpy(soft)
    spoilt = corrupt(truth, missed, leaked, seed) > 0
    inside = truth >= 0.5
    for one, object_, mask in zip(spoilt, inside, truth, strict=True):
        assert abs(int((object_ & ~one).sum()) - missed * int(object_.sum())) <= 0.51
        assert abs(int((~object_ & one).sum()) - leaked * int((~object_).sum())) <= 0.51
        assert mask.shape == one.shape
    worse = corrupt(truth, max(missed, more), leaked, seed) > 0
    assert not (worse & inside & ~spoilt).any()


def test_another_seed_spoils_masks_elsewhere() -> None:
    truth = torch.zeros(1, 32, 32)
    truth[:, 8:24, 8:24] = 1
    spoilt = [corrupt(truth, 0.4, 0.1, seed) for seed in (0, 0, 1)]
    assert torch.equal(spoilt[0], spoilt[1]) and not torch.equal(spoilt[0], spoilt[2])


@FEW
@given(SHARES, SHARES, SHARES, SHARES, st.integers(1, 20))
def test_a_box_mask_has_the_area_of_its_box(left, top, width, height, size) -> None:
    width, height = min(width, 1 - left), min(height, 1 - top)
    mask = box_mask([(left, top, width, height)], size)
    assert ((mask >= 0) & (mask <= 1)).all()
    assert abs(mask.mean().item() - width * height) < 1e-4
