"""Permutohedral lattice: Gaussian filtering of points in a few dimensions, in time linear in their number.

Each point shares its value among the d + 1 corners of the simplex around it (splat), the corners are blurred
with (1/2, 1, 1/2) along the d + 1 axes of the lattice, and the point reads them back (slice). Only corners
that a point touched exist. Adams, Baek and Davis 2010; scale and order of axes as in the C++ of Krähenbühl
and Koltun 2011, because its numbers are the field's reference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from wsolbook.doubts import wrong


@dataclass(frozen=True)
class Lattice:
    """The corners that points touch, and with which weight. Made by `lattice`.

    Attributes:
        corner: the corners of the simplex around each point.
        weight: the share of each; splat and slice use the same ones, so that the filter is symmetric up to
            the order of its axes.
        point: the points around each corner, corner after corner.
        share: the weight of each of those.
        ends: where the list of each corner begins, and the end of the last.
        near: each corner itself and its two neighbors, along each axis.
        kernel: (1, 1/2, 1/2), with 0 where no point touched the neighbor.
    """

    corner: Int[Tensor, "p s"]
    weight: Float[Tensor, "p s"]
    point: Int[Tensor, " e"]
    share: Float[Tensor, " e"]
    ends: Int[Tensor, " _"]
    near: Int[Tensor, "s v 3"]
    kernel: Float[Tensor, "s v 3"]

    def filter(self, values: Float[Tensor, "p c"]) -> Float[Tensor, "p c"]:
        """Return approximately `sum_j exp(-|f_i - f_j|^2 / 2) values_j` for each point i, itself included.

        Gradients reach `values`, not the features.
        """
        return _Filter.apply(values, self, False)

    def normalized(self) -> Lattice:
        """Return the lattice that filters with `N^-1/2 K N^-1/2`, N the row sums of the kernel K."""
        rows = self.filter(torch.ones_like(self.weight[:, :1]))
        scale = (rows + 1e-20).rsqrt()
        return replace(
            self, weight=self.weight * scale, share=self.share * scale[:, 0].index_select(0, self.point)
        )

    def to(self, device: torch.device) -> Lattice:
        """Return the lattice on a device, which a card copies by itself."""
        if self.weight.device == device:
            return self
        pin = device.type == "cuda" and self.weight.is_cpu
        parts = {name: part.pin_memory() if pin else part for name, part in vars(self).items()}
        return Lattice(**{name: part.to(device, non_blocking=pin) for name, part in parts.items()})


class _Filter(torch.autograd.Function):
    """Splat, blur, slice; the transpose, and so the gradient, takes the axes the other way round."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, lattice: Lattice, backwards: bool) -> Tensor:
        ctx.lattice, ctx.backwards = lattice, backwards
        # A bag is a weighted sum of rows: one call, no intermediate of the size of all shares.
        at = embedding_bag(
            lattice.point,
            values.contiguous(),
            lattice.ends,
            mode="sum",
            per_sample_weights=lattice.share,
            include_last_offset=True,
        )
        axes = list(zip(lattice.near, lattice.kernel, strict=True))
        for near, kernel in reversed(axes) if backwards else axes:
            at = embedding_bag(near, at, mode="sum", per_sample_weights=kernel)
        return embedding_bag(lattice.corner, at, mode="sum", per_sample_weights=lattice.weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Filter.apply(gradients[0], ctx.lattice, not ctx.backwards), None, None


@torch.no_grad()
def lattice(features: Float[Tensor, "p d"], group: Int[Tensor, " p"] | None = None) -> Lattice:
    """Build the lattice of points; a distance of 1 is one standard deviation of the Gaussian.

    Args:
        features: position of each point, already divided by the widths of the kernel.
        group: points of different groups, such as the pictures of a batch, do not see each other.

    Raises:
        ValueError: when there is no point, a feature is not finite, or they spread too far for their widths.
    """
    points, d = features.shape
    if not points or wrong(~torch.isfinite(features).all()):
        raise ValueError(f"a lattice needs points with finite features, got {points} of {d} dimensions")
    origin, rank, weight = _simplex(features.nan_to_num(0, 0, 0).T)

    # Places of the lattice are named by one integer that is linear in their first d coordinates, with room
    # for one step beyond on all sides: a step from one corner to another adds a constant to the name.
    low = origin.amin(1)[:d] - 2
    spread = (origin.amax(1)[:d] - low + 3) * (d + 1)
    last = low.new_zeros(1) if group is None else group.max()[None]
    *span, last_group = torch.cat([spread, last]).tolist()  # at once, as reading waits for a device
    stride, groups = [math.prod(span[:i]) for i in range(d + 1)], last_group + 1
    if stride[d] * groups >= 2**63:
        raise ValueError("features spread too far for a lattice: the widths of the kernel are too small")

    # Neighboring pixels share a simplex, which its center names; its corners are named once for all of them.
    center = sum(((d + 1) * (origin[i] - low[i]) - rank[i]) * stride[i] for i in range(d))
    center = center if group is None else center + group * stride[d]
    simplices, simplex = center.unique(return_inverse=True)
    rank = rank[:, torch.empty_like(simplices).scatter_(0, simplex, _count(points, simplex))].long()
    first = simplices + sum(rank[i] * stride[i] for i in range(d))
    step = [(d + 1) * s for s in stride[:d]]
    names = [
        first + r * sum(stride[:d]) - sum((rank[i] > d - r) * step[i] for i in range(d)) for r in range(d + 1)
    ]
    known, number = torch.stack(names, 1).unique(return_inverse=True)
    corner = number.int()[simplex]
    grouped, order = corner.flatten().sort()
    return Lattice(
        corner=corner,
        weight=weight,
        point=(order // (d + 1)).int(),
        share=weight.flatten()[order],
        ends=torch.searchsorted(grouped, _count(len(known) + 1, grouped), out_int32=True),
        **_neighbors(known, [s - sum(stride[:d]) for s in (*step, 0)], weight.dtype),
    )


def _count(end: int, like: Tensor) -> Int[Tensor, "_"]:
    return torch.arange(end, dtype=like.dtype, device=like.device)


def _simplex(features: Float[Tensor, "d p"]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the simplex around each point: its corner of remainder 0, the ranks, and the weights.

    Coordinates of the corner, in units of d + 1, and the ranks are `(d + 1, p)`, weights `(p, d + 1)`.
    """
    d, points = features.shape
    factor = float(torch.tensor(math.sqrt(2 / 3) * (d + 1)))  # single precision, as in the reference
    width = [factor / math.sqrt((i + 1) * (i + 2)) for i in range(d)]
    scaled = [row * factor for row, factor in zip(features, width, strict=True)]
    lifted, tail = [], torch.zeros_like(scaled[0])  # in the order of the reference, as rounding decides ties
    for i in reversed(range(d)):
        lifted.append(tail - (i + 1) * scaled[i])
        tail = tail + scaled[i]
    place = torch.stack([tail, *reversed(lifted)])
    nearest = torch.ceil(place * (1 / (d + 1)) - 0.5)  # half goes down
    excess = nearest.sum(0)
    rest = place - (d + 1) * nearest
    rank = torch.zeros(d + 1, points, dtype=torch.int32, device=features.device)
    for i in range(d + 1):
        for j in range(i + 1, d + 1):
            behind = rest[i] < rest[j]
            rank[i] += behind
            rank[j] += ~behind
    rank += excess.int()
    back = (rank < 0).int() - (rank > d).int()  # coordinates of a corner must sum to 0
    rank += (d + 1) * back
    nearest = nearest + back
    rest = (place - (d + 1) * nearest) * (1 / (d + 1))
    rest = torch.empty_like(rest).scatter_(0, rank.long(), rest)  # largest first
    weight = torch.cat((1 + rest[-1:] - rest[:1], (rest[:-1] - rest[1:]).flip(0)))
    # The filter's factor 1 / (1 + 2^-d), half of it when points give and half when they read.
    return nearest.long(), rank, weight.T.contiguous() / math.sqrt(1 + 2**-d)


def _neighbors(names: Int[Tensor, " v"], steps: list[int], dtype: torch.dtype) -> dict[str, Tensor]:
    """Look the neighbors of corners up by name, along each axis; `names` are sorted."""
    own = torch.arange(len(names), device=names.device)
    near, kernel = [], []
    for step in steps:
        ahead = torch.searchsorted(names, names + step).clamp(max=len(names) - 1)
        found = names[ahead] == names + step
        place = torch.where(found, ahead, len(names))  # one more, for those that nobody is ahead of
        behind = torch.cat((own, own[:1])).scatter_(0, place, own)[:-1]
        preceded = found.new_zeros(len(names) + 1).index_fill_(0, place, True)[:-1]
        near.append(torch.stack((own, ahead, behind), 1))
        kernel.append(torch.stack((torch.ones_like(found), found, preceded), 1).to(dtype))
        kernel[-1][:, 1:] /= 2
    return {"near": torch.stack(near).int(), "kernel": torch.stack(kernel)}
