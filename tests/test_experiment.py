"""A benchmark run from data to record, the command line, and real photographs end to end."""

import functools
import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import align
from align import records
from align.cli import app, main
from align.cli.commands import _settings
from align.config import Config
from align.experiment import Experiment, run
from align.training import Run
from align.training.loop import CHECKPOINT
from alignbook import estimates, results, tables
from alignbook.campaign import grid, runner
from alignbook.campaign.recipes import PHOTOS
from alignbook.campaign.runner import run_all
from alignbook.worlds.toy import toy_vlcs

ONCE = {"alignment": "energy", "rounds": 1}
TINY = Config(method="erm", epochs=2, batch_size=32, warmup=1, head_start=0, **ONCE)
SMALL = {"n": 100, "size": 32}


def tiny(method="erm", seed=0):
    return Experiment("toy-vlcs", "noon", replace(TINY, method=method, seed=seed), SMALL, 8)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "tiny.jsonl"
    wanted = [tiny(m, s) for s in (0, 1) for m in ("erm", "align")]
    assert run_all(wanted, path, progress=False) == 4
    return path, wanted


def test_a_record_holds_all_that_is_needed_to_do_it_again(recorded):
    path, wanted = recorded
    found = records.read(path)
    assert [r["key"] for r in found] == [e.key() for e in wanted]
    first = found[0]
    again = Experiment(
        first["benchmark"],
        first["source"],
        Config(**first["config"]),
        first["options"],
        first["explained"],
    )
    assert again.key() == wanted[0].key()
    assert again.data()[again.source].fingerprint() == wanted[0].data()["noon"].fingerprint()
    record, _ = run(again, progress=False)
    assert record["metrics"] == first["metrics"]
    assert record["data"] == first["data"]
    assert set(first["metrics"]) == {"noon", "dusk", "film", "fog"}
    assert first["metrics"]["noon"]["count"] == 20
    assert first["metrics"]["dusk"]["count"] == 100


def test_what_is_recorded_is_not_run_again(recorded, monkeypatch):
    path, wanted = recorded
    monkeypatch.setattr(runner, "run", lambda *a, **k: pytest.fail("ran again"))
    assert run_all(wanted, path, progress=False) == 0


