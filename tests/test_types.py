"""A batch moves with its ground truth left where it is; the protocols recognize what fulfills them."""

from __future__ import annotations

from dataclasses import replace

import torch

from wsolbook.backbones import build
from wsolbook.data.transforms import to_network
from wsolbook.types import Batch, Localizer, Maps, Supervision, Trainable


def test_moving_a_batch_keeps_everything_and_carries_no_supervision_of_its_own():
    batch = Batch(torch.zeros(2, 3, 4, 4), torch.eye(2), torch.arange(2))
    moved = batch.to("meta")
    assert moved.images.device.type == moved.labels.device.type == "meta"
    assert len(moved) == 2
    assert moved.boxes is None
    assert moved.masks is None


def test_what_a_moved_batch_says_is_read_where_nobody_waits():
    batch = Batch(torch.zeros(2, 3, 4, 4), torch.eye(2), torch.arange(2))
    moved = batch.to("meta")  # whose labels nobody can read
    assert batch.host is batch
    assert moved.host is batch
    assert moved.to("meta").host is batch
    assert moved.one_class().device.type == "meta"
    assert replace(moved, labels=torch.ones(2, 2)).host.labels.tolist() == [[1, 1], [1, 1]]


def test_what_comes_to_the_processor_is_there_before_it_is_read(monkeypatch):
    move, asked = torch.Tensor.to, []

    def spy(tensor, *args, **options):
        asked.append(options["non_blocking"])
        return move(tensor, *args, **options)

    monkeypatch.setattr(torch.Tensor, "to", spy)
    batch = Batch(torch.zeros(2, 3, 4, 4), torch.eye(2), torch.arange(2))
    batch.to("meta")
    batch.to("cpu")
    assert asked == [True, True, False, False]


def test_maps_know_how_many_images_they_explain():
    assert len(Maps(torch.zeros(2, 1, 3, 3), torch.zeros(2, 5), torch.zeros(2, 1, dtype=torch.long))) == 2


def test_a_part_of_a_batch_has_all_that_belongs_to_its_images():
    batch = Batch(
        torch.arange(3.0).view(3, 1, 1, 1).expand(3, 3, 2, 2),
        torch.eye(3),
        torch.tensor([7, 8, 9]),
        [torch.full((k, 4), k) for k in range(3)],
        torch.arange(3, dtype=torch.uint8).view(3, 1, 1).expand(3, 2, 2),
    )
    part = batch[1:].to("cpu")
    assert part.images[:, 0, 0, 0].tolist() == [1, 2]
    assert part.labels.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert part.index.tolist() == [8, 9]
    assert [len(boxes) for boxes in part.boxes] == [1, 2]
    assert part.masks[:, 0, 0].tolist() == [1, 2]
    assert batch.to("meta").masks.device.type == "meta"


def test_the_protocols_tell_networks_apart():
    class Trained(torch.nn.Linear):
        supervision = Supervision()

        def loss(self, batch):
            return {}

    network = build("tiny", classes=2)
    assert isinstance(network, Trainable)
    assert isinstance(network, Localizer)
    assert network.supervision == Supervision(masks=0)
    assert isinstance(Trained(1, 1), Trainable)
    assert not isinstance(Trained(1, 1), Localizer)
    assert not isinstance(torch.nn.Linear(1, 1), Trainable)


def test_pictures_travel_as_bytes_and_become_network_input_where_they_arrive():
    bytes_ = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8)
    batch = Batch(bytes_, torch.eye(2), torch.arange(2))
    assert batch.to("meta").pictures.dtype == torch.uint8
    assert batch.to("meta").images.device.type == "meta"
    assert torch.equal(batch.images, to_network(bytes_.float() / 255))
    assert batch.images is batch.images  # made once
    assert torch.equal(batch[1:].images, batch.images[1:])
    changed = replace(batch, pictures=batch.images * 2)
    assert torch.equal(changed.images, batch.images * 2)
