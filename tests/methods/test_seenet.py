"""SeeNet on values that follow from its definition."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace

import pytest
import torch
from nets import batch, lively, pictures, touched
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import interpolate

from wsolbook import methods
from wsolbook.backbones import Tap, Trunk, build
from wsolbook.maps import multi_scale, normalize
from wsolbook.methods.seenet import CReLU, Seenet, attention, zones
from wsolbook.types import Batch

LABELS = [[1.0, 0, 1, 0], [0, 1, 0, 0], [0, 1, 1, 1]]


def seenet(**settings) -> Seenet:
    """Return a tiny network whose class maps vary as those of a trained one do."""
    torch.manual_seed(3)
    return lively(
        methods.METHODS["seenet"](**{"backbone": "tiny", "classes": 4, "initial": "xavier"} | settings)
    )


def given_to(branch: nn.Module) -> list[torch.Tensor]:
    """Return the list to which every later pass adds what the branch gets."""
    seen: list[torch.Tensor] = []
    branch.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    return seen


def by_hand(**settings) -> tuple[Seenet, torch.Tensor]:
    """Return a network whose class maps are what its branches get, and a picture of 2 x 2 pixels."""
    settings = methods.METHODS["seenet"](
        classes=2, width=2, convolutions=1, dropout=0.0, scaled="map", mirror=False, **settings
    ).settings
    trunk = Trunk("pixels", 1, {"conv": nn.Conv2d(3, 2, 1, bias=False)}, {"conv": Tap("conv", 2, 1)}, {})
    net = Seenet(trunk, settings).eval()
    with torch.no_grad():
        net.features.conv.weight.copy_(torch.eye(3)[:2, :, None, None])
        for branch in (net.s_a, net.s_b, net.s_c):
            for layer in (branch[0], branch[-1]):
                nn.init.zeros_(layer.weight)
                middle = layer.weight.shape[-1] // 2
                layer.weight[:, :, middle, middle] = torch.eye(2)
            if branch is not net.s_a:
                branch[1] = nn.Identity()  # so that a turned sign is to be seen
    x = torch.zeros(1, 3, 2, 2)
    x[0, 0] = torch.tensor([[10.0, 5], [0.1, 3]])
    x[0, 1] = torch.tensor([[0.0, -1], [8, 0]])
    return net, x


def test_three_zones_and_the_thresholds_themselves():
    maps = torch.tensor([[1.0, 0.5], [0.02, 0.3]])
    assert zones(maps, 0.05, 0.7).tolist() == [[0, 1], [-1, 1]]
    at = torch.tensor([0.7, 0.05, 0.7001, 0.0499]).reshape(1, 2, 2)
    assert zones(at, 0.05, 0.7).tolist() == [[[1, 1], [0, -1]]]
    assert zones(torch.zeros(2, 3, 3), 0.05, 0.7).eq(-1).all()
    assert zones(torch.tensor([[0.0, 0.3, 0.81]]), 0.0, 0.8).tolist() == [
        [1, 1, 0]
    ]  # the released test graph
    assert zones(torch.rand(16, 20, 14, 14), 0.05, 0.7).shape == (16, 20, 14, 14)


def test_crelu_by_hand_and_its_gradient():
    x = torch.tensor([[[[1.0, 2], [3, -4]]]], requires_grad=True)
    mask = torch.tensor([[[0.0, 1], [-1, 1]]], requires_grad=True)
    out = CReLU()(x, mask)
    assert out.tolist() == [[[[0, 2], [-3, 0]]]]
    out.sum().backward()
    assert x.grad.tolist() == [[[[0, 1], [-1, 0]]]]
    assert mask.grad is None
    second = CReLU()(x.detach(), torch.tensor([[[0.0, 0], [1, 1]]]))
    assert second.tolist() == [[[[0, 0], [3, 0]]]]


def test_crelu_and_its_gradient_for_every_sample_and_channel():
    """The released layer zeroes gradients in sample 0 and channel 0 alone; a port masks channel 19 alone."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 24, 6, 7, generator=generator, dtype=torch.float64)
    mask = torch.randint(-1, 2, (5, 6, 7), generator=generator).double()
    upstream = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    out = CReLU()(leaf, mask)
    out.backward(upstream)
    for n in range(5):
        for k in range(24):
            assert torch.equal(out[n, k], torch.where(x[n, k] > 0, x[n, k], 0) * mask[n])
            assert torch.equal(leaf.grad[n, k], upstream[n, k] * mask[n] * (x[n, k] > 0))
    few = x[:2, :2, :3, :3]
    away = torch.where(few.abs() < 0.1, 0.1, few).requires_grad_()  # from the corner, where there is no slope
    assert torch.autograd.gradcheck(lambda values: CReLU()(values, mask[:2, :3, :3]), away)


