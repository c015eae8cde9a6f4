"""Whether the classes were found, before anybody asks where: top-1, top-5 and mean average precision."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wsolbook.metrics.counts import Counts


class TopAccuracy(Counts):
    """Streaming top-1 and top-5 accuracy, one label an image."""

    def __init__(self) -> None:
        super().__init__({}, {name: torch.zeros((), dtype=torch.int64) for name in ("top-1", "top-5")})

    def update(self, logits: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]) -> None:
        """Count a batch; `labels` are one-hot."""
        ranked = logits.argsort(dim=1, descending=True, stable=True)[:, :5]
        right = ranked == labels.argmax(1, keepdim=True)
        self.state["top-1"] += right[:, 0].sum()
        self.state["top-5"] += right.any(1).sum()
        self.state["images"] += len(logits)

    def compute(self) -> dict[str, float]:
        """Return both accuracies in percent.

        Raises:
            ValueError: when no image has been counted.
        """
        self.require_images()
        return {name: 100 * int(self.state[name]) / self.images for name in ("top-1", "top-5")}


class AveragePrecision(Counts):
    """Streaming average precision of several classes an image; it has to keep the scores of all images.

    Args:
        classes: how many.
    """

    def __init__(self, classes: int) -> None:
        super().__init__(
            {"classes": classes}, {"scores": torch.zeros(0, classes), "labels": torch.zeros(0, classes)}
        )

    def update(self, scores: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]) -> None:
        """Keep a batch; `labels` are multi-hot."""
        self.state["scores"] = torch.cat([self.state["scores"], scores.detach().float().cpu()])
        self.state["labels"] = torch.cat([self.state["labels"], labels.float().cpu()])
        self.state["images"] += len(scores)

    def per_class(self) -> Float[Tensor, " c"]:
        """Return the area under precision and recall of each class, in [0, 1]; NaN without a positive.

        The area is the sum of precision times gain in recall, without interpolation. Equal scores count
        together, so the order of the images does not matter.

        Raises:
            ValueError: when no image has been counted.
        """
        self.require_images()
        areas = torch.full((self.settings["classes"],), torch.nan, dtype=torch.float64)
        for c, (score, label) in enumerate(zip(self.state["scores"].T, self.state["labels"].T, strict=True)):
            if label.sum() == 0:
                continue
            ranked, place = score.sort(descending=True, stable=True)
            hits = label[place].double().cumsum(0)
            last = torch.cat([ranked[1:] != ranked[:-1], torch.ones(1, dtype=torch.bool)])
            precision = hits[last] / (last.nonzero()[:, 0] + 1)
            gain = torch.diff(hits[last], prepend=hits.new_zeros(1)) / label.sum()
            areas[c] = (precision * gain).sum()
        return areas

    def compute(self) -> float:
        """Return the mean over the classes that have a positive, in percent.

        Raises:
            ValueError: when no image has been counted, or no label is positive.
        """
        areas = self.per_class()
        if areas.isnan().all():
            raise ValueError("average precision needs at least one positive label")
        return 100 * float(areas.nanmean())
