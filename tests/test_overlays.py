"""Pictures with maps and masks laid over them: what is drawn is what was given."""

import numpy as np
import pytest

from alignbook import overlays, plotting


def images(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)


def test_image_grid_draws_every_image_title_and_outline():
    masks = np.zeros((5, 16, 16))
    masks[:, 4:12, 4:12] = 1
    fig = overlays.image_grid(
        images(), list("abcde"), masks=masks, saliency=np.ones((5, 4, 4)), columns=3
    )
    drawn = [ax for ax in fig.axes if ax.images]
    assert len(drawn) == 5 and [ax.get_title() for ax in drawn] == list("abcde")
    assert all(len(ax.collections) == 2 for ax in drawn)


def test_image_grid_shows_the_pixels_it_was_given():
    given = images(2)
    fig = overlays.image_grid(given)
    shown = fig.axes[1].images[0].get_array()
    np.testing.assert_allclose(shown, given[1].transpose(1, 2, 0) / 255)


@pytest.mark.parametrize(
    "options",
    [{"titles": ["one"]}, {"masks": np.zeros((4, 16, 16))}, {"saliency": np.zeros((16, 16))}],
)
def test_image_grid_refuses_what_does_not_fit(options):
    with pytest.raises(ValueError, match="expected"):
        overlays.image_grid(images(), **options)


def test_blend_is_lightest_where_the_heat_is():
    heat = np.zeros((4, 4))
    heat[1, 2] = 5.0
    mixed = overlays.blend(np.full((16, 16, 3), 0.5), heat).sum(axis=-1)
    row, column = np.unravel_index(mixed.argmax(), mixed.shape)
    assert (row // 4, column // 4) == (1, 2)


def test_blend_of_a_constant_map_is_finite_and_of_a_broken_one_refused():
    assert np.isfinite(overlays.blend(np.zeros((8, 8, 3)), np.ones((2, 2)))).all()
    with pytest.raises(ValueError, match="finite"):
        overlays.blend(np.zeros((8, 8, 3)), np.full((2, 2), np.nan))


def test_the_line_around_cells_follows_their_edges_and_closes_at_the_maps_border():
    cells = np.zeros((3, 4))
    cells[:2, 1:3] = 1
    _, ax = plotting.figure()
    ax.imshow(cells)
    limits = ax.axis()
    overlays.outline_cells(ax, cells)
    assert ax.axis() == limits
    (line,) = ax.collections[0].get_paths()
    (left, top), (right, bottom) = line.vertices.min(0), line.vertices.max(0)
    np.testing.assert_allclose([left, right, top, bottom], [0.5, 2.5, -0.5, 1.5], atol=0.04)
    # No corner is cut: each point lies on a vertical or on a horizontal edge.
    beside = np.abs(line.vertices[:, :1] - [0.5, 2.5]).min(1)
    below = np.abs(line.vertices[:, 1:] - [-0.5, 1.5]).min(1)
    assert np.minimum(beside, below).max() < 0.04


def test_a_mask_that_keeps_dims_the_rest_and_nothing_else():
    keep = np.zeros((5, 16, 16))
    keep[:, 4:12, 4:12] = 1
    fig = overlays.image_grid(images(), keep=keep)
    shown = np.stack([ax.images[0].get_array() for ax in fig.axes if ax.images])
    given = images().transpose(0, 2, 3, 1) / 255
    np.testing.assert_allclose(shown[:, 4:12, 4:12], given[:, 4:12, 4:12])
    np.testing.assert_allclose(shown[:, :4], given[:, :4] * overlays.DIM)


def test_one_picture_is_drawn_with_all_that_is_laid_over_it_and_without_ticks():
    _, ax = plotting.figure()
    heat, mask = np.eye(4), np.zeros((16, 16))
    mask[4:12, 4:12] = 1
    overlays.place(ax, images()[0], heat=heat, mask=mask, title="a cat")
    np.testing.assert_allclose(ax.images[0].get_array(), overlays.blend(images()[0], heat))
    assert len(ax.collections) == 2 and ax.get_title() == "a cat" and not len(ax.get_xticks())
    with pytest.raises(ValueError, match="expected"):
        overlays.place(ax, images()[0], mask=np.zeros((2, 4, 4)))
