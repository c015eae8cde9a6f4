import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from trees import picture, real_root, write

from wsolbook.cli import main
from wsolbook.data.wsolevaluation import Metadata, WSOLEvaluation, read_metadata

BOXES = "b/2.jpg,0,0,9,9\nb/2.jpg,20,1,39,19\na/1.jpg,4,2,12,6"
MASKS = "b/2.jpg,b/2_m1.png,b/2_ignore.png\nb/2.jpg,b/2_m2.png,\na/1.jpg,a/1_m.png,"
BOXED = Metadata(
    ["b/2.jpg", "a/1.jpg"],
    {"b/2.jpg": 1, "a/1.jpg": 0},
    {"b/2.jpg": [(0, 0, 9, 9), (20, 1, 39, 19)], "a/1.jpg": [(4, 2, 12, 6)]},
)


@pytest.fixture
def split(tmp_path):
    """Two images as OpenImages30k is published: image_sizes.txt is empty, no file ends with a newline."""
    folder = tmp_path / "metadata"
    write(folder / "image_ids.txt", "b/2.jpg\na/1.jpg")
    write(folder / "class_labels.txt", "b/2.jpg,1\na/1.jpg,0")
    write(folder / "image_sizes.txt", "")
    write(folder / "localization.txt", BOXES)
    for name in BOXED.ids:
        picture(tmp_path / "images" / name, 40, 20)
    return folder


def test_boxes(split):
    assert read_metadata(split) == BOXED
    for path in split.iterdir():
        path.write_text(path.read_text() + "\n")
    assert read_metadata(split) == BOXED


def test_masks_and_the_ignore_mask_of_an_image(split):
    write(split / "localization.txt", MASKS)
    metadata = read_metadata(split)
    assert metadata.masks == {"b/2.jpg": ["b/2_m1.png", "b/2_m2.png"], "a/1.jpg": ["a/1_m.png"]}
    assert metadata.ignore == {"b/2.jpg": "b/2_ignore.png"}
    assert metadata.boxes == {}


def test_a_training_split_has_no_localization(split):
    write(split / "localization.txt", "")
    data = WSOLEvaluation(split, split.parent / "images")
    assert (data.has_boxes, data.has_masks) == (False, False)
    assert data.batch([0, 1], epoch=0).labels.tolist() == [[0, 1], [1, 0]]


def test_missing_localization_raises(split):
    write(split / "localization.txt", "a/1.jpg,0,0,1,1")
    with pytest.raises(ValueError, match=r"1 images lack a localization, the first is b/2\.jpg"):
        read_metadata(split)


def test_missing_label_and_impossible_box(split):
    write(split / "localization.txt", "a/1.jpg,5,0,1,1\nb/2.jpg,0,0,1,1")
    with pytest.raises(ValueError, match="impossible box 5,0,1,1"):
        read_metadata(split)
    write(split / "localization.txt", "a/1.jpg,5,0,1,1,7")
    with pytest.raises(ValueError, match=r"localization\.txt, line 1: 6 fields, expected 2 or 3 or 5"):
        read_metadata(split)
    write(split / "localization.txt", BOXES)
    write(split / "class_labels.txt", "a/1.jpg,0")
    with pytest.raises(ValueError, match="lack a label"):
        read_metadata(split)


def test_what_cannot_be_a_list_is_named(split):
    write(split / "localization.txt", BOXES + "\na/1.jpg,a/1_m.png,")
    with pytest.raises(ValueError, match=r"1 images lack a localization, the first is b/2\.jpg"):
        read_metadata(split)  # masks of some and boxes of all
    for label, said in (("-1", "-1 is no class"), ("1e3", "invalid literal"), ("9" * 9, "is no class")):
        write(split / "class_labels.txt", f"b/2.jpg,{label}\na/1.jpg,0")
        with pytest.raises(ValueError, match=rf"class_labels\.txt, line 1: .*{said}"):
            read_metadata(split)
    write(split / "class_labels.txt", "b/2.jpg,1\na/1.jpg,0")
    write(split / "localization.txt", "b/2.jpg,0,0,9,x\na/1.jpg,4,2,12,6")
    with pytest.raises(ValueError, match=r"localization\.txt: the box of b/2\.jpg: invalid literal"):
        read_metadata(split)
    write(split / "localization.txt", BOXES)
    write(split / "image_ids.txt", "b/2.jpg\nb/2.jpg")
    with pytest.raises(ValueError, match=r"image_ids\.txt: names 1 pictures twice"):
        read_metadata(split)


