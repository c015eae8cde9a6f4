"""From unpacked archives to the layouts that the data sets read."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from wsolbook.data import voc
from wsolbook.data.fetch import download
from wsolbook.data.fetch.archives import extract
from wsolbook.data.formats import read_mat
from wsolbook.data.pictures import find_root, require_folder
from wsolbook.files import atomic, write_text
from wsolbook.profiles import progress


def trainaug(root: str | Path, sbd: str | Path) -> int:
    """Write ImageSets/Segmentation/trainaug.txt and SegmentationClassAug; return how many pictures.

    trainaug is every picture with a mask in VOC 2012 or SBD, without the validation pictures of VOC; masks
    come from VOC where it has them (they mark borders with 255), else from SBD (they do not). SBD's own
    training list holds validation pictures of VOC and is never used as it is.

    Args:
        root: VOC 2012, see `wsolbook.data.voc.VOC`.
        sbd: the folder benchmark_RELEASE, or one that holds it.

    Raises:
        OSError: when a list or mask is missing or damaged, the disk is full, or scipy, which reads SBD's
            masks, is not installed.
    """
    root = find_root(root, ("VOC2012", "VOCdevkit/VOC2012"), ("JPEGImages", "ImageSets"), "VOC 2012")
    inside = ("benchmark_RELEASE/dataset", "dataset")
    sbd = find_root(sbd, inside, ("cls", "train.txt", "val.txt"), "SBD")
    lists = root / "ImageSets" / "Segmentation"
    official = set(voc.read_ids(lists / "train.txt"))
    held_out = set(voc.read_ids(lists / "val.txt"))
    extra = set(voc.read_ids(sbd / "train.txt")) | set(voc.read_ids(sbd / "val.txt"))
    ids = sorted((official | extra) - held_out)
    for name in progress(ids, "masks"):
        target = root / "SegmentationClassAug" / f"{name}.png"
        if target.exists():
            continue
        with atomic(target) as temporary:
            if name in official:
                shutil.copyfile(root / "SegmentationClass" / f"{name}.png", temporary)
            else:
                voc.colored(read_sbd(sbd / "cls" / f"{name}.mat")).save(temporary)
    write_text(lists / "trainaug.txt", "\n".join(ids) + "\n")
    return len(ids)


def read_sbd(path: Path) -> UInt8[Tensor, "h w"]:
    """Read the class mask of one SBD file (struct GTcls): values 0 to 20.

    Raises:
        OSError: when the file is missing, damaged, or holds other values, naming it; without scipy.
    """
    try:
        mask = np.asarray(read_mat(path)["GTcls"]["Segmentation"].item(), dtype=np.uint8)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise OSError(f"{path}: holds no GTcls.Segmentation") from error
    if mask.ndim != 2 or mask.max(initial=0) > len(voc.CLASSES):
        raise OSError(f"{path}: GTcls.Segmentation is not a mask of values 0 to {len(voc.CLASSES)}")
    return torch.from_numpy(mask)


def unpack_ilsvrc(archives: str | Path, target: str | Path) -> None:
    """Unpack the archives of ILSVRC2012 into the CLS-LOC layout, with its lists.

    Boxes are unpacked where their archives lie beside the pictures'. What is unpacked already is skipped,
    class by class, so that a stopped run goes on.

    Args:
        archives: folder with ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar, ILSVRC2012_devkit_t12.tar.gz,
            and optionally ILSVRC2012_bbox_train_v2.tar.gz and ILSVRC2012_bbox_val_v3.tgz.
        target: becomes the root of `wsolbook.data.ilsvrc.ILSVRC`.

    Raises:
        OSError: when an archive is missing, not the one of the manifest, or damaged.
        ValueError: when an archive holds what it must not.
    """
    archives, target = require_folder(Path(archives), "archive folder"), Path(target)
    for archive in download.MANIFESTS["ilsvrc2012"]:
        download.require_intact(archives / archive.name, archive)
    extract(archives / "ILSVRC2012_devkit_t12.tar.gz", target)
    pictures = target / "Data" / "CLS-LOC"
    if not (pictures / "val").is_dir():
        extract(archives / "ILSVRC2012_img_val.tar", pictures / "val")
    _unpack_classes(archives / "ILSVRC2012_img_train.tar", pictures / "train")
    boxes = target / "Annotations" / "CLS-LOC"
    for name, part in (("ILSVRC2012_bbox_train_v2.tar.gz", "train"), ("ILSVRC2012_bbox_val_v3.tgz", "val")):
        if (archives / name).exists() and not (boxes / part).is_dir():
            extract(archives / name, boxes)
            if not (boxes / part).is_dir():
                (boxes / part).mkdir()
                for entry in [e for e in boxes.iterdir() if e.name not in ("train", "val")]:
                    os.replace(entry, boxes / part / entry.name)
    write_ilsvrc_lists(target)


def write_ilsvrc_lists(root: Path) -> None:
    """Write ImageSets/CLS-LOC from the pictures and annotations that are there."""
    pictures, boxes = root / "Data" / "CLS-LOC", root / "Annotations" / "CLS-LOC" / "train"
    train = sorted(f"{p.parent.name}/{p.stem}" for p in (pictures / "train").glob("*/*.JPEG"))
    val = sorted(p.stem for p in (pictures / "val").glob("*.JPEG"))
    lists = {"train_cls": train, "train_loc": [i for i in train if (boxes / f"{i}.xml").exists()], "val": val}
    for name, ids in lists.items():
        text = "".join(f"{i} {k}\n" for k, i in enumerate(ids, 1))
        write_text(root / "ImageSets" / "CLS-LOC" / f"{name}.txt", text)


def _unpack_classes(archive: Path, target: Path) -> None:
    """Unpack a tar of tars, one for each class."""
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as outer:
        for member in progress(outer, "classes"):
            wnid = Path(member.name).stem
            if not member.isfile() or Path(member.name).suffix != ".tar" or (target / wnid).is_dir():
                continue
            source = outer.extractfile(member)
            with atomic(target / f"{wnid}.tar") as temporary:
                with temporary.open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1 << 20)  # type: ignore[arg-type]
                half = target / f".half-{wnid}"
                shutil.rmtree(half, ignore_errors=True)
                extract(temporary, half)
                os.replace(half, target / wnid)
            (target / f"{wnid}.tar").unlink()
