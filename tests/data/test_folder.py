import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from trees import picture, write

from wsolbook.data import formats
from wsolbook.data.folder import Folder


@pytest.fixture
def animals(tmp_path):
    for name in ("cat/1.jpg", "cat/deep/2.PNG", "dog/3.jpg", ".hidden/4.jpg"):
        picture(tmp_path / name, 30, 20)
    write(tmp_path / "dog" / "notes.txt", "not a picture")
    return tmp_path


def test_a_folder_for_each_class(animals):
    data = Folder(animals, size=8)
    assert data.classes == ("cat", "dog")
    batch = data.batch(range(3))
    assert batch.labels.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert (batch.boxes, batch.masks) == (None, None)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="no picture in a folder named after its class"):
        Folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        Folder(tmp_path / "nowhere")


def test_table_with_several_classes_and_boxes(animals):
    table = write(
        animals / "labels.csv",
        "\ufefffile,label,x0,y0,x1,y1\ncat/1.jpg,cat,0,0,14,9\ncat/1.jpg,toy,3,3,29,19\ndog/3.jpg,dog,,,,\n",
    )
    data = Folder.from_csv(table, size=30)
    assert data.classes == ("cat", "dog", "toy")
    batch = data.batch([0, 1])
    assert batch.labels.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert batch.boxes is not None
    assert batch.boxes[0].tolist() == [[0, 0, 14, 13], [3, 4, 29, 28]]
    assert batch.boxes[1].shape == (0, 4)
    assert data.box_classes(0).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na,b", "the header lacks file"),
        ("file,label\n,cat", "line 2: file or label is empty"),
        ("file,label,x0,y0,x1,y1\na,cat,5,5,1,9", "line 2: impossible box 5,5,1,9"),
        ("file,label,x0,y0,x1,y1\na,cat,5,5,oops,9", "line 2: x0, y0, x1, y1 must be four whole numbers"),
    ],
)
def test_table_errors_name_the_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        Folder.from_csv(write(tmp_path / "t.csv", text))


RUNS = {"size": [4, 6], "counts": [4, 4, 16]}  # the second column of a 6x4 picture
CROWD = {"size": [4, 6], "counts": [20, 4]}


@pytest.fixture
def annotations(tmp_path):
    picture(tmp_path / "a.png", 6, 4)
    picture(tmp_path / "b.png", 6, 4)
    polygon = [[2.0, 0.0, 3.0, 0.0, 3.0, 3.0, 2.0, 3.0]]
    content = {
        "categories": [{"id": 90, "name": "brush"}, {"id": 1, "name": "person"}],
        "images": [
            {"id": 7, "file_name": "a.png", "width": 6, "height": 4},
            {"id": 3, "file_name": "b.png", "width": 6, "height": 4},
        ],
        "annotations": [
            {"image_id": 7, "category_id": 90, "bbox": [1, 0, 1, 4], "segmentation": RUNS},
            {"image_id": 7, "category_id": 1, "bbox": [2.2, 0.0, 1.7, 4.0], "segmentation": polygon},
            {"image_id": 7, "category_id": 1, "bbox": [5, 0, 1, 4], "segmentation": CROWD, "iscrowd": 1},
        ],
    }
    return write(tmp_path / "instances.json", json.dumps(content))


def test_coco(annotations):
    data = Folder.from_coco(annotations, annotations.parent, view="original")
    assert data.classes == ("person", "brush")
    batch = data.batch([0])
    assert batch.boxes is not None
    assert batch.boxes[0].tolist() == [[1, 0, 1, 3], [2, 0, 3, 3]]
    assert data.box_classes(0).tolist() == [1, 0]
    assert batch.labels.tolist() == [[1, 1]]
    assert batch.masks is not None
    assert batch.masks[0].tolist() == [[0, 2, 1, 1, 0, 255]] * 4
    assert data.mask(1).sum() == 0
    assert data.labels(1).tolist() == []


