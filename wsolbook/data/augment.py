"""Augmentation, paper by paper, as a function of (seed, epoch, index) alone.

A step takes a sample and a private random generator, and moves picture, boxes and mask together. A paper's
augmentation is a tuple of steps. Nothing here touches torch's global generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Generator, Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from wsolbook.data.transforms import IGNORE, MEAN, Sample

Step = Callable[[Sample, Generator], Sample]


def apply(steps: Sequence[Step], sample: Sample, generator: Generator) -> Sample:
    """Run the steps in order."""
    for step in steps:
        sample = step(sample, generator)
    return sample


def resize(sample: Sample, generator: Generator, size: int) -> Sample:
    """Warp to `size` x `size` without keeping the aspect."""
    return _resize(sample, size, size)


def short_side(sample: Sample, generator: Generator, size: int) -> Sample:
    """Scale so that the short side has `size` pixels."""
    return _scale(sample, size / min(_size(sample)))


def random_long_side(sample: Sample, generator: Generator, low: int, high: int) -> Sample:
    """Scale so that the long side has a random length from `low` to `high`, bicubic."""
    return _scale(sample, _integer(generator, low, high) / max(_size(sample)), InterpolationMode.BICUBIC)


def random_scale(sample: Sample, generator: Generator, low: float, high: float) -> Sample:
    """Scale by a random factor from `low` to `high`."""
    return _scale(sample, _uniform(generator, low, high))


def random_crop(sample: Sample, generator: Generator, size: int) -> Sample:
    """Cut `size` x `size` at random; where the picture is smaller, place it at random on the mean color.

    The mean color becomes exactly 0 in network input; the mask is 255 there.
    """
    height, width = _size(sample)
    return _window(sample, _offset(generator, height - size), _offset(generator, width - size), size, size)


def center_crop(sample: Sample, generator: Generator, size: int) -> Sample:
    """Cut `size` x `size` out of the middle."""
    height, width = _size(sample)
    return _window(sample, (height - size) // 2, (width - size) // 2, size, size)


def random_resized_crop(
    sample: Sample,
    generator: Generator,
    size: int,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> Sample:
    """Cut a random share of the area at a random aspect, warp to `size` x `size` (Szegedy et al. 2015)."""
    height, width = _size(sample)
    for _ in range(10):
        pixels = height * width * _uniform(generator, *area)
        ratio = math.exp(_uniform(generator, math.log(aspect[0]), math.log(aspect[1])))
        h, w = round(math.sqrt(pixels / ratio)), round(math.sqrt(pixels * ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = _integer(generator, 0, height - h), _integer(generator, 0, width - w)
            return _resize(_window(sample, top, left, h, w), size, size)
    return _resize(center_crop(sample, generator, min(height, width)), size, size)


def random_flip(sample: Sample, generator: Generator, p: float = 0.5) -> Sample:
    """Mirror left to right with probability `p`."""
    if torch.rand((), generator=generator) >= p:
        return sample
    return {name: F.horizontal_flip(part) for name, part in sample.items()}


def color_jitter(
    sample: Sample,
    generator: Generator,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
) -> Sample:
    """Change brightness, contrast, saturation (factor 1 ± value) and hue (turns ± value) in random order."""
    changes: list[tuple[Callable[..., Tensor], float, float]] = [
        (F.adjust_brightness, 1.0, brightness),
        (F.adjust_contrast, 1.0, contrast),
        (F.adjust_saturation, 1.0, saturation),
        (F.adjust_hue, 0.0, hue),
    ]
    image: Tensor = sample["image"]
    for i in torch.randperm(len(changes), generator=generator).tolist():
        change, middle, reach = changes[i]
        image = change(image, _uniform(generator, middle - reach, middle + reach))
    return {**sample, "image": image}


def wsol(size: int) -> tuple[Step, ...]:
    """256 warped, crop 224: ACoL, ADL, Choe et al. 2020."""
    return (partial(resize, size=round(size * 256 / 224)), partial(random_crop, size=size), random_flip)


def spg(size: int) -> tuple[Step, ...]:
    """Short side 356, crop 321: Zhang et al. 2018 (SPG), released script."""
    return (partial(short_side, size=round(size * 356 / 321)), partial(random_crop, size=size), random_flip)


def affinity_cam(size: int) -> tuple[Step, ...]:
    """Long side 256 to 512, color jitter, crop 448: Ahn and Kwak 2018, classification network."""
    low, high = round(size * 256 / 448), round(size * 512 / 448)
    return (partial(random_long_side, low=low, high=high), *affinity_net(size))


def affinity_net(size: int) -> tuple[Step, ...]:
    """Color jitter, crop 448 at the picture's own scale: Ahn and Kwak 2018, affinity network."""
    jitter = partial(color_jitter, brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)
    return (random_flip, jitter, partial(random_crop, size=size))


