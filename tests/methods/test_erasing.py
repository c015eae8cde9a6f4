"""Step-wise erasing on values that follow from its definition."""

from __future__ import annotations

import inspect

import pytest
import torch
from nets import batch, lively, pictures
from torch import nn

from wsolbook import backbones, methods
from wsolbook.backbones import Classifier, Tap, Trunk
from wsolbook.maps import normalize, resize
from wsolbook.methods.erasing import Erasing, Look, paint_over, succeeds


def network(**settings) -> Erasing:
    torch.manual_seed(3)
    net = lively(methods.METHODS["erasing"](**{"backbone": "tiny", "classes": 4} | settings))
    net.kept.fill_(len(net.classifiers))
    return net


def by_hand(threshold: float = 0.5, rounds: int = 3, share_of: str = "maximum") -> Erasing:
    """Return steps whose class maps are the first two color channels."""
    chosen = methods.METHODS["erasing"](
        classes=2, rounds=rounds, threshold=threshold, loss="softmax", share_of=share_of
    ).settings
    classifiers = []
    for _ in range(rounds):
        trunk = Trunk("pixels", 1, {"conv": nn.Conv2d(3, 2, 1, bias=False)}, {"conv": Tap("conv", 2, 1)}, {})
        plain = backbones.build("tiny", classes=2).settings
        classifiers.append(Classifier(trunk, plain))
        with torch.no_grad():
            classifiers[-1].features.conv.weight.copy_(torch.eye(3)[:2, :, None, None])
            classifiers[-1].linear.weight.copy_(torch.eye(2))
    net = Erasing(classifiers, chosen).eval()
    net.kept.fill_(rounds)
    return net


PICTURE = torch.stack(
    [
        torch.tensor([[8.0, 6, 4, 2], [1, 0, -9, 0]]),
        torch.tensor([[0.0, 0, 0, 5], [5, 0, 0, 0]]),
        torch.ones(2, 4),
    ]
)[None]


def test_each_step_looks_at_what_is_left():
    first, second, third = by_hand().looks(PICTURE, torch.tensor([[1.0, 0]]))
    assert torch.equal(first.images, PICTURE)
    torch.testing.assert_close(first.maps, torch.tensor([[[1, 0.75, 0.5, 0.25], [0.125, 0, 0, 0]]]))
    assert first.mined.int().tolist() == [[[1, 1, 0, 0], [0, 0, 0, 0]]]  # above half, not at it
    assert second.images[0, :, 0, :2].eq(0).all()  # every channel
    assert torch.equal(second.images[0, :, 0, 2:], PICTURE[0, :, 0, 2:])
    torch.testing.assert_close(second.maps, torch.tensor([[[0, 0, 1, 0.5], [0.25, 0, 0, 0]]]))
    assert second.mined.int().tolist() == [[[0, 0, 1, 0], [0, 0, 0, 0]]]
    torch.testing.assert_close(third.maps, torch.tensor([[[0, 0, 0, 1], [0.5, 0, 0, 0]]]))


def test_the_map_is_the_maximum_over_the_steps():
    net = by_hand()
    expected = torch.tensor([[[1, 0.75, 1, 1], [0.5, 0, 0, 0]]])
    torch.testing.assert_close(net.maps(PICTURE, torch.tensor([0])), expected)
    net.settings["shown"] = 1
    torch.testing.assert_close(
        net.maps(PICTURE, torch.tensor([0])), by_hand().looks(PICTURE, torch.tensor([[1.0, 0]]))[0].maps
    )
    net.settings["shown"] = None
    net.kept.fill_(2)
    torch.testing.assert_close(net.maps(PICTURE, torch.tensor([0]))[0, 0], torch.tensor([1, 0.75, 1, 0.5]))


def test_all_labels_are_painted_over_together_and_mined_apart():
    first, second, _ = by_hand().looks(PICTURE, torch.tensor([[1.0, 1]]))
    assert (first.image.tolist(), first.classes.tolist()) == ([0, 0], [0, 1])
    assert first.mined.int().tolist() == [
        [[1, 1, 0, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 1], [1, 0, 0, 0]],
    ]
    assert second.images[0, 0].tolist() == [[0, 0, 4, 0], [0, 0, -9, 0]]
    torch.testing.assert_close(second.maps[0], torch.tensor([[0, 0, 1.0, 0], [0, 0, 0, 0]]))
    assert second.maps[1].eq(0).all()
    assert not second.mined[1].any()


def test_no_map_depends_on_what_else_is_asked_or_on_the_other_pictures():
    net, x = network(), pictures(64)
    both = net.maps(x, torch.tensor([[0, 3, 0], [2, 1, 2]]))
    assert both.shape == (2, 3, 64, 64)
    torch.testing.assert_close(net.maps(x, torch.tensor([3, 1])), both[:, 1])
    torch.testing.assert_close(net.maps(x[1:], torch.tensor([[2]]))[0, 0], both[1, 0])
    assert torch.equal(both[:, 0], both[:, 2])


