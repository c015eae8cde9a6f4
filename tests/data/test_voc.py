import sys

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image
from trees import real_root, write, xml

from wsolbook.data import voc
from wsolbook.data.fetch.prepare import read_sbd, trainaug
from wsolbook.data.voc import CLASSES, VOC
from wsolbook.types import Samples

CAT, DOG, PERSON = (CLASSES.index(name) for name in ("cat", "dog", "person"))


@pytest.mark.parametrize("above", [0, 1, 2])
def test_root_may_be_the_folder_or_one_above(voc_tree, above):
    root = [voc_tree, voc_tree.parent, voc_tree.parent.parent][above]
    assert len(VOC(root)) == 2


def test_is_a_data_set(voc_tree):
    assert isinstance(VOC(voc_tree), Samples)


def test_parts_are_not_objects_and_boxes_count_from_zero(voc_tree):
    data = VOC(voc_tree)
    assert data.labels(0).tolist() == [CAT, DOG, PERSON]
    assert data.boxes(0).tolist() == [[4, 2, 11, 9], [20, 1, 39, 19], [0, 0, 3, 3]]
    assert data.box_classes(0).tolist() == [PERSON, CAT, DOG]


def test_difficult_objects_are_a_choice(voc_tree):
    data = VOC(voc_tree, difficult="exclude")
    assert data.labels(0).tolist() == [CAT, PERSON]
    assert data.box_classes(0).tolist() == [PERSON, CAT]
    val = VOC(voc_tree, "val", difficult="exclude").batch([0])
    assert val.labels.sum() == 0
    assert val.boxes is not None
    assert val.boxes[0].shape == (0, 4)
    with pytest.raises((ValueError, TypeError)):  # the type checker of the tests comes first
        VOC(voc_tree, difficult="maybe")  # type: ignore[arg-type]


def test_evaluation_view_warps_boxes_by_the_protocol(voc_tree):
    batch = VOC(voc_tree, size=30).batch([0, 1])
    # 40x20 to 30x30: x times 0.75, y times 1.5, truncated
    assert batch.boxes is not None
    assert batch.boxes[0].tolist() == [[3, 3, 8, 13], [15, 1, 29, 28], [0, 0, 2, 4]]
    assert batch.images.shape == (2, 3, 30, 30)
    assert batch.masks is not None
    assert batch.masks.shape == (2, 30, 30)
    assert set(batch.masks.unique().tolist()) == {0, 8, 15, 255}
    assert batch.index.tolist() == [0, 1]


def test_original_view_is_the_file_itself(voc_tree):
    data = VOC(voc_tree, view="original")
    batch = data.batch([0])
    assert batch.images.shape == (1, 3, 20, 40)
    assert batch.masks is not None
    assert torch.equal(batch.masks[0], data.mask(0))
    assert batch.boxes is not None
    assert batch.boxes[0].tolist() == data.boxes(0).tolist()
    Image.new("RGB", (9, 9)).save(voc_tree / "JPEGImages" / "2007_000002.jpg")
    Image.new("L", (9, 9)).save(voc_tree / "SegmentationClass" / "2007_000002.png")
    with pytest.raises(ValueError, match="batches of one"):
        data.batch([0, 1])


def test_training_view_carries_labels_only(voc_tree):
    batch = VOC(voc_tree, size=16).batch([1, 0], epoch=0)
    assert (batch.boxes, batch.masks) == (None, None)
    assert batch.images.shape == (2, 3, 16, 16)
    assert batch.labels[0].nonzero().flatten().tolist() == [0]


def test_picture_and_mask_of_different_size_are_refused(voc_tree):
    Image.new("L", (20, 40)).save(voc_tree / "SegmentationClass" / "2007_000001.png")
    with pytest.raises(ValueError, match="differ in size"):
        VOC(voc_tree).batch([0])


def test_mask_values_are_checked(voc_tree):
    Image.new("L", (40, 20), 21).save(voc_tree / "SegmentationClass" / "2007_000001.png")
    with pytest.raises(ValueError, match="other than 0 to 20 and 255"):
        VOC(voc_tree).mask(0)


def test_lists_in_both_formats_and_by_path(voc_tree, tmp_path):
    assert VOC(voc_tree, "trainaug").ids == ["2007_000001", "2007_000002"]
    listed = write(tmp_path / "mine.txt", "2008_000003")
    assert VOC(voc_tree, listed).ids == ["2008_000003"]
    assert not VOC(voc_tree, "trainaug").has_masks
    write(tmp_path / "twice.txt", "2008_000003\n2008_000003\n")
    with pytest.raises(ValueError, match=r"twice\.txt: names 1 pictures twice"):
        VOC(voc_tree, tmp_path / "twice.txt")
    with pytest.raises(FileNotFoundError, match=r"test\.txt is missing; the folder holds train, train_aug, "):
        VOC(voc_tree, "test")


def test_damaged_annotation_is_named(voc_tree):
    path = voc_tree / "Annotations" / "2007_000001.xml"
    path.write_text(path.read_text()[:100])
    with pytest.raises(OSError, match=r"2007_000001\.xml: damaged annotation"):
        VOC(voc_tree)
    write(path, xml((40, 20), [("cat", ("a", 1, 2, 3), "")]))
    with pytest.raises(OSError, match=r"2007_000001\.xml"):
        VOC(voc_tree)


