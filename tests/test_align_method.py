"""ALIGN's own terms against values worked out by hand, for every choice that it offers."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

import align
from align import Config
from align.data.batches import Batch
from align.methods import Method
from align.methods.align import Align
from align.training import start

TINY = Config(method="align", epochs=4, batch_size=16, warmup=1, head_start=1)


@pytest.fixture(scope="module")
def domain():
    return align.load("toy-vlcs", n=60, size=16)["noon"]


@pytest.fixture
def batch(domain):
    return Batch(domain.images[:6].float() / 255, domain.labels[:6], None)


def fresh():
    return torch.Generator().manual_seed(3)


def by_hand(method, batch, distinction, fill):
    """The masker's terms, from the formulas."""
    x, config = batch.images, method.config
    masks = method.masker(x)
    if fill == "zero":
        filling = torch.tensor([0.485, 0.456, 0.406])[:, None, None]  # zero once normalised
    else:
        filling = x[torch.randperm(len(x), generator=fresh())]
    kept = method.classifier(masks * x + (1 - masks) * filling)
    removed = method.classifier((1 - masks) * x + masks * filling)
    summands = []
    for k, r, y in zip(kept, removed, batch.labels.tolist(), strict=True):
        p, q = (logits.softmax(0)[y] for logits in (k, r))
        if distinction == "probability":
            summands.append((p - q - 1) ** 2)
        else:  # softplus of a margin is minus the logarithm of a probability
            summands.append(-torch.log(p) - torch.log(1 - q))
    m = masks[:, 0]
    steps = (m[:, 1:] - m[:, :-1]).abs().mean() + (m[:, :, 1:] - m[:, :, :-1]).abs().mean()
    terms = {"distinction": torch.stack(summands).mean(), "sparsity": m.mean(), "smoothness": steps}
    whole = terms["distinction"] + config.lambda1 * m.mean() + config.lambda2 * steps
    return terms | {"mask": whole}


@pytest.mark.parametrize(
    ("distinction", "fill"), itertools.product(["margin", "probability"], ["shuffle", "zero"])
)
def test_the_maskers_loss_by_hand(distinction, fill, domain, batch):
    config = replace(TINY, distinction=distinction, fill=fill, lambda1=3.0, lambda2=0.7)
    method = start("align", domain, config)
    method.classifier.eval()
    with torch.no_grad():
        found = method.masker_loss(batch, fresh())
        wanted = by_hand(method, batch, distinction, fill)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-4), name


class Known(nn.Module):
    """A masker whose masks are known."""

    def __init__(self, masks):
        super().__init__()
        self.masks = nn.Parameter(torch.tensor(masks))

    def forward(self, images):
        return self.masks * 1


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("hard", [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),
        ("stretch", [[0.0, 0.3 / 0.5, 1.0], [0.0, 0.3 / 0.4, 1.0]]),
        ("soft", [[0.2, 0.5, 0.7], [0.2, 0.5, 0.6]]),
    ],
)
def test_the_masks_become_a_target_in_the_form_asked_for(target, wanted, domain):
    method = start("align", domain, replace(TINY, target=target))
    method.masker = Known([[[[0.2, 0.5, 0.7]]], [[[0.2, 0.5, 0.6]]]])
    found = method.target(torch.rand(2, 3, 1, 3))
    torch.testing.assert_close(found, torch.tensor(wanted)[:, None], rtol=0, atol=1e-4)
    assert not found.requires_grad


def test_a_step_of_the_masker_asks_no_gradient_of_the_classifier(domain, batch, monkeypatch):
    method = start("align", domain, TINY)
    seen = []
    original = Align.masker_loss

    def watched(self, *given):
        seen.extend(p.requires_grad for p in self.classifier.parameters())
        seen.append(self.classifier.training)
        return original(self, *given)

    monkeypatch.setattr(Align, "masker_loss", watched)
    method.update_masker(batch, fresh())
    assert seen and not any(seen)
    assert all(p.requires_grad and p.grad is None for p in method.classifier.parameters())


def test_a_new_method_begins_with_the_first_turn(domain):
    method = start("align", domain, replace(TINY, masker_steps=0.5))
    assert [method.masker_steps_due() for _ in range(4)] == [1, 0, 1, 0]


def test_training_turns_the_learning_rate_down_step_by_step(domain, monkeypatch):
    told = []
    monkeypatch.setattr(Method, "set_progress", lambda _, progress: told.append(progress))
    config = replace(TINY, method="erm", epochs=3, batch_size=20)
    align.train("erm", domain, config=config, progress=False)
    assert told == pytest.approx([step / 9 for step in range(9)])


def test_a_runs_seconds_are_those_of_its_epochs(domain, monkeypatch):
    clock = itertools.count()  # a second at each look
    monkeypatch.setattr("align.training.loop.time.perf_counter", lambda: next(clock))
    config = replace(TINY, method="erm", epochs=3)
    run = align.train("erm", domain, config=config, progress=False)
    assert run.seconds == 3


@pytest.mark.parametrize("progress", [True, False])
def test_the_bar_is_shown_if_it_is_wanted(progress, domain, monkeypatch):
    from align.training import loop

    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    seen = []
    original = loop.tqdm

    def watched(*given, **options):
        seen.append(options.get("disable", False))
        return original(*given, **options | {"disable": True})

    monkeypatch.setattr(loop, "tqdm", watched)
    config = replace(TINY, method="erm", epochs=1)
    align.train("erm", domain, config=config, progress=progress)
    assert seen == [not progress]


def test_a_method_without_a_loss_says_so(domain):
    with pytest.raises(TypeError, match="Method does not define its loss"):
        start(Method, domain).loss(None, 0, fresh())


def test_the_softplus_of_a_margin_is_a_probabilitys_logarithm():
    """What `by_hand` rests on, at one point: z = (1, 0, 0), y = 0."""
    p = math.e / (math.e + 2)
    margin = 1 - math.log(2)
    assert math.log1p(math.exp(-margin)) == pytest.approx(-math.log(p))
    assert math.log1p(math.exp(margin)) == pytest.approx(-math.log(1 - p))
