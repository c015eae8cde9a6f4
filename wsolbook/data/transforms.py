"""What happens to a picture before a network sees it: geometry of the ground truth, scaling of the values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Num, UInt8
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

# A picture with its ground truth: "image", and where known "boxes" and "mask".
Sample = dict[str, tv_tensors.TVTensor]

# Channel statistics of ImageNet: every network of the book, pre-trained or not, sees pictures scaled by them.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# The number in a mask of what is not known.
IGNORE = 255


def channels(values: tuple[float, float, float], like: Tensor) -> Float[Tensor, "3 1 1"]:
    """Return a number for each channel, where `like` is, without a copy that waits for a device."""
    return torch.stack([like.new_full((1, 1), value) for value in values])


def to_network(
    images: UInt8[Tensor, "*n 3 h w"] | Float[Tensor, "*n 3 h w"],
) -> Float[Tensor, "*n 3 h w"]:
    """Turn pictures, bytes or numbers in [0, 1], into network input."""
    shares = images if images.is_floating_point() else images.float().div_(255)
    mean, std = channels(MEAN, shares), channels(STD, shares)
    return (shares - mean if shares is images else shares.sub_(mean)).div_(std)


def from_network(images: Float[Tensor, "*n 3 h w"]) -> Float[Tensor, "*n 3 h w"]:
    """Turn network input back into pictures in [0, 1]."""
    return (images * channels(STD, images) + channels(MEAN, images)).clamp(0, 1)


def to_bytes(images: Float[Tensor, "*n 3 h w"]) -> UInt8[Tensor, "*n 3 h w"]:
    """Turn network input back into bytes, which a CRF looks at."""
    return (255 * from_network(images)).round().to(torch.uint8)


def sample(
    picture: Image.Image,
    boxes: Num[Tensor, "k 4"] | None = None,
    mask: UInt8[Tensor, "h w"] | None = None,
) -> Sample:
    """Wrap a picture and its ground truth, so that steps move them together.

    Args:
        picture: 8-bit RGB.
        boxes: inclusive pixel corners `(x0, y0, x1, y1)`; inside a sample their far edges are exclusive.
        mask: class numbers at the size of the picture.
    """
    wrapped: Sample = {"image": tv_tensors.Image(F.pil_to_tensor(picture))}
    if boxes is not None:
        edges = boxes.float() + torch.tensor([0.0, 0.0, 1.0, 1.0])
        size = (picture.height, picture.width)
        wrapped["boxes"] = tv_tensors.BoundingBoxes(
            edges, format=tv_tensors.BoundingBoxFormat.XYXY, canvas_size=size
        )
    if mask is not None:
        wrapped["mask"] = tv_tensors.Mask(mask)
    return wrapped


def stacked(samples: Sequence[Sample]) -> UInt8[Tensor, "n 3 h w"] | Float[Tensor, "n 3 h w"]:
    """Return the pictures of samples of one size as bytes, or as network input where one holds fractions."""
    pictures = [sample["image"].as_subclass(Tensor) for sample in samples]
    if not any(picture.is_floating_point() for picture in pictures):
        return torch.stack(pictures)
    return torch.stack([to_network(picture) for picture in pictures])


def boxes_of(sample: Sample) -> Float[Tensor, "k 4"]:
    """Return the boxes of a sample as inclusive corners, cut at the picture's border.

    A box that lies outside altogether is kept as a degenerate one (x1 < x0 or y1 < y0), so that
    positions still match the classes of the boxes.
    """
    height, width = sample["image"].shape[-2:]
    edges = sample["boxes"].as_subclass(Tensor)
    limit = torch.tensor([width, height, width, height], dtype=edges.dtype)
    return edges.clamp(min=0).minimum(limit) - torch.tensor([0.0, 0.0, 1.0, 1.0])


def warp_boxes(
    boxes: Num[Tensor, "k 4"], size: tuple[int, int], target: tuple[int, int]
) -> Int[Tensor, "k 4"]:
    """Move boxes with a picture that is resized without keeping its aspect, truncating to whole pixels.

    This is the evaluation protocol's rule (Choe et al. 2020): corners times target / size, then truncation.

    Args:
        boxes: inclusive corners in a picture of `size`.
        size: width and height before.
        target: width and height after.
    """
    before = torch.tensor([*size, *size], dtype=torch.float64)
    after = torch.tensor([*target, *target], dtype=torch.float64)
    return (boxes.cpu().double() * after / before).long()


def warp_masks(masks: UInt8[Tensor, "*n h w"], target: tuple[int, int]) -> UInt8[Tensor, "*n H W"]:
    """Resize masks without keeping their aspect, by the nearest neighbor of the evaluation protocol.

    It is OpenCV's `INTER_NEAREST`: pixel i is pixel floor(i * (1 / (new / old))) in double precision. Where
    the exact product is a whole number, rounding decides which, and torch's rounding decides otherwise.

    Args:
        masks: numbers of classes.
        target: width and height after.
    """
    height, width = (
        torch.from_numpy(np.floor(np.arange(new) * (1 / (new / old))).astype(np.int64)).clamp(max=old - 1)
        for new, old in zip(reversed(target), masks.shape[-2:], strict=True)
    )
    return masks[..., height[:, None], width]
