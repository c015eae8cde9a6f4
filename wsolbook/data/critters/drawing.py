"""Draw with signed distances: shapes are functions of the pixel's position, and their edges are smooth.

The distance to a shape is negative inside and positive outside. Half a pixel on both sides of zero it
turns into coverage, which is all that anti-aliasing needs; the same distance darkens the outline and
rounds the surface with light from above.

Only element-wise operations whose result is exactly rounded touch a pixel, one at a time: a picture is the
same, bit for bit, whatever batch it is drawn in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

# The points within a radius of a line: `(x0, y0, x1, y1, r0, r1, bend, swing)`. It runs from `(x0, y0)` with
# radius `r0` to `(x1, y1)` with radius `r1`; its middle is pushed sideways by `bend`; `swing` says how far
# its end follows the stride of an animal; both may be left out. A dot has no length, a horn no end radius.
Capsule = tuple[float | int, ...]
NOWHERE: Capsule = (0.0, 0.0, 0.0, 0.0, -99.0, -99.0, 0.0, 0.0)


def table(rows: Sequence[Sequence[Capsule]]) -> Float[Tensor, "s g 8"]:
    """Stack rows of capsules of any number, padded with `NOWHERE`."""
    width = max(1, max(len(row) for row in rows))
    padded = [[*row, *[NOWHERE] * (width - len(row))] for row in rows]
    return torch.tensor([[(*shape, 0.0, 0.0)[:8] for shape in row] for row in padded])


def reach(*tables: Float[Tensor, "s _ 8"]) -> Float[Tensor, s]:
    """Return how far from the origin the shapes of each row extend, for strides up to 0.2."""
    farthest = []
    for shapes in tables:
        x0, y0, x1, y1, r0, r1, bend, swing = shapes.unbind(2)
        first = torch.hypot(x0, y0) + r0
        last = torch.hypot(x1.abs() + 0.2 * swing.abs(), y1) + r1
        farthest.append((torch.maximum(first, last) + bend.abs()).amax(1))
    return torch.stack(farthest).amax(0)


def rgb(code: str) -> tuple[float, float, float]:
    """Turn `#rrggbb` into three numbers in [0, 1]."""
    return int(code[1:3], 16) / 255, int(code[3:5], 16) / 255, int(code[5:7], 16) / 255


def capsules(
    x: Float[Tensor, "n h w"], y: Float[Tensor, "n h w"], shapes: Float[Tensor, "n g 8"]
) -> Float[Tensor, "n h w"]:
    """Return the signed distance to the union of `g` bent, tapered capsules.

    A capsule is measured in the frame of its axis, `u` along and `v` across: the nearest point of the axis
    is at `u` clamped to its length, the radius there is interpolated, and a bend shifts `v` by a parabola.
    The distance is exact for straight capsules of one radius and close to it near the outline of all others.

    Args:
        x: horizontal position of each pixel in the frame of the shapes.
        y: vertical position, downwards.
        shapes: from `table`, on the CPU.
    """
    x0, y0, x1, y1, r0, r1, bend, _ = shapes.unbind(2)
    length = torch.sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0))
    dot = length < 1e-3
    inverse = 1 / length.clamp(min=1e-3)
    length = torch.where(dot, 0, length)
    cos, sin = torch.where(dot, 1, (x1 - x0) * inverse), torch.where(dot, 0, (y1 - y0) * inverse)
    along, across = x0 * cos + y0 * sin, y0 * cos - x0 * sin
    columns = torch.stack([cos, sin, along, across, length, inverse, r0, r1 - r0, 4 * bend])
    bent, there = bend.any(0).tolist(), (r0 > NOWHERE[4]).any(0).tolist()
    nearest = torch.full_like(x, -NOWHERE[4])
    for k, column in enumerate(columns.to(x.device)[..., None, None].unbind(2)):
        if not there[k]:
            continue
        cos, sin, along, across, length, inverse, r0, growth, bend = column.unbind()
        u = x * cos
        u += y * sin
        u -= along
        v = y * cos
        v -= x * sin
        v -= across
        foot = torch.minimum(u.clamp(min=0), length)
        u -= foot
        foot *= inverse
        if bent[k]:
            v += foot * (1 - foot) * bend
        u *= u
        v *= v
        u += v
        u.sqrt_()
        foot *= growth
        u -= foot
        u -= r0
        nearest = torch.minimum(nearest, u, out=nearest)
    return nearest


@dataclass
class Region:
    """A square window of each canvas of a batch, where the pixels of one thing lie.

    Attributes:
        canvas: what is painted on: three channels of light, one of coverage for each of three parts, and one
            of fine noise that painting does not change.
        index: place of each pixel of the window in its canvas, or None for the whole canvas.
        x: column of each pixel's center, in picture widths.
        y: row of each pixel's center.
        pixels: the same channels of the window.
    """

    canvas: Float[Tensor, "n c H W"]
    index: Int[Tensor, "n 1 hw"] | None
    x: Float[Tensor, "n h w"]
    y: Float[Tensor, "n h w"]
    pixels: Float[Tensor, "n c h w"]

    @classmethod
    def around(
        cls, canvas: Float[Tensor, "n c H W"], center: Float[Tensor, "n 2"], reach: Float[Tensor, n]
    ) -> Region:
        """Cut the window that holds everything within `reach` of `center`, both in picture widths."""
        n, channels, size, _ = canvas.shape
        side = min(size, int((2 * reach.max() * size).ceil()) + 3)
        first = ((center * size - side / 2).round().long()).clamp(0, size - side)
        steps = torch.arange(side, device=canvas.device)
        column, row = first[:, :1] + steps, first[:, 1:] + steps
        x = ((column + 0.5) / size)[:, None, :].expand(n, side, side)
        y = ((row + 0.5) / size)[:, :, None].expand(n, side, side)
        if side == size:
            return cls(canvas, None, x, y, canvas)
        index = (row[:, :, None] * size + column[:, None, :]).view(n, 1, -1)
        pixels = canvas.flatten(2).gather(2, index.expand(-1, channels, -1))
        return cls(canvas, index, x, y, pixels.view(n, channels, side, side))

    def frame(self, matrix: Float[Tensor, "n 2 3"]) -> tuple[Float[Tensor, "n h w"], Float[Tensor, "n h w"]]:
        """Return the pixels' positions in a frame given as an affine map of picture positions."""
        a = matrix[..., None, None]
        x, y = self.x[:, :1], self.y[:, :, :1]  # all rows and all columns are alike
        return x * a[:, 0, 0] + (y * a[:, 0, 1] + a[:, 0, 2]), x * a[:, 1, 0] + (y * a[:, 1, 1] + a[:, 1, 2])

    def paste(self) -> None:
        """Put the painted window back on its canvas."""
        if self.index is not None:
            channels = self.canvas.shape[1]
            self.canvas.flatten(2).scatter_(2, self.index.expand(-1, channels, -1), self.pixels.flatten(2))


