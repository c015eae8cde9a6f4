from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from trees import picture, write

from wsolbook.data.cub import CUB
from wsolbook.data.pictures import real_root
from wsolbook.data.wsolevaluation import (
    Metadata,
    WSOLEvaluation,
    metadata_of,
    read_metadata,
    write_metadata,
)

FILES = ("image_ids.txt", "class_labels.txt", "image_sizes.txt", "localization.txt")
BOXED = Metadata(
    ["b/2.jpg", "a/1.jpg"],
    {"b/2.jpg": 1, "a/1.jpg": 0},
    {"b/2.jpg": (40, 20), "a/1.jpg": (40, 20)},
    {"b/2.jpg": [(0, 0, 9, 9), (20, 1, 39, 19)], "a/1.jpg": [(4, 2, 12, 6)]},
)
MASKED = replace(
    BOXED,
    boxes={},
    masks={"b/2.jpg": ["b/2_m1.png", "b/2_m2.png"], "a/1.jpg": ["a/1_m.png"]},
    ignore={"b/2.jpg": "b/2_ignore.png"},
)


@pytest.mark.parametrize("metadata", [BOXED, MASKED, replace(BOXED, boxes={})])
def test_round_trip(tmp_path, metadata):
    write_metadata(tmp_path, metadata)
    assert read_metadata(tmp_path) == metadata


def test_no_newline_at_the_end_and_none_needed(tmp_path):
    write_metadata(tmp_path, BOXED)
    for name in FILES:
        text = (tmp_path / name).read_text()
        assert not text.endswith("\n")
        (tmp_path / name).write_text(text + "\n")
    assert read_metadata(tmp_path) == BOXED


def test_ignore_stands_on_the_first_line_of_an_image_only(tmp_path):
    write_metadata(tmp_path, MASKED)
    assert (tmp_path / "localization.txt").read_text().splitlines() == [
        "b/2.jpg,b/2_m1.png,b/2_ignore.png",
        "b/2.jpg,b/2_m2.png,",
        "a/1.jpg,a/1_m.png,",
    ]


def test_missing_localization_raises(tmp_path):
    write_metadata(tmp_path, BOXED)
    write(tmp_path / "localization.txt", "a/1.jpg,0,0,1,1")
    with pytest.raises(ValueError, match=r"1 images lack a localization, the first is b/2\.jpg"):
        read_metadata(tmp_path)


def test_missing_label_and_impossible_box(tmp_path):
    write_metadata(tmp_path, BOXED)
    write(tmp_path / "class_labels.txt", "a/1.jpg,0")
    with pytest.raises(ValueError, match="lack a label"):
        read_metadata(tmp_path)
    write_metadata(tmp_path, BOXED)
    write(tmp_path / "localization.txt", "a/1.jpg,5,0,1,1\nb/2.jpg,0,0,1,1")
    with pytest.raises(ValueError, match="impossible box 5,0,1,1"):
        read_metadata(tmp_path)
    write(tmp_path / "localization.txt", "a/1.jpg,5,0,1,1,7")
    with pytest.raises(ValueError, match=r"localization\.txt, line 1: 6 fields"):
        read_metadata(tmp_path)


def test_proxy_list(tmp_path):
    write_metadata(tmp_path, BOXED)
    write(tmp_path / "image_ids_proxy.txt", "a/1.jpg")
    assert read_metadata(tmp_path, proxy=True).ids == ["a/1.jpg"]


def test_boxes_in_the_protocol_s_geometry(tmp_path):
    write_metadata(tmp_path / "meta", BOXED)
    for name in BOXED.ids:
        picture(tmp_path / "images" / name, 40, 20)
    data = WSOLEvaluation(tmp_path / "meta", tmp_path / "images", size=100)
    batch = data.batch([0, 1])
    assert batch.boxes is not None
    assert batch.boxes[0].tolist() == [[0, 0, 22, 45], [50, 5, 97, 95]]
    assert data.box_classes(0).tolist() == [1, 1]
    assert batch.labels.tolist() == [[0, 1], [1, 0]]


def test_masks_are_a_union_and_ignore_loses_to_it(tmp_path):
    write_metadata(tmp_path / "meta", MASKED)
    images = tmp_path / "images"
    for name in MASKED.ids:
        picture(images / name, 40, 20)

    def gray(name, columns, value=255):
        mask = np.zeros((10, 20), np.uint8)  # half the size of the picture
        mask[:, columns] = value
        Image.fromarray(mask).save(images / name)

    gray("b/2_m1.png", slice(0, 4))
    gray("b/2_m2.png", slice(2, 8), 128)
    gray("b/2_ignore.png", slice(6, 12))
    gray("a/1_m.png", slice(0, 20), 127)  # not above half
    data = WSOLEvaluation(tmp_path / "meta", images, size=20)
    batch = data.batch([0, 1])
    assert batch.masks is not None
    row = [2] * 8 + [255] * 4 + [0] * 8
    assert torch.equal(batch.masks[0], torch.tensor([row] * 20, dtype=torch.uint8))
    assert batch.masks[1].sum() == 0


def test_any_single_class_set_can_be_written(cub_tree, tmp_path):
    data = CUB(cub_tree, "test")
    write_metadata(tmp_path / "meta", metadata_of(data, data.root / "images"))
    again = WSOLEvaluation(tmp_path / "meta", data.root / "images", classes=data.classes)
    ours, theirs = data.batch([0, 1]), again.batch([0, 1])
    assert torch.equal(ours.images, theirs.images)
    assert torch.equal(ours.labels, theirs.labels)
    assert torch.equal(torch.cat(ours.boxes or []), torch.cat(theirs.boxes or []))


@pytest.mark.real
@pytest.mark.parametrize(("split", "count"), [("train", 5994), ("val", 1000), ("test", 5794)])
def test_published_files_are_written_back_byte_for_byte(split, count, tmp_path):
    published = real_root("CUB_200_2011").parents[1] / "metadata" / "wsolevaluation_CUB" / split
    metadata = read_metadata(published)
    assert len(metadata.ids) == sum(map(len, metadata.boxes.values())) == count
    write_metadata(tmp_path, metadata)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (published / name).read_bytes()
