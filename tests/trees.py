"""Helpers that write miniature data sets."""

import os
from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, width: int, height: int, color=(200, 30, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), color).save(path)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def real_root(name: str) -> Path:
    """Return the folder `data/NAME` of real pictures."""
    return Path(os.environ["WSOLBOOK_REAL"]) / "data" / name


def xml(size, things) -> str:
    """Things are (name, box, extra xml)."""
    objects = "".join(
        f"<object><name>{name}</name>{extra}<bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin>"
        f"<xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
        for name, b, extra in things
    )
    width, height = size
    return f"<annotation><size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"


CORNERS = "<xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
PART = f"<part><name>head</name><bndbox>{CORNERS}</bndbox></part>"


def voc(root: Path) -> Path:
    """Write two pictures of VOC 2012, each with a cat, a dog and the cat's mask, official and of SBD."""
    for name in ("2007_000001", "2007_000002"):
        picture(root / "JPEGImages" / f"{name}.jpg", 64, 48)
        write(
            root / "Annotations" / f"{name}.xml",
            xml((64, 48), [("cat", (9, 9, 40, 40), ""), ("dog", (1, 1, 20, 20), "")]),
        )
        mask = np.zeros((48, 64), np.uint8)
        mask[8:40, 8:40], mask[0] = 8, 255
        for folder in ("SegmentationClass", "SegmentationClassAug"):
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(mask).save(root / folder / f"{name}.png")
    for split in ("train", "val", "trainaug"):
        write(root / "ImageSets" / "Segmentation" / f"{split}.txt", "2007_000001\n2007_000002\n")
    return root


def cub(root: Path) -> Path:
    """Write two kinds of birds, one training and one test picture each."""
    lists: dict[str, list[str]] = {
        "images": [], "image_class_labels": [], "bounding_boxes": [], "train_test_split": [],
    }  # fmt: skip
    for i, (kind, train_picture) in enumerate([(1, 1), (2, 1), (1, 0), (2, 0)], 1):
        picture(root / "images" / f"{kind:03d}" / f"{i}.jpg", 64, 48)
        lists["images"].append(f"{i} {kind:03d}/{i}.jpg")
        lists["image_class_labels"].append(f"{i} {kind}")
        lists["bounding_boxes"].append(f"{i} 4.0 4.0 20.0 30.0")
        lists["train_test_split"].append(f"{i} {train_picture}")
    for name, lines in lists.items():
        write(root / f"{name}.txt", "\n".join(lines))
    write(root / "classes.txt", "1 001.A\n2 002.B")
    return root


def ilsvrc(root: Path) -> Path:
    """Write two classes, one training and one validation picture each."""
    for number, wnid in enumerate(("n01", "n02"), 1):
        picture(root / "Data" / "CLS-LOC" / "train" / wnid / f"{wnid}_1.JPEG", 64, 48)
        name = f"ILSVRC2012_val_0000000{number}"
        picture(root / "Data" / "CLS-LOC" / "val" / f"{name}.JPEG", 64, 48)
        write(
            root / "Annotations" / "CLS-LOC" / "val" / f"{name}.xml",
            xml((64, 48), [(wnid, (5, 5, 30, 30), "")]),
        )
    lists = root / "ImageSets" / "CLS-LOC"
    write(lists / "train_cls.txt", "n01/n01_1 1\nn02/n02_1 2\n")
    write(lists / "val.txt", "ILSVRC2012_val_00000001 1\nILSVRC2012_val_00000002 2\n")
    write(root / "LOC_synset_mapping.txt", "n01 tench\nn02 goldfish\n")
    return root
