"""A batch moves with its ground truth left where it is; the protocols recognize what fulfills them."""

from __future__ import annotations

import torch

from wsolbook.types import Batch, Maps


def test_moving_a_batch_keeps_everything_and_carries_no_supervision_of_its_own():
    batch = Batch(torch.zeros(2, 3, 4, 4), torch.eye(2), torch.arange(2))
    moved = batch.to("meta")
    assert moved.images.device.type == moved.labels.device.type == "meta"
    assert len(moved) == 2
    assert moved.boxes is None
    assert moved.masks is None


def test_maps_know_how_many_images_they_explain():
    assert len(Maps(torch.zeros(2, 1, 3, 3), torch.zeros(2, 5), torch.zeros(2, 1, dtype=torch.long))) == 2
