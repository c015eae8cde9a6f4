"""What happens to a picture before a network sees it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Channel statistics of ImageNet: every network of the book, pre-trained or not, sees pictures scaled by them.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def _channels(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(3, 1, 1)


def normalize(images: Float[Tensor, "*n 3 h w"]) -> Float[Tensor, "*n 3 h w"]:
    """Turn pictures in [0, 1] into network input."""
    return (images - _channels(MEAN, images)) / _channels(STD, images)


def denormalize(images: Float[Tensor, "*n 3 h w"]) -> Float[Tensor, "*n 3 h w"]:
    """Turn network input back into pictures in [0, 1]."""
    return (images * _channels(STD, images) + _channels(MEAN, images)).clamp(0, 1)
