"""`align explain` and `align export`: the right numbers, for any picture that can be read."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import mobilenet_v2
from typer.testing import CliRunner

import align
from align.cli import app
from align.explanation import draw, explain, pictures, pretrained

TINY = align.Config(epochs=2, warmup=0, head_start=0, batch_size=16)


@pytest.fixture(scope="module")
def run(domain):
    return align.train("align", domain, config=TINY, progress=False)


@pytest.fixture
def saved(run, tmp_path):
    run.save(tmp_path / "run")
    return tmp_path / "run"


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_numbers_are_what_the_networks_say(run, domain):
    images = domain.images[:5]
    found = explain(run, images)
    pixels = images.float() / 255
    with torch.no_grad():
        probabilities = run.classifier(pixels).softmax(1)
        masks = run.masker(pixels)
        marked = (masks > 0.5).float()
        mean = run.classifier.mean.expand_as(pixels)
        kept = run.classifier(marked * pixels + (1 - marked) * mean).softmax(1)
        removed = run.classifier((1 - marked) * pixels + marked * mean).softmax(1)
    rows = torch.arange(5)
    assert torch.allclose(found.probabilities, probabilities, atol=1e-6)
    assert torch.equal(found.predicted, probabilities.argmax(1))
    assert torch.allclose(found.kept, kept[rows, found.predicted], atol=1e-5)
    assert torch.allclose(found.removed, removed[rows, found.predicted], atol=1e-5)
    assert torch.allclose(found.masks, masks[:, 0], atol=1e-6)
    cam = align.grad_cam(run.classifier, pixels, found.predicted, upsample=True)
    assert torch.allclose(found.maps, cam, atol=1e-5)
    assert ((found.evidence_inside >= 0) & (found.evidence_inside <= 1)).all()
    assert found.classes == domain.classes and len(found) == 5


def test_looking_leaves_the_networks_as_they_were(run, domain):
    run.classifier.train()
    before = {name: value.clone() for name, value in run.classifier.state_dict().items()}
    explain(run, domain.images[:3])
    assert run.classifier.training
    after = run.classifier.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    run.classifier.eval()


def test_another_size_is_refused_in_one_sentence(run):
    with pytest.raises(ValueError, match="trained on"):
        explain(run, torch.zeros(1, 3, 20, 20))


def test_a_bare_classifier_has_no_mask():
    classifier = align.Classifier("small-cnn", 3).eval()
    found = explain(classifier, torch.rand(2, 3, 32, 32))
    assert found.masks is None and found.row(0)["predicted"].startswith("class ")
    with pytest.raises(ValueError, match="2 class names"):
        explain(classifier, torch.rand(2, 3, 32, 32), classes=("a", "b"))


def test_an_imagenet_model_keeps_its_own_head(tmp_path):
    torch.manual_seed(0)
    model = mobilenet_v2().eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    classifier, classes = pretrained("mobilenet_v2", tmp_path / "weights.safetensors")
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        wanted = model((images - classifier.mean) / classifier.std)
        assert torch.allclose(classifier(images), wanted, atol=1e-4)
    assert len(classes) == 1000 and "tench" in classes
    headless = {k: v for k, v in model.state_dict().items() if not k.startswith("classifier")}
    save_file(headless, tmp_path / "headless.safetensors")
    with pytest.raises(ValueError, match="no head"):
        pretrained("mobilenet_v2", tmp_path / "headless.safetensors")


@pytest.fixture
def album(tmp_path, domain):
    folder = tmp_path / "album"
    (folder / "deeper").mkdir(parents=True)
    for index, image in enumerate(domain.images[:3]):
        pixels = image.permute(1, 2, 0).numpy()
        place = folder / "deeper" if index == 2 else folder
        Image.fromarray(pixels).resize((90, 70)).save(place / f"{index}.jpg")
    return folder


def test_the_command_says_everything_as_json(saved, album):
    done = invoke("explain", album, "--run", saved, "--json")
    assert done.exit_code == 0, done.output + repr(done.exception)
    rows = json.loads(done.stdout)
    assert [row["file"].rsplit("/")[-1] for row in rows] == ["0.jpg", "1.jpg", "2.jpg"]
    for row in rows:
        assert {"predicted", "probabilities", "evidence_inside", "kept", "removed"} <= set(row)


def test_a_broken_picture_is_named_and_the_others_are_done(saved, album):
    (album / "broken.jpg").write_bytes(b"no picture")
    done = invoke("explain", album / "*.jpg", "--run", saved)
    assert done.exit_code == 1
    assert "broken.jpg" in done.stderr and "0.jpg" in done.stdout and "1.jpg" in done.stdout


def test_one_figure_or_one_for_each_picture(saved, album, tmp_path):
    for suffix in ("png", "svg"):
        out = tmp_path / f"all.{suffix}"
        done = invoke("explain", album, "--run", saved, "--out", out)
        assert done.exit_code == 0 and out.stat().st_size > 5000
    done = invoke("explain", album, "--run", saved, "--out", tmp_path / "each")
    names = sorted(path.name for path in (tmp_path / "each").iterdir())
    assert done.exit_code == 0 and names == ["0.png", "1.png", "2.png"]


def test_nothing_to_explain_is_said(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match="no picture at"):
        pictures([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no picture at"):
        pictures([tmp_path / "empty"])


def test_the_figure_has_a_row_a_picture(run, domain):
    figure = draw(explain(run, domain.images[:2]), ("one", "two"))
    assert len(figure.axes) == 6 and figure.axes[0].get_title(loc="left").startswith("one")


def test_an_exported_model_gives_the_same_numbers_without_the_library(saved, run, domain, tmp_path):
    out = tmp_path / "model.pt2"
    done = invoke("export", saved, "--out", out)
    assert done.exit_code == 0, done.output + repr(done.exception)
    images = domain.images[:4].float() / 255
    torch.save(images, tmp_path / "images.pt")
    script = (
        "import json, sys, torch\n"
        "files = {'classes.json': ''}\n"
        f"model = torch.export.load({str(out)!r}, extra_files=files).module()\n"
        f"images = torch.load({str(tmp_path / 'images.pt')!r})\n"
        "assert 'align' not in sys.modules\n"
        "print(json.dumps([json.loads(files['classes.json']), model(images).tolist()]))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    classes, logits = json.loads(ran.stdout)
    with torch.no_grad():
        wanted = run.classifier(images)
    assert tuple(classes) == domain.classes
    assert torch.allclose(torch.tensor(logits), wanted, atol=1e-5)
    with pytest.raises(ValueError, match="size"):
        align.export(replace(run, contract=None), out)
