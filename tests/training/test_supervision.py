"""What a method may see in training: labels, and beyond them only what it declares."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest
import torch
from launching import launch
from spies import Painted, Spy
from taught import as_declared
from toys import ToySamples

from wsolbook import methods
from wsolbook.data.critters import Critters
from wsolbook.data.sampling import with_masks
from wsolbook.data.transforms import from_network
from wsolbook.training import ConfigError, Optim, TrainConfig, train
from wsolbook.types import Supervision

SETTINGS = TrainConfig(epochs=2, batch_size=4, micro_batch=3, optim=Optim(lr=0.01), device="cpu", seed=5)


def agreement(picture: torch.Tensor, mask: torch.Tensor, index: int) -> float:
    """Return the share of pixels whose color and mask say the same, where the picture is not padding."""
    known = mask != 255
    told = (picture[0] > 0.5) * (1 + index % 2)
    return float((told == mask)[known].float().mean())


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("augment", "size", "exact"), [("deeplab", 36, True), ("wsol", 40, False)])
def test_exactly_the_declared_masks_arrive_and_lie_on_their_pictures(tmp_path, workers, augment, size, exact):
    """Mirrored and cropped, with a border where the picture is smaller, or warped before."""
    data = Painted(tmp_path, size=size, augment=augment, seed=1)
    spy = Spy(3)
    train(spy, data, replace(SETTINGS, workers=workers))
    assert [len(batch) for batch in spy.seen] == [3, 1, 3, 1, 2] * 2
    assert all(batch.masks.shape == (len(batch), size, size) for batch in spy.seen)
    assert all(batch.boxes is None for batch in spy.seen)
    shown = spy.shown()
    chosen = with_masks(10, 3, seed=5)
    assert sorted(index for index, _, _ in shown) == sorted([*chosen, *chosen])
    for index, picture, mask in shown:
        assert agreement(picture, mask, index) == 1 if exact else agreement(picture, mask, index) > 0.93
        assert {index % 2 + 1} <= set(mask.unique().tolist()) <= {0, index % 2 + 1, 255}


def test_masks_change_no_picture(tmp_path):
    data = Painted(tmp_path, size=32, augment="segmentation")
    labels_alone, all_masks = data.batch(range(6), 3), data.batch(range(6), 3, range(10))
    assert labels_alone.masks is None
    assert torch.equal(labels_alone.images, all_masks.images)
    assert (all_masks.masks != 255).any((1, 2)).all()


def test_a_declared_mask_shows_what_the_labels_say(tmp_path):
    data = Painted(tmp_path, size=36)
    data.truth[4][:] = False
    data.batch([4, 5], 0, {5})
    with pytest.raises(ValueError, match=r"sample 4: .*4\.png: its mask shows no object"):
        data.batch([4, 5], 0, {4, 5})
    data.labels = lambda index: torch.tensor([0])
    with pytest.raises(ValueError, match=r"sample 5: .*5\.png: its mask shows class 1, its labels do not"):
        data.batch([4, 5], 0, {5})


WORKER = """
import sys, torch
from pathlib import Path
from spies import Painted, Spy
from wsolbook.training import Optim, TrainConfig, train
from wsolbook.distributed import rank_and_world

torch.set_num_threads(1)
folder = Path(sys.argv[1])
settings = TrainConfig(epochs=2, batch_size=4, micro_batch=3, optim=Optim(lr=0.01), device="cpu", seed=5)
spy = Spy(3)
train(spy, Painted(folder, size=36, augment="deeplab", seed=1), settings)
torch.save(spy.shown(), folder / f"{rank_and_world()[0]}.pt")
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_two_processes_see_the_same_three_masks(tmp_path):
    alone = Spy(3)
    train(alone, Painted(tmp_path, size=36, augment="deeplab", seed=1), SETTINGS)
    launch(WORKER, 2, str(tmp_path))
    both = [each for rank in range(2) for each in torch.load(tmp_path / f"{rank}.pt", weights_only=True)]
    assert len(both) == len(alone.shown()) == 6
    for index, picture, mask in alone.shown():
        assert agreement(picture, mask, index) == 1
        assert any(i == index and p.equal(picture) and m.equal(mask) for i, p, m in both)