def test_a_record_says_how_many_images_a_second_were_trained_on(recorded):
    for record in records.read(recorded[0]):
        config = record["config"]
        images = config["epochs"] * (80 // config["batch_size"]) * config["batch_size"]
        exact = images / record["seconds"]  # seconds are rounded to hundredths
        assert record["images_per_second"] == pytest.approx(exact, rel=0.006 / record["seconds"])


def test_data_that_lie_nowhere_are_asked_for(monkeypatch):
    monkeypatch.delenv("ALIGN_DATA", raising=False)
    one = replace(tiny(), benchmark="pacs", source="photo", options={})
    with pytest.raises(FileNotFoundError, match="pass root=DIR or set ALIGN_DATA"):
        one.data()


def test_training_and_held_out_images_are_disjoint_and_the_seed_draws_them():
    one = tiny()
    training, tests = one.split(one.data())
    assert len(training) == 80
    rows = {bytes(i.numpy().tobytes()) for i in training.images}
    assert not rows & {bytes(i.numpy().tobytes()) for i in tests["noon"].images}
    other, _ = tiny(seed=1).split(tiny(seed=1).data())
    assert other.fingerprint() != training.fingerprint()


def test_a_disc_of_one_size_is_told_nothing_of_the_object():
    told = replace(tiny("guided"), mask_source="centre")
    blind = replace(told, mask_area=0.2)
    sizes = [one.split(one.data())[0].masks.flatten(1).sum(1).unique() for one in (told, blind)]
    assert len(sizes[0]) > 20 and sizes[1].tolist() == [round(0.2 * 32 * 32)]
    assert results.label(told.description()) == "centre as masks, energy"
    assert results.label(blind.description()) == "one disc of 20%, energy"
    assert told.key() != blind.key()


def test_tables_pair_methods_by_seed(recorded, tmp_path, monkeypatch):
    path, wanted = tmp_path / "tiny.jsonl", recorded[1]
    first = records.read(recorded[0])[0]
    # A record of settings that the grid no longer has must not stand beside those that it has.
    for record in ({**first, "key": "of another time"}, *records.read(recorded[0])):
        records.append(path, record)
    monkeypatch.setattr(results, "records_file", lambda name: path)
    monkeypatch.setattr(results, "experiments", lambda name: wanted)
    table = results.recorded("tiny")
    seeds = results.by_seed(table)
    assert sorted(seeds.index) == [
        ("ALIGN, energy", 0),
        ("ALIGN, energy", 1),
        ("ERM", 0),
        ("ERM", 1),
    ]
    raw = {(r["config"]["method"], r["config"]["seed"]): r["metrics"] for r in records.read(path)}
    for (label, seed), mean in seeds.items():
        metrics = raw["erm" if label == "ERM" else "align", seed]
        outside = [metrics[d]["accuracy"] for d in ("dusk", "film", "fog")]
        assert mean == pytest.approx(sum(outside) / 3)
    gain = estimates.compare(table, "ALIGN, energy", "ERM", shift="out")
    assert gain.mean == pytest.approx((seeds["ALIGN, energy"] - seeds["ERM"]).mean())
    assert tuple(tables.summary(table).loc["ALIGN, energy"]["accuracy out − ERM"]) == gain


def test_a_saved_run_comes_back_as_it_was(tmp_path):
    config = replace(TINY, method="align", epochs=3)
    domain = align.load("toy-vlcs", **SMALL)["noon"]
    trained = align.train("align", domain, config=config, progress=False)
    trained.save(tmp_path)
    back = Run.load(tmp_path)
    images = domain.images[:5].float() / 255
    assert torch.equal(back.classifier(images), trained.classifier(images))
    assert torch.equal(back.masker(images), trained.masker(images))
    assert (back.config, back.history) == (config, trained.history)
    with pytest.raises(FileNotFoundError, match="no run in"):
        Run.load(tmp_path / "absent")


def test_the_command_line_trains_and_evaluates(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    settings = ["--set", "epochs=1", "--set", "warmup=0", "--set", "head_start=0"]
    monkeypatch.setattr("alignbook.worlds.toy.toy_vlcs", functools.partial(toy_vlcs, n=80))
    result = runner.invoke(app, ["train", "align", "--size", "32", "--out", "here", *settings])
    assert result.exit_code == 0, result.output
    assert "noon (held out): accuracy" in result.output
    assert {p.name for p in (tmp_path / "here").iterdir()} >= {
        "classifier.safetensors",
        "masker.safetensors",
        "record.json",
        "run.json",
    }
    result = runner.invoke(app, ["evaluate", "here", "--size", "32", "--domain", "fog"])
    assert result.exit_code == 0, result.output
    assert 0 <= json.loads(result.output)["fog"]["accuracy"] <= 1


def test_doctor_and_status_say_what_there_is(monkeypatch, tmp_path):
    monkeypatch.setenv("ALIGN_DATA", str(tmp_path))
    output = CliRunner().invoke(app, ["doctor"]).output
    assert torch.__version__ in output
    assert "next: align train --benchmark toy-vlcs" in output
    monkeypatch.setattr(grid, "RESULTS", tmp_path)
    output = CliRunner().invoke(app, ["benchmark", "status"]).output
    assert "toy: 0 of" in output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--set", "speed=9"], "expected name=value with one of the names"),
        (["train", "--set", "epochs=many"], "epochs is 'many', expected a whole number"),
        (["train", "svm"], "method is 'svm', expected one of"),
        (["train", "--benchmark", "mnist"], "benchmark is 'mnist', expected one of"),
        (["evaluate", "nowhere"], "no run in 'nowhere'"),
        (["benchmark", "figure", "mona-lisa"], "figure is 'mona-lisa', expected one of"),
        (["benchmark", "run", "everything"], "grid 'everything' is unknown"),
    ],
)
def test_mistakes_on_the_command_line_are_one_sentence(words, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["align", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("method", ["erm", "guided", "align"])
def test_photographs_from_disk_to_record(method, real_data, tmp_path):
    """A pretrained network learns PACS photographs in a few steps, whatever the method."""
    config = replace(PHOTOS, method=method, epochs=3, warmup=1, head_start=1)
    options = {
        "size": 64,
        "domains": ["photo"],
        "classes": ["dog", "horse", "person"],
        "masks": "pseudo_masks/PACS",
        "on_error": "skip",
        "progress": False,
    }
    wanted = Experiment("pacs", "photo", config, options, 8, ("weizmann_horse",))
    record, trained = run(wanted, root=real_data, folder=tmp_path, progress=False)
    assert record["metrics"]["photo"]["accuracy"] > 0.85  # a third would be chance
    assert record["human"]["weizmann_horse"]["count"] == 327
    assert 0 < record["human"]["weizmann_horse"]["energy_inside"] < 1
    assert str(real_data) not in json.dumps(record)
    assert (tmp_path / CHECKPOINT).is_file()
    assert (trained.masker is not None) == (method == "align")


def test_the_command_on_the_birds_page_is_the_main_row():
    page = (Path(__file__).parents[1] / "book" / "benchmark" / "waterbirds.ipynb").read_text()
    cells = ["".join(cell["source"]) for cell in json.loads(page)["cells"]]
    command = next(text for text in cells if "align train align" in text)
    command = command.partition("```bash\n")[2].partition("```")[0].replace("\\\n", " ").split()
    chosen = [value for option, value in itertools.pairwise(command) if option == "--set"]
    main = grid.experiments("waterbirds-128")[0]
    assert results.label(main.description()).startswith("ALIGN, swap, whole backgrounds")
    assert Config(method="align", **_settings(chosen)).used() == main.config.used()
    assert command[command.index("--size") + 1] == str(main.options["size"])
