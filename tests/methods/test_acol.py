"""ACoL on values that follow from its definition."""

from __future__ import annotations

import inspect

import pytest
import torch
from nets import batch, lively, pictures
from torch import nn
from torch.nn.functional import avg_pool2d, cross_entropy

from wsolbook import methods
from wsolbook.backbones import Tap, Trunk, build
from wsolbook.maps import normalize
from wsolbook.methods.acol import Acol
from wsolbook.types import Batch


def acol(**settings) -> Acol:
    torch.manual_seed(3)
    return lively(methods.METHODS["acol"](**{"backbone": "tiny", "classes": 4} | settings))


def by_hand() -> tuple[Acol, torch.Tensor]:
    """Return a network whose class maps are the pooled channels, and a picture of 4 x 4 of one red pixel."""
    settings = methods.METHODS["acol"](classes=2, width=2).settings
    trunk = Trunk("pixels", 1, {"conv": nn.Conv2d(3, 2, 1, bias=False)}, {"conv": Tap("conv", 2, 1)}, {})
    net = Acol(trunk, settings).eval()
    with torch.no_grad():
        net.features.conv.weight.copy_(torch.eye(3)[:2, :, None, None])
        for branch in (net.first, net.second):
            for layer in branch[::2]:
                nn.init.zeros_(layer.weight)
                middle = layer.weight.shape[-1] // 2
                layer.weight[:, :, middle, middle] = torch.eye(2)
    x = torch.zeros(1, 3, 4, 4)
    x[0, 0, 1, 1], x[0, 0, 0, 3], x[0, 1] = 9.0, 4.5, 0.9
    return net, x


def test_one_picture_by_hand():
    net, x = by_hand()
    seen = net.branches(x, torch.tensor([0]))
    red = torch.tensor([[1.0, 1, 1.5, 0.5], [1, 1, 1.5, 0.5], [1, 1, 1, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(seen.first[0], red)
    assert seen.erased[0].tolist() == (red >= 0.9).tolist()
    torch.testing.assert_close(seen.second[0], torch.where(red >= 0.9, 0, red))
    torch.testing.assert_close(net.maps(x, torch.tensor([0]))[0], (red / 1.5).maximum(red * (red == 0.5) * 2))
    green = net.branches(x, torch.tensor([1]))
    torch.testing.assert_close(green.first[0].mean(), net(x)[0, 1])
    assert net.loss(batch_of(x, [1.0, 0]))["classification"].item() == pytest.approx(
        cross_entropy(torch.stack([red.mean(), green.first.mean()]), torch.tensor(0)).item()
    )


def batch_of(x, labels):

    return Batch(x, torch.tensor([labels]), torch.tensor([0]))


def test_the_second_gets_nothing_where_the_first_is_high():
    for threshold in (0.3, 0.8):
        net, x = acol(threshold=threshold), pictures(64)
        classes = torch.tensor([2, 1])
        given = []
        net.second.register_forward_pre_hook(lambda _, inputs, given=given: given.append(inputs[0]))
        seen = net.branches(x, classes)
        with torch.no_grad():
            features = avg_pool2d(net.features(x), 3, 1, 1)
            first = net.first(features)
        high = normalize(torch.stack([first[0, 2], first[1, 1]])) >= threshold
        assert torch.equal(seen.erased, high)
        assert 0 < high.float().mean() < 1
        assert torch.equal(given[0], torch.where(high[:, None], 0, features))
        net.loss(batch([[0, 0, 1, 0], [0, 1, 0, 0]]))
        assert torch.equal(given[1], given[0])


def test_the_map_is_the_maximum_of_both_scaled():
    x, classes = pictures(64), torch.tensor([[0, 3], [2, 2]])
    maps = {fusion: acol(fusion=fusion).maps(x, classes) for fusion in ("max", "first", "second")}
    assert torch.equal(maps["max"], maps["first"].maximum(maps["second"]))
    seen = acol().branches(x, classes[:, 1])
    torch.testing.assert_close(maps["first"][:, 1], normalize(seen.first))
    torch.testing.assert_close(maps["second"][:, 1], normalize(seen.second))


def test_a_map_knows_its_class_alone():
    net, x = acol(), pictures(64)
    whole = net.train().maps(x, torch.arange(4).expand(2, 4))
    assert net.training
    assert torch.equal(net.maps(x, torch.tensor([[3, 1], [3, 1]])), whole[:, [3, 1]])
    assert torch.equal(net.maps(x, torch.tensor([2, 2])), whole[:, 2])
    torch.testing.assert_close(net.maps(x[1:], torch.tensor([2])), whole[1:, 2])


def test_the_second_teaches_the_trunk_and_not_the_first():
    net = acol().train()
    terms = net.loss(batch([[1, 0, 0, 0], [0, 0, 1, 0]]))
    names = [name for name, _ in net.named_parameters()]
    for term, silent in (("classification", "second."), ("erased", "first.")):
        found = torch.autograd.grad(terms[term], list(net.parameters()), allow_unused=True, retain_graph=True)
        moved = {name for name, g in zip(names, found, strict=True) if g is not None and g.abs().max() > 0}
        assert moved == {name for name in names if not name.startswith(silent)}


def test_the_threshold_itself_is_erased():
    net, maps = acol(threshold=0.5), torch.tensor([[[1.0, 3, 2.99, 5]], [[0.0, 0, 1, 4]]])
    assert net._erased(maps).tolist() == [[[False, True, False, True]], [[False, False, False, True]]]
    assert net._erased(torch.tensor([[[float("nan"), 1.0]]])).shape == (1, 1, 2)


def test_a_map_without_contrast_erases_nothing():
    net = acol(class_layer="zero")
    assert net.first[-1].weight.eq(0).all()
    assert not net.branches(pictures(64), torch.tensor([0, 1])).erased.any()
    terms = net.loss(batch([[1, 0, 0, 0], [0, 0, 1, 0]]))
    assert all(term.item() == pytest.approx(torch.tensor(4.0).log().item()) for term in terms.values())


def test_the_network_of_the_paper():
    with torch.device("meta"):
        net = methods.METHODS["acol"]("vgg16_largefov", 1000, dilation=False)
        maps = net.first(net.features(torch.empty(1, 3, 224, 224)))
    assert maps.shape == (1, 1000, 28, 28)
    assert [layer.weight.shape[:2] for layer in net.second[::2]] == [(1024, 512), (1024, 1024), (1000, 1024)]


def test_it_starts_from_the_trunk_of_a_classifier(tmp_path):
    plain = lively(build("tiny", classes=4))
    methods.save(plain, tmp_path / "cam.safetensors")
    net = methods.start("acol", tmp_path / "cam.safetensors", backbone="tiny", classes=4)
    assert torch.equal(net.features.stage4[0][0].weight, plain.features.stage4[0][0].weight)
    assert len(net.new_parameters()) == 12
    assert acol().new_parameters() == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [([[1.0, 0, 0, 0], [0, 0, 0, 0]], "image 1 has no classes"), ([[1.0, 1, 0, 0]], "image 0 has 2 classes")],
)
def test_one_class_an_image(labels, message):
    with pytest.raises(ValueError, match=message):
        acol().loss(batch(labels))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.0}, "threshold must be between 0 and 1, got 1.0"),
        ({"threshold": 0.0}, "threshold must be between 0 and 1, got 0.0"),
        ({"fusion": "mean"}, "unknown fusion 'mean'; choose one of max, first, second"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(methods.METHODS["acol"])(**arguments)
