"""Runs that nobody trained, and records of runs that nobody made."""

import numpy as np
import torch

from align import Run, records
from align.training import start
from alignbook.worlds.toy import WORLDS

DOMAINS = {
    "pacs": ("photo", "art_painting", "cartoon", "sketch"),
    "vlcs": ("Caltech101",),
    "composite": ("paired", "unpaired", "reversed"),
}
CURVES = {"insertion_curve": np.linspace(0.1, 0.8, 29), "deletion_curve": np.linspace(0.8, 0.1, 29)}


def untrained(config, domain):
    """A run before its first step."""
    method = start(config.method, domain, config)
    return Run(config, method.classifier, method.masker)


def weights(network):
    """All weights of a network in one row."""
    return torch.cat([p.detach().flatten() for p in network.parameters()])


BARE = {"key": "k", "benchmark": "toy-vlcs", "config": {}, "options": {}, "metrics": {}}
"""The least that a line of JSON must have to be a record."""


def record(one, accuracy, *, correctness=True, count=200, images="own"):
    """A record of an experiment; `accuracy(domain, shift)` gives the chance to be right."""
    config = one.config
    domains = DOMAINS.get(one.benchmark, ("noon", "dusk", "film", "fog"))
    trained = one.trained_on(domains)
    rng = np.random.default_rng([config.seed, *map(ord, config.method)])
    metrics, correct = {}, {}
    for domain in domains:
        right = rng.random(count) < accuracy(domain, "in" if domain in trained else "out")
        metrics[domain] = {"accuracy": float(right.mean()), "count": count} | _explained()
        correct[domain] = records.pack(torch.from_numpy(right))
    own = config.seed if images == "own" else 0
    drawn = one.benchmark in WORLDS  # photographs not trained on are the same for every seed
    found = {
        "key": one.key(),
        **one.description(),
        "protocol": one.protocol,
        "trained_on": list(trained),
        "data": {d: f"{d}-{own if drawn or d in trained else 0}" for d in domains},
        "metrics": metrics,
        "human": {name: _against_people(config) for name in one.human_masks},
        "seconds": 10.0 + len(config.method),
        "images_per_second": 1000.0,
        "threads": 1,
        "device": "cpu",
        "torch": "2",
        "revision": "0" * 12,
    }
    return found | ({"correct": correct} if correctness else {})


def _against_people(config):
    inside = {"guided": 0.6, "align": 0.5}.get(config.method, 0.3) + config.seed / 100
    found = {"accuracy": 0.9, "energy_inside": inside, "object_area": 0.2}
    if config.method == "align":
        found |= {"masker_iou": 0.4, "centre_iou": 0.35, "shifted_iou": 0.2, "random_iou": 0.1}
    return found


def _explained():
    values = {
        "confidence": 0.9,
        "insertion_auc": 0.6,
        "insertion_auc_normalized": 0.7,
        "deletion_auc": 0.3,
        "deletion_auc_normalized": 0.3,
        "sufficiency_zero": 0.2,
        "sufficiency_blur": 0.1,
        "comprehensiveness_zero": 0.3,
        "comprehensiveness_blur": 0.2,
        "sufficiency_zero_normalized": 0.4,
        "comprehensiveness_zero_normalized": 0.5,
        "evidence_inside": 0.3,
        "object_area": 0.15,
    } | {name: curve.tolist() for name, curve in CURVES.items()}
    controls = ("random", "random_coarse", "centre", "constant", "true_mask")
    return values | {f"control_{c}_{k}": v for c in controls for k, v in values.items()}
