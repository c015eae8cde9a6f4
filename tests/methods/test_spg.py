"""SPG on values that follow from its definition."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from nets import batch, lively, pictures, touched
from torch import nn
from torch.nn.functional import interpolate

from wsolbook import methods
from wsolbook.backbones import build, tapped
from wsolbook.maps import normalize
from wsolbook.methods.spg import VARIANTS, Spg, guided_loss, ternary_mask

LABELS = [[0.0, 0, 1, 0], [0, 1, 0, 0]]
CLASSES = torch.tensor([2, 1])


def spg(**settings) -> Spg:
    torch.manual_seed(3)
    return lively(methods.METHODS["spg"](**{"backbone": "tiny", "classes": 4} | settings))


def test_three_values_and_the_thresholds_themselves():
    maps = torch.tensor([[[0.04, 0.05, 0.3, 0.7, 0.71]]])
    assert ternary_mask(maps, 0.05, 0.7).tolist() == [[[0, 255, 255, 255, 1]]]
    assert ternary_mask(torch.zeros(1, 2, 2), 0.1, 0.2).eq(0).all()


def test_the_fallback_is_for_each_image_and_background_wins():
    maps = torch.full((4, 224, 224), 0.3)
    maps[0, 0, :29] = maps[1, 0, :30] = 0.9  # 29 pixels are few, 30 are not
    maps[2] = 0.1
    maps[2, 0, 0] = 0.4  # above 0.7 times it there is only itself
    maps[3] = 0.04  # all below the first threshold: 0.7 times the maximum is background too
    mask = ternary_mask(maps, 0.05, 0.95, fallback=True)
    assert (mask[0] == 1).sum() == 29
    assert mask[0].unique().tolist() == [1, 255]
    assert mask[2].unique(return_counts=True)[1].tolist() == [1, 224 * 224 - 1]
    assert mask[3].eq(0).all()
    high = ternary_mask(maps, 0.05, 0.8, fallback=True)
    assert (high[1] == 1).sum() == 30
    assert torch.equal(ternary_mask(maps[2:], 0.05, 0.8, fallback=True), high[2:])
    assert ternary_mask(maps[2:3], 0.05, 0.8).eq(255).all()
    small = torch.full((1, 64, 64), 0.3)
    small[0, 0, :3] = 0.9  # 30 of 224 x 224 are 2.4 of 64 x 64
    small[0, 1, 0] = 0.7
    assert (ternary_mask(small, 0.05, 0.8, fallback=True) == 1).sum() == 3
    small[0, 0, 2] = 0.3
    assert (ternary_mask(small, 0.05, 0.8, fallback=True) == 1).sum() == 3  # two, and that of 0.7


def test_the_loss_counts_known_pixels_alone():
    logits = torch.zeros(1, 1, 3, requires_grad=True)
    loss = guided_loss(logits, torch.tensor([[[1, 0, 255]]], dtype=torch.uint8))
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    assert logits.grad.tolist() == [[[-0.25, 0.25, 0.0]]]
    nothing = guided_loss(logits, torch.full((1, 1, 3), 255, dtype=torch.uint8))
    assert nothing.item() == 0
    assert torch.autograd.grad(nothing, logits)[0].eq(0).all()
    uneven = torch.tensor(
        [[[0, 255, 255]], [[1, 1, 1]]], dtype=torch.uint8
    )  # over the batch, not image by image
    given = torch.tensor([[[2.0, 9, 9]], [[0.0, 0, 0]]])
    expected = (math.log1p(math.exp(2)) + 3 * math.log(2)) / 4
    assert guided_loss(given, uneven).item() == pytest.approx(expected)


def test_every_branch_by_its_definition():
    net, x = spg(), pictures(64)
    with torch.no_grad():
        a = tapped(net.features, x, {"stage3", "stage4"})
        a3 = net.a3(a["stage4"])
        maps = net.a4(a3)
        tail = net.tails[0]
        logits = [tail(net.b2(a["stage4"])), tail(net.b1(a["stage3"])), net.c(a3)]
    b2, b1, c = (interpolate(each, (64, 64), mode="bilinear")[:, 0].sigmoid() for each in logits)
    own = torch.stack([maps[0, 2], maps[1, 1]])
    attention = normalize(interpolate(own[:, None], (64, 64), mode="bilinear")[:, 0])
    seen = net.guidance(x, CLASSES)
    for ours, expected in zip(
        (seen.attention, seen.b2, seen.b1, seen.c), (attention, b2, b1, c), strict=True
    ):
        torch.testing.assert_close(ours, expected)
    assert torch.equal(seen.for_b2, ternary_mask(seen.attention, 0.05, 0.7, fallback=True))
    assert torch.equal(seen.for_b1, ternary_mask(seen.b2, 0.05, 0.5, fallback=True))
    assert torch.equal(seen.for_c, ternary_mask((seen.b1 + seen.b2) / 2, 0.1, 0.7, fallback=True))
    terms = net.loss(batch(LABELS))
    assert list(terms) == ["classification", "b2", "b1", "c"]
    torch.testing.assert_close(terms["b2"], guided_loss(b2.logit(), seen.for_b2))
    torch.testing.assert_close(terms["c"], guided_loss(c.logit(), seen.for_c), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(net(x), maps.mean((2, 3)))
    assert torch.equal(net.maps(x, CLASSES), own)


def test_what_each_loss_moves():
    net = spg().train()
    terms = net.loss(batch(LABELS))
    assert touched(net, terms["classification"]) == {"features", "a3", "a4"}
    assert touched(net, terms["b2"]) == {"features", "b2", "tails"}
    assert touched(net, terms["b1"]) == {"features", "b1", "tails"}
    assert touched(net, terms["c"]) == {"features", "a3", "c"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants(variant):
    net, full = spg(variant=variant), spg()
    terms, whole = net.loss(batch(LABELS)), full.loss(batch(LABELS))
    names = {"plain": ["classification"], "no-c": ["classification", "b2", "b1"]}
    assert list(terms) == names.get(variant, list(whole))
    count, most = (sum(p.numel() for p in each.parameters()) for each in (net, full))
    tail = 64 * 64 * 9 + 64 + 64 + 1
    c = 128 * 64 * 9 + 64 + 64 + 1
    b = 64 * 64 * 9 + 64 + 128 * 64 * 9 + 64 + tail
    assert (
        count - most == {"full": 0, "plain": -b - c, "no-cascade": 0, "unshared": tail, "no-c": -c}[variant]
    )
    if variant == "plain":
        with pytest.raises(ValueError, match="SPG-plain has no masks"):
            net.guidance(pictures(64), CLASSES)
        return
    seen = net.guidance(pictures(64), CLASSES)
    assert (seen.c is None) == (seen.for_c is None) == (variant == "no-c")
    assert torch.equal(seen.for_b1, seen.for_b2) == (variant == "no-cascade")
    ends = {id(net.tails[0][1].weight), id(net.tails[-1][1].weight)}
    assert len(ends) == (2 if variant == "unshared" else 1)


@pytest.mark.parametrize("value", [0.0, 0.3, -1.7])
def test_a_class_map_without_contrast_teaches_nothing(value):
    net = spg(variant="no-cascade")
    nn.init.zeros_(net.a4.weight)
    nn.init.constant_(net.a4.bias, value)
    assert net.guidance(pictures(88), CLASSES).for_b2.eq(255).all()
    terms = net.loss(batch(LABELS))
    assert terms["b2"].item() == terms["b1"].item() == 0


def test_no_picture_depends_on_the_others():
    net, x = spg(), pictures(64)
    seen, alone = net.guidance(x, CLASSES), net.guidance(x[1:], CLASSES[1:])
    torch.testing.assert_close(alone.attention, seen.attention[1:])
    assert (alone.for_c == seen.for_c[1:]).float().mean() > 0.999
    many = net.maps(x, torch.tensor([[0, 2], [1, 3]]))
    torch.testing.assert_close(many[0, 1], net.maps(x, CLASSES)[0])


def test_dropout_only_in_training():
    net, x = spg(dropout=0.5), pictures(64)
    with torch.no_grad():
        assert torch.equal(net(x), net(x))
        net.train()
        assert not torch.equal(net(x), net(x))
        assert torch.equal(net.maps(x, CLASSES), net.maps(x, CLASSES))


@pytest.mark.parametrize(
    ("backbone", "options", "channels", "sides"),
    [
        ("inception_v3", {}, (288, 768, 1024, 512), {224: 28, 321: 40}),
        ("vgg16", {"output_stride": 8, "dilation": False}, (512, 512, 512, 256), {224: 28}),
        ("resnet50", {"output_stride": 8}, (1024, 2048, 1024, 512), {224: 28}),
        ("mobilenet_v2", {"output_stride": 16}, (96, 1280, 1024, 512), {224: 14}),
        ("tiny", {}, (64, 128, 128, 64), {64: 8}),
    ],
)
def test_shapes(backbone, options, channels, sides):
    with torch.device("meta"):
        net = methods.METHODS["spg"](backbone, 1000, **options)
        inner = (net.b1[0].in_channels, net.b2[0].in_channels, net.a4.in_channels, net.c[0][0].out_channels)
        assert inner == channels
        for size, side in sides.items():
            maps = net._class_maps(torch.empty(2, 3, size, size))
            assert maps.shape == (2, 1000, side, side)


def test_the_tap_of_b2():
    with torch.device("meta"):
        released, figure = (
            methods.METHODS["spg"]("inception_v3", 10, b2_tap=tap).taps for tap in ("6d", "6e")
        )
    assert released == ("mixed_5", "mixed_6d", "mixed_6e")
    assert figure == ("mixed_5", "mixed_6e", "mixed_6e")


def test_it_starts_from_the_trunk_of_a_classifier(tmp_path):
    plain = lively(build("tiny", classes=4))
    methods.save(plain, tmp_path / "cam.safetensors")
    net = methods.start("spg", tmp_path / "cam.safetensors", backbone="tiny", classes=4)
    assert torch.equal(net.features.stage4[0][0].weight, plain.features.stage4[0][0].weight)
    assert len(net.new_parameters()) == 18
    methods.save(net, tmp_path / "spg.safetensors")
    again = methods.start("spg", tmp_path / "spg.safetensors", backbone="tiny", classes=4)
    assert torch.equal(again.a4.weight, net.a4.weight)


def test_bfloat16_is_finite():
    net = spg().train()
    with torch.autocast("cpu", torch.bfloat16):
        terms = net.loss(batch(LABELS))
    torch.stack([term.float() for term in terms.values()]).sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize(
    ("labels", "message"),
    [([[1.0, 0, 0, 0], [0, 0, 0, 0]], "image 1 has no classes"), ([[1.0, 1, 0, 0]], "image 0 has 2 classes")],
)
def test_one_class_an_image(labels, message):
    with pytest.raises(ValueError, match=message):
        spg().loss(batch(labels))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"b2": (0.7, 0.05)},
            r"thresholds must be in \(0, 1\), the first below the second, got 0.7 and 0.05",
        ),
        ({"b1": (0.0, 0.5)}, "thresholds must be in"),
        ({"c": (0.1, 1.0)}, "thresholds must be in"),
        ({"variant": "half"}, "unknown variant 'half'; choose one of full, plain"),
        ({"b2_tap": "6f"}, "unknown b2_tap '6f'"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"width": 1}, "width must be at least 2, got 1"),
        ({"classes": 0}, "classes must be at least 1, got 0"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(methods.METHODS["spg"])(**arguments)