def test_one_attention_of_all_labels():
    maps = torch.tensor([[[[4.0, 1], [0, -5]], [[-1, 3], [6, 0]], [[9, 9], [9, 100]]]])
    both = attention(maps, torch.tensor([[1.0, 1, 0]]))
    torch.testing.assert_close(both, torch.tensor([[[1.0, 0.5], [1, 0]]]))
    assert attention(maps, torch.tensor([[1.0, 0, 0]])).tolist() == [[[1.0, 0.25], [0, 0]]]
    for nothing in (torch.full((1, 3, 2, 2), -2.0), torch.full((1, 3, 2, 2), 7.0)):  # negative; constant
        found = attention(nothing, torch.tensor([[1.0, 1, 0]]))
        assert zones(found, 0.05, 0.7).eq(-1).all()
    filled = torch.tensor([[[[2.0, 3], [4, 5]]]])  # a full picture has its background too
    assert zones(attention(filled, torch.ones(1, 1)), 0.05, 0.7).tolist() == [[[-1, 1], [1, 0]]]


def test_one_picture_by_hand():
    net, x = by_hand()
    seen = net.branches(x, torch.tensor([[1.0, 0]]))
    assert seen.first[0].tolist() == x[0, :2].clamp(min=0).tolist()
    torch.testing.assert_close(seen.attention[0], torch.tensor([[1, 4.9 / 9.9], [0, 2.9 / 9.9]]))
    assert seen.zones[0].tolist() == [[0, 1], [-1, 1]]
    assert seen.background[0].tolist() == [[0, 0], [1, 1]]
    torch.testing.assert_close(seen.second[0], torch.tensor([[[0.0, 5], [-0.1, 3]], [[0, 0], [-8, 0]]]))
    torch.testing.assert_close(seen.third[0], torch.tensor([[[0.0, 0], [0.1, 3]], [[0, 0], [8, 0]]]))
    terms = net.loss(Batch(x, torch.tensor([[1.0, 0]]), torch.tensor([7])))
    y = torch.tensor([1.0, 0])
    for name, logits, target in (
        ("classification", [18.1 / 4, 2.0], y),
        ("s_b", [7.9 / 4, -2.0], y),
        ("s_c", [3.1 / 4, 2.0], 0 * y),
    ):
        assert terms[name].item() == pytest.approx(bce(torch.tensor(logits), target).item(), rel=1e-5)
    fused = net.maps(x, torch.tensor([[0, 1]]))[0]
    first = torch.tensor([[1, 0.5], [0.01, 0.3]])
    torch.testing.assert_close(fused[0], first.maximum(torch.tensor([[0, 1], [0, 0.6]])))
    # Class 1 by its own zones: core where it has 8, and -1 elsewhere, so S_B gives nothing positive.
    assert fused[1].tolist() == [[0, 0], [1, 0]]


def test_the_middle_of_the_thresholds_is_no_background():
    net, _ = by_hand(low=0.25, high=0.5)
    x = torch.zeros(1, 3, 2, 2)
    x[0, 0] = torch.tensor([[8.0, 3], [2.9, 0]])  # 3 / 8 = 0.375
    labels = torch.tensor([[1.0, 0]])
    assert net.branches(x, labels).background.tolist() == [[[0, 0], [1, 1]]]
    assert by_hand(background=0.4)[0].branches(x, labels).background.tolist() == [[[0, 1], [1, 1]]]
    low = by_hand(background=0.05)[0].branches(x, labels)  # as elsewhere one reads: what S_B turns
    assert torch.equal(low.background, (low.zones == -1).float())


