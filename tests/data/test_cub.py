import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from trees import real_root, write

from wsolbook.data.cub import COUNTS, CUB, corners_of
from wsolbook.data.formats import read_table
from wsolbook.data.images import full_size, read_image
from wsolbook.data.pictures import clip
from wsolbook.data.wsolevaluation import read_metadata


def test_split_names_and_labels(cub_tree):
    train, test = CUB(cub_tree), CUB(cub_tree.parent, "test")
    assert (len(train), len(test)) == (1, 2)
    assert test.classes == ("001.Black_footed_Albatross", "002.Laysan_Albatross")
    assert [test.labels(i).tolist() for i in range(2)] == [[0], [1]]
    assert test.path(1).name == "c.jpg"
    assert test.path(1).is_file()


def test_far_corners_lie_one_pixel_beyond(cub_tree):
    assert CUB(cub_tree).boxes(0).tolist() == [[2, 1, 12, 6]]


def test_protocol_boxes_never_leave_the_picture(cub_tree):
    data = CUB(cub_tree, "test", view="original")
    batch = data.batch([0])
    assert batch.boxes is not None
    assert data.boxes(0).tolist() == [[0, 0, 40, 20]]
    assert batch.boxes[0].tolist() == [[0, 0, 39, 19]]
    warped = CUB(cub_tree, "test", size=224).batch([0, 1]).boxes
    assert warped is not None
    # 39 * 224 / 40 = 218.4, 19 * 224 / 20 = 212.8; 30 * 5.6 = 168, 38 * 5.6 = 212.8, 10 * 11.2 = 112
    assert torch.cat(warped).tolist() == [[0, 0, 218, 212], [168, 112, 212, 212]]


@settings(max_examples=25)
@given(st.lists(st.tuples(*[st.integers(0, 500)] * 2, *[st.integers(1, 500)] * 2), min_size=1))
def test_corners_hold_the_rectangle(rectangles):
    given_boxes = torch.tensor(rectangles)
    corners = corners_of(given_boxes.double())
    assert torch.equal(corners[:, :2], given_boxes[:, :2])
    assert torch.equal(corners[:, 2:] - corners[:, :2], given_boxes[:, 2:])


@pytest.mark.parametrize("beside", [False, True])
def test_segmentations_by_agreement(cub_tree, beside):
    folder = (cub_tree.parent if beside else cub_tree) / "segmentations" / "002.Laysan_Albatross"
    folder.mkdir(parents=True)
    gray = np.array([[0, 51, 102, 153, 204, 255] * 6] * 20, np.uint8)[:, :40]
    gray = np.pad(gray, ((0, 0), (0, 40 - gray.shape[1])))
    Image.fromarray(gray).save(folder / "c.png")
    mask = CUB(cub_tree, "test", masks=0.6).mask(1)
    assert mask[0, :6].tolist() == [0, 0, 0, 2, 2, 2]


def test_lists_that_contradict_each_other(cub_tree):
    (cub_tree / "bounding_boxes.txt").write_text("1 1 1 2 2\n")
    with pytest.raises(ValueError, match="do not name the same images"):
        CUB(cub_tree)
    (cub_tree / "bounding_boxes.txt").write_text("1 1 1 2\n")
    with pytest.raises(ValueError, match=r"bounding_boxes\.txt, line 1: 4 fields, expected 5"):
        CUB(cub_tree)


def test_a_split_value_that_is_neither_train_nor_test(cub_tree):
    write(cub_tree / "train_test_split.txt", "1 1\n2 2\n3 0\n")
    with pytest.raises(ValueError, match=r"train_test_split\.txt: 1 is train, 0 is test, nothing is 2"):
        CUB(cub_tree, "test")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("image_class_labels.txt", "1 1\n2 two\n3 2\n", "line 2: invalid literal"),
        ("bounding_boxes.txt", "1 1 1 2 2\n2 1 1 2 2\n3 1 nan 2 2\n", "line 3: nan is no place in a picture"),
        ("images.txt", "1 a.jpg\n2 b.jpg\n1 c.jpg\n", "line 3: 1 comes twice"),
        ("classes.txt", "1 a\0b\n2 c\n", "it holds zeros"),
    ],
)
def test_a_list_that_cannot_be_right_is_named(cub_tree, name, text, said):
    write(cub_tree / name, text)
    with pytest.raises(ValueError, match=f"{name}.*{said}"):
        CUB(cub_tree)


def test_lists_in_other_encodings(cub_tree):
    text = (cub_tree / "images.txt").read_text()
    for encoding in ("utf-8-sig", "utf-16"):
        (cub_tree / "images.txt").write_text(text, encoding=encoding)
        assert CUB(cub_tree, "test").ids == ["2", "3"]
    (cub_tree / "images.txt").write_text(text, encoding="utf-16-le")  # without a mark
    with pytest.raises(ValueError, match=r"images\.txt: not text, or damaged"):
        CUB(cub_tree, "test")
    (cub_tree / "images.txt").write_text(text + "é", encoding="latin-1")
    with pytest.raises(ValueError, match=r"images\.txt is not a whole text file; save it as UTF-8"):
        CUB(cub_tree, "test")


def test_unknown_options(cub_tree):
    for wrong in ({"split": "val"}, {"masks": 2.0}, {"augment": "x"}, {"size": 0}):
        with pytest.raises(ValueError, match="must be"):
            CUB(cub_tree, **wrong)
    for wrong in ({"view": "x"}, {"on_error": "x"}, {"unknown": 1}):
        with pytest.raises((ValueError, TypeError)):  # the type checker of the tests comes first
            CUB(cub_tree, **wrong)


@pytest.mark.real
def test_official_lists_and_boxes_equal_the_published_metadata():
    metadata = real_root("CUB_200_2011").parents[1] / "metadata"
    full = metadata / "CUB_full"
    for split, count in COUNTS.items():
        data = CUB(full, split)
        published = read_metadata(metadata / "wsolevaluation_CUB" / split)
        assert len(data) == len(published.ids) == count
        assert len(data.classes) == 200
        corners = corners_of(data.rectangles)
        rows = read_table(metadata / "wsolevaluation_CUB" / split / "image_sizes.txt", 3, separator=",")
        size_of = {name: (int(width), int(height)) for name, width, height in rows}
        sizes = torch.tensor([size_of[name] for name in data.names])
        corners[:, 2:] = corners[:, 2:].minimum(sizes - 1)
        assert corners.tolist() == [list(published.boxes[name][0]) for name in data.names]
        assert data.numbers.tolist() == [published.labels[name] for name in data.names]


@pytest.mark.real
@pytest.mark.parametrize(("split", "count"), [("train", 300), ("test", 243)])
def test_real_subset_equals_the_published_metadata(split, count):
    data = CUB(real_root("CUB_200_2011"), split)
    published = read_metadata(data.root.parents[1] / "metadata" / "wsolevaluation_CUB" / split)
    assert len(data) == count
    for i, name in enumerate(data.names):
        box = clip(data.boxes(i), full_size(read_image(data.path(i))))
        assert box.tolist() == [list(published.boxes[name][0])]
        assert data.labels(i).tolist() == [published.labels[name]]
