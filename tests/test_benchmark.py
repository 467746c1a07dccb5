"""`Domain`: what it refuses, and that splitting loses and doubles nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from align import Domain


def domain(n=10, **changes):
    values = {
        "name": "d",
        "images": torch.arange(n * 3 * 4 * 4).reshape(n, 3, 4, 4).to(torch.uint8),
        "labels": torch.arange(n) % 2,
        "classes": ("a", "b"),
        "masks": torch.rand(n, 4, 4, generator=torch.Generator().manual_seed(0)),
        "groups": torch.arange(n),
        "files": tuple(f"{i}.jpg" for i in range(n)),
    }
    return Domain(**(values | changes))


@settings(deadline=None, derandomize=True)
@given(n=st.integers(2, 60), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 10**6))
def test_split_is_a_partition_that_keeps_everything_together(n, fraction, seed):
    whole = domain(n)
    if not 0 < round(fraction * n) < n:
        with pytest.raises(ValueError, match="leaves one part empty"):
            whole.split(fraction, seed)
        return
    first, second = whole.split(fraction, seed)
    assert len(first) == round(fraction * n)
    seen = torch.cat([first.groups, second.groups])
    assert sorted(seen.tolist()) == list(range(n))
    for part in (first, second):
        assert torch.equal(part.images, whole.images[part.groups])
        assert torch.equal(part.labels, whole.labels[part.groups])
        assert torch.equal(part.masks, whole.masks[part.groups])
        assert part.files == tuple(whole.files[i] for i in part.groups)


def test_split_depends_on_the_seed_alone():
    a, b, c = (domain(40).split(0.5, seed)[0].groups.tolist() for seed in (3, 3, 4))
    assert a == b != c


def test_fingerprint_sees_every_pixel_label_and_mask():
    original = domain()
    for name, value in (("images", 1), ("labels", 0), ("masks", 0.5)):
        changed = getattr(original, name).clone()
        changed.view(-1)[7] = value
        assert domain(**{name: changed}).fingerprint() != original.fingerprint()
    assert domain().fingerprint() == original.fingerprint()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": torch.zeros(10, 3, 4, 4)}, "expected torch.uint8 of shape"),
        ({"images": torch.zeros(10, 4, 4, 3, dtype=torch.uint8)}, "expected torch.uint8 of shape"),
        ({"labels": torch.zeros(9, dtype=torch.int64)}, r"expected torch.int64 of shape \(10,\)"),
        ({"labels": torch.full((10,), 2)}, "labels run from 2 to 2, expected 0 to 1"),
        ({"masks": torch.zeros(10, 5, 4)}, "expected torch.float32 of shape"),
        ({"masks": torch.full((10, 4, 4), 255.0)}, r"from 255 to 255, expected \[0, 1\]"),
        ({"masks": torch.full((10, 4, 4), float("nan"))}, r"expected \[0, 1\]"),
        ({"files": ("a",)}, "1 file names for 10 images"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        domain(**changes)