def test_every_branch_by_its_definition():
    net, x, labels = seenet(), pictures(64, 3), torch.tensor(LABELS)
    to_b, to_c = given_to(net.s_b), given_to(net.s_c)
    seen = net.branches(x, labels)
    with torch.no_grad():
        features = net.features(x)
        first = net.s_a(features)
    scaled = normalize(first.relu())
    expected = torch.stack([scaled[i][row > 0].amax(0) for i, row in enumerate(labels)])
    assert torch.equal(seen.attention, expected)
    assert torch.equal(seen.zones, zones(expected, 0.05, 0.7))
    assert all(set(zone.unique().tolist()) == {-1.0, 0.0, 1.0} for zone in seen.zones)
    for n in range(3):
        for k in range(128):  # what is erased is erased in each of them
            assert torch.equal(to_b[0][n, k], features[n, k] * seen.zones[n])
            assert torch.equal(to_c[0][n, k], features[n, k] * (expected[n] < 0.375))
    terms = net.loss(batch(LABELS))
    assert list(terms) == ["classification", "s_b", "s_c"]
    torch.testing.assert_close(terms["classification"], bce(net(x), labels))
    torch.testing.assert_close(terms["s_b"], bce(seen.second.mean((2, 3)), labels))
    torch.testing.assert_close(terms["s_c"], bce(seen.third.mean((2, 3)), torch.zeros(3, 4)))
    assert torch.equal(to_b[1], to_b[0])


def test_the_third_branch_never_hears_of_a_label():
    net = seenet()
    with torch.no_grad():
        net.s_c[-1].weight.zero_()
        net.s_c[-1].bias.copy_(torch.tensor([0.5, -1, 2, 0]))
    expected = bce(torch.tensor([0.5, -1, 2, 0]), torch.zeros(4)).item()
    for labels in ([[1.0, 0, 0, 0]], [[0.0, 1, 1, 1]]):
        assert net.loss(batch(labels))["s_c"].item() == pytest.approx(expected)


def test_what_each_loss_moves():
    net = seenet().train()
    terms = net.loss(batch(LABELS))
    assert touched(net, terms["classification"]) == {"features", "s_a"}
    assert touched(net, terms["s_b"]) == {"features", "s_b"}
    assert touched(net, terms["s_c"]) == {"features", "s_c"}


def test_gradients_of_the_second_branch_stop_at_the_core_and_turn_in_the_background():
    net, x = by_hand()
    leaf = x.clone().requires_grad_()
    seen = net._branches(leaf, torch.tensor([[1.0, 0]]))
    seen.second[0, 0].sum().backward()
    assert leaf.grad[0, 0].tolist() == [[0, 1], [-1, 1]]
    assert leaf.grad[0, 2].eq(0).all()


def test_the_core_contributes_nothing_to_the_second_branch():
    net, x = seenet(), pictures(64, 3)
    ternary = net.branches(x, torch.tensor(LABELS)).zones
    with torch.no_grad():
        features = net.features(x)
        changed = torch.where((ternary == 0)[:, None], 100 * torch.rand_like(features), features)
        assert torch.equal(net.s_b(net.crelu(changed, ternary)), net.s_b(net.crelu(features, ternary)))
        assert not torch.equal(changed, features)


def test_without_three_zones_the_second_branch_is_a_plain_one():
    net = seenet(low=0.0, high=1.0)
    seen = net.branches(pictures(64), torch.tensor(LABELS[:2]))
    assert seen.zones.eq(1).all()
    with torch.no_grad():
        torch.testing.assert_close(seen.second, net.s_b(net.features(pictures(64))))


