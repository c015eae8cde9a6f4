"""Draw with signed distances: shapes are functions of the pixel's position, edges are smooth, batches are tensors.

The distance to a shape is negative inside and positive outside. Half a pixel on both sides of zero it
turns into coverage, which is all that anti-aliasing needs; the same distance darkens the outline and
rounds the surface with light from above.

Only element-wise operations whose result is exactly rounded touch a pixel, one at a time: a picture is the
same, bit for bit, whatever batch it is drawn in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Columns of a shape: start, end, radius at each, sagitta of the bend, and how far the end swings with the stride.
COLUMNS = 8
NOWHERE = (0.0, 0.0, 0.0, 0.0, -99.0, -99.0, 0.0, 0.0)


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
        shapes: columns as in `wsolbook.data.species`; rows `NOWHERE` are empty.
    """
    nearest: Tensor | None = None
    for shape in shapes.unbind(1):
        x0, y0, x1, y1, r0, r1, bend, _ = (column[:, None, None] for column in shape.unbind(1))
        length = torch.sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0)).clamp(min=1e-3)
        cos, sin = (x1 - x0) / length, (y1 - y0) / length
        cos = torch.where(cos * cos + sin * sin > 0.5, cos, 1)  # the axis of a dot
        u = x * cos
        u += y * sin
        u -= x0 * cos + y0 * sin
        v = y * cos
        v -= x * sin
        v -= y0 * cos - x0 * sin
        foot = torch.minimum(u.clamp(min=0), length)
        u -= foot
        foot /= length
        if bool(bend.any()):
            v += foot * (1 - foot) * (4 * bend)
        u *= u
        v *= v
        u += v
        u.sqrt_()
        foot *= r1 - r0
        u -= foot
        u -= r0
        nearest = u if nearest is None else torch.minimum(nearest, u)
    assert nearest is not None
    return nearest


@dataclass
class Region:
    """A square window of each canvas of a batch, where the pixels of one thing lie.

    Attributes:
        canvas: what is painted on: three channels of light, one of coverage for each of three parts, and one
            of fine noise that painting does not change.
        index: place of each pixel of the window in its canvas, or None for the whole canvas.
        x: column of each pixel's centre, in picture widths.
        y: row of each pixel's centre.
        pixels: the same channels of the window.
    """

    canvas: Float[Tensor, "n c H W"]
    index: Int[Tensor, "n 1 hw"] | None
    x: Float[Tensor, "n h w"]
    y: Float[Tensor, "n h w"]
    pixels: Float[Tensor, "n c h w"]

    @classmethod
    def around(
        cls, canvas: Float[Tensor, "n c H W"], centre: Float[Tensor, "n 2"], reach: Float[Tensor, n]
    ) -> Region:
        """Cut the window that holds everything within `reach` of `centre`, both in picture widths."""
        n, channels, size, _ = canvas.shape
        side = min(size, int((2 * reach.max() * size).ceil()) + 3)
        first = ((centre * size - side / 2).round().long()).clamp(0, size - side)
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
        u = self.x * a[:, 0, 0]
        u += self.y * a[:, 0, 1]
        u += a[:, 0, 2]
        v = self.x * a[:, 1, 0]
        v += self.y * a[:, 1, 1]
        v += a[:, 1, 2]
        return u, v

    def paste(self) -> None:
        """Put the painted window back on its canvas."""
        if self.index is not None:
            channels = self.canvas.shape[1]
            self.canvas.flatten(2).scatter_(2, self.index.expand(-1, channels, -1), self.pixels.flatten(2))


def cover(distance: Float[Tensor, "n h w"], pixel: Float[Tensor, n]) -> Float[Tensor, "n h w"]:
    """Return how much of each pixel a shape covers, from its distance and the width of a pixel in the same unit."""
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
    colour: Float[Tensor, "n 3"] | Float[Tensor, "n 3 h w"],
    light: Float[Tensor, "n h w"] | None = None,
    part: int | None = None,
) -> None:
    """Lay a colour over a region, and give the covered share of each pixel to a part.

    Args:
        region: where; changed in place.
        coverage: opacity, 0 to 1. Where it is 0 the region stays as it was, bit for bit.
        colour: one a picture, or one a pixel.
        light: brightness that multiplies the colour.
        part: channel behind the colours that gains what the others lose; None paints inside what is there.
    """
    ink = colour if colour.ndim == 4 else colour[:, :, None, None]
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
