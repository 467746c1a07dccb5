"""The recorded network still is what its record says: preprocessing, architecture and metrics."""

import pytest

import align
from align import records
from align.training import Run
from alignbook import results

FOLDER = records.RESULTS / "checkpoints" / "toy-vlcs-erm"


def test_the_recorded_network_scores_as_its_record_says():
    run = Run.load(FOLDER)
    record = next(
        r
        for r in results.current("toy")
        if (r["config"]["method"], r["config"]["seed"]) == ("erm", run.config.seed)
    )
    world = align.load("toy-vlcs", seed=run.config.seed)
    _, held_out = world["noon"].split(0.8, seed=run.config.seed)
    for domain in (held_out, world["dusk"]):
        wanted = record["metrics"][domain.name]
        found = align.evaluate(run, domain, max_explained=record["explained"])
        assert found["count"] == wanted["count"]
        # Sums in another order may turn an image over at the boundary, and little else.
        assert found["accuracy"] == pytest.approx(wanted["accuracy"], abs=0.002)
        for name in ("insertion_auc", "sufficiency_zero", "evidence_inside", "energy_inside"):
            assert found[name] == pytest.approx(wanted[name], abs=0.005), (domain.name, name)