def test_boxes_in_the_protocol_s_geometry(split):
    data = WSOLEvaluation(split, split.parent / "images", size=100)
    batch = data.batch([0, 1])
    assert batch.boxes is not None
    assert batch.boxes[0].tolist() == [[0, 0, 22, 45], [50, 5, 97, 95]]
    assert data.box_classes(0).tolist() == [1, 1]
    assert batch.labels.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA"])
def test_masks_are_a_union_and_ignore_loses_to_it(split, mode):
    write(split / "localization.txt", MASKS)
    images = split.parent / "images"

    def draw(name, columns):
        mask = np.zeros((10, 20), np.uint8)  # half the size of the picture
        mask[:, columns] = 255
        Image.fromarray(mask).convert(mode).save(images / name)

    draw("b/2_m1.png", slice(0, 4))
    draw("b/2_m2.png", slice(2, 8))
    draw("b/2_ignore.png", slice(6, 12))
    draw("a/1_m.png", slice(0, 0))
    data = WSOLEvaluation(split, images, size=20)
    batch = data.batch([0, 1])
    assert batch.masks is not None
    row = [2] * 8 + [255] * 4 + [0] * 8
    assert torch.equal(batch.masks[0], torch.tensor([row] * 20, dtype=torch.uint8))
    assert batch.masks[1].sum() == 0


def test_masks_are_resized_to_the_pixel_as_by_opencv(split):
    write(split / "localization.txt", MASKS)
    images = split.parent / "images"
    stripes = np.arange(1600, dtype=np.uint8)[None].repeat(72, 0) % 2 * 255
    for name in ("b/2_m1.png", "b/2_m2.png", "b/2_ignore.png", "a/1_m.png"):
        Image.fromarray(stripes).save(images / name)
    batch = WSOLEvaluation(split, images, size=224).batch([0])
    expected = cv2.resize(stripes, (224, 224), interpolation=cv2.INTER_NEAREST) > 0
    assert ((batch.masks[0].numpy() == 2) == expected).all()


def test_pixels_are_set_where_opencv_reads_more_than_half_a_gray_level(split):
    write(split / "localization.txt", MASKS)
    images = split.parent / "images"
    colors = [
        (0, 0, 0, 0),
        (0, 0, 0, 255),
        (1, 1, 1, 255),
        (0, 0, 9, 255),
        (127, 127, 127, 0),
        (0, 255, 0, 9),
    ]
    Image.fromarray(np.array([colors], np.uint8)).save(images / "a/1_m.png")
    gray = cv2.imread(str(images / "a/1_m.png"), cv2.IMREAD_GRAYSCALE)
    mask = WSOLEvaluation(split, images).mask(1)
    assert mask.tolist() == (gray > 0.5).astype(int).tolist() == [[0, 0, 1, 1, 1, 1]]


def test_masks_of_different_size(split):
    write(split / "localization.txt", MASKS)
    for name, width in (("b/2_m1.png", 4), ("b/2_m2.png", 5)):
        Image.new("L", (width, 4)).save(split.parent / "images" / name)
    with pytest.raises(ValueError, match=r"2\.jpg: its masks differ in size"):
        WSOLEvaluation(split, split.parent / "images").mask(0)


def test_a_split_is_opened_where_the_protocol_s_code_looks_for_it(split, tmp_path, capsys):
    write(split / "localization.txt", MASKS)
    for name, color in {"b/2_m1": 0, "b/2_m2": 255, "b/2_ignore": 255, "a/1_m": 255}.items():
        Image.new("L", (20, 10), color).save(tmp_path / "images" / f"{name}.png")
    root = tmp_path / "root"
    (root / "metadata" / "OpenImages").mkdir(parents=True)
    (root / "dataset").mkdir()
    split.rename(root / "metadata" / "OpenImages" / "test")
    (tmp_path / "images").rename(root / "dataset" / "OpenImages")
    where = ["wsolevaluation", "--root", str(root), "--split", "OpenImages/test"]
    assert main(["data", "verify", *where, "--subset"]) == 0
    assert capsys.readouterr().out == "2 pictures, 0 boxes, 2 masks, 0 problems\n"
    assert main(["data", "verify", *where]) == 1
    assert "2 pictures, the official list has 5,000" in capsys.readouterr().out


@pytest.mark.real
@pytest.mark.parametrize(("part", "count"), [("train", 5994), ("val", 1000), ("test", 5794)])
def test_published_files(part, count):
    published = real_root("CUB_200_2011").parents[1] / "metadata" / "wsolevaluation_CUB" / part
    metadata = read_metadata(published)
    assert len(metadata.ids) == sum(map(len, metadata.boxes.values())) == count
