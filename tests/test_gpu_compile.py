"""Training with `torch.compile`: the same numbers and names, and nothing compiled stays behind."""

from __future__ import annotations

import pytest
import torch

import align
from align.config import Config
from align.networks import compilation

SHORT = Config(epochs=2, warmup=1, head_start=0, batch_size=16)


@pytest.fixture
def graphs(monkeypatch):
    """Compiles to what was there before, and lists the graphs that it was given."""
    seen = []

    def backend(graph, inputs):
        seen.append(graph)
        return graph.forward

    monkeypatch.setattr(compilation, "BACKEND", backend)
    yield seen
    torch.compiler.reset()


@pytest.fixture(scope="module")
def few(domain):
    return domain.subset(torch.arange(48))


def test_a_compiled_run_is_the_same_run(few, graphs, tmp_path):
    plain = align.train("align", few, config=SHORT, device="cpu", progress=False)
    assert not graphs
    more = {"config": SHORT, "device": "cpu", "progress": False, "checkpoint": tmp_path / "kept"}
    run = align.train("align", few, **more, compile=True)
    made = len(graphs)
    assert made >= 2  # the batch, and twice as many pictures that are kept and removed
    for ours, theirs in ((run.classifier, plain.classifier), (run.masker, plain.masker)):
        ours, theirs = ours.state_dict(), theirs.state_dict()
        assert list(ours) == list(theirs)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert run.config.hash() == plain.config.hash() and run.history == plain.history

    resumed = align.train("align", few, **more)  # what a compiled run kept, gone on without
    assert resumed.history == run.history
    assert torch.equal(resumed.classifier.linear.weight, run.classifier.linear.weight)
    run.save(tmp_path / "saved")
    pictures = few.images.float() / 255
    answers = align.Run.load(tmp_path / "saved").classifier(pictures)
    assert torch.equal(run.classifier(pictures), answers)
    assert len(graphs) == made  # since the training nothing was compiled


def test_what_cannot_be_compiled_is_refused_before_the_first_step(few, monkeypatch):
    config = Config(epochs=2, alignment="rrr", warmup=0)
    with pytest.raises(ValueError, match="compiled code has no second derivative"):
        align.train("guided", few, config=config, device="cpu", compile=True)
    monkeypatch.setenv("PATH", "")
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=r"no compiler for cpu here: a C\+\+ compiler is missing"):
        align.train("erm", few, config=SHORT, device="cpu", compile=True)
    with pytest.raises(ValueError, match="compile is 1"):
        align.train("erm", few, config=SHORT, device="cpu", compile=1)


def test_a_gpu_needs_triton_and_a_c_compiler(monkeypatch):
    monkeypatch.setattr(compilation.importlib.util, "find_spec", lambda name: None)
    assert compilation.missing_compiler(torch.device("cuda")) == "Triton"
    monkeypatch.setattr(compilation.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(compilation.shutil, "which", {"gcc": "/bin/gcc"}.get)
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    assert compilation.missing_compiler(torch.device("cuda")) == ""
    assert compilation.missing_compiler(torch.device("cpu")) == "a C++ compiler"
    monkeypatch.setenv("CC", "icx")  # asked for, and not there
    assert compilation.missing_compiler(torch.device("cuda")) == "a C compiler"
