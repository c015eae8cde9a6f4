import logging

import pytest
import torch
from PIL import Image
from trees import picture, write

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


def test_what_a_data_set_has_not_is_said(animals):
    data = Folder(animals)
    for ask, lacking in ((data.boxes, "boxes"), (data.box_classes, "boxes"), (data.mask, "masks")):
        with pytest.raises(ValueError, match=f"Folder has no {lacking}"):
            ask(0)
