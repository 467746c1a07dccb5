"""A run knows its data: other data are refused, other sizes default, seen pictures are left out."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import align
from align.cli import app
from align.data import Domain
from align.training.contract import Contract, picture_sums
from align.training.loop import CHECKPOINT

TINY = align.Config(method="erm", epochs=1, warmup=0, head_start=0)


def trained(domain, **options):
    return align.train("erm", domain, config=TINY, progress=False, **options)


def test_a_run_carries_its_contract_and_keeps_it_on_disk(domain, tmp_path):
    run = trained(domain)
    assert run.contract.classes == domain.classes
    assert run.contract.size == tuple(domain.images.shape[2:])
    assert run.contract.fingerprint == domain.fingerprint()
    assert len(run.contract.pictures) == len(domain)
    run.save(tmp_path)
    assert align.Run.load(tmp_path).contract == run.contract


def changed(domain, what):
    if what == "pictures":
        return replace(domain, images=255 - domain.images)
    if what == "labels":
        return replace(domain, labels=(domain.labels + 1) % len(domain.classes))
    if what == "masks":
        return replace(domain, masks=None)
    if what == "size":
        small = domain.images[..., ::2, ::2].contiguous()
        return replace(domain, images=small, masks=None)
    if what == "classes":
        return replace(domain, classes=tuple(f"other {name}" for name in domain.classes))
    return replace(domain, name="elsewhere")


@pytest.mark.parametrize("what", ["pictures", "labels", "masks", "size", "classes", "domain"])
def test_resuming_with_other_data_is_refused_and_says_what_differs(what, domain, tmp_path):
    trained(domain, checkpoint=tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(ValueError, match="then, .* now") as raised:
        trained(changed(domain, what), checkpoint=tmp_path)
    assert what in str(raised.value)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    again = trained(domain, checkpoint=tmp_path)  # the same data go on
    assert len(again.history) == 1


def test_evaluating_on_other_classes_is_refused(domain):
    run = trained(domain)
    reversed_names = replace(domain, classes=domain.classes[::-1])
    with pytest.raises(ValueError, match="trained on"):
        align.evaluate(run, reversed_names, max_explained=0)


def test_pictures_seen_in_training_are_left_out_or_named(domain):
    first, second = domain.split(0.6, seed=0)
    run = trained(first)
    whole = align.evaluate(run, domain, max_explained=0)
    honest = align.evaluate(run, second, max_explained=0)
    assert whole["seen_left_out"] == len(first) and whole["count"] == len(second)
    assert whole["accuracy"] == honest["accuracy"] and "seen_left_out" not in honest
    kept = align.evaluate(run, domain, max_explained=0, seen="keep")
    assert kept["count"] == len(domain) and kept["seen"] == len(first)
    with pytest.raises(ValueError, match="every image"):
        align.evaluate(run, first, max_explained=0)


def test_a_picture_is_known_by_its_pixels_and_not_by_its_name(domain):
    sums = list(picture_sums(domain.images))
    assert len(set(sums)) == len({image.numpy().tobytes() for image in domain.images})
    contract = Contract.of(domain, torch.zeros(3), torch.ones(3))
    renamed = replace(domain, name="renamed", files=tuple(f"{i}.png" for i in range(len(domain))))
    assert contract.seen(renamed).all()
    assert not contract.seen(replace(domain, images=255 - domain.images)).any()


def test_at_another_size_pictures_are_known_by_name(domain):
    named = replace(domain, files=tuple(f"{i}.png" for i in range(len(domain))))
    contract = Contract.of(named, torch.zeros(3), torch.ones(3))
    small = replace(named, images=named.images[..., ::2, ::2].contiguous(), masks=None)
    assert contract.seen(small).all()
    assert not contract.seen(replace(small, name="elsewhere")).any()


def tree(root, classes, side=24, per_class=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for number, kind in enumerate(classes):
        for domain in ("here", "there"):
            folder = root / domain / kind
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(per_class):
                noise = torch.randint(0, 90, (side, side, 3), generator=generator)
                noise[..., number % 3] += 150
                Image.fromarray(noise.to(torch.uint8).numpy()).save(folder / f"{index}.png")
    return root


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


SETTINGS = [p for s in ("epochs=2", "batch_size=8", "augment=false") for p in ("--set", s)]


@pytest.fixture
def run_of_a_tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tree(tmp_path / "mine", ("cat", "dog", "owl"))
    words = ("train", "erm", "--benchmark", "folder", "--root", root, "--source", "here")
    done = invoke(*words, "--size", 24, *SETTINGS)
    assert done.exit_code == 0, done.output + repr(done.exception)
    return root


def test_another_source_in_the_same_folder_is_refused(run_of_a_tree, tmp_path):
    record = (tmp_path / "runs/latest/record.json").read_bytes()
    words = ("train", "erm", "--benchmark", "folder", "--root", run_of_a_tree, "--source", "there")
    done = invoke(*words, "--size", 24, *SETTINGS)
    assert isinstance(done.exception, ValueError) and "here" in str(done.exception)
    assert (tmp_path / "runs/latest/record.json").read_bytes() == record


def test_another_tree_of_as_many_classes_is_refused(run_of_a_tree, tmp_path):
    other = tree(tmp_path / "other", ("ant", "bee", "fly"))
    done = invoke("evaluate", "runs/latest", "--benchmark", "folder", "--root", other)
    assert isinstance(done.exception, ValueError) and "ant" in str(done.exception)


def test_the_size_defaults_to_the_trained_one_and_seen_pictures_are_left_out(run_of_a_tree):
    done = invoke("evaluate", "runs/latest", "--benchmark", "folder", "--root", run_of_a_tree)
    assert done.exit_code == 0, done.output + repr(done.exception)
    found = json.loads(done.stdout)
    assert found["here"]["seen_left_out"] == 29 and found["here"]["count"] == 7
    assert "seen_left_out" not in found["there"]
    record = json.loads(open("runs/latest/record.json").read())
    assert found["there"]["accuracy"] == record["metrics"]["there"]["accuracy"]


def test_a_domain_made_by_hand_is_as_good_as_a_loaded_one():
    images = torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8)
    domain = Domain("mine", images, torch.arange(20) % 2, ("a", "b"))
    run = align.train("erm", domain, config=replace(TINY, batch_size=10), progress=False)
    assert run.contract.masks == "none" and run.contract.files == ()