def test_critters_mirror_masks_with_their_pictures():
    data = Critters(12, size=24)
    data.images = (data.masks[:, None] > 0).expand(-1, 3, -1, -1).to(torch.uint8) * 255
    flipped = 0
    for epoch in range(3):
        batch = data.batch(range(12), epoch, {1, 4, 7})
        for i, (picture, mask) in enumerate(zip(from_network(batch.images), batch.masks, strict=True)):
            if i not in (1, 4, 7):
                assert (mask == 255).all()
                continue
            assert torch.equal(picture[0] > 0.5, mask > 0)
            flipped += not torch.equal(mask, data.masks[i])
    assert 0 < flipped < 9
    assert data.batch([1], 0).masks is None


def trained(name: str, data: Critters, folder) -> list[torch.Tensor]:
    torch.manual_seed(0)
    model = methods.METHODS[name](backbone="tiny", classes=8)
    data = as_declared(data, model.supervision, folder)
    train(model, data, TrainConfig(steps=3, batch_size=4, device="cpu"))
    return [value.clone() for value in model.state_dict().values()]


def poisoned(data: Critters) -> Critters:
    data.masks = torch.randint(0, 9, data.masks.shape, dtype=torch.uint8)
    data.boxes = [torch.full_like(boxes, -7) for boxes in data.boxes]
    data.parts = torch.randint_like(data.parts, 0, 2)
    return data


def test_a_method_that_declares_nothing_learns_nothing_from_boxes_and_masks(monkeypatch, tmp_path):
    """Over every method of the book; a spy shows that what is declared does change the weights.

    A method that learns from label maps that a network made sees nothing of the truth either.
    """
    monkeypatch.setitem(methods.METHODS, "spy", lambda backbone, classes: Spy(None, classes))
    leaks = {}
    for name in methods.METHODS:
        clean, changed = (
            trained(name, data, tmp_path) for data in (Critters(12, size=16), poisoned(Critters(12, size=16)))
        )
        leaks[name] = not all(torch.equal(a, b) for a, b in zip(clean, changed, strict=True))
    declared = {
        name: methods.METHODS[name](backbone="tiny", classes=8).supervision
        not in (Supervision(), Supervision(masks=None, made=True))
        for name in methods.METHODS
    }
    assert leaks == declared
    assert leaks["spy"]
    assert not leaks["cam"]
    assert not leaks["affinity"]


def test_the_choice_of_masks_depends_on_the_seed_alone():
    few, more = set(with_masks(50, 5, 0)), set(with_masks(50, 20, 0))
    assert len(few) == 5
    assert few < more < set(range(50))
    assert few != set(with_masks(50, 5, 1))
    assert list(with_masks(4, None, 0)) == [0, 1, 2, 3]
    assert not with_masks(4, 0, 0)
    with pytest.raises(ValueError, match="to see the masks of 9 images; the data set has 4"):
        with_masks(4, 9, 0)


def test_masks_that_are_not_there_are_missed(tmp_path):
    blind = Painted(tmp_path, size=16)
    blind.has_masks = False
    with pytest.raises(ValueError, match="Painted has no masks to train with"):
        train(Spy(None), blind, SETTINGS)


def test_what_cannot_be_trained_or_drawn_is_said_first(tmp_path):
    class Silent(torch.nn.Linear):
        supervision = Supervision()

    class Blind(Silent):
        def loss(self, batch):
            return {"zero": self.weight.sum() * 0}

    bare = inspect.unwrap(train)  # around the type checker of the tests
    with pytest.raises(TypeError, match="Silent cannot be trained: it needs loss and supervision"):
        bare(Silent(1, 1), ToySamples(), SETTINGS)
    with pytest.raises(ConfigError, match="images_every needs a network with maps, which Blind has not"):
        train(Blind(1, 1), ToySamples(), replace(SETTINGS, images_every=1), run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
