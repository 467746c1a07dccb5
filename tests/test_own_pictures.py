"""The page *Your own pictures*: its commands, line by line, on pictures from a telephone."""

import json
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import align
from align.cli import app

PAGE = Path(__file__).parent.parent / "book" / "your_own_pictures.ipynb"


def commands() -> list[str]:
    cells = json.loads(PAGE.read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    (block,) = re.findall(r"```bash\n(.*?)```", text, re.S)
    return block.strip().splitlines()


@pytest.fixture(scope="module")
def album(tmp_path_factory) -> Path:
    """Upright and turned pictures, upper-case suffixes, a thumbnail file and a video among them."""
    root = tmp_path_factory.mktemp("album")
    world = align.load("toy-vlcs", n=80)
    for name, domain in (("home", world["noon"]), ("away", world["dusk"])):
        for index, (image, label) in enumerate(zip(domain.images, domain.labels, strict=True)):
            folder = root / "pictures" / name / domain.classes[label]
            folder.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((120, 90))
            exif = Image.Exif()
            if index % 2:  # held upright: the pixels lie on their side and a tag says so
                picture, exif[0x0112] = picture.transpose(Image.Transpose.ROTATE_90), 6
            picture.save(folder / f"{index:04}.JPG", "JPEG", exif=exif)
    (root / "pictures" / "home" / "bird" / "MOV_0001.mp4").write_bytes(b"no picture")
    (root / "pictures" / "home" / ".DS_Store").write_bytes(b"")
    return root


def test_every_command_of_the_page_runs_in_order(album, monkeypatch):
    monkeypatch.chdir(album)
    lines = commands()
    assert [line.split()[1] for line in lines] == ["train", "evaluate", "explain", "export"]
    said = []
    for line in lines:
        done = CliRunner().invoke(app, shlex.split(line)[1:], catch_exceptions=False)
        assert done.exit_code == 0, (line, done.output)
        said.append(done.output)
    assert "pictures/away/dog" in said[2]
    with Image.open("explained.png") as figure:
        assert min(figure.size) > 100
    assert Path("model.pt2").stat().st_size > 1000


def test_one_figure_holds_a_hundred_pictures_at_most(album, monkeypatch):
    from align.cli import explain as explain_cli

    monkeypatch.chdir(album)
    monkeypatch.setattr(explain_cli, "MOST", 3)
    line = "explain pictures/away --run runs/latest --out all.png"
    done = CliRunner().invoke(app, shlex.split(line))
    assert done.exit_code != 0 and not Path("all.png").exists()
    assert "expected at most 3" in str(done.exception)


def test_a_run_and_a_network_of_torchvision_are_not_given_together():
    """Also where the run is the one that is taken without a word."""
    line = "explain pictures --run runs/latest --backbone resnet18"
    done = CliRunner().invoke(app, shlex.split(line))
    assert done.exit_code != 0
    assert "--run and --backbone are both given" in str(done.exception)
