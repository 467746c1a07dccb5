"""Runs of a grid on other data than before: neither resumed nor tabled beside them in silence."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from synthetic import BARE, record
from typer.testing import CliRunner

import align
from align import experiment, records
from align.cli import app
from align.config import Config
from align.data import join
from align.data.mask_sources import mask_source
from align.experiment import Experiment, prepare
from align.training.contract import Contract
from alignbook import results
from alignbook.campaign import grid, runner, same_data
from alignbook.campaign.runner import missing, run_all

TINY = Config(method="erm", epochs=2, batch_size=8, warmup=0, head_start=0)


def tree(root, seed=0, classes=("cat", "dog"), masks=None):
    rng = np.random.default_rng(seed)
    for domain in ("here", "there"):
        for kind in classes:
            for number in range(12):
                path = root / domain / kind / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
                if masks is not None:
                    path = masks / domain / kind / f"{number}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.new("L", (16, 16), 255).save(path)
    return root


def tiny(seed=0, **changes):
    options = {"size": 16, "progress": False}
    values = {"benchmark": "folder", "source": "here", "options": options, "explained": 0}
    return Experiment(config=replace(TINY, seed=seed), **(values | changes))


@pytest.fixture(autouse=True)
def forgets():
    experiment._load.cache_clear()


def interrupted(one, root, work, monkeypatch):
    """Run until the checkpoint is written, as if the process had been killed then."""

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(experiment, "_measure", killed)
        run_all([one], work.parent / "r.jsonl", root=root, work=work, progress=False)
    (folder,) = (path for path in work.iterdir() if path.name != "claims")
    assert (folder / "checkpoint.pt").is_file()
    return folder


def test_an_unfinished_run_goes_on_with_its_data_and_begins_anew_with_others(tmp_path, monkeypatch):
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b", seed=1)
    work, path = tmp_path / "work", tmp_path / "r.jsonl"
    left = interrupted(tiny(), first, work, monkeypatch)
    resumed = []
    real = align.training.loop._resume
    monkeypatch.setattr(
        align.training.loop, "_resume", lambda *a: (resumed.append(a[0].parent), real(*a))[1]
    )
    assert run_all([tiny()], path, root=second, work=work, progress=False) == 1
    assert resumed == []
    (made,) = records.read(path)
    fresh, _ = experiment.run(tiny(), root=second, progress=False)
    assert made["metrics"] == fresh["metrics"] and made["data"] == fresh["data"]
    assert [p.name for p in work.iterdir()] == ["claims"]
    path.unlink()
    left = interrupted(tiny(), first, work, monkeypatch)
    experiment._load.cache_clear()
    assert run_all([tiny()], path, root=first, work=work, progress=False) == 1
    assert resumed == [left]


def test_changed_pictures_in_the_same_root_begin_anew(tmp_path, monkeypatch):
    root, work = tree(tmp_path / "a"), tmp_path / "work"
    left = interrupted(tiny(), root, work, monkeypatch)
    shutil.rmtree(root)
    tree(root, seed=1)
    experiment._load.cache_clear()
    assert prepare(tiny(), root).training_data not in left.name
    monkeypatch.setattr(align.training.loop, "_resume", lambda *_: pytest.fail("resumed"))
    assert run_all([tiny()], tmp_path / "r.jsonl", root=root, work=work, progress=False) == 1


def test_runs_on_other_pictures_are_not_added_to_a_file(tmp_path):
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b", seed=1)
    path = tmp_path / "r.jsonl"
    assert run_all([tiny(0)], path, root=first, progress=False) == 1
    before = path.read_bytes()
    wanted = [tiny(1), tiny(2)]
    with pytest.raises(RuntimeError, match="domain there of 'folder' is .* move '.*' away"):
        run_all(wanted, path, root=second, progress=False)
    assert path.read_bytes() == before and missing(wanted, path) == wanted
    assert run_all(wanted, path, root=first, progress=False) == 2
    assert same_data.mixed(records.read(path)) == []


def test_the_runs_of_a_recorded_grid_are_all_of_the_same_photographs():
    for name in grid.GRIDS:
        assert same_data.mixed(records.read(grid.records_file(name))) == [], name


def other_data(one, **changes):
    made = record(one, lambda domain, shift: 0.5, images="shared")
    return made | {"data": made["data"] | changes}


def test_a_table_of_different_photographs_is_refused_and_names_two_records(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "RESULTS", tmp_path)
    wanted = [one for one in grid.pacs_methods() if one.source == "photo"][:3]
    for one in wanted:
        records.append(tmp_path / "pacs-methods.jsonl", other_data(one))
    assert len(results.current("pacs-methods")) == 3
    last = next(one for one in grid.pacs_methods() if one not in wanted and one.source == "photo")
    records.append(tmp_path / "pacs-methods.jsonl", other_data(last, sketch="another"))
    with pytest.raises(ValueError, match=f"{wanted[0].key()} and {last.key()} .*domain sketch"):
        results.current("pacs-methods")
    done = CliRunner().invoke(app, ["benchmark", "table", "pacs-methods"])
    assert done.exit_code != 0 and "different data" in str(done.exception)


def test_rendered_worlds_that_differ_are_named_beside_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "RESULTS", tmp_path)
    alike = [one for one in grid.toy() if one.config.seed == 0]
    for number, one in enumerate(alike[:3]):
        changed = {"dusk": "another"} if number == 2 else {}
        records.append(tmp_path / "toy.jsonl", other_data(one, **changed))
    done = CliRunner().invoke(app, ["benchmark", "table", "toy"])
    assert done.exit_code == 0
    assert f"{alike[0].key()} and {alike[2].key()} are of different data: domain dusk" in (
        done.stderr
    )


def test_held_out_parts_are_compared_within_a_seed_only():
    one, two = (
        BARE
        | {
            "key": f"k{seed}",
            "benchmark": "pacs",
            "config": {"seed": seed},
            "source": "photo",
            "data": {"photo": f"part {seed}", "sketch": "all"},
            "training_data": f"rest {seed}",
        }
        for seed in range(2)
    )
    assert same_data.mixed([one, two]) == []
    again = one | {"key": "k2", "data": {"photo": "other", "sketch": "all"}}
    assert len(same_data.mixed([one, two, again])) == 1
    assert len(same_data.mixed([one, one | {"key": "k3", "training_data": "other"}])) == 1
    assert same_data.mixed([one, one | {"mask_source": "gray", "training_data": "other"}]) == []
    with pytest.raises(ValueError, match="k0 and k2 are of different data: domain photo"):
        same_data.check_same_data([one, two, again])


# Where masks come from.


def contract(domain):
    return Contract.of(domain, torch.zeros(3), torch.ones(3))


def test_a_contract_names_the_source_of_the_masks(tmp_path):
    root, masks = tree(tmp_path / "data", masks=tmp_path / "by hand"), tmp_path / "by hand"
    options = {"size": 16, "progress": False}
    here = align.load("folder", root, masks=masks, **options)["here"]
    assert contract(here).masks == "by hand"
    assert contract(align.load("folder", root, **options)["here"]).masks == "none"
    assert contract(replace(here, mask_source="")).masks == "given"
    assert contract(mask_source("gray", here)).masks == "gray"
    assert contract(mask_source("true", here)).masks == "by hand"
    assert contract(here.split(0.5)[0]).masks == "by hand"
    gray = mask_source("gray", here)
    assert contract(join([here, replace(here, name="again")])).masks == "by hand"
    assert contract(join([here, replace(gray, name="again")])).masks == "by hand, gray"
    assert contract(align.load("toy-vlcs", n=20, size=16)["noon"]).masks == "true"
    spoilt = tiny(missed=0.3, options=options | {"masks": str(masks)})
    assert contract(prepare(spoilt, root).training).masks == "by hand, spoilt"


def test_the_name_of_masks_is_said_and_their_contents_decide(domain, tmp_path):
    run = align.train("erm", domain, config=replace(TINY, epochs=1), progress=False)
    assert run.contract.masks == "true"
    renamed = contract(replace(domain, mask_source="elsewhere"))
    assert contract(domain).differences(renamed) == []
    gray = contract(mask_source("gray", domain))
    assert contract(domain).differences(gray) == ["the masks: 'true' then, 'gray' now"]
    older = replace(contract(domain), masks="given")
    assert older.differences(gray) == [
        f"the pictures, labels or masks: '{older.fingerprint}' then, '{gray.fingerprint}' now"
    ]
    without = contract(replace(domain, masks=None))
    assert "the masks: 'given' then, 'none' now" in older.differences(without)


def test_names_in_a_contract_are_read_as_people_do(domain):
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    names = (composed, *domain.classes[1:])
    first = replace(domain, name=composed, classes=names, files=(composed,) * len(domain))
    second = replace(
        domain,
        name=decomposed,
        classes=(decomposed, *names[1:]),
        files=(decomposed,) * len(domain),
    )
    contract(first).check_classes(second)
    small = replace(second, images=second.images[..., ::2, ::2].contiguous(), masks=None)
    assert contract(first).seen(small).all()


# What the command line says of the data.


def test_the_command_line_names_what_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tree(tmp_path / "data", masks=tmp_path / "data" / "by hand")
    (root / "here" / "cat" / "a.webp").write_bytes(b"")
    settings = [word for s in ("epochs=1", "batch_size=8", "warmup=0") for word in ("--set", s)]
    words = ["--benchmark", "folder", "--root", str(root), "--size", "16", "--masks", "by hand"]
    done = CliRunner().invoke(app, ["train", "erm", *words, *settings])  # no --source: the first
    assert done.exit_code == 0, done.output + repr(done.exception)
    for stderr in (
        done.stderr,
        CliRunner().invoke(app, ["evaluate", "runs/latest", *words]).stderr,
    ):
        assert "align: note: domain here: here/cat holds files of types that are not read" in stderr
    assert align.Run.load("runs/latest").contract.masks == "data/by hand"


def test_the_runner_is_what_prepares_the_data(tmp_path, monkeypatch):
    """A run trains on what was compared with the records, not on what is loaded once more."""
    root = tree(tmp_path / "a")
    once = []
    real = runner.prepare
    monkeypatch.setattr(runner, "prepare", lambda *a: once.append(1) or real(*a))
    monkeypatch.setattr(experiment, "prepare", lambda *_: pytest.fail("prepared again"))
    assert run_all([tiny()], tmp_path / "r.jsonl", root=root, progress=False) == 1
    assert once == [1]
