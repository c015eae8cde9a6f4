"""A network and a data set small enough to train in a test."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from wsolbook.data.counters import seed_of
from wsolbook.types import Batch, Network, Supervision


class ToySamples:
    """Three classes of 4 x 4 pictures, told apart by their bright channel, with noise that augments."""

    classes = ("red", "green", "blue")

    def __init__(self, n: int = 25, seed: int = 0, broken: tuple[int, ...] = (), poisoned: int | None = None):
        self.n, self.seed, self.broken, self.poisoned = n, seed, broken, poisoned

    def __len__(self) -> int:
        return self.n

    def batch(self, index, epoch=None) -> Batch:
        images = []
        for i in index:
            if i in self.broken:
                raise OSError(f"picture-{i}.jpg cannot be read")
            noise = torch.Generator().manual_seed(seed_of(self.seed, -1 if epoch is None else epoch, i))
            image = 0.3 * torch.randn(3, 4, 4, generator=noise)
            image[i % 3] += 1
            images.append(image * (float("nan") if i == self.poisoned and epoch is not None else 1))
        labels = torch.eye(3)[[i % 3 for i in index]]
        return Batch(torch.stack(images), labels, torch.tensor(list(index)))


class ToyNet(nn.Module):
    """Convolution, dropout, mean over space, linear layer."""

    supervision = Supervision()

    def __init__(self, seed: int = 0, dropout: float = 0.5) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.features = nn.Conv2d(3, 8, 3, padding=1)
            self.linear = nn.Linear(8, 3)
        self.dropout = nn.Dropout(dropout)

    def forward(self, images):
        return self.linear(self.dropout(self.features(images).relu().mean((2, 3))))

    def loss(self, batch):
        return {"classification": cross_entropy(self(batch.images), batch.labels)}

    def maps(self, images, classes):
        return torch.einsum("nkhw,nk->nhw", self.features(images).relu(), self.linear.weight[classes])

    def new_parameters(self):
        return list(self.linear.parameters())


def accuracy(model) -> dict[str, float]:
    """Evaluate on pictures that were not trained on."""
    batch = ToySamples(60, seed=1).batch(range(60))
    with torch.no_grad():
        return {
            "accuracy": 100 * float((model(batch.images).argmax(1) == batch.labels.argmax(1)).float().mean())
        }


class ToyMethod(Network):
    """A method with a setting of its own, whose maps are not class activation maps."""

    method = "toy"

    def __init__(self, backbone="tiny", *, classes=3, weights=None, width=8, seed=0) -> None:
        super().__init__()
        if weights is not None:
            raise ValueError(f"toy takes no weights for its backbone, got {weights}")
        self.settings = {"backbone": backbone, "classes": classes, "width": width}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.features = nn.Conv2d(3, width, 3, padding=1)
            self.linear = nn.Linear(width, classes)

    def forward(self, images):
        return self.linear(self.features(images).relu().mean((2, 3)))

    def loss(self, batch):
        target = batch.labels / batch.labels.sum(1, keepdim=True)
        return {"classification": cross_entropy(self(batch.images), target)}

    def maps(self, images, classes):
        values = self.features(images).mean(1)
        if classes.ndim == 1:
            return values * (classes[:, None, None] + 1)
        return values[:, None] * (classes[:, :, None, None] + 1)