def test_every_bad_annotation_is_named(voc_tree):
    write(voc_tree / "Annotations" / "2007_000001.xml", xml((40, 20), [("unicorn", (1, 1, 2, 2), "")]))
    (voc_tree / "Annotations" / "2007_000002.xml").unlink()
    with pytest.raises(
        OSError, match=r"2 of 2 annotations are bad: .*000001\.xml: 'unicorn' is not a class.*000002\.xml"
    ):
        VOC(voc_tree)


def test_a_bad_annotation_is_skipped_like_a_bad_picture(voc_tree, caplog):
    write(voc_tree / "Annotations" / "2007_000001.xml", xml((40, 20), [("cat", ("inf", 1, 2, 3), "")]))
    data = VOC(voc_tree, on_error="skip", size=8)
    for epoch in (None, 0):
        assert data.batch([0, 1], epoch).index.tolist() == [1]
    assert "2007_000001.xml: damaged annotation (inf is no place in a picture)" in caplog.text


def test_a_box_whose_corners_are_exchanged_is_refused(voc_tree):
    write(voc_tree / "Annotations" / "2007_000001.xml", xml((40, 20), [("cat", (9, 9, 5, 12), "")]))
    with pytest.raises(ValueError, match=r"2007_000001\.jpg: an impossible box among \[\[8, 8, 4, 11\]\]"):
        VOC(voc_tree).batch([0])


def test_a_mask_folder_that_is_gone(voc_tree):
    (voc_tree / "SegmentationClass").rename(voc_tree / "gone")
    with pytest.raises(FileNotFoundError, match=r"masks not found: .*SegmentationClass is not a folder"):
        VOC(voc_tree, "val")
    assert not VOC(voc_tree, "trainaug").has_masks


def test_no_voc_at_all(tmp_path):
    with pytest.raises(FileNotFoundError, match="VOC 2012 not found"):
        VOC(tmp_path)


def test_palette_is_voc_s_and_bijective():
    colors = voc.palette()
    expected = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128)}
    expected |= {15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    assert {k: tuple(colors[k].tolist()) for k in expected} == expected
    assert len(colors.unique(dim=0)) == 256


def sbd_file(path, mask):
    path.parent.mkdir(parents=True, exist_ok=True)
    struct = {"Segmentation": mask, "Boundaries": np.zeros((20, 1)), "CategoriesPresent": np.array([1])}
    scipy.io.savemat(path, {"GTcls": struct})


def test_trainaug_is_the_union_without_val(voc_tree, tmp_path):
    sbd = tmp_path / "benchmark_RELEASE" / "dataset"
    mask = np.arange(21, dtype=np.uint8).reshape(3, 7)
    # SBD's training list holds a validation picture of VOC; its own mask of a VOC picture must lose.
    write(sbd / "train.txt", "2008_000003\n2009_000009\n")
    write(sbd / "val.txt", "2007_000001\n")
    for name in ("2008_000003", "2009_000009", "2007_000001"):
        sbd_file(sbd / "cls" / f"{name}.mat", mask)
    write(
        voc_tree / "Annotations" / "2009_000009.xml",
        xml((7, 3), [("bus", (1, 1, 7, 3), "")]),
    )
    Image.new("RGB", (7, 3)).save(voc_tree / "JPEGImages" / "2009_000009.jpg")
    assert trainaug(voc_tree, tmp_path) == 3
    data = VOC(voc_tree, "trainaug", masks="SegmentationClassAug")
    assert data.ids == ["2007_000001", "2007_000002", "2009_000009"]
    assert torch.equal(data.mask(2), torch.from_numpy(mask))
    assert torch.equal(data.mask(0), VOC(voc_tree).mask(0))
    with Image.open(voc_tree / "SegmentationClassAug" / "2009_000009.png") as image:
        assert image.mode == "P"


def test_sbd_files_that_are_not(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"other": np.zeros(3)})
    with pytest.raises(OSError, match=r"a\.mat: holds no GTcls"):
        read_sbd(tmp_path / "a.mat")
    (tmp_path / "b.mat").write_bytes(b"not matlab" * 50)
    with pytest.raises(OSError, match=r"b\.mat: damaged"):
        read_sbd(tmp_path / "b.mat")
    sbd_file(tmp_path / "c.mat", np.full((2, 2), 21, np.uint8))
    with pytest.raises(OSError, match=r"c\.mat: .* values 0 to 20"):
        read_sbd(tmp_path / "c.mat")


def test_without_scipy_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(OSError, match=r"a\.mat: reading \.mat files needs scipy"):
        read_sbd(tmp_path / "a.mat")


@pytest.mark.real
def test_official_lists():
    lists = real_root("VOC2012").parents[1] / "metadata" / "voc12"
    train, val = set(voc.read_ids(lists / "train.txt")), set(voc.read_ids(lists / "val.txt"))
    aug = set(voc.read_ids(lists / "train_aug.txt"))
    assert (len(train), len(val), len(aug)) == (1464, 1449, 10_582)
    assert train < aug
    assert not aug & val


@pytest.mark.real
@pytest.mark.parametrize(("split", "count"), [("train", 311), ("val", 321)])
def test_real_subset_agrees_with_published_labels(split, count):
    root = real_root("VOC2012")
    published = np.load(root.parents[1] / "metadata/voc12/cls_labels.npy", allow_pickle=True).item()
    assert len(published) == 12_031
    data = VOC(root, split)
    assert len(data) == count
    expected = np.stack([published[int(name.replace("_", ""))] for name in data.ids]).astype(bool)
    assert (data.present.numpy() == expected).all()
    for i in range(0, count, 20):
        seen = {value - 1 for value in data.mask(i).unique().tolist() if 0 < value < 255}
        assert seen == set(data.labels(i).tolist())
