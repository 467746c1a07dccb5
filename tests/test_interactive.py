"""Sliders: what they say to every reader, and that they move in a browser without a kernel."""

import re

import pytest
from browser import CHROMIUM, DRIVER, MISSING, chromium, console_errors, served

from alignbook import interactive, plotting

needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>'


def svg(number: int) -> bytes:
    return SVG.replace(b"10", str(10 + number).encode())


def line(slope: float = 1.0):
    fig, ax = plotting.figure(size=(5.6, 3))
    ax.plot([0, 1], [0, slope])
    return fig


def test_a_figure_becomes_a_light_picture():
    html = interactive.slider_figure(
        [line(), line(2)], [1, 2], "slope", "A line", caption="A caption"
    ).data
    pictures = re.findall(r"data:image/png;base64,[\w+/=]+", html)
    assert len(set(pictures)) == 2
    assert all(len(picture) < 4 / 3 * interactive.MAX_FRAME_BYTES + 40 for picture in pictures)


def test_the_first_frame_shows_without_script():
    html = interactive.slider_figure(
        [svg(0), svg(1)], ["a", "b"], "kind", "A box", caption="A caption", start=1
    ).data
    assert re.search(r'<img src="data:image/svg[^"]+" alt="A box; kind b\."', html)
    assert "<noscript>" in html and "://" not in re.sub(r"data:[^\"]+", "", html)


def test_label_and_value_are_tied_to_the_control():
    html = interactive.slider_figure(
        [svg(0), svg(1)], [0.1, 0.2], "λ1", "A box", caption="A caption"
    ).data
    (key,) = re.findall(r'<input type="range" id="([^"]+)"', html)
    assert f'<label for="{key}"' in html and 'aria-valuetext="0.1"' in html


def test_text_that_looks_like_markup_stays_text():
    html = interactive.slider_figure(
        [svg(0)], ["</script><b>"], "<i>", 'He said "x"', caption="A caption"
    ).data
    assert "<b>" not in html and "<i>" not in html.replace("<img", "")
    assert "&quot;x&quot;" in html


def test_two_figures_on_a_page_have_different_names():
    first, second = (
        interactive.slider_figure([svg(0)], [1], "n", "A box", caption="A caption").data
        for _ in range(2)
    )
    ids = [set(re.findall(r'id="([^"]+)"', html)) for html in (first, second)]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize(
    ("frames", "values", "options", "message"),
    [
        ([svg(0)], [1, 2], {}, "1 frames for 2 positions"),
        ([svg(0)], [], {}, "no values"),
        ([svg(0)], [1], {"label": ""}, "no label"),
        ([svg(0)], [1], {"alt": " "}, "alt is empty"),
        ([svg(0)], [1], {"alt": ["a", "b"]}, "2 texts for 1 frames"),
        ([svg(0)], [1], {"start": 1}, "start is 1"),
        ([b"GIF89a"], [1], {}, "neither a figure nor PNG nor SVG"),
        ([svg(0)], [1], {"max_frame_bytes": 10}, "expected 10 at most"),
    ],
)
def test_what_cannot_be_shown_is_refused(frames, values, options, message):
    with pytest.raises(ValueError, match=message):
        interactive.slider_figure(
            frames, values, **({"label": "n", "alt": "A box", "caption": "A box."} | options)
        )


def test_live_draws_every_combination_beforehand_outside_a_notebook():
    called = []

    def draw(a, b):
        called.append((a, b))
        return svg(len(called))

    html = interactive.live(draw, alt="A box", caption="A box.", a=[1, 2], b=["x", "y"]).data
    assert called == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    assert html.count('<input type="range"') == 2


def test_live_uses_widgets_in_an_open_notebook(monkeypatch):
    import ipywidgets

    seen = {}
    monkeypatch.setattr(interactive, "is_live", lambda: True)
    monkeypatch.setattr(ipywidgets, "interact", lambda function, **sliders: seen.update(sliders))
    assert interactive.live(line, alt="A line", caption="A line.", slope=[1, 2]) is None
    assert list(seen["slope"].options) == [1, 2]


def test_live_without_sliders_is_refused():
    with pytest.raises(ValueError, match="no slider"):
        interactive.live(line, alt="A line", caption="A line.")


@needs_browser
def test_the_sliders_move_with_the_keyboard_and_do_not_disturb_each_other(tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    one = interactive.slider_figure(
        [line(s) for s in (1, 2, 3)], [1, 2, 3], "slope", "A line", caption="Lines."
    )
    grid = {"a": [1, 2], "b": [5, 6, 7]}
    two = interactive.slider_figure([svg(k) for k in range(6)], grid, alt="A box", caption="Boxes.")
    page = f"<!doctype html><meta charset=utf-8><title>t</title>{one.data}{two.data}"
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    (tmp_path / "favicon.ico").write_bytes(b"")

    with served(tmp_path) as address, chromium() as driver:
        driver.get(f"{address}/page.html")
        images = driver.find_elements(By.TAG_NAME, "img")
        slope, a, b = driver.find_elements(By.CSS_SELECTOR, "input[type=range]")
        before = [image.get_attribute("src") for image in images]

        slope.send_keys(Keys.ARROW_RIGHT)
        after = [image.get_attribute("src") for image in images]
        assert after[0] != before[0] and after[1] == before[1]
        assert images[0].get_attribute("alt") == "A line; slope 2."
        assert slope.get_attribute("aria-valuetext") == "2"
        outputs = driver.find_elements(By.TAG_NAME, "output")
        assert [output.text for output in outputs] == ["2", "1", "5"]

        a.send_keys(Keys.END)
        b.send_keys(Keys.END)
        assert images[1].get_attribute("alt") == "A box; a 2, b 7."
        assert images[1].size == {"width": 15, "height": 15}

        slope.send_keys(Keys.HOME)
        assert images[0].get_attribute("src") == before[0]
        assert console_errors(driver) == []


def test_a_live_figure_begins_where_it_is_told(monkeypatch):
    monkeypatch.setenv("ALIGN_STATIC", "1")
    sliders = {"alt": "A line", "caption": "c", "x": [1, 2, 3]}
    drawn = interactive.live(lambda x: line(x), begin={"x": 2}, **sliders).data
    assert drawn.replace("\n", " ").count('value="1"') == 1
    for begin, said in (({"x": 9}, "begin has x=9, expected a slider and"), ({"y": 1}, "has y=1")):
        with pytest.raises(ValueError, match=said):
            interactive.live(line, begin=begin, **sliders)