@pytest.mark.parametrize(
    ("settings", "terms", "values"),
    [
        ({"sign_flip": False}, ["classification", "s_b", "s_c"], {0.0, 1.0}),
        ({"sign_flip": False, "s_c": False}, ["classification", "s_b"], {0.0, 1.0}),  # erases as ACoL does
        ({"s_b": False}, ["classification", "s_c"], {-1.0, 0.0, 1.0}),
        ({"s_c": False}, ["classification", "s_b"], {-1.0, 0.0, 1.0}),
        ({"s_b": False, "s_c": False}, ["classification"], {-1.0, 0.0, 1.0}),
        ({"shared": True}, ["classification", "s_b", "s_c"], {-1.0, 0.0, 1.0}),
    ],
)
def test_ablations(settings, terms, values):
    net, full = seenet(**settings), seenet()
    assert list(net.loss(batch(LABELS))) == terms
    labels = torch.tensor(LABELS[:2])
    seen, whole = net.branches(pictures(64), labels), full.branches(pictures(64), labels)
    assert set(seen.zones.unique().tolist()) == values
    assert torch.equal(seen.zones.abs(), whole.zones.abs())
    assert (seen.second is None, seen.third is None) == ("s_b" not in terms, "s_c" not in terms)
    if net.s_b is None:
        classes = torch.tensor([0, 1])
        assert torch.equal(
            net.maps(pictures(64), classes), seenet(fusion="first").maps(pictures(64), classes)
        )
    if settings == {"shared": True}:
        assert net.s_c is None
        with torch.no_grad():
            features = net.features(pictures(64))
            assert torch.equal(seen.third, net.s_b(net.crelu(features, seen.background)))


def test_a_picture_without_attention_may_be_left_out():
    net, skipping = by_hand()[0], by_hand(skip_empty=True)[0]
    _, x = by_hand()
    x = torch.cat([x, -x.abs()])  # in the second nothing is positive
    labels = torch.tensor([[1.0, 0], [1, 0]])
    seen = net.branches(x, labels)
    assert seen.zones[1].eq(-1).all()
    assert seen.background[1].eq(1).all()
    all_of_it, less = (each.loss(Batch(x, labels, torch.arange(2))) for each in (net, skipping))
    one = net.loss(Batch(x[:1], labels[:1], torch.arange(1)))
    assert less["classification"] == all_of_it["classification"]
    for name in ("s_b", "s_c"):
        assert less[name].item() == pytest.approx(one[name].item() / 2)
        assert all_of_it[name].item() == pytest.approx((one[name].item() + math.log(2)) / 2)


def test_the_loss_over_classes():
    mean, total = (seenet(reduction=how).loss(batch(LABELS)) for how in ("mean", "sum"))
    for name in mean:
        torch.testing.assert_close(total[name], 4 * mean[name])


