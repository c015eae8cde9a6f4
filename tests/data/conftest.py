"""Miniature trees in the official layouts, small enough to write for each test."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import PART, picture, write, xml


@pytest.fixture
def voc_tree(tmp_path) -> Path:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    ids = ["2007_000001", "2007_000002", "2008_000003"]
    for name in ids:
        picture(root / "JPEGImages" / f"{name}.jpg", 40, 20)
    write(
        root / "Annotations" / "2007_000001.xml",
        xml(
            (40, 20),
            [
                # a part written before the object's own box, a fraction, and a difficult object
                ("person", (5, 3, 12, 10), "<difficult>0</difficult>"),
                ("cat", (20.6, 2, 40, 20), "<difficult>0</difficult>"),
                ("dog", (1, 1, 4, 4), "<difficult>1</difficult>"),
            ],
        ).replace("<name>person</name>", f"<name>person</name>{PART}"),
    )
    write(root / "Annotations" / "2007_000002.xml", xml((40, 20), [("aeroplane", (1, 1, 40, 20), "")]))
    write(
        root / "Annotations" / "2008_000003.xml",
        xml((40, 20), [("dog", (3, 3, 8, 8), "<difficult>1</difficult>")]),
    )
    mask = np.zeros((20, 40), np.uint8)
    mask[2:10, 4:12] = 15
    mask[1:20, 20:40] = 8
    mask[0, :] = 255
    for name in ids:
        image = Image.fromarray(mask)
        image.putpalette([*range(256)] * 3)
        (root / "SegmentationClass").mkdir(exist_ok=True)
        image.save(root / "SegmentationClass" / f"{name}.png")
    lists = root / "ImageSets" / "Segmentation"
    write(lists / "train.txt", "2007_000001\n2007_000002")
    write(lists / "val.txt", "2008_000003\n")
    write(lists / "trainval.txt", "\n".join(ids) + "\n")
    write(
        lists / "train_aug.txt",
        "".join(f"/JPEGImages/{i}.jpg /SegmentationClassAug/{i}.png\n" for i in ids[:2]),
    )
    return root


@pytest.fixture
def cub_tree(tmp_path) -> Path:
    root = tmp_path / "CUB_200_2011"
    rows = [
        ("1", "001.Black_footed_Albatross/a.jpg", "1", "2.0 1.0 10.0 5.0", "1"),
        ("2", "001.Black_footed_Albatross/b.jpg", "1", "0.0 0.0 40.0 20.0", "0"),
        ("3", "002.Laysan_Albatross/c.jpg", "2", "30.0 10.0 8.0 9.0", "0"),
    ]
    for _, name, *_ in rows:
        picture(root / "images" / name, 40, 20)
    write(root / "images.txt", "\n".join(f"{i} {n}" for i, n, *_ in rows))
    write(root / "image_class_labels.txt", "\n".join(f"{i} {c}" for i, _, c, *_ in rows))
    write(root / "bounding_boxes.txt", "\n".join(f"{i} {b}" for i, _, _, b, _ in rows))
    write(root / "train_test_split.txt", "\n".join(f"{i} {s}" for i, *_, s in rows))
    write(root / "classes.txt", "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross")
    return root


@pytest.fixture
def ilsvrc_tree(tmp_path) -> Path:
    """Three classes whose orders are all different; the devkit lies above the pictures."""
    root = tmp_path / "ILSVRC"
    pictures, boxes = root / "Data" / "CLS-LOC", root / "Annotations" / "CLS-LOC"
    for wnid in ("n01", "n02", "n03"):
        picture(pictures / "train" / wnid / f"{wnid}_7.JPEG", 40, 20)
    for number in (1, 2):
        picture(pictures / "val" / f"ILSVRC2012_val_0000000{number}.JPEG", 40, 20)
    write(boxes / "train" / "n02" / "n02_7.xml", xml((40, 20), [("n02", (0, 0, 39, 19), "")]))
    write(
        boxes / "val" / "ILSVRC2012_val_00000001.xml",
        xml((40, 20), [("n03", (1, 1, 40, 20), ""), ("n03", (0, 2, 7, 9), "")]),
    )
    write(boxes / "val" / "ILSVRC2012_val_00000002.xml", xml((40, 20), [("n01", (5, 5, 9, 9), "")]))
    lists = root / "ImageSets" / "CLS-LOC"
    write(lists / "train_cls.txt", "n01/n01_7 1\nn02/n02_7 2\nn03/n03_7 3\n")
    write(lists / "train_loc.txt", "n02/n02_7 1\n")
    write(lists / "val.txt", "ILSVRC2012_val_00000002 2\nILSVRC2012_val_00000001 1\n")
    write(root / "LOC_synset_mapping.txt", "n01 tench, Tinca tinca\nn02 goldfish\nn03 crane\n")
    write(root / "map_clsloc.txt", "n02 1 goldfish\nn03 2 crane\nn01 3 tench\n")
    return root
