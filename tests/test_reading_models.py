"""Reading a model: what its head computes decides, it is left as it was, in any precision."""

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn
from torch.nn.functional import linear, normalize

import align
from align import metrics
from align.evaluation import evaluate
from align.networks.models import pooled_linear, suited
from align.saliency import grad_cam, minmax

LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def images(count: int = 6, size: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


class Net(nn.Module):
    """A trunk of two convolutions under a head that each test chooses."""

    def __init__(self, head: nn.Module, batchnorm: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        layers = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1)]
        self.trunk = nn.Sequential(*layers, nn.BatchNorm2d(16) if batchnorm else nn.Identity())
        self.top = head
        self.linear = getattr(head, "linear", None)

    def features(self, x):
        return self.trunk(x)

    def head(self, features):
        return self.top(features)

    def forward(self, x):
        return self.head(self.features(x))


class Head(nn.Module):
    """A last layer that fits the feature map's width, whatever stands before it."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.hidden, self.linear = nn.Linear(16, 16), nn.Linear(16, 3)


class Hidden(Head):
    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, features):
        return self.linear(torch.relu(self.hidden(features.mean((2, 3)))))


class GeneralisedMean(Head):
    def __init__(self) -> None:
        super().__init__(3)

    def forward(self, features):
        return self.linear(features.abs().clamp_min(1e-3).pow(3).mean((2, 3)).pow(1 / 3))


class Cosine(Head):
    def __init__(self) -> None:
        super().__init__(4)

    def forward(self, features):
        return 10 * linear(
            normalize(features.mean((2, 3))), normalize(self.linear.weight), self.linear.bias
        )


class Pooled(Head):
    def __init__(self) -> None:
        super().__init__(5)

    def forward(self, features):
        return self.linear(features.mean((2, 3)))


class InPlace(Head):
    """A head whose first layer overwrites the feature map."""

    def __init__(self) -> None:
        super().__init__(6)

    def forward(self, features):
        return self.linear(torch.relu_(features).amax((2, 3)))


@pytest.mark.parametrize("head", [Hidden, GeneralisedMean, Cosine, Pooled])
def test_the_map_is_captums_whatever_the_head_computes(head):
    net, x = Net(head()).eval(), images()
    ours = grad_cam(net, x, LABELS, normalize=None, upsample=False)
    theirs = LayerGradCam(net, net.trunk).attribute(x, LABELS, relu_attributions=False)[:, 0]
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("head", [Hidden, GeneralisedMean, Cosine])
def test_only_a_head_that_pools_and_is_linear_has_its_weights_read(head):
    assert pooled_linear(Net(head()), Net(head()).features(images())) is None
    net = Net(Pooled())
    assert pooled_linear(net, net.features(images())) is net.linear.weight


@pytest.mark.parametrize("head", [Hidden, Cosine])
def test_evaluation_reads_contrastive_evidence_only_of_a_pooled_linear_head(head):
    world = align.load("toy-vlcs", n=12)["noon"]
    torch.manual_seed(0)
    net = Net(head())
    net.top.linear = net.linear = nn.Linear(16, len(world.classes))
    assert "evidence_inside" not in evaluate(net, world)
    pooled = Net(Pooled())
    pooled.top.linear = pooled.linear = nn.Linear(16, len(world.classes))
    assert 0 <= evaluate(pooled, world)["evidence_inside"] <= 1


def state(net):
    return {k: v.clone() for k, v in net.state_dict().items()}, [m.training for m in net.modules()]


@pytest.mark.parametrize("head", [Pooled, Hidden])
def test_a_map_leaves_a_model_in_training_as_it_was_and_reads_it_in_evaluation(head):
    net = Net(head(), batchnorm=True)
    with torch.no_grad():  # statistics that are not those of the batch
        net.trunk[3].running_mean.add_(0.3)
    net.train()
    before, modes = state(net)
    training = grad_cam(net, images(), LABELS, normalize=None)
    after, modes_after = state(net)
    assert modes == modes_after
    assert all(torch.equal(before[name], after[name]) for name in before)
    torch.testing.assert_close(training, grad_cam(net.eval(), images(), LABELS, normalize=None))


def test_with_a_graph_the_model_is_read_as_it_is():
    net = Net(Pooled(), batchnorm=True).train()
    in_training = grad_cam(net, images(), LABELS, normalize=None, create_graph=True)
    in_evaluation = grad_cam(net.eval(), images(), LABELS, normalize=None)
    assert (in_training.detach() - in_evaluation).abs().max() > 1e-3


@pytest.mark.parametrize("graph", [False, True])
def test_a_head_that_works_in_place_gives_the_map_of_one_that_does_not(graph):
    class Copying(InPlace):
        def forward(self, features):
            return super().forward(features.clone())

    x = images()
    for requires in (False, True):
        maps = []
        for head in (InPlace, Copying):
            net = Net(head())
            net.requires_grad_(requires or graph)
            maps.append(grad_cam(net, x, LABELS, normalize=None, create_graph=graph))
        torch.testing.assert_close(*maps, rtol=0, atol=0)
    if graph:
        net = Net(InPlace())
        loss = grad_cam(net, x, LABELS, normalize=None, create_graph=True).square().sum()
        reference = Net(Copying())
        other = grad_cam(reference, x, LABELS, normalize=None, create_graph=True).square().sum()
        loss.backward()
        other.backward()
        torch.testing.assert_close(net.trunk[0].weight.grad, reference.trunk[0].weight.grad)


def test_under_inference_mode_a_head_that_needs_a_gradient_says_so():
    with torch.inference_mode():
        pooled = grad_cam(Net(Pooled()), images(), LABELS)
        with pytest.raises(ValueError, match="inference_mode allows none"):
            grad_cam(Net(Hidden()), images(), LABELS)
    torch.testing.assert_close(pooled, grad_cam(Net(Pooled()), images(), LABELS))


HALVES = [torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("head", [Pooled, Hidden])
def test_maps_of_a_half_model_are_those_of_a_single_one_to_its_precision(dtype, head):
    net, x = Net(head()).eval(), images(size=256)
    single = grad_cam(net, x, LABELS)
    half = grad_cam(net.to(dtype), x, LABELS)
    assert half.dtype == torch.float32 and half.isfinite().all()
    # A map is a sum over 16 channels of rounded values: a few roundings of its range.
    assert (half - single).abs().max() < 24 * torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("size", [32, 1024])
def test_metrics_of_half_maps_are_those_of_the_rounded_single_maps(dtype, size):
    generator = torch.Generator().manual_seed(3)
    maps = torch.rand(2, size, size, generator=generator).to(dtype)
    masks = torch.zeros(2, size, size)
    masks[:, size // 4 : size // 2, size // 4 :] = 1
    for metric in (metrics.energy_inside, metrics.pointing_game):
        torch.testing.assert_close(
            metric(maps, masks).float(), metric(maps.float(), masks).float(), rtol=1e-5, atol=1e-6
        )
    torch.testing.assert_close(
        metrics.iou(maps, masks), metrics.iou(maps.float(), masks), rtol=0, atol=0
    )


@pytest.mark.parametrize("dtype", HALVES)
def test_faithfulness_of_a_half_model_is_near_the_single_models(dtype):
    net, x = Net(Pooled()).eval(), images()
    maps = torch.rand(6, 32, 32, generator=torch.Generator().manual_seed(5))
    single = metrics.insertion_auc(net, x, maps, target=LABELS)
    half = metrics.insertion_auc(net.to(dtype), x, maps.to(dtype), target=LABELS)
    torch.testing.assert_close(half.double(), single.double(), rtol=0, atol=0.02)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_half_model_takes_bytes(dtype):
    net = Net(Pooled()).eval()
    x = (images() * 255).to(torch.uint8)
    share = metrics.accuracy(net.to(dtype), x, LABELS)
    assert 0 <= share <= 1
    assert suited(x.float() / 255, net).dtype == dtype


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 1e9, 1e37])
def test_one_rule_of_scale_for_maps_of_any_size(scale):
    maps = torch.tensor([[[0.0, 0.25], [0.5, 1.0]]], dtype=torch.float32) * scale
    torch.testing.assert_close(minmax(maps), maps / scale, rtol=1e-5, atol=1e-6)
    assert metrics.minmax is minmax


@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
@pytest.mark.parametrize("value", [0.0, 1e-7, 0.3, 6e4])
def test_a_constant_map_becomes_zeros(dtype, value):
    assert minmax(torch.full((1, 3, 3), value, dtype=dtype)).tolist() == [[[0.0] * 3] * 3]


def test_rounding_noise_around_a_constant_is_not_stretched():
    maps = torch.full((1, 4, 4), 0.3)
    maps[0, 0, 0] = torch.nextafter(maps[0, 0, 0], torch.tensor(1.0))
    assert minmax(maps).abs().max() == 0
