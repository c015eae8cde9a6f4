"""ILSVRC localization error: the right class and a box that fits, in one guess or in five."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int, Num
from torch import Tensor

from wsolbook.metrics.boxes import box_iou
from wsolbook.metrics.counts import Counts

FIT = 0.5  # the overlap at which a box counts as right


class LocalizationError(Counts):
    """Streaming classification, localization and GT-known error, one label an image (ILSVRC CLS-LOC, CUB).

    A guess is a class and a box. It is right when the class is the true one and the box overlaps any
    ground-truth box of the image with an IoU of at least 0.5.
    """

    def __init__(self) -> None:
        counts = ("localizable", "top1_cls", "top5_cls", "top1_loc", "top5_loc", "known", "known_images")
        super().__init__({}, {name: torch.zeros((), dtype=torch.int64) for name in counts})

    def update(
        self,
        guesses: Int[Tensor, "n k"],
        boxes: Num[Tensor, "n k 4"],
        labels: Int[Tensor, " m"],
        truth: Sequence[Num[Tensor, "_ 4"]],
        known: Num[Tensor, "m 4"] | None = None,
        blacklisted: Bool[Tensor, " m"] | None = None,
    ) -> None:
        """Count a batch.

        Args:
            guesses: classes, best guess first; the first five count. The released heuristic repeats a class
                with another box.
            boxes: the box of each guess.
            labels: the true class.
            truth: all ground-truth boxes of the true class, of each image.
            known: the box that the map of the true class gives, for the GT-known error.
            blacklisted: images whose boxes the organizers withdrew; they count for classification only.

        Raises:
            ValueError: when the arguments are of different numbers of images, there is no guess, an image has
                no ground-truth box, or a box is malformed.
        """
        n = len(labels)
        if not len(guesses) == len(boxes) == len(truth) == n:
            raise ValueError(
                f"got {n} labels, but guesses of {len(guesses)}, guessed boxes of {len(boxes)} "
                f"and ground truth of {len(truth)} images"
            )
        if guesses.shape[1] == 0:
            raise ValueError("each image needs at least one guess")
        for i, image_truth in enumerate(truth):
            if len(image_truth) == 0:
                raise ValueError(f"image {i} of the batch has no ground-truth box")

        counted = torch.ones(n, dtype=torch.bool) if blacklisted is None else ~blacklisted.cpu()
        named = guesses[:, :5].cpu() == labels.cpu()[:, None]
        fits = torch.zeros_like(named)
        for i in range(n):
            fits[i] = _fits(boxes[i, :5].cpu(), truth[i])
        right = named & fits
        errors = {
            "top1_cls": ~named[:, 0],
            "top5_cls": ~named.any(1),
            "top1_loc": ~right[:, 0] & counted,
            "top5_loc": ~right.any(1) & counted,
        }
        if known is not None:
            misses = [not bool(_fits(known[i : i + 1].cpu(), truth[i])) for i in range(n)]
            errors["known"] = torch.tensor(misses) & counted
            self.state["known_images"] += counted.sum()
        for name, wrong in errors.items():
            self.state[name] += wrong.sum()
        self.state["localizable"] += counted.sum()
        self.state["images"] += n

    def compute(self) -> dict[str, float]:
        """Return the errors in percent.

        Returns:
            `top1_cls` and `top5_cls`, shares of all images; `top1_loc`, `top5_loc` and, where boxes of
            the true class were given, `gt_known`, shares of the images that are not blacklisted.

        Raises:
            ValueError: when no image, or none outside the blacklist, has been counted.
        """
        self.require_images()
        counts = {name: int(value) for name, value in self.state.items()}
        if counts["localizable"] == 0:
            raise ValueError(f"all {self.images} images are blacklisted: the localization error is undefined")
        errors = {name: 100 * counts[name] / counts["images"] for name in ("top1_cls", "top5_cls")}
        errors |= {name: 100 * counts[name] / counts["localizable"] for name in ("top1_loc", "top5_loc")}
        if counts["known_images"]:
            errors["gt_known"] = 100 * counts["known"] / counts["known_images"]
        return errors


def _fits(boxes: Num[Tensor, "k 4"], truth: Num[Tensor, "m 4"]) -> Bool[Tensor, " k"]:
    return (box_iou(boxes, truth.cpu()) >= FIT).any(1)
