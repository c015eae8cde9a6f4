"""GAIN on values that follow from its definition."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
import torch
from nets import batch, lively, pictures
from torch import nn
from torchvision import models

from wsolbook import methods
from wsolbook.backbones import Tap, Trunk, build
from wsolbook.cam import grad_cam
from wsolbook.cam.photograph import method_for
from wsolbook.data.critters import Critters
from wsolbook.methods.gain import Attention, Gain, soft_mask
from wsolbook.training import TrainConfig, train
from wsolbook.types import Batch

TWO = torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])  # two labels, one, none
PAIRS = [(0, 0), (0, 2), (1, 1)]


def gain(**settings) -> Gain:
    torch.manual_seed(3)
    return lively(methods.METHODS["gain"](**{"backbone": "tiny", "classes": 4, "loss": "sigmoid"} | settings))


def patches(**settings) -> Gain:
    """Return a network of pixels: red and green speak for class 0, green for class 1, blue for nothing."""
    settings = methods.METHODS["gain"](classes=2, loss="sigmoid").settings | {"scale": "max"} | settings
    trunk = Trunk("pixels", 1, {"conv": nn.Conv2d(3, 3, 1, bias=False)}, {"conv": Tap("conv", 3, 1)}, {})
    net = Gain(trunk, settings)
    with torch.no_grad():
        net.features.conv.weight.copy_(torch.eye(3)[:, :, None, None])
        net.linear.weight.copy_(torch.tensor([[16.0, 16, 0], [0, 16, 0]]))
        net.linear.bias.fill_(-4)
    return net.eval()


def blobs() -> torch.Tensor:
    """Return a picture of 4 x 4 with a red pixel, a green one and a blue one."""
    picture = torch.zeros(1, 3, 4, 4)
    picture[0, 0, 0, 0] = picture[0, 1, 1, 2] = picture[0, 2, 3, 3] = 4
    return picture


def seen_as(net: Gain, maps: torch.Tensor) -> Attention:
    """Return a first stream that attends to `maps` for class 0."""
    n = len(maps)
    return Attention(
        torch.zeros(n, 2), torch.zeros(n, dtype=int), torch.zeros(n, dtype=int), maps, torch.ones(n) > 0
    )


def gradients(term: torch.Tensor, net: Gain) -> list[torch.Tensor]:
    found = torch.autograd.grad(term, list(net.parameters()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, net.parameters(), strict=True)]


def test_the_soft_step():
    at = soft_mask(torch.tensor([[0.0, 0.5, 1.0]]))
    torch.testing.assert_close(at, torch.tensor([[0.0066928509, 0.5, 0.9933071491]]))
    torch.testing.assert_close(soft_mask(torch.tensor([[0.3]]), 0.2, 20.0), torch.tensor([[0.8807970780]]))
    hard = soft_mask(torch.tensor([[0.49, 0.51]]), slope=1e4)
    torch.testing.assert_close(hard, torch.tensor([[0.0, 1.0]]))


def test_one_picture_by_hand():
    """Class 0 has its evidence at the red and the green pixel; both go, and its logit falls from 4 to -4."""
    net, x = patches(), blobs()
    seen = net.attend(x, torch.tensor([[1.0, 0]]))
    torch.testing.assert_close(seen.logits, torch.tensor([[4.0, 0.0]]))
    expected = torch.zeros(1, 4, 4)
    expected[0, 0, 0] = expected[0, 1, 2] = 4  # 16 x 4 over 16 positions
    torch.testing.assert_close(seen.maps, expected)
    gone = net.erase(x, seen)
    torch.testing.assert_close(gone.attention, expected / 4)
    left = torch.tensor(1 - 0.9933071491)
    torch.testing.assert_close(gone.images[0, :2].sum(0), 4 * left * expected[0] / 4)
    torch.testing.assert_close(gone.images[0, 2, 3, 3], 4 * (1 - torch.tensor(0.0066928509)))
    torch.testing.assert_close(gone.scores, torch.sigmoid(8 * left - 4)[None])
    terms = net.loss(Batch(x, torch.tensor([[1.0, 0]]), torch.tensor([0])))
    torch.testing.assert_close(terms["mining"], torch.sigmoid(8 * left - 4))
    logit = patches(score="logit", alpha=0.5).loss(Batch(x, torch.tensor([[1.0, 0]]), torch.tensor([0])))
    torch.testing.assert_close(logit["mining"], 0.5 * (8 * left - 4))


def test_what_is_erased_is_gone_and_what_is_not_stays():
    net, x = gain(), pictures(64, 3)
    with torch.no_grad():
        seen = net.attend(x, TWO)
        gone = net.erase(x, seen)
        alone = [net(image[None]).sigmoid()[0, c] for image, (_, c) in zip(gone.images, PAIRS, strict=True)]
    assert [*zip(seen.image.tolist(), seen.classes.tolist(), strict=True)] == PAIRS
    assert seen.counted.all()
    torch.testing.assert_close(gone.scores, torch.stack(alone))
    torch.testing.assert_close(gone.mask, torch.sigmoid(10 * (gone.attention - 0.5)))
    assert (gone.images[0] - gone.images[1]).abs().max() > 0.1  # one picture, two classes, two erasures
    for pair, (picture, _) in enumerate(PAIRS):
        kept, lost = gone.attention[pair] == 0, gone.attention[pair] == 1
        assert kept.any()
        assert lost.any()
        torch.testing.assert_close(gone.images[pair][:, kept], x[picture][:, kept] * 0.9933071)
        torch.testing.assert_close(gone.images[pair][:, lost], x[picture][:, lost] * 0.0066929)


def test_the_attention_is_grad_cam_and_nothing_of_it_stays():
    for settings in ({}, {"head": "gmp"}, {"output_stride": 4, "through_weights": True}):
        net, x = gain(**settings), pictures(64, 3)
        with torch.no_grad():
            seen = net.attend(x, TWO)
        expected = grad_cam(net, x, torch.tensor([[0, 2], [1, 1], [0, 0]])).values
        torch.testing.assert_close(seen.maps, torch.stack([expected[0, 0], expected[0, 1], expected[1, 0]]))
        torch.testing.assert_close(net.maps(x, torch.tensor([0, 1, 2]))[:2], expected[:2, 0])
        assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("through_weights", [False, True])
def test_the_pass_for_the_weights_is_a_pass_to_the_maps_alone(through_weights):
    """With dropout before the linear layer there is no shortcut; each map has the weights of its own draw."""
    net, x = gain(through_weights=through_weights, dropout=0.5).train(), pictures(64, 3)
    for p in net.parameters():
        p.grad = torch.full_like(p, 3)
    seen = net.attend(x, TWO)
    assert all(p.grad.eq(3).all() for p in net.parameters())
    assert not torch.equal(net.attend(x, TWO).maps, seen.maps)
    net.dropout.p = 0.0
    plain = net.attend(x, TWO)
    with torch.no_grad():
        features = net.features(x)
    weights = net.linear.weight[plain.classes] / 64
    expected = torch.einsum("pk,pkuv->puv", weights, features[plain.image]).relu()
    torch.testing.assert_close(plain.maps, expected)


def test_a_negative_logit_turns_no_sign():
    net, x = patches(), blobs()
    before = net.attend(x, torch.tensor([[1.0, 0]]))
    nn.init.constant_(net.linear.bias, -40)
    after = net.attend(x, torch.tensor([[1.0, 0]]))
    assert after.logits[0, 0] < 0
    torch.testing.assert_close(after.maps, before.maps)


def test_mining_costs_less_the_more_of_the_object_goes():
    net, x = patches(), blobs()
    maps = torch.zeros(3, 4, 4)
    maps[0, 3, 3] = maps[1, 0, 0] = maps[2, 0, 0] = maps[2, 1, 2] = 1  # blue, red, red and green
    blue, red, both = net.erase(x, seen_as(net, maps)).scores.tolist()
    assert blue > 0.97
    assert red == pytest.approx(0.5, abs=0.02)
    assert both < 0.03


def test_mining_pulls_attention_to_evidence_that_it_left_out():
    net, x = patches(), blobs()
    maps = torch.full((1, 4, 4), 0.2)
    maps[0, 0, 0] = 1
    maps.requires_grad_()
    (slope,) = torch.autograd.grad(net.erase(x, seen_as(net, maps)).scores.sum(), maps)
    assert slope[0, 1, 2] < -0.05  # the green pixel
    slope[0, 0, 0] = slope[0, 1, 2] = 0
    assert slope.abs().max() == 0  # nothing of the class is elsewhere


def test_the_two_routes_add_up():
    """The derivative of a product: through the mask, and through the parameters of the second stream."""
    routes = {}
    for mask in (True, False):
        for network in (True, False):
            net = gain(through_mask=mask, through_network=network).double()
            seen = net.attend(pictures(64, 3).double(), TWO)
            term = net.erase(pictures(64, 3).double(), seen).scores.sum()
            routes[mask, network] = gradients(term, net) if mask or network else term.requires_grad
    assert routes.pop((False, False)) is False
    for both, mask, network in zip(*routes.values(), strict=True):
        torch.testing.assert_close(both, mask + network)
    for route in routes.values():
        assert route[0].abs().max() > 1e-6  # both reach the first convolution


def test_all_derivatives_of_the_loss_pass_gradcheck():
    x = torch.rand(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(2, 4, 4, dtype=torch.uint8)
    masks[0, :2] = 1
    given = Batch(x, torch.tensor([[1.0, 0], [1, 0]], dtype=torch.float64), torch.arange(2), masks=masks)
    net = patches(through_weights=True, masks=None).double()

    def terms(*_):
        return tuple(net.loss(given).values())

    assert torch.autograd.gradcheck(terms, [*net.parameters()])


def test_weights_are_constants_unless_asked_for():
    for through in (False, True):
        net = gain(through_weights=through)
        rows = gradients(net.attend(pictures(64, 3), TWO).maps.sum(), net)[-2]
        assert rows.any(1).tolist() == [through, through, through, False]  # nothing shows class 3


def test_the_streams_are_one_network():
    net, plain = gain(), build("tiny", classes=4)
    assert {n: p.shape for n, p in net.named_parameters()} == {
        n: p.shape for n, p in plain.named_parameters()
    }
    ran = []
    net.linear.register_forward_hook(lambda *_: ran.append(id(net.linear.weight)))
    net.loss(batch(TWO.tolist()))
    assert ran == [id(net.linear.weight)] * 2


def test_no_picture_depends_on_the_others():
    net, given = gain(), batch(TWO.tolist())
    order = torch.tensor([2, 0, 1])
    whole, turned = (net.attend(x, y) for x, y in ((given.images, TWO), (given.images[order], TWO[order])))
    torch.testing.assert_close(turned.maps, whole.maps)
    scores = net.erase(given.images, whole).scores
    torch.testing.assert_close(net.erase(given.images[order], turned).scores, scores)
    parts = [net.loss(given[i : i + 1])["mining"] for i in range(3)]
    torch.testing.assert_close(torch.stack(parts).mean(), net.loss(given)["mining"])
    torch.testing.assert_close(net.loss(given)["mining"], ((scores[0] + scores[1]) / 2 + scores[2]) / 3)


def test_without_mining_it_is_the_plain_classifier_step_by_step():
    torch.manual_seed(0)
    plain = build("tiny", classes=4, loss="sigmoid", dropout=0.3).train()
    torch.manual_seed(0)
    net = methods.METHODS["gain"]("tiny", 4, loss="sigmoid", dropout=0.3, alpha=0.0).train()
    for step in range(3):
        for model in (plain, net):
            torch.manual_seed(step)
            model.zero_grad()
            torch.stack([*model.loss(batch(TWO.tolist())).values()]).sum().backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad
    assert all(map(torch.equal, plain.state_dict().values(), net.state_dict().values()))


def test_mining_does_not_change_the_other_term():
    plain, net = (gain(alpha=alpha, masks=2).train() for alpha in (0.0, 1.0))
    given = replace(batch(TWO.tolist()), masks=torch.full((3, 64, 64), 255, dtype=torch.uint8))
    a, b = plain.loss(given), net.loss(given)
    assert torch.equal(a["classification"], b["classification"])
    assert all(torch.equal(x, y) for x, y in zip(plain.buffers(), net.buffers(), strict=True))
    assert a["mining"].item() == 0 < b["mining"].item()
    assert a["pixels"].item() == b["pixels"].item() == 0


def test_a_batch_without_labels_mines_nothing():
    terms = gain().train().loss(batch([[0, 0, 0, 0]] * 2))
    assert terms["mining"].item() == 0
    assert set(terms) == {"classification", "mining"}


@pytest.mark.parametrize("norms", ["frozen", "batch"])
def test_the_second_stream_changes_no_buffer(norms):
    net = gain(masked_norms=norms).train()
    seen = net.attend(pictures(64, 3), TWO)
    before, flags = [b.clone() for b in net.buffers()], [m.training for m in net.modules()]
    gone = net.erase(pictures(64, 3), seen)
    assert all(map(torch.equal, before, net.buffers()))
    assert flags == [m.training for m in net.modules()]
    expected = (net.eval() if norms == "frozen" else net.train())(gone.images).sigmoid()
    torch.testing.assert_close(gone.scores, expected.gather(1, seen.classes[:, None])[:, 0])


def test_an_empty_map_is_left_out():
    net = gain()
    with torch.no_grad():
        net.linear.weight[1] = -1  # features are not negative: no evidence for class 1 anywhere
    seen = net.attend(pictures(64, 3), TWO)
    assert seen.counted.tolist() == [True, True, False]
    assert seen.maps[2].eq(0).all()
    terms = net.loss(batch([[0, 1, 0, 0]] * 2))
    assert terms["mining"].item() == 0
    assert all(g.eq(0).all() for g in gradients(terms["mining"], net))


def test_a_flat_map_is_left_out_where_its_contrast_is_scaled():
    x = torch.ones(1, 3, 4, 4)
    counted = [
        patches(scale=scale).attend(x, torch.tensor([[1.0, 0]])).counted.item()
        for scale in ("min-max", "max")
    ]
    assert counted == [False, True]


def mask_of_one(rows: int, columns: int) -> torch.Tensor:
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[0, :rows, :columns] = 2
    return masks


def pixel_error(maps: torch.Tensor, masks: torch.Tensor, **settings) -> float:
    seen = Attention(torch.zeros(1, 4), torch.tensor([0]), torch.tensor([1]), maps, maps.amax((-2, -1)) > 0)
    return gain(masks=None, **settings)._pixel_error(seen, replace(batch([[0, 1, 0, 0]]), masks=masks)).item()


def test_pixels_cost_nothing_only_where_the_map_is_the_mask():
    masks, target = mask_of_one(16, 24), torch.zeros(1, 8, 8)
    target[0, :2, :3] = 7
    assert pixel_error(target, masks) == 0
    assert pixel_error(target.mT, masks) == pytest.approx(4 / 64)  # two cells too many, two too few
    assert pixel_error(target.mT, masks, reduction="sum") == pytest.approx(4)
    masks[0, :16, 16:24] = 255
    assert pixel_error(target.mT, masks) == pytest.approx(2 / 62)
    assert pixel_error(target, mask_of_one(0, 0)) == 0  # the class was cropped away
    assert pixel_error(0 * target, mask_of_one(16, 24)) == pytest.approx(6 / 64)
    assert pixel_error(target, mask_of_one(16, 20)) == pytest.approx(2 * 0.25 / 64)  # two cells half full


def test_the_pixel_loss_counts_images_with_masks_ten_times():
    masks = torch.full((3, 64, 64), 255, dtype=torch.uint8)
    masks[0] = 0
    masks[0, :20, :30], masks[0, 40:] = 1, 3
    given = replace(batch(TWO.tolist()), masks=masks)
    net = gain(masks=None)
    term = net.loss(given)["pixels"]
    alone = net._pixel_error(net.attend(given.images, TWO), given)
    assert alone[2].item() == 0
    torch.testing.assert_close(term, 10 * (alone[0] + alone[1]) / 2 / 3)
    assert net.loss(replace(given, masks=None))["pixels"].item() == 0
    assert "pixels" not in gain().loss(given)
    without = gain(masks=None, alpha=0.0).loss(given)
    torch.testing.assert_close(without["pixels"], term)
    assert without["mining"].item() == 0


def test_one_class_an_image_means_one():
    given = replace(batch([[1, 0, 0, 0], [0, 0, 0, 0]]), index=torch.tensor([7, 8]))
    with pytest.raises(ValueError, match="image 8 has no label"):
        gain(loss="softmax").loss(given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"center": 1.2}, r"center must be in \[0, 1\], the range of scaled maps, got 1.2"),
        ({"slope": 0.0}, "slope must be above 0, got 0.0"),
        ({"alpha": -1.0}, "alpha must be at least 0, got -1.0"),
        ({"masks": -3}, "masks must be at least 0, got -3"),
        ({"scale": "softmax"}, "unknown scale 'softmax'; choose one of min-max, max"),
        ({"masked_norms": "none"}, "unknown masked_norms 'none'"),
        ({"head": "fc"}, "head 'fc' is that of vgg16; tiny has gap or gmp"),
        ({"head": "mlp"}, "unknown head 'mlp'; choose one of gap, gmp, fc"),
        ({"checkpoint": True, "through_network": False}, "checkpoint repeats a pass with its parameters"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(methods.METHODS["gain"])(**arguments)


def test_warm_up_goes_on_where_it_was_stopped(tmp_path):
    """Mining begins with the batch that finds 10 images seen, in however many parts they came."""
    net = gain(warmup=10, loss="softmax").train()
    begun = [net.loss(batch([[1, 0, 0, 0]] * 4))["mining"].item() > 0 for _ in range(5)]
    assert begun == [False, False, False, True, True]
    assert net.eval().loss(batch([[1, 0, 0, 0]]))["mining"].item() > 0
    assert net.seen.item() == 20
    config = TrainConfig(steps=5, batch_size=4, device="cpu", checkpoint_every=1, keep=9, micro_batch=3)
    model, data = methods.METHODS["gain"](warmup=10), Critters(20, size=16)
    train(model, data, config, run=tmp_path)
    assert model.seen.item() == 20
    for step in (2, 4):
        again = methods.METHODS["gain"](warmup=10)
        train(again, data, config, resume=tmp_path / "checkpoints" / f"step-{step:08d}.pt")
        assert all(map(torch.equal, again.state_dict().values(), model.state_dict().values()))


def test_it_starts_from_a_network_of_cam_or_its_own(tmp_path):
    plain = lively(build("tiny", classes=4, loss="sigmoid"))
    methods.save(plain, tmp_path / "cam.safetensors")
    settings = {"backbone": "tiny", "classes": 4, "loss": "sigmoid"}
    net = methods.start("gain", tmp_path / "cam.safetensors", warmup=8, **settings)
    assert isinstance(net, Gain)
    assert torch.equal(net.eval()(pictures(64)), plain(pictures(64)))
    assert net.new_parameters() == []
    other = methods.start("gain", tmp_path / "cam.safetensors", **settings | {"classes": 3})
    assert len(other.new_parameters()) == 2
    net.train().loss(batch([[0, 0, 0, 1]]))
    methods.save(net, tmp_path / "gain.safetensors")
    again = methods.start("gain", tmp_path / "gain.safetensors", warmup=8, **settings)
    assert again.seen.item() == 1
    assert method_for(again) == "maps"
    assert method_for(plain) == "cam"
    with pytest.raises(ValueError, match=r"holds another network: alpha was 1.0, is 2.0"):
        methods.start("gain", tmp_path / "gain.safetensors", warmup=8, alpha=2.0, **settings)


def test_bfloat16_is_finite_and_near():
    given, terms = batch(TWO.tolist()), {}
    for enabled in (False, True):
        net = gain(through_weights=True, dropout=0.1, masks=1).train()
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            terms[enabled] = net.loss(replace(given, masks=torch.zeros(3, 64, 64, dtype=torch.uint8)))
        torch.stack([t.float() for t in terms[enabled].values()]).sum().backward()
        assert all(p.grad.isfinite().all() for p in net.parameters())
    for name, term in terms[False].items():
        assert terms[True][name].item() == pytest.approx(term.item(), abs=0.02)


@pytest.mark.parametrize("backbone", ["tiny", "tiny_resnet"])
def test_checkpoints_change_no_number(backbone):
    given, found = batch(TWO.tolist()), {}
    for checkpoint in (False, True):
        net = gain(backbone=backbone, checkpoint=checkpoint).train()
        terms = net.loss(given)
        torch.stack([*terms.values()]).sum().backward()
        found[checkpoint] = [*terms.values(), *(p.grad for p in net.parameters()), *net.buffers()]
    assert all(map(torch.equal, *found.values()))


def test_vgg_may_keep_its_fully_connected_layers():
    with torch.device("meta"):
        net, theirs = methods.METHODS["gain"]("vgg16", 1000, head="fc"), models.vgg16()
        images = torch.empty(2, 3, 224, 224)
        assert net.features(images).shape == (2, 512, 14, 14)
        assert net(images).shape == (2, 1000)
    shapes = [{k: v.shape for k, v in each.state_dict().items()} for each in (net, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.slow
def test_attention_through_fully_connected_layers():
    net = gain(backbone="vgg16", head="fc", dropout=0.5)
    x = pictures(64, 3)
    seen = net.attend(x, TWO)
    assert seen.maps.shape == (3, 4, 4)
    with torch.no_grad():
        expected = grad_cam(net, x, torch.tensor([[0, 2], [1, 1], [0, 0]]), "features.29").values
    torch.testing.assert_close(seen.maps.detach(), expected[[0, 0, 1], [0, 1, 0]])
    assert torch.autograd.grad(seen.maps.sum(), net.classifier[3].weight, allow_unused=True) == (None,)
    net.train().loss(batch(TWO.tolist()))["mining"].backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())