def cover(distance: Float[Tensor, "n h w"], pixel: Float[Tensor, n]) -> Float[Tensor, "n h w"]:
    """Return how much of each pixel a shape covers, from distance and pixel width in the same unit."""
    return (0.5 - distance / pixel[:, None, None]).clamp(0, 1)


def shade(
    distance: Float[Tensor, "n h w"], pixel: Float[Tensor, n], round_over: float, ink: float
) -> Float[Tensor, "n h w"]:
    """Return the light on a soft, rounded surface with a dark outline, 1 where it is flat.

    Args:
        distance: signed distance to the silhouette.
        pixel: width of a pixel in the unit of `distance`.
        round_over: depth from the edge at which the surface has become flat, same unit.
        ink: width of the outline, same unit.
    """
    slope = torch.zeros_like(distance)
    slope[:, 1:] = distance[:, 1:] - distance[:, :-1]
    slope /= pixel[:, None, None]
    edge = (distance / round_over + 1).clamp(0, 1)
    edge *= edge
    slope *= edge
    slope *= -0.26
    slope -= 0.08 * edge
    line = (distance / ink + 1.4).clamp(0, 1)
    slope -= 0.42 * line
    slope += 1.04
    return slope


def paint(
    region: Region,
    coverage: Float[Tensor, "n h w"],
    color: Float[Tensor, "n 3"] | Float[Tensor, "n 3 h w"],
    light: Float[Tensor, "n h w"] | None = None,
    part: int | None = None,
) -> None:
    """Lay a color over a region, and give the covered share of each pixel to a part.

    Args:
        region: where; changed in place.
        coverage: opacity, 0 to 1. Where it is 0 the region stays as it was, bit for bit.
        color: one a picture, or one a pixel.
        light: brightness that multiplies the color.
        part: channel behind the colors that gains what the others lose; None paints inside what is there.
    """
    ink = color if color.ndim == 4 else color[:, :, None, None]
    if light is not None:
        ink = ink * light[:, None]
    below = region.pixels[:, :3]
    step = ink - below
    step *= coverage[:, None]
    below += step
    if part is not None:
        shares = region.pixels[:, 3:6]
        shares *= (1 - coverage)[:, None]
        shares[:, part] += coverage