def test_no_picture_depends_on_the_others():
    net, x, labels = seenet(), pictures(64, 3), torch.tensor(LABELS)
    whole = net.branches(x, labels)
    other = net.branches(torch.cat([x[:1], 5 * x[1:].flip(-1)]), labels)
    assert torch.equal(other.zones[0], whole.zones[0])
    for i in range(3):
        alone = net.branches(x[i : i + 1], labels[i : i + 1])
        torch.testing.assert_close(alone.attention[0], whole.attention[i])
        torch.testing.assert_close(alone.second[0], whole.second[i], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(alone.third[0], whole.third[i], atol=1e-4, rtol=1e-4)
    assert not torch.equal(whole.zones[0], whole.zones[1])


def test_a_map_knows_its_class_alone():
    """In the released notebook the labels of earlier questions stay on."""
    net, x = seenet(), pictures(64)
    whole = net.train().maps(x, torch.arange(4).expand(2, 4))
    assert net.training
    assert torch.equal(net.maps(x, torch.tensor([[3, 1], [3, 1]])), whole[:, [3, 1]])
    assert torch.equal(net.maps(x, torch.tensor([2, 2])), whole[:, 2])
    torch.testing.assert_close(net.maps(x[1:], torch.tensor([2])), whole[1:, 2])


def test_fusion_and_mirror_by_hand():
    x, classes = pictures(64), torch.tensor([[0, 3], [2, 2]])
    one = {how: seenet(fusion=how, mirror=False).maps(x, classes) for how in ("max", "first", "second")}
    assert torch.equal(one["max"], one["first"].maximum(one["second"]))
    assert not torch.equal(one["first"], one["second"])
    mirrored = seenet(mirror=False).maps(x.flip(-1), classes).flip(-1)
    fused = seenet().maps(x, classes)
    torch.testing.assert_close(fused, one["max"].maximum(mirrored))
    assert (fused >= one["max"]).all()
    assert fused.amax((2, 3)).eq(1).all()


def test_mirroring_changes_nothing_in_a_network_that_does_not_know_left_from_right():
    net = seenet().double()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.copy_((layer.weight + layer.weight.flip(-1)) / 2)
    classes = torch.tensor([0, 3])
    fused = net.maps(pictures(64).double(), classes)
    net.settings["mirror"] = False
    torch.testing.assert_close(fused, net.maps(pictures(64).double(), classes))


def test_resized_before_or_after_they_are_scaled():
    net, x, classes = seenet(fusion="first", mirror=False), pictures(64), torch.tensor([1, 2])
    with torch.no_grad():
        raw = net.s_a(net.features(x))[torch.arange(2), classes]
    large = interpolate(raw[:, None], (64, 64), mode="bicubic")[:, 0].clamp(min=0)
    torch.testing.assert_close(net.maps(x, classes), large / large.amax((1, 2), keepdim=True))
    small = seenet(fusion="first", mirror=False, scaled="map").maps(x, classes)
    torch.testing.assert_close(small, normalize(raw, "max"))
    assert small.shape == (2, 8, 8)
    seen = given_to((released := seenet(test_size=32)).features)
    assert released.maps(x, classes).shape == (2, 64, 64)
    assert seen[0].shape == (2, 3, 32, 32)


def test_the_released_test_graph_turns_no_sign():
    net, x = seenet(test_thresholds="released"), pictures(64)
    to_b = given_to(net.s_b)
    net.maps(x, torch.tensor([0, 1]))
    with torch.no_grad():
        features = net.features(x)
        own = normalize(net.s_a(features)[torch.arange(2), [0, 1]].relu())
    assert (to_b[0] >= 0).all()
    assert torch.equal(to_b[0], torch.where((own > 0.8)[:, None], 0, features))
    assert (net.branches(x, torch.tensor(LABELS[:2])).zones == -1).any()  # in training they are turned


def test_several_scales_are_left_to_the_one_who_asks():
    net, x = seenet(), pictures(64)
    classes = torch.tensor([[0, 1], [2, 3]])
    several = multi_scale(lambda seen: net.maps(seen, classes), x, (0.5, 1.0), mirror=False)
    half = interpolate(
        net.maps(interpolate(x, (32, 32), mode="bilinear"), classes), (64, 64), mode="bilinear"
    )
    torch.testing.assert_close(several, (half + net.maps(x, classes)) / 2)


def test_the_network_of_the_paper():
    with torch.device("meta"):
        net = methods.METHODS["seenet"]("vgg16", 20)
        assert net.features(torch.empty(1, 3, 224, 224)).shape == (1, 512, 14, 14)
        assert net.s_b(net.features(torch.empty(1, 3, 256, 256))).shape == (1, 20, 16, 16)
        text = methods.METHODS["seenet"]("vgg16", 20, convolutions=3)
    shapes = [(512, 512, 3, 3), (512, 512, 3, 3), (20, 512, 1, 1)]
    for branch in (net.s_a, net.s_b, net.s_c):
        assert [tuple(p.shape) for p in branch.parameters() if p.ndim == 4] == shapes
        assert [layer.p for layer in branch if isinstance(layer, nn.Dropout)] == [
            0.5 if branch is net.s_a else 0.0
        ]
    assert len([p for p in text.s_b.parameters() if p.ndim == 4]) == 4
    layer = methods.METHODS["seenet"]().s_b[0]
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert layer.bias.eq(0).all()


@pytest.mark.parametrize(
    ("backbone", "options", "width", "size", "side"),
    [
        ("vgg16", {"output_stride": 8}, 512, 224, 28),
        ("resnet50", {"output_stride": 16}, 512, 224, 14),
        ("resnet18", {"output_stride": 16}, 512, 224, 14),
        ("mobilenet_v2", {"output_stride": 16}, 512, 224, 14),
        ("tiny", {}, 128, 64, 8),
        ("tiny_resnet", {"width": 32}, 32, 64, 8),
    ],
)
def test_trunks(backbone, options, width, size, side):
    with torch.device("meta"):
        net = methods.METHODS["seenet"](backbone, 10, **options)
        assert net.s_a[0].out_channels == width
        maps = net.s_a(net.features(torch.empty(2, 3, size, size)))
    assert maps.shape == (2, 10, side, side)


def test_features_are_rectified_whatever_the_trunk_ends_in():
    net, x = by_hand()
    seen = net.branches(x, torch.tensor([[1.0, 0]]))
    assert net.features(x).min() == -1  # where S_B and S_C see nothing of it
    assert seen.second[0, 1, 0, 1] == seen.third[0, 1, 0, 1] == 0


def test_dropout_only_in_training_and_only_in_the_first_branch():
    net, x, labels = seenet(), pictures(64), torch.tensor(LABELS[:2])
    with torch.no_grad():
        assert torch.equal(net(x), net(x))
        net.train()
        net.features.eval()
        assert not torch.equal(net(x), net(x))
        features = net.features(x)
        assert torch.equal(net.s_b(features), net.s_b(features))
    assert torch.equal(net.branches(x, labels).first, net.branches(x, labels).first)


def test_it_starts_from_the_trunk_of_a_classifier(tmp_path):
    plain = lively(build("tiny", classes=4))
    methods.save(plain, tmp_path / "cam.safetensors")
    net = methods.start("seenet", tmp_path / "cam.safetensors", backbone="tiny", classes=4)
    assert torch.equal(net.features.stage4[0][0].weight, plain.features.stage4[0][0].weight)
    assert len(net.new_parameters()) == 18
    assert seenet().new_parameters() == []


def test_bfloat16_is_finite():
    net = seenet().train()
    with torch.autocast("cpu", torch.bfloat16):
        terms = net.loss(batch(LABELS))
    torch.stack([term.float() for term in terms.values()]).sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_a_loss_that_is_not_finite_is_returned():
    wrong = batch(LABELS)
    terms = seenet().loss(replace(wrong, pictures=wrong.images * torch.nan))
    assert terms["classification"].isnan()


def test_a_training_picture_needs_a_label():
    with pytest.raises(ValueError, match="image 1 has no classes, the method takes one or several"):
        seenet().loss(batch([[0.0, 1, 1, 0], [0, 0, 0, 0]]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0.7, "high": 0.7}, r"thresholds must be in \[0, 1\], low below high, got 0.7 and 0.7"),
        ({"low": 0.8}, "low below high, got 0.8 and 0.7"),
        ({"low": -0.2}, "low below high, got -0.2 and 0.7"),
        ({"high": 1.1}, "low below high, got 0.05 and 1.1"),
        ({"background": 0.0}, r"background must be in \(0, 1\], got 0.0"),
        ({"fusion": "mean"}, "unknown fusion 'mean'; choose one of max, first, second"),
        ({"fusion": "second", "s_b": False}, "fusion 'second' needs s_b"),
        ({"shared": True, "s_c": False}, "shared needs s_b and s_c"),
        ({"initial": "he"}, "unknown initial 'he'"),
        ({"reduction": "max"}, "unknown reduction 'max'"),
        ({"test_thresholds": "0.8"}, "unknown test_thresholds '0.8'; choose one of training, released"),
        ({"scaled": "never"}, "unknown scaled 'never'"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"convolutions": 0}, "convolutions must be at least 1, got 0"),
        ({"test_size": 0}, "test_size must be at least 1, got 0"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(methods.METHODS["seenet"])(**arguments)