def deeplab(size: int) -> tuple[Step, ...]:
    """Crop 321 at the picture's own scale: Chen et al. 2015."""
    return (random_flip, partial(random_crop, size=size))


def segmentation(size: int) -> tuple[Step, ...]:
    """Scale 0.7 to 1.3, crop 321."""
    return (partial(random_scale, low=0.7, high=1.3), *deeplab(size))


def resnet(size: int) -> tuple[Step, ...]:
    """8 % to 100 % of the area: ImageNet training, SeeNet."""
    return (partial(random_resized_crop, size=size), random_flip)


def warp(size: int) -> tuple[Step, ...]:
    """Warp to the crop's size, nothing random: test view of the evaluation protocol (Choe et al. 2020)."""
    return (partial(resize, size=size),)


def center(size: int) -> tuple[Step, ...]:
    """Short side 256, middle 224: test view of ImageNet classification."""
    return (partial(short_side, size=round(size * 256 / 224)), partial(center_crop, size=size))


def warp_center(size: int) -> tuple[Step, ...]:
    """Warp to 256, middle 224: test view of SPG's released script."""
    return (partial(resize, size=round(size * 256 / 224)), partial(center_crop, size=size))


# Each makes crops of the size asked for; other lengths keep the paper's proportion to its crop.
AUGMENTATIONS: dict[str, Callable[[int], tuple[Step, ...]]] = {
    "wsol": wsol,
    "spg": spg,
    "affinity-cam": affinity_cam,
    "affinity-net": affinity_net,
    "deeplab": deeplab,
    "segmentation": segmentation,
    "resnet": resnet,
    "none": warp,
}
VIEWS: dict[str, Callable[[int], tuple[Step, ...]]] = {
    "warp": warp,
    "center": center,
    "warp-center": warp_center,
}


def _size(sample: Sample) -> tuple[int, int]:
    height, width = sample["image"].shape[-2:]
    return height, width


def _uniform(generator: Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), generator=generator).item()


def _integer(generator: Generator, low: int, high: int) -> int:
    """Draw a whole number from `low` to `high`, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def _offset(generator: Generator, slack: int) -> int:
    """Draw where a window starts: inside the picture, or before it where the picture is smaller."""
    return _integer(generator, min(slack, 0), max(slack, 0))


def _scale(sample: Sample, factor: float, how: InterpolationMode = InterpolationMode.BILINEAR) -> Sample:
    height, width = _size(sample)
    return _resize(sample, max(1, round(height * factor)), max(1, round(width * factor)), how)


def _resize(
    sample: Sample, height: int, width: int, how: InterpolationMode = InterpolationMode.BILINEAR
) -> Sample:
    # The kernel of a mask is nearest whatever is asked for; boxes have none.
    return {name: F.resize(part, [height, width], how) for name, part in sample.items()}


def _window(sample: Sample, top: int, left: int, height: int, width: int) -> Sample:
    """Cut a window that may reach beyond the picture."""
    h, w = _size(sample)
    first = (max(top, 0), max(left, 0))
    last = (min(top + height, h), min(left + width, w))
    inside = {
        name: F.crop(part, first[0], first[1], last[0] - first[0], last[1] - first[1])
        if name != "boxes"
        else part
        for name, part in sample.items()
    }
    pad = [first[1] - left, first[0] - top, left + width - last[1], top + height - last[0]]
    if any(pad):
        image = F.to_dtype(inside["image"], torch.float32, scale=True)
        inside["image"] = F.pad(image, pad, fill=list(MEAN))
        if "mask" in inside:
            inside["mask"] = F.pad(inside["mask"], pad, fill=IGNORE)
    if "boxes" in sample:
        moved = sample["boxes"].as_subclass(Tensor) - torch.tensor([left, top, left, top])
        inside["boxes"] = tv_tensors.BoundingBoxes(
            moved, format=tv_tensors.BoundingBoxFormat.XYXY, canvas_size=(height, width)
        )
    return inside
