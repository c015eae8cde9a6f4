"""GAIN on values that follow from its definition."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from nets import batch, lively, pictures

from wsolbook import methods
from wsolbook.backbones import build
from wsolbook.cam import grad_cam
from wsolbook.methods.gain import Attention, Gain, soft_mask

TWO = [[1.0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]  # two labels, one, none


def gain(**settings) -> Gain:
    torch.manual_seed(3)
    net = methods.METHODS["gain"](**{"backbone": "tiny", "classes": 4, "loss": "sigmoid"} | settings)
    return lively(net)


def test_the_soft_step():
    at = soft_mask(torch.tensor([[0.0, 0.5, 1.0]]))
    torch.testing.assert_close(at, torch.tensor([[0.0066928509, 0.5, 0.9933071491]]))
    torch.testing.assert_close(soft_mask(torch.tensor([[0.3]]), 0.2, 20.0), torch.tensor([[0.8807970780]]))
    hard = soft_mask(torch.tensor([[0.49, 0.51]]), slope=1e4)
    torch.testing.assert_close(hard, torch.tensor([[0.0, 1.0]]))


def test_what_is_erased_is_gone_and_what_is_not_stays():
    net, x = gain(), pictures(64, 3)
    with torch.no_grad():
        seen = net.attend(x, torch.tensor(TWO))
        gone = net.erase(x, seen)
    assert seen.image.tolist() == [0, 0, 1]
    assert seen.classes.tolist() == [0, 2, 1]
    assert seen.counted.all()
    assert gone.attention.amax((-2, -1)).eq(1).all()
    assert gone.attention.amin((-2, -1)).eq(0).all()
    torch.testing.assert_close(gone.mask, torch.sigmoid(10 * (gone.attention - 0.5)))
    kept, lost = gone.attention == 0, gone.attention == 1
    for pair, picture in enumerate([0, 0, 1]):
        before, after = x[picture], gone.images[pair]
        torch.testing.assert_close(after[:, kept[pair]], before[:, kept[pair]] * 0.9933071)
        torch.testing.assert_close(after[:, lost[pair]], before[:, lost[pair]] * 0.0066929)
    with torch.no_grad():
        for pair, c in enumerate([0, 2, 1]):
            torch.testing.assert_close(gone.scores[pair], net(gone.images[pair, None]).sigmoid()[0, c])


def test_the_attention_is_grad_cam():
    for settings in ({}, {"head": "gmp"}, {"output_stride": 4}):
        net, x = gain(**settings), pictures(64, 3)
        with torch.no_grad():
            seen = net.attend(x, torch.tensor(TWO))
        expected = grad_cam(net, x, torch.tensor([[0, 2], [1, 1], [0, 0]])).values
        torch.testing.assert_close(seen.maps, torch.stack([expected[0, 0], expected[0, 1], expected[1, 0]]))
        torch.testing.assert_close(net.maps(x, torch.tensor([0, 1, 2]))[:2], expected[:2, 0])


def test_without_mining_it_is_the_plain_classifier_step_by_step():
    torch.manual_seed(0)
    plain = build("tiny", classes=4, loss="sigmoid", dropout=0.3).train()
    torch.manual_seed(0)
    net = methods.METHODS["gain"]("tiny", 4, loss="sigmoid", dropout=0.3, alpha=0.0).train()
    for step in range(3):
        for model in (plain, net):
            torch.manual_seed(step)
            model.zero_grad()
            torch.stack([*model.loss(batch(TWO)).values()]).sum().backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= 0.1 * p.grad
    assert all(map(torch.equal, plain.state_dict().values(), net.state_dict().values()))


def test_a_batch_without_labels_mines_nothing():
    terms = gain().train().loss(batch([[0, 0, 0, 0]] * 2))
    assert terms["mining"].item() == 0
    assert set(terms) == {"classification", "mining"}


def test_the_second_stream_changes_no_buffer():
    for norms in ("frozen", "batch"):
        net = gain(masked_norms=norms).train()
        with torch.no_grad():
            seen = net.attend(pictures(64, 3), torch.tensor(TWO))
        before = {name: value.clone() for name, value in net.named_buffers()}
        flags = [m.training for m in net.modules()]
        net.erase(pictures(64, 3), seen)
        assert all(torch.equal(before[name], value) for name, value in net.named_buffers())
        assert flags == [m.training for m in net.modules()]


def test_an_empty_map_is_left_out():
    net = gain(through_mask=True)
    with torch.no_grad():
        net.linear.weight[1] = -1.0  # features are not negative: no evidence for class 1 anywhere
    seen = net.attend(pictures(64, 3), torch.tensor(TWO))
    assert seen.counted.tolist() == [True, True, False]
    assert seen.maps[2].eq(0).all()
    terms = net.loss(batch([[0, 1, 0, 0]] * 2))
    assert terms["mining"].item() == 0
    terms["mining"].backward()
    assert all(p.grad is None or p.grad.eq(0).all() for p in net.parameters())


def test_pixels_are_zero_where_maps_equal_masks():
    net = gain(masks=None)
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[0, :16, :24] = 2
    target = torch.zeros(1, 8, 8)
    target[0, :2, :3] = 1
    seen = Attention(
        torch.zeros(1, 4), torch.tensor([0]), torch.tensor([1]), 3 * target, torch.tensor([True])
    )
    given = replace(batch([[0, 1, 0, 0]]), masks=masks)
    assert net._pixel_error(seen, given).item() == 0
    assert net._pixel_error(replace(seen, maps=3 * target.mT), given).item() == pytest.approx(4 / 64)
    masks[0, :16, 16:24] = masks[0, 16:24, :16] = 255
    assert net._pixel_error(replace(seen, maps=3 * target.mT), given).item() == pytest.approx(0)
