import logging

import numpy as np
import pytest
import scipy.io
from trees import write

from wsolbook.data.ilsvrc import ILSVRC, read_classes


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
    write(ilsvrc_tree.parent / "data" / "ILSVRC2012_validation_ground_truth.txt", "1\n0\n")
    with pytest.raises(ValueError, match="goes from 1 to 3"):
        ILSVRC(ilsvrc_tree, "val")
    (ilsvrc_tree.parent / "data" / "meta.mat").unlink()
    with pytest.raises(ValueError, match=r"need meta\.mat of the devkit"):
        ILSVRC(ilsvrc_tree, "val")


@pytest.mark.parametrize("mapping", ["n02 1 goldfish\nn03 2 crane\nn01 3 tench\n", None])
def test_classes_are_sorted_whatever_names_them(ilsvrc_tree, mapping):
    (ilsvrc_tree / "LOC_synset_mapping.txt").unlink()
    (ilsvrc_tree / "map_clsloc.txt").unlink()
    if mapping:
        write(ilsvrc_tree / "map_clsloc.txt", mapping)
    assert read_classes(ilsvrc_tree) == (["n01", "n02", "n03"], None)


def test_an_annotation_of_an_unknown_class_is_named(ilsvrc_tree):
    first = sorted((ilsvrc_tree / "Annotations/CLS-LOC/val").glob("*.xml"))[0]
    write(first, first.read_text().replace("n0", "n7"))
    with pytest.raises(ValueError, match=r"00000001\.xml: 'n7.' is not one of the 3 classes"):
        ILSVRC(ilsvrc_tree, "val").box_classes(1)


def test_damaged_devkit_is_named(tmp_path):
    root = devkit(tmp_path)
    (root / "data" / "meta.mat").write_bytes(b"x" * 300)
    with pytest.raises(OSError, match=r"meta\.mat: damaged"):
        read_classes(root)


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


def test_lists_of_other_things_are_named(ilsvrc_tree, tmp_path):
    with pytest.raises(ValueError, match=r"black\.txt: '-1' is not a whole number"):
        ILSVRC(ilsvrc_tree, "val", blacklist=write(tmp_path / "black.txt", "-1\n"))
    write(ilsvrc_tree / "ImageSets" / "CLS-LOC" / "val.txt", "tench 1\n")
    boxes = ilsvrc_tree / "Annotations" / "CLS-LOC" / "val"
    (boxes / "ILSVRC2012_val_00000001.xml").rename(boxes / "tench.xml")
    with pytest.raises(ValueError, match="'tench' in the list is not the name of a validation picture"):
        ILSVRC(ilsvrc_tree, "val", blacklist=write(tmp_path / "black.txt", "1\n"))
    (tmp_path / "data").mkdir()
    scipy.io.savemat(tmp_path / "data" / "meta.mat", {"other": np.zeros(3)})
    with pytest.raises(OSError, match=r"meta\.mat: holds no table"):
        read_classes(tmp_path)
