"""Random walk: the scores of a map spread to cells of high affinity and stop where affinity is low.

`vec(M*) = T^t vec(M)` with `T = D^-1 W^beta` (Ahn and Kwak 2018). The authors square the matrix of all pairs
of cells eight times. Here T stays a table of 69 neighbors a cell, and its power is expanded in Chebyshev
polynomials, of which t = 256 needs only those up to degree 84.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

from wsolbook.doubts import wrong
from wsolbook.maps import outside, require_finite
from wsolbook.refine.affinity import offsets
from wsolbook.refine.present import pack, unpack


def random_walk(
    maps: Float[Tensor, "n k h w"],
    affinities: Float[Tensor, "b m u v"],
    beta: float = 8.0,
    steps: int = 256,
    radius: int = 5,
    present: Bool[Tensor, "p l"] | None = None,
) -> Float[Tensor, "n k h w"]:
    """Let the scores of each map walk over the grid.

    A new score is a weighted mean of old ones: a constant map stays, and so does `sum_i d_i x_i`, where d are
    the row sums of `W^beta`.

    Args:
        maps: scores, background included if it competes.
        affinities: in 0 to 1, as `refine.affinity.affinities` makes them; pairs set to 0 are not walked.
        beta: power of the affinities: large ones stop the walk at weaker borders.
        steps: t. Eight squarings of the matrix are 256 steps.
        radius: that of the affinities.
        present: the maps of each picture to walk; the others are returned as zeros and cost nothing.

    Returns:
        Scores of the same shape. Gradients reach maps and affinities.

    Raises:
        ValueError: when the affinities are of another number, size or radius than the maps, or not in 0 to 1;
            when a map is not finite; when beta is not positive or the number of steps is negative.
    """
    require_finite(maps)
    n, labels, height, width = maps.shape
    expected = (n, len(offsets(radius)), height, width)
    if affinities.shape != expected:
        raise ValueError(
            f"maps {tuple(maps.shape)} with radius {radius} need affinities {expected}, "
            f"got {tuple(affinities.shape)}"
        )
    if affinities.numel() and wrong(outside(affinities, 1 + 1e-4)):
        raise ValueError("affinities must be in 0 to 1")
    if beta <= 0 or steps < 0:
        raise ValueError(f"beta must be positive and steps not negative, got {beta} and {steps}")
    if present is not None:
        maps, index, _ = pack(maps, present)
    if maps.numel() == 0:
        return maps.new_zeros(n, labels, height, width)
    rows = maps.permute(0, 2, 3, 1).flatten(0, 2).contiguous()
    walked = _power(*transition(affinities.to(rows), beta, radius), rows, steps)
    scores = walked.unflatten(0, (n, height, width)).permute(0, 3, 1, 2).contiguous()
    return scores if present is None else unpack(scores, index, labels)


def transition(
    affinities: Float[Tensor, "n m h w"], beta: float = 8.0, radius: int = 5
) -> tuple[Int[Tensor, "p s"], Float[Tensor, "p s"]]:
    """Return the rows of T: the neighbors of each cell, and the probability to step to each.

    Cells are counted picture after picture, row after row. The first neighbor of a cell is itself, with
    affinity 1, the first; a neighbor outside the grid is named as the cell itself, with probability 0.
    """
    n, _, height, width = affinities.shape
    steps = offsets(radius)
    r = radius - 1
    cells = torch.arange(n * height * width, device=affinities.device).view(n, height, width)
    known = pad(torch.ones_like(cells, dtype=torch.bool), [r] * 4)
    number = pad(cells, [r] * 4)
    power = pad(affinities**beta, [r] * 4)
    names, weights = [cells], [torch.ones_like(affinities[:, 0])]
    for o, (dy, dx) in enumerate(steps):
        for sign in (1, -1):  # a pair is stored with the cell that comes first
            rows, columns = r + sign * dy, r + sign * dx
            there = (..., slice(rows, rows + height), slice(columns, columns + width))
            here = (..., slice(r, r + height), slice(r, r + width))
            names.append(torch.where(known[there], number[there], cells))
            weights.append(torch.where(known[there], power[:, o][here if sign > 0 else there], 0))
    weight = torch.stack(weights, -1).flatten(0, 2)
    return torch.stack(names, -1).flatten(0, 2).int(), weight / weight.sum(1, keepdim=True)


def _power(
    neighbors: Int[Tensor, "p s"],
    probabilities: Float[Tensor, "p s"],
    rows: Float[Tensor, "p k"],
    steps: int,
) -> Float[Tensor, "p k"]:
    """Return `T^steps` applied to rows, by `x^t = sum_j P(|S_t| = j) T_j(x)`, S_t a sum of t fair +-1.

    The series ends where the rest of the probability is below 1e-7; Chebyshev's T_j is at most 1 on the
    spectrum of a transition matrix, so no more than that is lost (Sachdeva and Vishnoi 2014, theorem 3.3).
    """
    # T x as x and its change: 256 roundings of probabilities near 1 would add up where cells hardly move.
    others = probabilities[:, 1:]
    wide = torch.float32 if others.device.type == "mps" else torch.float64  # which Apple's devices lack
    leaving = others.sum(1, keepdim=True, dtype=wide).to(others)
    change = torch.cat((-leaving, others), 1)

    def step(x: Tensor) -> Tensor:
        return x + embedding_bag(neighbors, x, mode="sum", per_sample_weights=change)

    weights = _coin(steps)
    before, now = rows, rows
    total = weights[0] * rows
    for j, weight in enumerate(weights[1:], 1):
        before, now = now, step(now) if j == 1 else 2 * step(now) - before
        if weight:
            total = total + weight * now
    return total


def _coin(tosses: int, rest: float = 1e-7) -> list[float]:
    """Return the probability of each distance that fair steps of +-1 end at, without the far ones."""
    weights = [0.0] * (tosses + 1)
    total = 0.0
    for distance in range(tosses % 2, tosses + 1, 2):
        ways = math.comb(tosses, (tosses - distance) // 2) / 2**tosses
        weights[distance] = ways if distance == 0 else 2 * ways
        total += weights[distance]
        if total > 1 - rest:
            weights = weights[: distance + 1]
            break
    return [w / total for w in weights]
