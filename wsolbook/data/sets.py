"""The data sets on disk by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from wsolbook.data import cub, folder, ilsvrc, voc, wsolevaluation
from wsolbook.data.pictures import Pictures

Name = Literal["voc2012", "cub", "ilsvrc2012", "wsolevaluation", "folder"]
DATASETS: dict[str, Callable[..., Pictures]] = {
    "voc2012": voc.VOC,
    "cub": cub.CUB,
    "ilsvrc2012": ilsvrc.ILSVRC,
    "wsolevaluation": wsolevaluation.open_published,
    "folder": lambda root, split, **options: folder.Folder(root, **options),
}
# Pictures in each official split.
COUNTS: dict[str, dict[str, int]] = {
    "voc2012": voc.COUNTS,
    "cub": cub.COUNTS,
    "ilsvrc2012": ilsvrc.COUNTS,
    "wsolevaluation": wsolevaluation.COUNTS,
}


def open_split(name: str, root: Path, split: str, **options: Any) -> Pictures:
    """Return a split of a data set; `options` are those of `wsolbook.data.pictures.Loading` and its own.

    Raises:
        OSError, ValueError: as the data set does.
    """
    return DATASETS[name](root, split, **options)
