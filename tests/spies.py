"""A network that keeps what it was shown, and pictures that show their own mask."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from toys import ToyMethod

from wsolbook.data.pictures import Pictures
from wsolbook.data.transforms import from_network
from wsolbook.types import Batch, Supervision


class Spy(ToyMethod):
    """Learns from masks, as many as it declares, and keeps every batch it was shown."""

    def __init__(self, masks: int | None, classes: int = 2) -> None:
        super().__init__(classes=classes)
        self.supervision = Supervision(masks)
        self.seen: list[Batch] = []

    def loss(self, batch):
        self.seen.append(batch)
        terms = super().loss(batch)
        if batch.masks is not None:
            known = batch.masks != 255
            objects = ((batch.masks > 0) & known).float()
            terms["attention"] = (known * (self.features(batch.images).mean(1) - objects) ** 2).mean()
        return terms

    def shown(self) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
        """Return index, picture and mask of every image whose mask was not hidden."""
        return [
            (int(index), picture, mask)
            for batch in self.seen
            for index, picture, mask in zip(batch.index, from_network(batch.images), batch.masks, strict=True)
            if (mask != 255).any()
        ]


class Painted(Pictures):
    """Pictures that show their own mask: red where an object is, else green."""

    classes = ("left", "right")
    has_masks = True

    def __init__(self, folder, n: int = 10, **options) -> None:
        self.folder, self.n = folder, n
        noise = np.random.default_rng(0)
        self.truth = [(noise.random((6, 8)) < 0.4).repeat(5, 0).repeat(6, 1) for _ in range(n)]
        for i, truth in enumerate(self.truth):
            pixels = np.stack([255 * truth, 255 * ~truth, np.full(truth.shape, 20 * i)], 2).astype(np.uint8)
            if not self.path(i).exists():
                Image.fromarray(pixels).save(self.path(i))
        super().__init__(**options)

    def __len__(self) -> int:
        return self.n

    def path(self, index):
        return self.folder / f"{index}.png"

    def labels(self, index):
        return torch.tensor([index % 2])

    def mask(self, index):
        return torch.from_numpy(self.truth[index] * (1 + index % 2)).to(torch.uint8)
