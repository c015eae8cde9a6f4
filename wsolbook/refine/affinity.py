"""Affinities: how alike the features of two cells of a grid are, for all pairs within a radius.

Affinities of a grid are `(n, m, h, w)`: at offset number o and cell (y, x) the affinity of that cell and the
cell `(y + dy, x + dx)`, with `(dy, dx) = offsets(radius)[o]`. Each pair stands there once; a partner outside
the grid gives 0. Ahn and Kwak 2018.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn.functional import l1_loss, pad

CHANNELS = 32  # at a time for one picture: differences of so many stay in the processor's cache


def offsets(radius: int = 5) -> list[tuple[int, int]]:
    """Return (dy, dx) of the partners nearer than `radius` that come later in reading order: 34 for 5.

    Raises:
        ValueError: when the radius is below 2, which leaves no partner.
    """
    if radius < 2:
        raise ValueError(f"radius must be at least 2, got {radius}")
    reach = range(-radius + 1, radius)
    return [
        (dy, dx) for dy in range(radius) for dx in reach if (dy, dx) > (0, 0) and dy**2 + dx**2 < radius**2
    ]


def affinities(
    features: Float[Tensor, "n c h w"], radius: int = 5, reduce: Literal["mean", "sum"] = "mean"
) -> Float[Tensor, "n m h w"]:
    """Return exp(-distance) of each cell to its partners, in (0, 1], differentiable.

    Args:
        features: of each cell.
        radius: partners are nearer than this, in cells.
        reduce: the distance is the mean absolute difference over channels, as in the official code, or its
            sum, as the paper writes it.

    Raises:
        ValueError: on an unknown `reduce`, no channel, or a radius below 2.
    """
    if reduce not in ("mean", "sum"):
        raise ValueError(f'reduce must be "mean" or "sum", got {reduce!r}')
    n, channels, height, width = features.shape
    if channels == 0:
        raise ValueError(f"features of shape {tuple(features.shape)} have no channel")
    steps = offsets(radius)
    distances: list[list[Tensor]] = [[] for _ in steps]
    for some in features.split(max(1, CHANNELS // max(1, n)), 1):
        for parts, step in zip(distances, steps, strict=True):
            # Unlike abs, this keeps nothing for the backward pass but the features themselves.
            parts.append(l1_loss(*_pair(some, step), reduction="none").sum(1))
    scale = channels if reduce == "mean" else 1
    return torch.stack(
        [
            pad(torch.exp(-sum(parts, torch.zeros_like(parts[0])) / scale), _outside(step, height, width))
            for parts, step in zip(distances, steps, strict=True)
        ],
        1,
    )


def partners(values: Shaped[Tensor, "n h w"], radius: int = 5, fill: int = 0) -> Shaped[Tensor, "n m h w"]:
    """Return the value of each cell's partners, `fill` where they are outside the grid."""
    height, width = values.shape[-2:]
    return torch.stack(
        [pad(_pair(values, step)[1], _outside(step, height, width), value=fill) for step in offsets(radius)],
        1,
    )


def pairs(
    height: int,
    width: int,
    radius: int = 5,
    border: Literal["complete", "official"] = "complete",
    device: torch.device | None = None,
) -> Bool[Tensor, "m h w"]:
    """Say which pairs count.

    Args:
        height: rows of the grid.
        width: columns of the grid.
        radius: partners are nearer than this, in cells.
        border: `"complete"` takes every pair inside the grid. `"official"` takes a cell only if all its
            partners are inside, as the authors' code does: 85.6 % of the pairs of a 56 x 56 grid.
        device: where the answer goes.

    Raises:
        ValueError: when no pair is left, or on an unknown `border`.
    """
    if border not in ("complete", "official"):
        raise ValueError(f'border must be "complete" or "official", got {border!r}')
    inside = partners(torch.ones(1, height, width, dtype=torch.bool, device=device), radius)[0]
    if border == "official":
        inside = inside & inside.all(0)
    whole = height >= radius and width >= 2 * radius - 1  # that some cell has all its partners inside
    if not (whole if border == "official" else height * width >= 2):
        raise ValueError(
            f"a grid of {height} x {width} holds no pair within radius {radius} by the {border} border rule"
        )
    return inside


def _pair(values: Tensor, step: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the cells that have a partner at `step`, and those partners."""
    dy, dx = step
    height, width = values.shape[-2:]
    rows, columns = max(0, height - dy), max(0, width - abs(dx))
    left, right = max(0, -dx), max(0, dx)
    return (
        values[..., :rows, left : left + columns],
        values[..., height - rows :, right : right + columns],
    )


def _outside(step: tuple[int, int], height: int, width: int) -> tuple[int, int, int, int]:
    """Return the padding that brings the cells with a partner back to the grid: left, right, top, bottom."""
    dy, dx = step
    left = min(width, max(0, -dx))
    return left, min(width - left, max(0, dx)), 0, min(height, dy)
