"""Where maps come from: a network, a folder of saved maps, or nobody who looked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from wsolbook.backbones import Trunk
from wsolbook.cam.network import alone
from wsolbook.doubts import answered
from wsolbook.evaluation.picture import Prediction
from wsolbook.evaluation.saved import find_file, read_maps
from wsolbook.maps import multi_scale, size_of
from wsolbook.precision import Precision, computing
from wsolbook.types import Batch, Localizer

Source = Callable[[Batch], list[Prediction]]


@dataclass(frozen=True)
class FromNetwork:
    """The maps that a network itself gives, a batch at a time, on its device.

    Attributes:
        model: in evaluation mode; a classifier without maps of its own gives class activation maps.
        guesses: number of best guesses, whose maps come first.
        labels: whether the classes that the labels name follow, as far as they are not among the guesses.
        logits: whether the class scores are wanted too.
        scales: factors of the size; maps are averaged over them.
        flip: also average over mirrored pictures.
        name: for messages.
        order: the network's number of each class, where the data set numbers them otherwise (see
            `wsolbook.evaluation.classes.match_classes`); predictions carry the data set's numbers.
        precision: number format of the network, as in `wsolbook.training.TrainConfig`.
    """

    model: Localizer | nn.Module
    guesses: int = 0
    labels: bool = True
    logits: bool = False
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    name: str = "the network"
    order: tuple[int, ...] | None = None
    precision: Precision = "fp32"

    @property
    def device(self) -> torch.device:
        """Where the network is, and pictures should come to."""
        return device_of(self.model)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> list[Prediction]:
        """Return what the network says about each picture."""
        with computing(self.precision, self.device), looking_once(self.model):
            return self._look(batch, batch.to(self.device).images)

    def _look(self, batch: Batch, images: Float[Tensor, "n 3 h w"]) -> list[Prediction]:
        logits = self.model(images).float().cpu() if self.guesses or self.logits else None
        if self.order is not None and logits is not None:
            logits = logits[:, self.order]
        scores = logits if logits is not None else [None] * len(batch)
        classes = [self._classes(*each) for each in zip(batch.labels, scores, strict=True)]
        # All pictures get as many maps as the one with the most classes, at least one; the rest is cut again.
        filled = pad_sequence([*classes, torch.zeros(1, dtype=torch.long)], batch_first=True)[:-1]
        asked = filled if self.order is None else torch.tensor(self.order)[filled]
        asked = asked.to(images.device, non_blocking=True)
        maps = answered(lambda: self._maps(images, asked).float())
        return [
            Prediction(values[: len(own)], own, score, f"{self.name}, picture {index}")
            for values, own, score, index in zip(maps, classes, scores, batch.index.tolist(), strict=True)
        ]

    def _classes(self, labels: Float[Tensor, " c"], logits: Float[Tensor, " m"] | None) -> Int[Tensor, " k"]:
        """Return the classes of the maps of one picture."""
        present = labels.nonzero().flatten() if self.labels else torch.zeros(0, dtype=torch.long)
        if not self.guesses or logits is None:
            return present
        guessed = logits.topk(min(self.guesses, len(logits))).indices
        return torch.cat([guessed, present[~torch.isin(present, guessed)]])

    def _maps(
        self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n k"]
    ) -> Float[Tensor, "n k u v"]:
        def own(seen: Float[Tensor, "n 3 u v"]) -> Float[Tensor, "n k s t"]:
            if isinstance(self.model, Localizer):
                return self.model.maps(seen, classes)
            from wsolbook.cam import cam

            return cam(self.model, seen, classes).values

        if self.scales == (1.0,) and not self.flip:
            return own(images)
        return multi_scale(own, images, self.scales, self.flip)


@contextmanager
def looking_once(network: Localizer | nn.Module) -> Iterator[None]:
    """Let each trunk of a network answer from memory, inside the block, when it is shown a tensor again.

    Logits and maps then take one pass. What needs a graph is computed anew.
    """
    if not isinstance(network, nn.Module):
        yield
        return
    with alone(network), ExitStack() as stack:
        for trunk in network.modules():
            if isinstance(trunk, Trunk):
                stack.enter_context(_remembering(trunk))
        yield


@contextmanager
def _remembering(trunk: Trunk) -> Iterator[None]:
    compute, last = trunk.forward, list[Tensor]()

    def forward(images: Tensor) -> Tensor:
        if torch.is_grad_enabled() or trunk.training:
            return compute(images)
        if not last or last[0] is not images:
            last[:] = images, compute(images)
        return last[1]

    trunk.__dict__["forward"] = forward
    try:
        yield
    finally:
        del trunk.__dict__["forward"]


class FromFolder:
    """Maps in files, each named after its picture.

    Args:
        folder: of the files.
        names: of the pictures, in the order of the data set (see `file_names`).

    Raises:
        FileNotFoundError: when there is no such folder.
    """

    def __init__(self, folder: Path, names: list[str]) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not a folder of maps")
        self.folder, self.names = folder, names

    def __call__(self, batch: Batch) -> list[Prediction]:
        """Read the maps of each picture."""
        return [read_maps(find_file(self.folder, self.names[i])) for i in batch.index.tolist()]


class Center:
    """The localizer that guesses the center of every picture: what a network must beat."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return no opinion."""
        return images.new_zeros(len(images), self.classes)

    def maps(self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n k"]) -> Float[Tensor, "n k h w"]:
        """Return the same Gaussian for every class."""
        return center_gaussian(size_of(images)).float().expand(*classes.shape, -1, -1)


def center_gaussian(size: int | tuple[int, int] = 224, width: float = 0.25) -> Float[Tensor, "h w"]:
    """Return the map of the baseline that guesses the center.

    Its level sets are ellipses of the picture's aspect around its center, whatever the width: with a
    threshold chosen on the set, only the ladder of sizes that the grid can express depends on it.

    Args:
        size: height and width in pixels; one number means a square.
        width: standard deviation as a share of each side.

    Returns:
        Values in [0, 1]; 1 at the center.

    Raises:
        ValueError: on a size below 1 or a width that is not positive.
    """
    height, breadth = (size, size) if isinstance(size, int) else size
    if height < 1 or breadth < 1 or not width > 0:
        raise ValueError(f"center_gaussian needs positive size and width, got {size} and {width}")
    y = (torch.arange(height, dtype=torch.float64) - (height - 1) / 2) / (width * height)
    x = (torch.arange(breadth, dtype=torch.float64) - (breadth - 1) / 2) / (width * breadth)
    bell = torch.exp(-(y[:, None] ** 2 + x[None] ** 2) / 2)
    return bell / bell.max()


def device_of(model: Localizer | nn.Module) -> torch.device:
    """Return where a network is; the CPU for a localizer without parameters."""
    parameters = model.parameters() if isinstance(model, nn.Module) else iter(())
    return next((p.device for p in parameters), torch.device("cpu"))
