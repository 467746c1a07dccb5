"""The line under a live table: what ran, and what is recorded of the same method."""

import torch

from align import Config, records
from align.data import Domain
from alignbook import captions, results


def test_the_line_says_what_ran_and_what_the_records_have():
    images = torch.zeros(1200, 3, 32, 32, dtype=torch.uint8)
    domain = Domain("dusk", images, torch.zeros(1200, dtype=torch.int64), ("a", "b"))
    said = captions.ran(domain, Config(epochs=7, seed=3))
    assert "1,200 images of 32 pixels from dusk, 7 epochs, seed 3" in said
    assert said.endswith(captions.recorded())
    several = captions.ran(domain, Config(epochs=7, seed=3), seeds=2)
    assert several == said.replace("seed 3", "mean of seeds 3 to 4")


def test_a_recorded_network_is_named_with_its_seed_and_another_is_not(tmp_path):
    folder = records.RESULTS / "checkpoints" / "toy-vlcs-erm"
    said = captions.network(folder)
    assert said.startswith("The recorded network of seed 0, on pictures drawn for this page.")
    assert said.endswith(captions.recorded())
    assert captions.network(tmp_path / "none").startswith(
        "A network that was trained for this page"
    )


def test_the_recorded_figures_are_those_of_the_records():
    for grid, label in (("toy", "ERM"), ("toy-terra", "ALIGN, energy")):
        said = captions.recorded(grid, label)
        table = results.recorded(grid)
        for shift in ("in", "out"):
            assert f"{results.by_seed(table, shift=shift)[label].mean():.3f} " in said
        assert (
            f"the recorded runs of {label} on toy-" in said and "2,500 images of 64 pixels" in said
        )
        assert "12 epochs, mean of 5 seeds" in said
    assert captions.recorded("toy", "nobody") == "No run of nobody is recorded in the grid `toy`."


def test_the_spots_share_is_that_of_the_recorded_control():
    table = results.recorded("toy")
    tests = results.tested(table[table["label"] == "ERM"], "control_centre_energy_inside", "out")
    share = tests["control_centre_energy_inside"].mean()
    assert 0 < share < 0.5 and captions.spot() == (
        f"A spot in the middle has {share:.2f} of its light inside."
    )
