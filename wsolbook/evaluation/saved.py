"""Localization maps on disk: one file a picture, named after it.

`NAME.npy` holds raw maps: `(h, w)`, or `(k, h, w)` with one map for each label of the picture, classes
ascending. `NAME.png` holds one map as gray levels or, where segmentations are evaluated, the class of each
pixel. `NAME.npz` says which classes its `maps` are of: `classes`, best guess first.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from wsolbook.data.images import read_levels
from wsolbook.evaluation.picture import Prediction
from wsolbook.files import atomic, decoding
from wsolbook.maps import normalize
from wsolbook.types import Samples

Dtype = Literal["float32", "float16", "uint8"]
SUFFIXES = (".npz", ".npy", ".png")


def file_names(samples: Samples) -> list[str]:
    """Return what the files of each picture are called: the picture's own name without folder and ending.

    Where a data set has no files, or two of the same name, its numbers: "000000", "000001", ...
    """
    if hasattr(samples, "path"):
        stems = [Path(samples.path(i)).stem for i in range(len(samples))]
        if not stems or Counter(stems).most_common(1)[0][1] == 1:
            return stems
    return [f"{i:06d}" for i in range(len(samples))]


def write_maps(
    folder: Path,
    name: str,
    values: Float[Tensor, "k h w"],
    classes: Int[Tensor, " k"] | None = None,
    dtype: Dtype = "float32",
) -> Path:
    """Write the maps of a picture, whole or not at all, with their classes if given, and return the file.

    Args:
        folder: created if it is not there.
        name: of the picture.
        values: raw maps.
        classes: of each map.
        dtype: `"uint8"` scales each map by min-max to 0 to 255, the others keep its values.

    Raises:
        OSError: when the file cannot be written.
    """
    values = values.detach().cpu().float()
    if dtype == "uint8":
        values = (normalize(values) * 255).round()
    array = values.numpy().astype(dtype)
    target = folder / f"{name}{'.npy' if classes is None else '.npz'}"
    with atomic(target) as temporary:
        if classes is None:
            np.save(temporary, array)
        else:
            np.savez(temporary, maps=array, classes=classes.cpu().numpy())
    return target


def find_file(folder: Path, name: str) -> Path:
    """Return the file of a picture.

    Raises:
        FileNotFoundError: when there is none.
    """
    for suffix in SUFFIXES:
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    raise FileNotFoundError(f"no map {name}.npz, .npy or .png in {folder}")


def read_maps(path: Path) -> Prediction:
    """Read the maps of a picture.

    Raises:
        ValueError: naming the file, when it does not hold maps.
        OSError: when it cannot be read, or a picture is damaged.
    """
    if path.suffix == ".png":
        return Prediction(read_levels(path)[None], origin=str(path))
    with decoding(path, f"{path.suffix} file of maps", "write it again"), path.open("rb") as file:
        content = np.load(file, allow_pickle=False)
        arrays = {"maps": content} if isinstance(content, np.ndarray) else dict(content)
    if lacking := {"maps", *(["classes"] if path.suffix == ".npz" else [])} - arrays.keys():
        raise ValueError(f"{path}: lacks {' and '.join(sorted(lacking))}")
    values = _maps(path, arrays["maps"])
    if path.suffix != ".npz":
        return Prediction(values, origin=str(path))
    classes = arrays["classes"]
    if classes.shape != (len(values),) or classes.dtype.kind not in "iu":
        raise ValueError(f"{path}: names {classes.shape} classes for {len(values)} maps")
    return Prediction(values, torch.from_numpy(classes.astype(np.int64)), origin=str(path))


def _maps(path: Path, array: np.ndarray) -> Float[Tensor, "k h w"]:
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or 0 in array.shape[1:] or array.dtype.kind not in "iuf":
        raise ValueError(f"{path}: holds {array.dtype} of shape {array.shape}, not numbers of (k, h, w)")
    return torch.from_numpy(array.astype(np.float32))
