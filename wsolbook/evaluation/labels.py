"""Label maps of pictures: from a network's maps, after the walk of an AffinityNet, or a segmenter's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from tqdm.auto import tqdm

from wsolbook.data.sampling import CPU, evaluation_batches
from wsolbook.data.transforms import to_bytes
from wsolbook.doubts import answered
from wsolbook.evaluation.picture import Prediction
from wsolbook.evaluation.sources import FromNetwork, Source, device_of
from wsolbook.maps import resize, size_of
from wsolbook.memory import within_memory
from wsolbook.methods.affinity import AffinityNet
from wsolbook.refine.crf import Constants
from wsolbook.refine.pseudo_labels import write_labels
from wsolbook.segmentation.deeplab import DeepLab
from wsolbook.types import Batch, Localizer, Samples

SMALLEST = 32  # pixels a side that every network can take; smaller pictures are enlarged for it
Label = Callable[
    [
        Float[Tensor, "k u v"],
        Int[Tensor, " k"],
        UInt8[Tensor, "3 h w"],
        Float[Tensor, "m s t"] | None,
    ],
    UInt8[Tensor, "*s h w"],
]


@dataclass(frozen=True)
class PseudoLabels:
    """A source of label maps that are made of localization maps and of the labels of the pictures.

    Attributes:
        label: how maps become labels, a `Labeling` or `Cues`; or several label maps of the same maps.
        model: a network with maps; those of an AffinityNet's teacher, which then walk.
        walk: whether they do.
        scales: factors of the size; maps are averaged over them.
        flip: also average over mirrored pictures.
        order: as in `FromNetwork`.
        maps: gives the maps instead of the model, whose affinities are still used.
    """

    label: Label
    model: Localizer | nn.Module | None = None
    walk: bool = True
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    order: tuple[int, ...] | None = None
    maps: Source | None = None

    @property
    def device(self) -> torch.device:
        """Where the network is; the CPU without one."""
        return CPU if self.model is None else device_of(self.model)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> list[Prediction]:
        """Return the label maps of each picture, at its size; made where the network is."""
        seen, device = _large_enough(replace(batch, masks=None, boxes=None)), self.device
        net, near = self.model, [None] * len(batch)
        if isinstance(net, AffinityNet):
            if self.walk:
                near = list(net.affinities(seen.to(device).images))
            net = net.teacher
        if self.maps is not None:
            said = self.maps(batch)
        else:
            assert net is not None
            said = FromNetwork(net, scales=self.scales, flip=self.flip, order=self.order)(seen)
        own = [row.nonzero().flatten() for row in batch.labels]
        maps = [
            each.of(classes).to(device, non_blocking=True) for each, classes in zip(said, own, strict=True)
        ]
        asked = list(zip(maps, own, to_bytes(batch.to(device).images), near, strict=True))
        labels = answered(lambda: torch.stack([self.label(*each) for each in asked]).float())
        made = labels.view(len(said), -1, *labels.shape[-2:])
        return [Prediction(each, origin=p.origin) for each, p in zip(made, said, strict=True)]


@dataclass(frozen=True)
class Segmented:
    """A source of the label maps that a segmentation network gives, without the labels of the pictures.

    Attributes:
        model: the network.
        scales: as in `DeepLab.probabilities`, like `flip`.
        flip: as there.
        crf: constants of a dense CRF, last; None for no CRF.
    """

    model: DeepLab
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    crf: Constants | None = None

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return device_of(self.model)

    def __call__(self, batch: Batch) -> list[Prediction]:
        """Return the label map of each picture, at its size."""
        seen = _large_enough(replace(batch, masks=None, boxes=None))
        images = seen.to(self.device).images
        labels = self.model.segment(images, self.scales, self.flip, self.crf).cpu().float()
        size = size_of(batch.pictures)
        return [
            Prediction(each[None], origin=f"the network, picture {index}")
            for each, index in zip(resize(labels, size, "nearest"), batch.index.tolist(), strict=True)
        ]


def write_label_maps(
    source: Source,
    data: Samples,
    files: Sequence[Path],
    share: tuple[int, int] = (0, 1),
    batch_size: int = 1,
    workers: int | None = None,
) -> int:
    """Write the label maps that are missing and return how many pictures that were.

    Args:
        source: gives the label maps of a batch.
        data: evaluation view at the pictures' own size.
        files: one for each picture.
        share: the part that this process does, counted from 0, and the number of parts.
        batch_size: pictures at once; 1 where their sizes differ.
        workers: processes that read ahead; None as many as help on the device of the source.

    Raises:
        OSError: when a picture cannot be read or a file cannot be written; what is there is whole.
        ValueError: when the maps of a picture cannot be labels.
    """
    todo = [i for i in range(share[0], len(data), share[1]) if not files[i].is_file()]
    device = getattr(source, "device", CPU)
    batches = evaluation_batches(data, batch_size, index=todo, workers=workers, device=device)
    with tqdm(total=len(todo), desc="labels", unit=" pictures", disable=None) as bar:
        for batch in batches:
            seen = replace(batch, masks=None, boxes=None)  # labels are made without the truth
            for place, said in zip(batch.index.tolist(), within_memory(source, seen), strict=True):
                write_labels(files[place], said.values[0].to(torch.uint8))
            bar.update(len(batch))
    return len(todo)


def _large_enough(batch: Batch) -> Batch:
    height, width = batch.pictures.shape[-2:]
    if min(height, width) >= SMALLEST:
        return batch
    return replace(batch, pictures=resize(batch.images, (max(height, SMALLEST), max(width, SMALLEST))))