def test_the_share_may_be_one_of_pixels():
    (look,) = by_hand(0.75, rounds=1, share_of="pixels").looks(PICTURE, torch.tensor([[1.0, 0]]))
    assert look.mined.int().tolist() == [[[1, 1, 0, 0], [0, 0, 0, 0]]]  # two of eight
    assert by_hand(0.45, 1).looks(PICTURE, torch.tensor([[1.0, 0]]))[0].mined.sum() == 3


def test_pictures_without_labels_stay_as_they_are():
    looks = network(loss="sigmoid").looks(pictures(64), torch.zeros(2, 4))
    assert torch.equal(looks[-1].images, pictures(64))
    assert looks[0].maps.shape == (0, 64, 64)


def test_paint_over_by_hand():
    images = torch.arange(1.0, 13).reshape(2, 3, 1, 2)
    mined = torch.tensor([[[True, False]], [[True, False]], [[False, True]]])
    look = Look(images, torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), mined.float(), mined)
    assert paint_over(look).flatten().tolist() == [0, 2, 0, 4, 0, 6, 7, 0, 9, 0, 11, 0]


def test_only_the_next_step_learns_and_on_what_is_left():
    net = network(threshold=0.3).train()
    labels = [[1.0, 1, 0, 0], [0, 0, 1, 0]]
    for step in range(3):
        net.kept.fill_(step)
        net.zero_grad()
        with torch.no_grad():
            net.losses.zero_()
        seen = []
        hook = net.classifiers[step].features.register_forward_pre_hook(
            lambda _, inputs, seen=seen: seen.append(inputs[0])
        )
        net.loss(batch(labels))["classification"].backward()
        hook.remove()
        moved = {name.split(".")[1] for name, p in net.named_parameters() if p.grad is not None}
        assert moved == {str(step)}
        looks = net.looks(pictures(64), torch.tensor(labels), step)
        assert torch.equal(seen[-1], paint_over(looks[-1]) if step else pictures(64))
        if step:
            assert seen[-1].eq(0).all(1).float().mean() > 0.05
    net.kept.fill_(3)
    with pytest.raises(ValueError, match="all 3 rounds are trained"):
        net.loss(batch(labels))


def test_the_loss_of_a_step_is_remembered_as_a_running_mean():
    net = network(rounds=1).train()
    net.kept.fill_(0)
    labels = batch([[1.0, 0, 0, 0], [0, 0, 1, 0]])
    first = net.loss(labels)["classification"].item()
    assert net.losses.tolist() == [pytest.approx(first)]
    nn.init.zeros_(net.classifiers[0].linear.weight)
    nn.init.zeros_(net.classifiers[0].linear.bias)
    net.loss(labels)
    assert net.losses[0].item() == pytest.approx(0.9 * first + 0.1 * torch.tensor(2.0).log().item())
    before = net.losses.clone()
    net.eval().loss(labels)
    assert torch.equal(net.losses, before)


def test_the_stop_rule():
    assert [succeeds(losses, 2.5) for losses in ([0.05], [0.05, 0.09], [0.05, 0.09, 0.1])] == [True] * 3
    assert not succeeds([0.05, 0.09, 0.1, 0.16], 2.5)
    assert succeeds([0.05, 0.16, 0.1], 2.5)
    assert succeeds([0.5, 1.25], 2.5)


def test_the_first_step_is_cam():
    net, x = network(), pictures(64)
    net.settings["shown"] = 1
    raw = net.classifier(0).maps(x, torch.tensor([1, 2]))
    torch.testing.assert_close(net.maps(x, torch.tensor([1, 2])), normalize(resize(raw, 64), "max"))
    torch.testing.assert_close(net(x), net.classifier(0)(x))


def test_every_step_begins_with_the_weights(tmp_path):
    plain = lively(backbones.build("tiny", classes=4))
    methods.save(plain, tmp_path / "cam.safetensors")
    net = methods.start("erasing", tmp_path / "cam.safetensors", backbone="tiny", classes=4, rounds=2)
    for one in net.classifiers:
        assert torch.equal(one.features.stage4[0][0].weight, plain.features.stage4[0][0].weight)
    fresh = methods.METHODS["erasing"](weights="critters", classes=5, rounds=2)
    assert {name.split(".")[1] for name in fresh.fresh} == {"0", "1"}
    assert len(fresh.new_parameters()) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 1.0}, "threshold must be between 0 and 1, got 1.0"),
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"shown": 0}, "shown must be at least 1, got 0"),
        ({"share_of": "mean"}, "unknown share_of 'mean'; choose one of pixels, maximum"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(methods.METHODS["erasing"])(**arguments)


def test_a_file_keeps_how_many_steps_are_trained(tmp_path):
    net = network(rounds=3)
    net.kept.fill_(2)
    methods.save(net, tmp_path / "erasing.safetensors")
    again = methods.load(tmp_path / "erasing.safetensors")
    assert isinstance(again, Erasing)
    assert int(again.kept) == 2
    x, classes = pictures(64), torch.tensor([1, 2])
    torch.testing.assert_close(again.eval().maps(x, classes), net.maps(x, classes))
