"""The style: colours that every eye can tell apart, and helpers that refuse what does not fit."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from align.methods import METHODS, Method
from alignbook import plotting

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
VISIONS = {
    "full": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def linear(color: str) -> np.ndarray:
    value = np.array(mpl.colors.to_rgb(color))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) of a linear RGB colour."""
    xyz = TO_XYZ @ rgb / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(first: str, second: str) -> float:
    light = sorted(0.05 + linear(c) @ [0.2126, 0.7152, 0.0722] for c in (first, second))
    return light[1] / light[0]


def test_the_measures_know_black_and_white():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.02)


@pytest.mark.parametrize("vision", VISIONS)
def test_any_two_methods_differ_in_colour_for_every_eye(vision):
    colors = {name: style.color for name, style in plotting.METHODS.items()}
    colors["any other"] = plotting.OTHERS[0]
    seen = {
        name: lab(np.clip(VISIONS[vision] @ linear(color), 0, 1)) for name, color in colors.items()
    }
    for a, b in itertools.combinations(seen, 2):
        distance = np.linalg.norm(seen[a] - seen[b])
        assert distance >= 20, f"{a} and {b} are {distance:.1f} apart with {vision}"


def test_methods_differ_without_colour_too():
    styles = plotting.METHODS.values()
    assert len({style.marker for style in styles}) == len(styles)
    assert len({(str(style.linestyle), style.marker) for style in styles}) == len(styles)
    assert list(plotting.METHODS) == list(METHODS)


def test_contrast_of_text_and_of_lines_on_the_card():
    assert contrast(plotting.INK, plotting.PAPER) >= 4.5
    assert contrast(plotting.MUTED, plotting.PAPER) >= 4.5
    for color in (plotting.OTHERS[0], *(style.color for style in plotting.METHODS.values())):
        assert contrast(color, plotting.PAPER) >= 3, color


class Newcomer(Method):
    pass


def test_a_method_without_a_look_of_its_own_is_drawn_and_named_all_the_same(monkeypatch):
    monkeypatch.setitem(METHODS, "newcomer", Newcomer)
    found, unknown = (plotting.method_style(name) for name in ("newcomer", "of another version"))
    assert (found.label, unknown.label) == ("Newcomer", "of another version")
    assert found.color == unknown.color == plotting.OTHERS[0]
    _, ax = plotting.figure()
    ax.plot([0, 1], [0, 1], **found.kwargs())
    taken = {style.marker for style in plotting.METHODS.values()}
    assert not taken & {*plotting.OTHERS[1]} and len(plotting.METHODS) == len(METHODS) - 1


def test_a_figure_is_shown_once_only():
    before = mpl.pyplot.get_fignums()
    fig, ax = plotting.figure()
    assert isinstance(fig, Figure) and mpl.pyplot.get_fignums() == before
    assert mpl.colors.to_hex(fig.get_facecolor()) == plotting.PAPER


def test_with_interval_draws_line_and_band_in_the_methods_style():
    fig, ax = plotting.figure()
    returned = plotting.with_interval(ax, [0, 1], [2, 3], [1, 2], [3, 5], method="dre")
    assert returned is fig
    (line,), (band,) = ax.lines, ax.collections
    style = plotting.METHODS["dre"]
    assert (line.get_color(), line.get_marker()) == (style.color, style.marker)
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == 1 and heights.max() == 5


def test_with_interval_refuses_an_interval_beside_its_mean():
    _, ax = plotting.figure()
    with pytest.raises(ValueError, match="crosses the mean"):
        plotting.with_interval(ax, [0], [2], [2.5], [3])
    with pytest.raises(ValueError, match="one and the same"):
        plotting.with_interval(ax, [0, 1], [2], [1], [3])
