"""MaxBoxAcc and MaxBoxAccV2: the share of images boxed well, at the threshold best for the whole set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Num, UInt8
from torch import Tensor

from wsolbook.metrics.boxes import (
    Contours,
    box_iou,
    candidates,
    gray_levels,
    grid,
    require_boxes,
    require_contours,
)
from wsolbook.metrics.contours import best_overlap
from wsolbook.metrics.counts import Counts, require_thresholds


class BoxAccuracy(Counts):
    """Streaming box accuracy of Choe et al. (2020), with the class known (GT-known).

    At each threshold an image counts as localized when any of its candidate boxes overlaps any of its
    ground-truth boxes with at least a given IoU. One threshold serves the whole set, the best one.

    Args:
        thresholds: length of the grid 0, d, 2d, ... < 1; the protocol uses 1000 in training, 100 in its
            command line.
        contours: `"all"` is MaxBoxAccV2, `"largest"` takes only the contour with the largest area;
            MaxBoxAcc is `BoxAccuracy(contours="largest", iou=(0.5,))`.
        iou: the overlaps asked for.

    Raises:
        ValueError: on fewer than one threshold, an unknown `contours`, or an overlap outside (0, 1].
    """

    def __init__(
        self,
        thresholds: int = 1000,
        contours: Contours = "all",
        iou: Sequence[float] = (0.3, 0.5, 0.7),
    ) -> None:
        require_thresholds(thresholds)
        require_contours(contours)
        if len(iou) == 0 or not all(0 < overlap <= 1 for overlap in iou):
            raise ValueError(f"iou must hold overlaps in (0, 1], at least one, got {tuple(iou)}")
        super().__init__(
            {"thresholds": thresholds, "contours": contours, "iou": tuple(iou)},
            {"correct": torch.zeros(len(iou), thresholds, dtype=torch.int64)},
        )
        self.iou = tuple(iou)
        self.contours: Contours = contours
        self.thresholds = grid(thresholds)

    def update(
        self, maps: Float[Tensor, "n h w"], boxes: Sequence[Num[Tensor, "_ 4"]] | Num[Tensor, "m 4"]
    ) -> None:
        """Count a batch.

        Args:
            maps: one map an image, of its true class, in [0, 1], at the size in which `boxes` are given
                (the protocol: 224x224, see `wsolbook.evaluation.frame`).
            boxes: the ground truth of each image: one box, or a tensor of several.

        Raises:
            ValueError: when a map holds NaN or leaves [0, 1], when maps and boxes differ in number, or a
                box is missing, malformed or outside its map.
        """
        if len(maps) != len(boxes):
            raise ValueError(f"got {len(maps)} maps but boxes of {len(boxes)} images")
        truth = [b.reshape(-1, 4).detach().cpu() for b in boxes]
        for i, image_boxes in enumerate(truth):
            _require_inside(image_boxes, maps.shape[-2:], i)
        gray = gray_levels(maps)
        with ThreadPoolExecutor(min(torch.get_num_threads(), max(1, len(maps)))) as pool:
            each = map if len(maps) == 1 else pool.map  # a thread is not worth starting for one map
            for correct in each(self._correct, gray, truth):
                self.state["correct"] += torch.from_numpy(correct)
        self.state["images"] += len(maps)

    def _correct(
        self, gray: UInt8[np.ndarray, "h w"], truth: Num[Tensor, "k 4"]
    ) -> Int[np.ndarray, "overlaps thresholds"]:
        """Return 1 where the image is localized, for each overlap and threshold."""
        top = int(gray.max())
        if top == 0:  # nothing is ever above the threshold: the protocol's box is (0, 0, 0, 0)
            best = box_iou(torch.zeros(1, 4), truth).amax().expand(1).numpy()
        else:
            best = np.zeros(top)
            for lives in candidates(gray, self.contours):
                best_overlap(lives, truth.double().numpy(), min(self.iou), best)
        reached = best[(self.thresholds * top).astype(np.int64)]
        return (reached >= np.array(self.iou)[:, None]).astype(np.int64)

    def compute(self) -> dict[str, Any]:
        """Return the best accuracy over all thresholds, in percent.

        Returns:
            `"acc"` and `"thresholds"`: for each overlap the accuracy and the threshold it is reached at, of
            equally good ones the lowest; `"v2"`: the mean of the accuracies.

        Raises:
            ValueError: when no image has been counted.
        """
        accuracy = self.curve()
        best = accuracy.argmax(1)
        return {
            "v2": float(accuracy.max(1).mean()),
            "acc": {o: float(accuracy[k, best[k]]) for k, o in enumerate(self.iou)},
            "thresholds": {o: float(self.thresholds[best[k]]) for k, o in enumerate(self.iou)},
        }

    def at(self, thresholds: Mapping[float, float]) -> dict[str, Any]:
        """Return the accuracy in percent at thresholds chosen elsewhere, one for each overlap.

        Args:
            thresholds: of the grid, for example `few.compute()["thresholds"]` of a small labeled split.

        Raises:
            ValueError: when an overlap lacks its threshold, or that is not in the grid; or as `compute`.
        """
        accuracy = self.curve()
        acc = {}
        for k, overlap in enumerate(self.iou):
            places = np.flatnonzero(self.thresholds == thresholds.get(overlap))
            if len(places) == 0:
                raise ValueError(
                    f"no threshold of the grid is given for overlap {overlap}: {dict(thresholds)}"
                )
            acc[overlap] = float(accuracy[k, places[0]])
        return {"v2": sum(acc.values()) / len(acc), "acc": acc}

    def curve(self) -> Float[np.ndarray, "overlaps thresholds"]:
        """Return the accuracy in percent for each overlap at each of `self.thresholds`."""
        self.require_images()
        return 100 * self.state["correct"].numpy() / self.images


def _require_inside(boxes: Num[Tensor, "k 4"], size: Sequence[int], image: int) -> None:
    """Raise a ValueError unless there are boxes and all of them lie in a map of this height and width."""
    if len(boxes) == 0:
        raise ValueError(f"image {image} of the batch has no ground-truth box")
    require_boxes(boxes)
    far = boxes.amax(0)
    if far[2] > size[1] or far[3] > size[0]:
        raise ValueError(
            f"a box of image {image} reaches ({float(far[2]):g}, {float(far[3]):g}), outside its map of "
            f"{size[0]}x{size[1]}: bring both into one frame first"
        )
