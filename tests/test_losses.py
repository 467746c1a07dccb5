"""Every loss against a value worked out by hand, its limits and its gradient's direction."""

import math

import pytest
import torch

from align import losses
from align.saliency import minmax


def test_distinction_by_hand():
    kept = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])  # f_y = 3/4 and 1/2
    removed = torch.tensor([[0.0, 0.0], [0.0, math.log(4.0)]])  # f_y = 1/2 and 4/5
    labels = torch.tensor([0, 1])
    expected = ((0.75 - 0.5 - 1) ** 2 + (0.5 - 0.8 - 1) ** 2) / 2
    assert losses.distinction(kept, removed, labels).item() == pytest.approx(expected)


def test_margin_by_hand():
    logits = torch.tensor([[2.0, 1.0, 1.0]])
    assert losses.margin(logits, torch.tensor([0])).item() == pytest.approx(
        2 - math.log(2 * math.e)
    )
    assert losses.margin(torch.tensor([[5.0, 3.0]]), torch.tensor([1])).item() == pytest.approx(-2)


def test_distinction_on_margins_by_hand_and_its_kept_part_is_cross_entropy():
    kept, removed = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    expected = math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))
    value = losses.distinction_margin(kept, removed, torch.tensor([0])).item()
    assert value == pytest.approx(expected)
    certain = torch.tensor([[-1e4, 1e4]])
    ce = torch.nn.functional.cross_entropy(kept, torch.tensor([0])).item()
    rest = losses.distinction_margin(kept, certain, torch.tensor([0])).item()
    assert rest == pytest.approx(ce, abs=1e-6)


def test_margin_distinction_still_teaches_where_the_probability_has_saturated():
    gradients = []
    for form in (losses.distinction, losses.distinction_margin):
        removed = torch.tensor([[30.0, 0.0]], requires_grad=True)
        form(torch.tensor([[30.0, 0.0]]), removed, torch.tensor([0])).backward()
        gradients.append(removed.grad.abs().max().item())
    assert gradients[0] < 1e-6
    assert gradients[1] > 0.9


def test_sparsity_and_smoothness_by_hand():
    masks = torch.tensor([[[0.0, 1.0], [0.0, 0.5]]])
    assert losses.sparsity(masks).item() == pytest.approx(0.375)
    assert losses.smoothness(masks).item() == pytest.approx((0 + 0.5) / 2 + (1 + 0.5) / 2)
    assert losses.smoothness(torch.full((2, 1, 5, 5), 0.3)).item() == 0


def test_alignment_by_hand():
    saliency = torch.tensor([[[0.25, 0.5]]])
    masks = torch.tensor([[[0.0, 1.0]]])
    assert losses.alignment_bce(saliency, masks).item() == pytest.approx(
        -(math.log(0.75) + math.log(0.5)) / 2, rel=1e-5
    )
    assert losses.alignment_l1(saliency, masks).item() == pytest.approx((0.25 + 0.5) / 2)
    evidence = torch.tensor([[[[3.0, -1.0]], [[2.0, 2.0]]], [[[0.0, 0.0]], [[0.0, 0.0]]]])
    masks = torch.tensor([[[1.0, 0.25]], [[0.0, 0.0]]])
    # First image: (1 + 2)·(1 − .25) of 8 lies outside; the second has no evidence at all.
    assert losses.alignment_energy(evidence, masks).item() == pytest.approx(2.25 / 8 / 2, rel=1e-5)
    # Evidence for one class does not hide evidence against another.
    cancels = torch.tensor([[[[0.0, 1.0]], [[0.0, -1.0]]]])
    assert losses.alignment_energy(cancels, torch.tensor([[[1.0, 0.0]]])).item() == pytest.approx(1)


@pytest.mark.parametrize("form", ["alignment_bce", "alignment_l1"])
def test_alignment_is_least_where_the_map_is_the_mask(form):
    torch.manual_seed(0)
    masks = (torch.rand(4, 6, 6) > 0.5).float()
    loss = getattr(losses, form)
    own = loss(masks, masks)
    assert own < loss(torch.rand(4, 6, 6), masks)
    assert own < 1e-4
    assert torch.isfinite(loss(torch.zeros(1, 2, 2), torch.ones(1, 2, 2)))


def test_energy_ignores_scale_and_the_shape_inside_and_its_gradient_moves_outside_evidence_only():
    torch.manual_seed(0)
    masks = torch.zeros(1, 4, 4)
    masks[:, 1:3, 1:3] = 1
    evidence = torch.randn(1, 3, 4, 4, requires_grad=True)
    value = losses.alignment_energy(evidence, masks)
    assert losses.alignment_energy(7 * evidence, masks).item() == pytest.approx(
        value.item(), rel=1e-5
    )
    shuffled = evidence.detach().clone()
    shuffled[..., 1:3, 1:3] = shuffled[..., 1:3, 1:3].flip(3)
    assert losses.alignment_energy(shuffled, masks).item() == pytest.approx(value.item(), rel=1e-5)
    value.backward()
    shrink = evidence.grad * evidence.detach().sign()
    inside = masks.expand(3, 4, 4)[None]
    assert (shrink[inside == 0] > 0).all()  # outside: smaller evidence is better
    assert (shrink[inside == 1] < 0).all()  # inside: more evidence is better


def test_consistency_vanishes_for_a_linear_map_and_not_otherwise():
    torch.manual_seed(0)
    a, b, m = torch.rand(3, 4, 4), torch.rand(3, 4, 4), torch.rand(3)
    mixed = m[:, None, None] * a + (1 - m[:, None, None]) * b
    assert losses.attribution_consistency(mixed, a, b, m).item() == pytest.approx(0, abs=1e-7)
    value = losses.attribution_consistency(mixed + 0.2, a, b, m).item()
    assert value == pytest.approx(0.2, abs=1e-6)
    assert losses.attribution_sparsity(torch.tensor([[[1.0, -3.0]]])).item() == 2


def test_masks_are_averaged_over_cells_and_stretched():
    masks = torch.zeros(1, 4, 4)
    masks[0, :2, :2] = 1
    masks[0, 3, 3] = 1
    cells = losses.mask_to_cells(masks, (2, 2))
    assert cells[0].tolist() == [[1.0, 0.0], [0.0, 0.25]]
    stretched = minmax(torch.tensor([[[0.2, 0.4]], [[0.3, 0.3]]]))
    torch.testing.assert_close(
        stretched, torch.tensor([[[0.0, 1.0]], [[0.0, 0.0]]]), rtol=0, atol=1e-4
    )
