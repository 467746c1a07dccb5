"""Sliders that work on the finished page, without a kernel and without a network.

Every position of a slider is drawn beforehand; a few lines of script swap the pictures. In a live
notebook `live` calls the function anew instead.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from IPython.display import HTML
from matplotlib.figure import Figure
from PIL import Image

Frame = Figure | bytes
MAX_FRAME_BYTES = 30_000
MAX_TOTAL_BYTES = 1_200_000

_made = itertools.count(1)


def slider_figure(
    frames: Sequence[Frame],
    values: Sequence[Any] | Mapping[str, Sequence[Any]],
    label: str = "",
    alt: str | Sequence[str] = "",
    *,
    caption: str,
    start: int = 0,
    max_frame_bytes: int = MAX_FRAME_BYTES,
) -> HTML:
    """Show one of several pictures, chosen with a slider or with one slider a parameter.

    Args:
        frames: matplotlib figures, or the bytes of PNG or SVG pictures; for several parameters in
            the order of `itertools.product(*values.values())`, the last changing fastest.
        values: what the slider stands at for each frame, or `{label: values}` for several sliders.
        label: what the slider changes; unused when `values` is a mapping.
        alt: what a picture shows, in words. One sentence is completed with the slider's value; a
            sequence gives one sentence a frame.
        caption: what a reader sees in the picture and what moves, a line or two below it; HTML.
        start: the frame that shows first, and the only one where scripts are off.
        max_frame_bytes: the most that one picture may weigh; colours are reduced to reach it.

    Returns:
        A fragment that needs nothing else: several may stand on one page.

    Raises:
        ValueError: if there is nothing to slide, the numbers of frames, values and texts differ,
            `alt` is missing, or a picture is too heavy.
    """
    sliders = dict(values) if isinstance(values, Mapping) else {label: values}
    sliders = {name: [_say(v) for v in positions] for name, positions in sliders.items()}
    combinations = list(itertools.product(*sliders.values()))
    _check(frames, sliders, combinations, start)
    pictures = [_encode(frame, max_frame_bytes) for frame in frames]
    total = sum(len(picture) for picture in pictures)
    if total > MAX_TOTAL_BYTES:
        raise ValueError(
            f"{len(frames)} frames weigh {total} bytes, expected {MAX_TOTAL_BYTES} at most; "
            "use fewer positions or smaller figures"
        )
    texts = _alternatives(alt, list(sliders), combinations)
    return HTML(_fragment(pictures, sliders, texts, start, caption))


def live(
    function: Callable[..., Figure],
    *,
    alt: str | Sequence[str],
    caption: str,
    begin: Mapping[str, Any] | None = None,
    **sliders: Sequence[Any],
) -> HTML | None:
    """Let the reader move the arguments of `function`.

    Args:
        function: draws a figure from one keyword argument a slider.
        alt: as in `slider_figure`.
        caption: as in `slider_figure`.
        begin: for some arguments the value that is drawn first; else it is the first one.
        **sliders: for each argument the values it can take.

    Returns:
        In a live notebook None, for the widget has then been shown; elsewhere the precomputed
        fragment of `slider_figure`.

    Raises:
        ValueError: as in `slider_figure`, or if a slider is not there or cannot begin so.
    """
    if not sliders:
        raise ValueError("live was given no slider, expected one sequence of values an argument")
    first = {name: values[0] for name, values in sliders.items()} | dict(begin or {})
    for name, value in first.items():
        if value not in sliders.get(name, ()):
            raise ValueError(f"begin has {name}={value!r}, expected a slider and one of its values")
    if is_live():
        import ipywidgets

        controls = {
            name: ipywidgets.SelectionSlider(
                options=list(values), value=first[name], description=name
            )
            for name, values in sliders.items()
        }
        ipywidgets.interact(function, **controls)
        return None
    combinations = list(itertools.product(*sliders.values()))
    frames = [function(**dict(zip(sliders, chosen, strict=True))) for chosen in combinations]
    start = combinations.index(tuple(first.values()))
    return slider_figure(frames, sliders, alt=alt, caption=caption, start=start)


def is_live() -> bool:
    """Return True in a notebook that a reader has open, False in scripts and the book's build."""
    if os.environ.get("ALIGN_STATIC"):
        return False
    from IPython import get_ipython

    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def _say(value: Any) -> str:
    return f"{value:g}".replace("-", "−") if isinstance(value, float) else str(value)


def _check(
    frames: Sequence[Frame],
    sliders: Mapping[str, Sequence[str]],
    combinations: Sequence[tuple[str, ...]],
    start: int,
) -> None:
    if not all(sliders) or not all(sliders.values()):
        raise ValueError("a slider has no label or no values, expected both; name what it changes")
    if len(frames) != len(combinations):
        raise ValueError(
            f"{len(frames)} frames for {len(combinations)} positions of the sliders, "
            "expected one frame a position"
        )
    if not 0 <= start < len(frames):
        raise ValueError(f"start is {start}, expected 0 to {len(frames) - 1}")


