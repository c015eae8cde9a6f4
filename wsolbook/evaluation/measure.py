"""What the recipes report: classification, boxes, pixels and segmentation seeds, in percent."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsolbook.data.sampling import evaluation_batches
from wsolbook.distributed import gather, rank_and_world
from wsolbook.evaluation.frame import frame_boxes, frame_maps, frame_masks
from wsolbook.maps import normalize, resize
from wsolbook.metrics import BoxAccuracy, PixelAP, reduce
from wsolbook.metrics.baselines import center_gaussian
from wsolbook.metrics.segmentation import SeedIoU
from wsolbook.profiles import progress
from wsolbook.types import Batch, Samples


@torch.no_grad()
def measure(
    model: Any, data: Samples, *, multi_label: bool = False, batch_size: int = 32, workers: int = 0
) -> dict[str, float]:
    """Measure a localizer in one pass; over several processes each counts its share once.

    Maps are of the classes that the labels name (GT-known), in the 224x224 frame of Choe et al. (2020). With
    several classes an image, each pair of image and class is one map, held against the boxes and pixels of
    that class alone.

    Args:
        model: a `Localizer`, in evaluation mode.
        data: evaluation view with boxes, and masks where there are.
        multi_label: report mAP instead of top-1 accuracy.
        batch_size: images at once.
        workers: processes that read ahead.

    Returns:
        `"top-1"` or `"mAP"`; `"MaxBoxAccV2"`; `"MaxBoxAcc"`, of the largest contour at IoU 0.5; `"PxAP"`
        where the data has masks.
    """
    boxes, largest, pixels = BoxAccuracy(), BoxAccuracy(contours="largest", iou=(0.5,)), PixelAP()
    logits, labels = [], []
    device = device_of(model)
    rank, world = rank_and_world()
    batches = evaluation_batches(data, batch_size, rank=rank, world=world, workers=workers)
    for batch in progress(batches, "evaluating", -(-len(data) // (batch_size * world))):
        images = batch.images.to(device)
        classes, present = _classes_of(batch)
        logits.append(model(images).float().cpu())
        labels.append(batch.labels)
        maps = frame_maps(model.maps(images, classes.to(device)).float().cpu()[present])
        size = (images.shape[-2], images.shape[-1])
        pairs = [(i, int(classes[i, k])) for i, k in present.nonzero().tolist()]
        truth = [frame_boxes(_boxes_of(data, batch, i, c), size) for i, c in pairs]
        boxes.update(maps, truth)
        largest.update(maps, truth)
        if batch.masks is not None:
            masks = torch.stack([_mask_of(batch.masks[i], c) for i, c in pairs])
            pixels.update(maps, frame_masks(masks))
    scores, truth_labels = gather(torch.cat(logits)), gather(torch.cat(labels))
    found = (
        {"mAP": mean_average_precision(scores, truth_labels)}
        if multi_label
        else {"top-1": 100 * float((scores.argmax(1) == truth_labels.argmax(1)).double().mean())}
    )
    found["MaxBoxAccV2"] = reduce(boxes).compute()["v2"]
    found["MaxBoxAcc"] = reduce(largest).compute()["v2"]
    if reduce(pixels).images:
        found["PxAP"] = pixels.compute()
    return found


@torch.no_grad()
def measure_seeds(model: Any, data: Samples) -> dict[str, float]:
    """Measure maps as segmentation seeds, at the size of each picture.

    Each map is divided by its maximum after negative evidence was clipped; the background score is the best
    of a sweep over this very set.

    Args:
        model: a `Localizer`, in evaluation mode.
        data: evaluation view `"original"` with masks.

    Returns:
        `"seed mIoU"` in percent and the `"background score"` it was reached at.
    """
    seeds = SeedIoU(len(data.classes) + 1)
    rank, world = rank_and_world()
    for batch in progress(evaluation_batches(data, 1, rank=rank, world=world), "seeds", len(data)):
        if batch.masks is None:
            raise ValueError(f"{type(data).__name__} has no masks to compare seeds with")
        classes, _ = _classes_of(batch)
        raw = model.maps(batch.images.to(device_of(model)), classes.to(device_of(model))).float().cpu()[0]
        height, width = batch.masks.shape[-2:]
        seeds.update(normalize(resize(raw, (height, width)), "max"), classes[0] + 1, batch.masks[0])
    best = reduce(seeds).compute()
    return {"seed mIoU": best["miou"], "background score": best["score"]}


class Center:
    """The localizer that guesses the center of every picture: what a network must beat."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def __call__(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
        """Return no opinion."""
        return images.new_zeros(len(images), self.classes)

    def maps(self, images: Float[Tensor, "n 3 h w"], classes: Int[Tensor, "n k"]) -> Float[Tensor, "n k h w"]:
        """Return the same Gaussian for every class."""
        return center_gaussian((images.shape[-2], images.shape[-1])).float().expand(*classes.shape, -1, -1)


def mean_average_precision(scores: Float[Tensor, "n c"], labels: Float[Tensor, "n c"]) -> float:
    """Return the mean over classes of the area under precision and recall, in percent.

    The area is the sum of precision times gain in recall, without interpolation. Classes without a positive
    are left out.
    """
    areas = []
    for score, label in zip(scores.T, labels.T, strict=True):
        if label.sum() == 0:
            continue
        ranked, place = score.sort(descending=True, stable=True)
        hits = label[place].double().cumsum(0)
        last = torch.cat([ranked[1:] != ranked[:-1], torch.ones(1, dtype=torch.bool)])  # ties count together
        precision = hits[last] / (last.nonzero()[:, 0] + 1)
        gain = torch.diff(hits[last], prepend=hits.new_zeros(1)) / label.sum()
        areas.append((precision * gain).sum())
    if not areas:
        raise ValueError("average precision needs at least one positive label")
    return 100 * float(torch.stack(areas).mean())


def _classes_of(batch: Batch) -> tuple[Int[Tensor, "n k"], Bool[Tensor, "n k"]]:
    """Return the classes of each image, filled up to equal length, and which of them are meant."""
    counts = batch.labels.sum(1).long()
    classes = batch.labels.argsort(dim=1, descending=True, stable=True)[:, : max(int(counts.max()), 1)]
    return classes, torch.arange(classes.shape[1]) < counts[:, None]


def _boxes_of(data: Any, batch: Batch, image: int, label: int) -> Tensor:
    """Return the boxes of one class in one image of a batch."""
    if batch.boxes is None:
        raise ValueError(f"{type(data).__name__} has no boxes to evaluate with")
    if batch.labels[image].sum() == 1:
        return batch.boxes[image]
    index = int(batch.index[image])
    of = data.box_classes(index) if callable(data.box_classes) else data.box_classes[index]
    return batch.boxes[image][torch.as_tensor(of) == label]


def _mask_of(mask: Tensor, label: int) -> Tensor:
    """Keep one class and the ignored pixels of a mask."""
    return torch.where((mask == 255) | (mask == label + 1), mask, 0)


def device_of(model: Any) -> torch.device:
    """Return where a network is; the CPU for a localizer without parameters."""
    parameters = model.parameters() if hasattr(model, "parameters") else ()
    return next((p.device for p in parameters), torch.device("cpu"))
