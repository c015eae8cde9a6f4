"""The one loop: perfect maps, maps of the center, and the same numbers from a network and from its files."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wsolbook.evaluation import Center, FromFolder, FromNetwork, center_gaussian, evaluate
from wsolbook.evaluation.saved import write_maps
from wsolbook.evaluation.tasks import Boxes, MultiLabel, Pixels, Seeds
from wsolbook.types import Batch


class Drawn:
    """Two pictures with known boxes and masks, and a network whose maps are known."""

    classes = ("a", "b")
    box_classes = (torch.tensor([0, 1]), torch.tensor([1]))

    def __len__(self):
        return 2

    def batch(self, index, epoch=None):
        masks = torch.zeros(2, 224, 224, dtype=torch.uint8)
        masks[0, 10:60, 20:90], masks[0, 100:200, 100:200], masks[1, 50:150, 50:150] = 1, 2, 2
        boxes = [torch.tensor([[20, 10, 89, 59], [100, 100, 199, 199]]), torch.tensor([[50, 50, 149, 149]])]
        labels = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
        pick = list(index)
        images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 224, 224)
        return Batch(images[pick], labels[pick], torch.tensor(pick), [boxes[i] for i in pick], masks[pick])


class Perfect:
    def __call__(self, images):
        return Drawn().batch(images[:, 0, 0, 0].long().tolist()).labels - 0.5

    def maps(self, images, classes):
        masks = Drawn().batch(images[:, 0, 0, 0].long().tolist()).masks
        return (masks[:, None] == classes[:, :, None, None] + 1).float()


def measure(model, batch_size=32):
    tasks = [MultiLabel(2), Boxes(), Boxes(contours="largest"), Pixels()]
    tallies = evaluate(FromNetwork(model, logits=True), Drawn(), tasks, batch_size=batch_size)
    return {tally.task.headline: tally.task.score(tally.total) for tally in tallies}


def test_perfect_maps_score_100_and_the_center_does_not():
    found = measure(Perfect())
    assert found == {"mAP": 100, "MaxBoxAccV2": 100, "MaxBoxAcc": 100, "PxAP": 100}
    center = measure(Center(2))
    # Only the box in the middle of picture 1 overlaps a centered one by more than half.
    assert center["MaxBoxAcc"] == pytest.approx(100 / 3)
    assert measure(Perfect(), batch_size=1) == found


def test_what_does_not_fit_into_memory_is_asked_in_halves():
    class Greedy(Perfect):
        seen = 0

        def __call__(self, images):
            self.seen = max(self.seen, len(images))
            if len(images) > 1:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().__call__(images)

    greedy = Greedy()
    assert measure(greedy) == measure(Perfect())
    assert greedy.seen == 2


def test_perfect_seeds_score_100():
    (seeds,) = evaluate(FromNetwork(Perfect()), Drawn(), [Seeds(2)], batch_size=1)
    best = seeds.total.compute()
    assert (best["miou"], best["score"]) == (100, 0)


def test_a_folder_of_its_maps_scores_what_the_network_scores(tmp_path):
    data, network = Drawn(), FromNetwork(Perfect())
    names = ["first", "second"]
    for said in network(data.batch([0, 1])):
        write_maps(tmp_path, names.pop(0), said.values.roll(30, -1), said.classes)
    folder = FromFolder(tmp_path, ["first", "second"])
    tasks = [Boxes(50), Pixels(50), Seeds(2)]
    from_folder = evaluate(folder, data, tasks, batch_size=1)
    rolled = Perfect()
    rolled.maps = lambda images, classes: Perfect().maps(images, classes).roll(30, -1)
    for batch_size in (1, 2):
        for a, b in zip(
            from_folder, evaluate(FromNetwork(rolled), data, tasks, batch_size=batch_size), strict=True
        ):
            assert a.task.values(a.total) == b.task.values(b.total)
            assert a.task.score(a.total) < 100
            assert a.by_class.keys() == b.by_class.keys()
    with pytest.raises(FileNotFoundError, match="is not a folder of maps"):
        FromFolder(tmp_path / "no", [])


def test_counts_by_class_and_by_image_add_up():
    boxes, seeds = evaluate(FromNetwork(Perfect()), Drawn(), [Boxes(10), Seeds(2)], keep=True)
    assert {c: metric.images for c, metric in boxes.by_class.items()} == {0: 1, 1: 2}
    assert boxes.total.images == 3  # pairs of picture and class
    assert seeds.by_class == {}
    for tally in (boxes, seeds):
        assert tally.each.rows().shape[0] == 2
        everything = tally.each.metric_of(tally.each.rows().sum(0).astype(np.int64))
        assert all(torch.equal(everything.state[k], v) for k, v in tally.total.state.items())


def test_best_guesses_come_before_the_labels():
    class Ranks:
        def __call__(self, images):
            return torch.tensor([[0.0, 3.0, 1.0, 2.0]]).expand(len(images), -1)

        def maps(self, images, classes):
            return classes[:, :, None, None].float().expand(-1, -1, 2, 2)

    batch = Batch(torch.zeros(2, 3, 2, 2), torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0]]), torch.arange(2))
    for guesses, labels, expected in (
        (0, True, [[0, 3], [1]]),
        (2, True, [[1, 3, 0], [1, 3]]),
        (2, False, [[1, 3], [1, 3]]),
        (9, True, [[1, 3, 2, 0], [1, 3, 2, 0]]),
    ):
        said = FromNetwork(Ranks(), guesses=guesses, labels=labels)(batch)
        assert [one.classes.tolist() for one in said] == expected
        assert [one.values[:, 0, 0].tolist() for one in said] == expected
        assert (said[0].logits is None) == (guesses == 0)
    nobody = Batch(batch.images, torch.zeros(2, 4), batch.index)
    assert [one.values.shape for one in FromNetwork(Ranks())(nobody)] == [(0, 2, 2)] * 2


def test_the_center_gaussian_is_symmetric_and_of_the_given_width():
    bell = center_gaussian((31, 51), 0.2)
    assert bell.max() == bell[15, 25] == 1
    torch.testing.assert_close(bell, bell.flip(0))
    torch.testing.assert_close(bell, bell.flip(1))
    assert bell[15, 25 + 10].item() == pytest.approx(np.exp(-0.5 * (10 / (0.2 * 51)) ** 2))
    with pytest.raises(ValueError, match="positive size and width"):
        center_gaussian(10, 0.0)


def test_nothing_to_count():
    class Empty(Drawn):
        def __len__(self):
            return 0

    class Boxless(Drawn):
        def batch(self, index, epoch=None):
            batch = super().batch(index)
            return Batch(batch.images, batch.labels, batch.index)

    with pytest.raises(ValueError, match="BoxAccuracy has counted no image: the data set is empty"):
        evaluate(FromNetwork(Perfect()), Empty(), [Boxes()])
    with pytest.raises(ValueError, match="the network, picture 0: the data set has no boxes"):
        evaluate(FromNetwork(Perfect()), Boxless(), [Boxes()])