def _alternatives(
    alt: str | Sequence[str], names: Sequence[str], combinations: Sequence[tuple[str, ...]]
) -> list[str]:
    if isinstance(alt, str):
        if not alt.strip():
            raise ValueError("alt is empty, expected words that say what the picture shows")
        said = (", ".join(f"{n} {v}" for n, v in zip(names, c, strict=True)) for c in combinations)
        return [f"{alt.rstrip('.')}; {words}." for words in said]
    if len(alt) != len(combinations) or not all(text.strip() for text in alt):
        raise ValueError(
            f"alt holds {len(alt)} texts for {len(combinations)} frames, "
            "expected one that says something for each"
        )
    return list(alt)


def _encode(frame: Frame, limit: int) -> str:
    """Return a picture as a `data:` address."""
    if isinstance(frame, bytes) and frame.lstrip().startswith((b"<svg", b"<?xml")):
        return _data("image/svg+xml", _limited(frame, limit))
    if isinstance(frame, bytes):
        raw = frame
    else:
        stream = io.BytesIO()
        frame.savefig(stream, format="png", dpi=110)
        raw = stream.getvalue()
    if not raw.startswith(b"\x89PNG"):
        raise ValueError(
            "a frame is neither a figure nor PNG nor SVG bytes; draw it as one of them"
        )
    return _data("image/png", _lighten(raw, limit))


def _lighten(png: bytes, limit: int) -> bytes:
    """Return the PNG with a palette, as few colours as `limit` asks for."""
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    paper = Image.new("RGBA", picture.size, "white")
    picture = Image.alpha_composite(paper, picture).convert("RGB")
    light = png
    for colours in (256, 128, 64, 32):
        stream = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
        light = stream.getvalue()
        if len(light) <= limit:
            break
    return _limited(light, limit)


def _limited(picture: bytes, limit: int) -> bytes:
    if len(picture) > limit:
        raise ValueError(
            f"a frame weighs {len(picture)} bytes, expected {limit} at most; "
            "draw it smaller, or raise max_frame_bytes"
        )
    return picture


def _data(kind: str, picture: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(picture).decode()}"


def _fragment(
    pictures: Sequence[str],
    sliders: Mapping[str, Sequence[str]],
    texts: Sequence[str],
    start: int,
    caption: str,
) -> str:
    digest = hashlib.sha256("".join([*pictures, *texts]).encode()).hexdigest()[:8]
    key = f"slider-{digest}-{next(_made)}"
    stands_at = start
    inputs = []
    for name, values in reversed(sliders.items()):
        stands_at, position = divmod(stands_at, len(values))
        inputs.append(_input(f"{key}-{len(inputs)}", name, values, position))
    frames = json.dumps({"pictures": list(pictures), "alt": list(texts)})
    # Within a script element only "<" could end it early.
    frames = frames.replace("<", "\\u003c")
    return (
        f'<figure class="align-slider" id="{key}" style="{_CARD}">'
        f'<img src="{pictures[start]}" alt="{html.escape(texts[start], quote=True)}"'
        ' style="display:block;max-width:100%;height:auto;margin:0 auto">'
        f"{''.join(reversed(inputs))}"
        f"<figcaption>{caption}</figcaption>"
        "<noscript><p>The slider needs JavaScript; the picture shows one of its positions.</p>"
        "</noscript>"
        f'<script type="application/json" class="align-frames">{frames}</script>'
        f"<script>({_SCRIPT})({json.dumps(key)});</script></figure>"
    )


def _input(key: str, name: str, values: Sequence[str], position: int) -> str:
    said = html.escape(values[position], quote=True)
    options = html.escape(json.dumps(list(values)), quote=True)
    return (
        '<div class="align-slider-control" style="display:flex;gap:.75rem;align-items:center;'
        'margin:.5rem 0 0">'
        f'<label for="{key}" style="min-width:7rem">{html.escape(name)} = '
        f'<output for="{key}">{said}</output></label>'
        f'<input type="range" id="{key}" min="0" max="{len(values) - 1}" step="1" '
        f'value="{position}" aria-valuetext="{said}" data-values="{options}" '
        'style="flex:1;min-width:0;min-height:1.75rem"></div>'
    )


_CARD = (
    "background:var(--slider-card,#fff);color:var(--slider-ink,#1f2328);"
    "border-radius:.5rem;padding:.75rem;margin:1rem 0;max-width:46rem"
)
"""Light wherever it stands, as its pictures are; the book's dark pages name other colours."""

_SCRIPT = """function (key) {
  const root = document.getElementById(key);
  const image = root.querySelector("img");
  const inputs = Array.from(root.querySelectorAll("input"));
  const frames = JSON.parse(root.querySelector(".align-frames").textContent);
  const show = function () {
    let at = 0;
    for (const input of inputs) {
      const values = JSON.parse(input.dataset.values);
      const said = values[Number(input.value)];
      at = at * values.length + Number(input.value);
      input.setAttribute("aria-valuetext", said);
      input.parentElement.querySelector("output").textContent = said;
    }
    image.src = frames.pictures[at];
    image.alt = frames.alt[at];
  };
  inputs.forEach(function (input) { input.addEventListener("input", show); });
  show();
}"""
