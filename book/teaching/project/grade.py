"""Grade the coded part of the project: 70 of its 100 points.

    python grade.py submission.py [--seed 0] [--json points.json]

Every task runs in a process of its own with a time limit, so an endless loop or a crash costs the
points of one task and no more. A submission is a program: run a stranger's in a container. `--seed`
changes every random case: students practise on 0, the instructor grades with another number.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np

LIMIT = 240  # seconds a task
POINTS = {"leak": 15, "loss": 15, "verdict": 10, "method": 30}
Result = tuple[float, str]  # share of the points, and why
REFUSED = re.compile(r"(grade|alignbook)(\.|$)|_tolerable$|alignment_(bce|energy|l1|rrr)$")
"""What the grader compares with: to hand that in would be no answer."""


def leak(answers: types.ModuleType, seed: int) -> Result:
    """Grade `tolerable_leak` on random worlds."""
    from align.theory.gaussian import World

    rng = np.random.default_rng(seed)
    # The easy ends (nothing, everything) may not outweigh the line between them.
    room = {"nothing": 3, "everything": 3, "between": 18}
    right = 0
    while sum(room.values()):
        means = rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.4), -rng.uniform(0, 0.3)
        world, kept = World(12, 40, *means), float(rng.integers(2, 13))
        wanted = _tolerable(world, kept)
        kind = {0.0: "nothing", float(world.q): "everything"}.get(wanted, "between")
        if room[kind]:
            room[kind] -= 1
            right += bool(abs(float(answers.tolerable_leak(world, kept)) - wanted) < 1e-2)
    return _share(right, 24, "worlds")


def _tolerable(world: object, kept: float) -> float:
    grid = np.linspace(0, world.q, 400_001)
    fine = np.asarray(world.accuracy(kept, grid)) >= world.accuracy(world.p, world.q)
    return float(grid[fine][-1]) if fine.any() else 0.0


def loss(answers: types.ModuleType, seed: int) -> Result:
    """Grade `outside_loss`: its value, its gradient, and images without evidence."""
    import torch

    from align import losses
    from align.saliency import contrastive_evidence

    generator = torch.Generator().manual_seed(seed)
    right, count = 0, 0
    for classes in (2, 3, 5):
        for blank in (False, True):
            features = torch.randn(6, 4, 3, 3, generator=generator)
            features[0] *= 0 if blank else 1
            features.requires_grad_()
            weight = torch.randn(classes, 4, generator=generator)
            labels = torch.randint(classes, (6,), generator=generator)
            masks = torch.rand(6, 12, 12, generator=generator)
            cells = losses.mask_to_cells(masks, (3, 3))
            wanted = losses.alignment_energy(contrastive_evidence(features, weight, labels), cells)
            found = answers.outside_loss(features, weight, labels, masks)
            (slope,) = torch.autograd.grad(wanted, features)
            (own,) = torch.autograd.grad(found, features)
            right += torch.allclose(found, wanted, atol=1e-4)
            right += torch.allclose(own[1:], slope[1:], atol=1e-4) and bool(own.isfinite().all())
            count += 2
    return _share(right, count, "checks of value and gradient")


def verdict(answers: types.ModuleType, seed: int) -> Result:
    """Grade `verdict` on runs whose difference is clear, absent, or hidden in the noise."""
    from alignbook.campaign.statistics import paired

    rng = np.random.default_rng(seed)
    right, count = 0, 0
    for gap in (0.06, -0.06, 0.0, 0.012, -0.012):
        for _ in range(6):
            seeds = int(rng.integers(3, 9))
            base = rng.normal(0.6, 0.05, seeds)  # seeds differ more than methods do: pair them
            first, second = base + gap + rng.normal(0, 0.01, seeds), base
            interval = paired(first.tolist(), second.tolist())
            if min(abs(interval.low), abs(interval.high)) < 1e-4:
                continue
            wanted = (
                "better" if interval.low > 0 else "worse" if interval.high < 0 else "cannot tell"
            )
            right += answers.verdict(first.tolist(), second.tolist()) == wanted
            count += 1
    return _share(right, count, "verdicts", exact=True)


def method(answers: types.ModuleType, seed: int) -> Result:
    """Grade `Mine`: a third for a run that learns, two thirds for testing better than ERM."""
    import align

    config = align.Config(epochs=10)
    gains, inside = [], []
    for number in (seed, seed + 1):
        benchmark = align.load("toy-vlcs", size=32, n=1000, seed=number)
        training, held_out = benchmark["noon"].split(0.8, seed=number)
        away = [benchmark[name] for name in benchmark.domains if name != "noon"]
        ours, plain = (
            align.train(kind, training, config=config, seed=number, device="cpu", progress=False)
            for kind in (answers.Mine, "erm")
        )
        inside.append(_accuracy(ours, held_out))
        gains.append(
            np.mean([_accuracy(ours, d) for d in away])
            - np.mean([_accuracy(plain, d) for d in away])
        )
    chance = 1 / len(benchmark.classes)
    learnt, gain = min(inside) > chance + 0.1, float(np.mean(gains))
    # From no gain to five points of accuracy: a gain that a method with true masks can reach.
    share = (1 + 2 * float(np.clip(gain / 0.05, 0, 1))) / 3 if learnt else 0.0
    return share, f"accuracy at home {min(inside):.2f}, elsewhere {gain:+.3f} against ERM"


def _accuracy(run: object, domain: object) -> float:
    import align

    return align.evaluate(run.classifier, domain, max_explained=0)["accuracy"]


def _share(right: int, count: int, what: str, exact: bool = False) -> Result:
    share = right / count
    if exact:  # guessing one answer must not pay
        share = max(0.0, (share - 0.5) / 0.5)
        what += "; half right counts nothing"
    return share, f"{right} of {count} {what}"


TASKS: dict[str, Callable[[types.ModuleType, int], Result]] = {
    "leak": leak,
    "loss": loss,
    "verdict": verdict,
    "method": method,
}


def run_task(submission: Path, task: str, seed: int) -> Result:
    """Grade one task in a process of its own."""
    command = [sys.executable, __file__, str(submission), "--seed", str(seed), "--task", task]
    environment = os.environ | {"TQDM_DISABLE": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, env=environment
        )
    except subprocess.TimeoutExpired:
        return 0.0, f"stopped after {LIMIT} seconds"
    last = done.stdout.strip().splitlines()[-1:]
    if done.returncode or not last or not last[0].startswith("{"):
        return 0.0, (done.stderr.strip().splitlines() or ["it ended without an answer"])[-1]
    found = json.loads(last[0])
    return float(found["share"]), str(found["why"])


def grade(submission: Path, seed: int = 0) -> dict[str, dict[str, object]]:
    """Grade every task.

    Args:
        submission: the student's file.
        seed: fixes the random cases.

    Returns:
        For each task its points, the most it can bring, and why.
    """
    found, refusal = {}, refused(submission)
    for task, most in POINTS.items():
        share, why = (0.0, refusal) if refusal else run_task(submission, task, seed)
        found[task] = {"points": round(share * most, 1), "of": most, "why": why}
    return found


def refused(submission: Path) -> str:
    """Say why a file is not graded; an empty text if it is.

    Args:
        submission: the student's file.
    """
    try:
        tree = ast.parse(submission.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return ""  # each task says what is wrong with it
    for node in ast.walk(tree):
        for name in filter(REFUSED.match, _named(node)):
            line = getattr(node, "lineno", 1)
            return f"not graded: line {line} names '{name}', which the grader compares with"
    return ""


def _named(node: ast.AST) -> list[str]:
    """The names in a node, and a text that could be the name of a module."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
    name = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "value", None)
    return [name] if isinstance(name, str) else []


def _answers(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("submission", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Grade from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("submission", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the points to this file")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.submission.is_file():
        parser.error(f"there is no file '{options.submission}', expected a submission in Python")
    if importlib.util.find_spec("align") is None:
        parser.error("this Python has no `align`; use that of the project, .venv/bin/python")
    if options.task:
        share, why = TASKS[options.task](_answers(options.submission), options.seed)
        print("\n" + json.dumps({"share": float(share), "why": why}))
        return 0
    found = grade(options.submission, options.seed)
    for task, row in found.items():
        print(f"{task:8s} {row['points']:5.1f} of {row['of']}  {row['why']}")
    print(f"{'total':8s} {sum(r['points'] for r in found.values()):5.1f} of {sum(POINTS.values())}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
