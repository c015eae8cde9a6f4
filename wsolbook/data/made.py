"""Label maps that a network made, in the place of the masks of a training view.

A method that learns from them declares `Supervision(made=True)`. The training loop then takes no data set but
one that `taught_by` returned, so that no pixel of the truth can reach it; and it gives made label maps to
nobody who asked for the truth.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from jaxtyping import UInt8
from torch import Tensor

from wsolbook.data.images import read_mask
from wsolbook.types import Samples, Supervision

D = TypeVar("D", bound=Samples)


def taught_by(data: D, files: Sequence[Path]) -> D:
    """Return the data set whose training view shows label maps in files; its evaluation view is as before.

    Args:
        data: pictures on disk, or critters.
        files: the label map of each picture: 0 background, class + 1, 255 unknown; read when it is needed.

    Raises:
        FileNotFoundError: when some are missing, naming the first.
        ValueError: when they are not as many as the pictures.
    """
    if len(files) != len(data):
        raise ValueError(f"{len(files)} label maps for {len(data)} pictures")
    if missing := [path for path in files if not path.is_file()]:
        raise FileNotFoundError(f"{len(missing)} of {len(files)} label maps are missing, first {missing[0]}")
    shown = copy.copy(data)
    shown.label_files = tuple(files)  # type: ignore[attr-defined]
    return shown


def read_labels(path: Path, classes: int, size: tuple[int, int]) -> UInt8[Tensor, "h w"]:
    """Read a label map of a picture of `size`, height and width.

    Raises:
        OSError: when it cannot be read.
        ValueError: when it is of another size or holds other numbers; naming it.
    """
    labels = read_mask(path, classes)
    if labels.shape != size:
        raise ValueError(f"{path}: its size is {tuple(labels.shape)}, that of the picture {size}")
    return labels


def require_declared(supervision: Supervision, data: Samples) -> None:
    """Raise a ValueError when a method declares the truth and the data show made label maps, or the reverse.

    A method that sees labels alone takes any data.
    """
    made = bool(getattr(data, "label_files", None))
    if supervision.masks != 0 and made != supervision.made:
        wanted, there = "label maps that a network made", "true masks"
        if made:
            wanted, there = there, wanted
        raise ValueError(f"the method declares to learn from {wanted}; the data set holds {there}")
