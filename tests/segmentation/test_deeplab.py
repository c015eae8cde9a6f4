"""DeepLab: shapes and receptive field counted layer by layer, the loss and the labels on hand-made values."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from nets import lively, pictures
from torch import nn
from torch.nn.functional import cross_entropy

from wsolbook import methods
from wsolbook.data.transforms import from_network, to_bytes
from wsolbook.refine.crf import PRESETS, dense_crf
from wsolbook.segmentation.deeplab import DeepLab
from wsolbook.types import Batch, Supervision


def deeplab(**settings) -> DeepLab:
    torch.manual_seed(3)
    small = {"backbone": "tiny", "classes": 3, "output_stride": 4, "rates": (1, 2)}
    return lively(methods.METHODS["deeplab"](**small | settings))


def labeled(masks: torch.Tensor) -> Batch:
    n, size = len(masks), masks.shape[-1]
    return Batch(pictures(size, n), torch.ones(n, 3), torch.arange(n), masks=masks.to(torch.uint8))


def field_and_stride(layers) -> tuple[int, int]:
    """Return how many pixels one output sees along a side, and how far apart the outputs lie."""
    field = step = 1
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            first = {k: v if isinstance(v, int) else v[0] for k, v in vars(layer).items() if k in SIZES}
            field += (first["kernel_size"] - 1) * first.get("dilation", 1) * step
            step *= first["stride"]
    return field, step


SIZES = ("kernel_size", "stride", "dilation")


def test_largefov_sees_435_pixels_at_stride_8_and_maps_321_to_41():
    with torch.device("meta"):
        net = methods.METHODS["deeplab"]("vgg16_largefov", 20).eval()
        assert net.scores(torch.zeros(1, 3, 321, 321)).shape == (1, 21, 41, 41)
    assert field_and_stride([*net.features, *net.head]) == (435, 8)
    convolutions = [layer for layer in net.head if isinstance(layer, nn.Conv2d)]
    assert [(c.out_channels, c.kernel_size[0], c.dilation[0]) for c in convolutions] == [
        (1024, 3, 12), (1024, 1, 1), (21, 1, 1),
    ]  # fmt: skip
    assert net.aligned


@pytest.mark.parametrize("backbone", ["resnet101", "resnet38", "mobilenet_v2"])
def test_other_backbones_score_a_grid_of_stride_8(backbone):
    with torch.device("meta"):
        net = methods.METHODS["deeplab"](backbone, 20, output_stride=8).eval()
        assert net.scores(torch.zeros(1, 3, 65, 65)).shape == (1, 21, 9, 9)
    if backbone == "resnet101":
        assert [branch.dilation[0] for branch in net.head.branches] == [6, 12, 18, 24]
        assert net.features.layer4[2].conv2.dilation == (4, 4)


def test_the_last_layers_of_version_2_are_summed():
    net, maps = deeplab(), torch.randn(1, 128, 6, 6)
    torch.testing.assert_close(net.head(maps), sum(branch(maps) for branch in net.head.branches))


def test_labels_are_those_at_the_middle_of_each_cell():
    ramp = labeled(torch.arange(16).expand(1, 16, 16))
    assert deeplab().labels(ramp, (4, 4))[0, 0].tolist() == [2, 6, 10, 14]  # blocks of 4 pixels
    padded = methods.METHODS["deeplab"]("squeezenet1_1", 3)
    ramp = labeled(torch.arange(17).expand(1, 17, 17))
    assert padded.labels(ramp, (3, 3))[0, 0].tolist() == [0, 8, 16]  # every 8th, as 321 = 8 * 40 + 1


def test_unknown_pixels_cost_nothing():
    net, masks = deeplab(), torch.full((2, 64, 64), 255)
    masks[0, :8, :8] = 2
    terms = net.loss(labeled(masks))
    expected = cross_entropy(net.scores(pictures(64))[0, :, :2, :2].flatten(1).T, torch.full((4,), 2))
    assert list(terms) == ["segmentation"]
    torch.testing.assert_close(terms["segmentation"], expected)
    nothing = net.loss(labeled(torch.full((2, 64, 64), 255)))["segmentation"]
    nothing.backward()
    assert nothing.item() == 0
    with pytest.raises(ValueError, match="deeplab learns from label maps; the batch has none"):
        net.loss(Batch(pictures(64), torch.ones(2, 3), torch.arange(2)))


def test_each_scale_has_its_loss_and_so_have_the_largest_scores():
    net, data = deeplab(scales=(0.5,)), labeled(torch.randint(0, 4, (2, 64, 64)))
    terms = net.loss(data)
    assert list(terms) == ["segmentation", "at 0.5", "highest"]
    half = nn.functional.interpolate(data.images, (32, 32), mode="bilinear")
    labels = net.labels(data, (8, 8)).long()
    torch.testing.assert_close(terms["at 0.5"], cross_entropy(net.scores(half), labels))
    up = nn.functional.interpolate(net.scores(half), (16, 16), mode="bilinear")
    highest = torch.maximum(net.scores(data.images), up)
    torch.testing.assert_close(terms["highest"], cross_entropy(highest, net.labels(data, (16, 16)).long()))


def test_probabilities_are_averaged_over_scales_and_mirrors_and_the_crf_comes_last():
    net, x = deeplab(), pictures(32)
    nn.init.normal_(net.head.branches[0].weight)
    one = net.probabilities(x)
    torch.testing.assert_close(one.sum(1), torch.ones(2, 32, 32))
    torch.testing.assert_close(one.argmax(1).to(torch.uint8), net.segment(x))
    both = net.probabilities(x, flip=True)
    torch.testing.assert_close(both, (one + net.probabilities(x.flip(-1)).flip(-1)) / 2)
    assert not torch.allclose(net.probabilities(x, (1.0, 1.5)), one)
    constants = PRESETS["deeplab-v2"].scaled(0.1)
    assert torch.equal(to_bytes(x), (255 * from_network(x)).round().to(torch.uint8))
    expected = dense_crf(one, to_bytes(x), constants).argmax(1).to(torch.uint8)
    assert torch.equal(net.segment(x, crf=constants), expected)


def test_class_scores_and_maps_come_from_the_probabilities():
    net, x = deeplab(), pictures(32)
    nn.init.normal_(net.head.branches[0].weight, std=0.03)
    p = net.scores(x).softmax(1)
    assert torch.equal(net.maps(x, torch.tensor([[2, 0], [1, 1]]))[0], p[0, [3, 1]])
    best = p[1, 2].max().item()
    assert net(x)[1, 1].item() == pytest.approx(math.log(best / (1 - best)), rel=1e-4)


def test_it_declares_what_it_learns_from():
    assert deeplab().supervision == Supervision(masks=None, made=True)
    assert deeplab(truth=True).supervision == Supervision(masks=None, made=False)
    assert methods.METHODS["sec"]().supervision == Supervision(masks=None, made=True)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"classes": 0}, "classes must be at least 1"),
        ({"rates": ()}, "rates must be at least 1, and one or more"),
        ({"scales": (0.0,)}, "scales must be positive"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting, message):
    with pytest.raises(ValueError, match=message):
        deeplab(**setting)


@pytest.mark.parametrize("name", ["deeplab", "sec"])
def test_settings_are_all_kept(name):
    parameters = set(inspect.signature(methods.METHODS[name]).parameters) - {"weights"}
    assert set(methods.METHODS[name]().settings) == parameters
