"""Proxy ground truth under evaluation: where the saliency comes from, and how good the label maps are.

A saliency is a function of a picture's number and its height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from wsolbook.data.transforms import IGNORE, from_network
from wsolbook.evaluation.picture import Prediction, Truth
from wsolbook.evaluation.saved import find_file, read_maps
from wsolbook.evaluation.tasks import LabelMaps
from wsolbook.maps import normalize, resize, size_of
from wsolbook.metrics import ConfusionMatrix
from wsolbook.refine.proxy import proxy, require_unit_saliency
from wsolbook.refine.saliency import minimum_barrier
from wsolbook.types import Samples

Saliency = Callable[[int, tuple[int, int]], Float[Tensor, "h w"]]


class Saved:
    """Saliency that another program computed: one file a picture, as the paper has it.

    Args:
        folder: of the files: gray PNG, whose 255 is 1, or `.npy` in [0, 1].
        names: of the pictures, in the order of the data set (see `evaluation.saved.file_names`).

    Raises:
        FileNotFoundError: when a picture has no file; naming it.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.files = [find_file(folder, name) for name in names]

    def __call__(self, index: int, size: tuple[int, int]) -> Float[Tensor, "h w"]:
        """Return the map of a picture.

        Raises:
            ValueError: when it is of another size or outside [0, 1]; naming the file.
        """
        path = self.files[index]
        values = read_maps(path).values
        if values.shape != (1, *size):
            raise ValueError(f"{path}: is {tuple(values.shape)}, not one map of {size} pixels")
        saliency = values[0] / 255 if path.suffix == ".png" else values[0]
        require_unit_saliency(saliency, f"{path}: saliency")
        return saliency


class Barriers:
    """`minimum_barrier` of each picture: no file and no training.

    Args:
        data: the pictures, at the size of their masks.
    """

    def __init__(self, data: Samples) -> None:
        self.data = data

    def __call__(self, index: int, size: tuple[int, int]) -> Float[Tensor, "h w"]:
        """Return the map of a picture."""
        return minimum_barrier(from_network(self.data.batch([index]).images[0]).clamp(0, 1))


class Proxies(LabelMaps):
    """Mean IoU of proxy ground truth; pixels of which it says nothing do not count.

    Args:
        classes: number of classes, without background.
        saliency: of each picture.
        rules: as in `wsolbook.refine.proxy.proxy`.
    """

    headline = "proxy mIoU"

    def __init__(self, classes: int, saliency: Saliency, **rules: Any) -> None:
        super().__init__(classes)
        self.saliency, self.rules = saliency, rules

    def count(self, truth: Truth, said: Prediction) -> Iterator[tuple[int | None, ConfusionMatrix]]:
        """Yield the confusion matrix of one picture."""
        mask = truth.mask_of()
        size = size_of(mask)
        maps = normalize(resize(said.of(truth.labels), size), "max")
        found = proxy(maps, truth.labels + 1, self.saliency(truth.index, size), **self.rules)
        silent = found == IGNORE
        metric = self.empty()
        metric.update(found.masked_fill(silent, 0).long(), mask.masked_fill(silent, IGNORE))
        yield None, metric