def test_coco_that_is_not(annotations):
    write(annotations, '{"images": []}')
    with pytest.raises(ValueError, match=r"instances\.json: not a COCO annotation file"):
        Folder.from_coco(annotations, annotations.parent)


def test_coco_classes_of_one_name_are_refused(annotations):
    write(annotations, annotations.read_text().replace("brush", "person"))
    with pytest.raises(ValueError, match=r"instances\.json: two classes have the same name"):
        Folder.from_coco(annotations, annotations.parent)


def compress(counts):
    """Write run lengths as text, the inverse of what is tested."""
    text = ""
    for i, count in enumerate(counts):
        value = count - (counts[i - 2] if i > 2 else 0)
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(bits + (32 if more else 0) + 48)
    return text


def test_run_lengths_as_text():
    mask = np.random.default_rng(0).random((37, 53)) < np.linspace(0.01, 0.99, 53)
    flat = mask.T.flatten().astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    counts = counts if flat[0] == 0 else [0, *counts]
    for form in (counts, compress(counts)):
        read = formats.region_mask({"size": [37, 53], "counts": form}, (53, 37))
        assert (read.numpy().astype(bool) == mask).all()


def test_run_lengths_that_do_not_fill_the_picture():
    with pytest.raises(ValueError, match="add up to 5, not 2 x 3"):
        formats.region_mask({"size": [2, 3], "counts": [5]}, (3, 2))


def test_a_broken_picture_raises_with_file_and_index(animals):
    (animals / "dog" / "3.jpg").write_bytes(b"\xff\xd8broken")
    data = Folder(animals)
    for epoch in (None, 0):
        with pytest.raises(OSError, match=r"sample 2: .*3\.jpg"):
            data.batch([0, 2], epoch)


def test_skip_leaves_out_counts_and_stops_at_the_limit(animals, caplog):
    (animals / "dog" / "3.jpg").write_bytes(b"\xff\xd8broken")
    data = Folder(animals, on_error="skip", limit=1, size=8)
    with caplog.at_level(logging.WARNING, "wsolbook.data"):
        for epoch in range(3):
            batch = data.batch([0, 2, 1], epoch)
            assert batch.index.tolist() == [0, 1]
            assert len(batch) == 2
    assert data.skipped.tolist() == [False, False, True]
    assert len(caplog.records) == 1
    assert "3.jpg" in caplog.text
    with pytest.raises(OSError, match="none of the 1 pictures"):
        data.batch([2])
    (animals / "cat" / "1.jpg").unlink()
    with pytest.raises(OSError, match="2 pictures skipped, 1 allowed"):
        data.batch([0, 1], 0)


def test_skips_of_loader_processes_count_into_one(animals):
    (animals / "dog" / "3.jpg").write_bytes(b"broken")
    data = Folder(animals, on_error="skip", size=8)
    loader = torch.utils.data.DataLoader(
        range(3), batch_size=3, collate_fn=data.batch, num_workers=1, multiprocessing_context="fork"
    )
    assert [batch.index.tolist() for batch in loader] == [[0, 1]]
    assert data.skipped.tolist() == [False, False, True]


def test_odd_pictures_all_make_network_input(tmp_path):
    for mode, suffix in [("CMYK", "jpg"), ("P", "png"), ("LA", "png"), ("I;16", "png"), ("1", "png")]:
        (tmp_path / "x").mkdir(exist_ok=True)
        Image.new(mode, (11, 7)).save(tmp_path / "x" / f"{mode[0]}.{suffix}")
    data = Folder(tmp_path, size=16)
    for epoch in (None, 0):
        assert data.batch(range(5), epoch).images.isfinite().all()


def test_one_pixel_is_refused(tmp_path):
    picture(tmp_path / "x" / "dot.png", 1, 1)
    with pytest.raises(ValueError, match=r"dot\.png: 1x1 pixels; each side needs at least 2"):
        Folder(tmp_path).batch([0])
