import logging
from itertools import permutations

import numpy as np
import pytest
import scipy.io
import torch
from trees import write

from wsolbook.data.ilsvrc import ILSVRC, Numbering, Synsets, read_synsets


def devkit(root, order=("n03", "n01", "n02")):
    """Write meta.mat as the 2012 devkit has it: the leaves first, then inner nodes, and a ground truth."""
    fields = [(k, object) for k in ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")]
    rows = [(i, w, f"word {w}", "", 0) for i, w in enumerate(order, 1)] + [(4, "n99", "animal", "", 3)]
    (root / "data").mkdir(parents=True)
    scipy.io.savemat(root / "data" / "meta.mat", {"synsets": np.array(rows, dtype=fields)})
    write(root / "data" / "ILSVRC2012_validation_ground_truth.txt", "1\n2\n")
    return root


def test_labels_boxes_and_several_boxes_an_image(ilsvrc_tree):
    data = ILSVRC(ilsvrc_tree, "val", size=20)
    assert data.classes == ("n01", "n02", "n03")
    assert [data.labels(i).tolist() for i in range(2)] == [[0], [2]]
    assert data.boxes(1).tolist() == [[1, 1, 39, 19], [0, 2, 7, 9]]  # cut at the border
    assert data.box_classes(1).tolist() == [2, 2]
    batch = data.batch([0, 1])
    assert batch.boxes is not None
    assert [len(boxes) for boxes in batch.boxes] == [1, 2]
    assert batch.boxes[1].tolist() == [[0, 1, 19, 19], [0, 2, 3, 9]]


def test_training_lists(ilsvrc_tree):
    train, located = ILSVRC(ilsvrc_tree.parent, "train"), ILSVRC(ilsvrc_tree, "train_loc")
    assert (len(train), len(located)) == (3, 1)
    assert train.numbers.tolist() == [0, 1, 2]
    assert train.batch([2, 1]).boxes is None
    assert located.batch([0]).boxes is not None
    assert train.batch([0], epoch=1).images.shape == (1, 3, 224, 224)


def test_a_devkit_s_ground_truth_is_converted(ilsvrc_tree):
    """Ids 1, 2 of the devkit are n03, n01: sorted numbers 2, 0; the list names picture 2 first."""
    devkit(ilsvrc_tree.parent)
    (ilsvrc_tree / "LOC_synset_mapping.txt").unlink()
    (ilsvrc_tree / "map_clsloc.txt").unlink()
    data = ILSVRC(ilsvrc_tree, "val")
    assert data.numbers.tolist() == [0, 2]


def test_the_three_numberings(tmp_path):
    root = devkit(tmp_path)
    write(root / "map_clsloc.txt", "n02 1 goldfish\nn03 2 crane\nn01 3 tench\n")
    synsets = read_synsets(root)
    assert [synsets.wnid(k, Numbering.SORTED) for k in range(3)] == ["n01", "n02", "n03"]
    assert [synsets.wnid(k, Numbering.DEVKIT) for k in (1, 2, 3)] == ["n03", "n01", "n02"]
    assert [synsets.wnid(k, Numbering.DEVKIT_FROM_ZERO) for k in range(3)] == ["n03", "n01", "n02"]
    assert [synsets.wnid(k, Numbering.CLSLOC) for k in (1, 2, 3)] == ["n02", "n03", "n01"]


def test_conversion_is_a_bijection_of_a_thousand():
    wnids = [f"n{k:08d}" for k in range(1000)]
    shuffle = np.random.default_rng(0)
    devkit_order = [wnids[k] for k in shuffle.permutation(1000)]
    clsloc_order = [wnids[k] for k in shuffle.permutation(1000)]
    synsets = Synsets(wnids, devkit=devkit_order, clsloc=clsloc_order)
    for source, target in permutations(Numbering, 2):
        numbers = torch.arange(1000) + source.first
        there = synsets.convert(numbers, source, target)
        assert sorted(there.tolist()) == list(range(target.first, target.first + 1000))
        assert torch.equal(synsets.convert(there, target, source), numbers)
        assert there[3] == synsets.number(synsets.wnid(3 + source.first, source), target)


def test_a_number_from_the_wrong_numbering_is_caught_at_the_ends():
    synsets = Synsets(["n1", "n2"], devkit=["n2", "n1"])
    with pytest.raises(ValueError, match="goes from 1 to 2, got 0"):
        synsets.wnid(0, Numbering.DEVKIT)
    with pytest.raises(ValueError, match="goes from 0 to 1, got 2"):
        synsets.wnid(2, Numbering.SORTED)
    with pytest.raises(ValueError, match="order not known"):
        synsets.wnid(1, Numbering.CLSLOC)
    with pytest.raises(ValueError, match="not one of the 2 classes"):
        synsets.number("n3", Numbering.SORTED)


def test_orders_that_disagree_are_refused():
    with pytest.raises(ValueError, match="not each of the 2 classes once"):
        Synsets(["n1", "n2"], devkit=["n2", "n3"])
    with pytest.raises(ValueError, match="not each of the 1 classes once"):
        Synsets(["n1", "n1"])


def test_damaged_devkit_is_named(tmp_path):
    root = devkit(tmp_path)
    (root / "data" / "meta.mat").write_bytes(b"x" * 300)
    with pytest.raises(OSError, match=r"meta\.mat: damaged"):
        read_synsets(root)


def test_blacklist_marks_but_keeps(ilsvrc_tree, tmp_path):
    data = ILSVRC(ilsvrc_tree, "val", blacklist=write(tmp_path / "black.txt", "1\n"))
    assert (len(data), data.blacklisted.tolist()) == (2, [False, True])  # the list names picture 2 first
    with pytest.raises(ValueError, match="7 is not the number of a validation picture"):
        ILSVRC(ilsvrc_tree, "val", blacklist=write(tmp_path / "black.txt", "7\n"))
    with pytest.raises(ValueError, match="the blacklist is one of validation pictures"):
        ILSVRC(ilsvrc_tree, "train", blacklist=tmp_path / "black.txt")


def test_fewer_than_a_thousand_classes_is_said(ilsvrc_tree, caplog):
    with caplog.at_level(logging.WARNING, "wsolbook.data"):
        ILSVRC(ilsvrc_tree, "val")
    assert "3 classes" in caplog.text


def test_a_stranger_in_the_list_is_named(ilsvrc_tree):
    write(ilsvrc_tree / "ImageSets" / "CLS-LOC" / "train_cls.txt", "n77/n77_1 1\n")
    with pytest.raises(ValueError, match="n77 in the list is not one of the 3 classes"):
        ILSVRC(ilsvrc_tree, "train")
