"""Where saliency comes from, and proxies under evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from wsolbook.data.critters import Critters
from wsolbook.data.transforms import from_network
from wsolbook.evaluation import FromNetwork, evaluate
from wsolbook.evaluation.picture import Prediction, Truth
from wsolbook.evaluation.proxies import Barriers, Proxies, Saved
from wsolbook.refine.saliency import minimum_barrier


class Asked:
    """A localizer that knows the masks, for pictures in one batch."""

    def __init__(self, data: Critters) -> None:
        self.data = data

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images.new_zeros(len(images), len(self.data.classes))

    def maps(self, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return (self.data.masks[:, None] == classes[..., None, None] + 1).float()


def test_files_hold_one_map_of_the_picture(tmp_path):
    Image.fromarray(np.array([[0, 51, 255]], np.uint8)).save(tmp_path / "a.png")
    np.save(tmp_path / "b.npy", np.array([[0.25, 0.5, 1]], np.float32))
    source = Saved(tmp_path, ["b", "a"])
    torch.testing.assert_close(source(1, (1, 3)), torch.tensor([[0, 0.2, 1]]))
    assert source(0, (1, 3)).tolist() == [[0.25, 0.5, 1]]
    with pytest.raises(FileNotFoundError, match=r"no map c\.npz, \.npy or \.png in "):
        Saved(tmp_path, ["a", "c"])
    with pytest.raises(ValueError, match=r"a\.png: is \(1, 1, 3\), not one map of \(3, 1\) pixels"):
        source(1, (3, 1))
    np.save(tmp_path / "b.npy", np.array([[0.25, 0.5, 1.5]], np.float32))
    with pytest.raises(ValueError, match=r"b\.npy: saliency must lie in \[0, 1\], got .* to 1\.5"):
        source(0, (1, 3))


def test_computed_saliency():
    data = Critters(3, "multi", 32, split="val")
    picture = from_network(data.batch([1]).images[0]).clamp(0, 1)
    assert torch.equal(Barriers(data)(1, (32, 32)), minimum_barrier(picture))


def test_one_picture_by_hand():
    mask = torch.tensor([[1, 1, 2, 0, 255]], dtype=torch.uint8)
    truth = Truth((1, 5), torch.tensor([0, 1]), mask=mask, index=3)
    maps = torch.tensor([[[4.0, 2, 1, 0, 4]], [[0, 4, 4, 1, 4]]])  # each is divided by its maximum
    asked = []

    def saliency(index, size):
        asked.append((index, size))
        return torch.tensor([[0.9, 0.9, 0.9, 0.1, 0.9]])

    task = Proxies(2, saliency)
    ((label, metric),) = task.count(truth, Prediction(maps, torch.tensor([0, 1])))
    assert label is None
    assert asked == [(3, (1, 5))]
    # The second pixel goes to class 2: rows true, columns proxies.
    assert metric.state["matrix"].tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert task.score(metric) == pytest.approx(100 * (1 + 1 / 2 + 1 / 2) / 3)
    assert list(task.values(metric)) == ["proxy mIoU", "mFP", "mFN"]
    open_ones = Proxies(2, saliency, conflict=0.5)
    ((_, less),) = open_ones.count(truth, Prediction(maps, torch.tensor([0, 1])))
    assert less.state["matrix"].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_the_true_figure_is_an_upper_bound():
    data = Critters(6, "multi", 32, split="val")

    def figure(index, size):
        return (data.masks[index] > 0).float()

    tasks = [Proxies(len(data.classes), saliency) for saliency in (figure, Barriers(data))]
    bound, computed = evaluate(FromNetwork(Asked(data)), data, tasks)
    assert bound.task.score(bound.total) == 100
    assert 10 < computed.task.score(computed.total) < 100
