"""Draw figures on a landscape, in one compiled pass: shadows, things, animals, and the truth about them.

A shape is a signed distance: negative inside, positive outside. Half a pixel on both sides of zero it turns
into coverage, which is all that anti-aliasing needs; the same distance darkens the outline and rounds the
surface with light from above. Only sums, products, quotients and square roots touch a pixel, in double
precision and in a fixed order, so that every machine draws the same picture.
"""

from __future__ import annotations

from typing import Any, NamedTuple, no_type_check

import numpy as np

from wsolbook.compiled import compiled

# The points within a radius of a line: `(x0, y0, x1, y1, r0, r1, bend, swing0, swing1)`. It runs from
# `(x0, y0)` with radius `r0` to `(x1, y1)` with radius `r1`; its middle is pushed sideways by `bend`; the
# swings say how far its ends follow the stride of an animal. What is left out is 0. A dot has no length, a
# horn no end radius.
Capsule = tuple[float | int, ...]

OWN, COAT, PATTERN, PALE = range(4)  # what a layer is dyed with
FAR = 99.0


def record(integers: str, floats: str) -> np.dtype:
    """Return the type of a record with these fields."""
    return np.dtype(
        [(name, np.int64) for name in integers.split()] + [(name, np.float64) for name in floats.split()]
    )


# One coat of paint: capsules `first` to `last`; the color, or its factor if it is dyed with the coat; the
# part that gains it (-1: none); `clip`: laid only over the last layer that was not clipped; `depth`: how far
# it follows the look of a head; `smooth`: radius of its joints; `round`: depth at which its surface is flat,
# 0 for paint; `ink`: width of its outline; `soft`: width of its edge, 0 for a pixel; `grain`: of its fur.
LAYER = record("first last dye part clip", "red green blue depth smooth round ink soft opacity grain")
# A head, a body or a thing: which figure of the atlas (-1: none), whose (-1: a thing's), where its origin is
# and how long its unit, in picture widths, its rotation in radians, whether it is mirrored (-1), how far it
# looks aside, how bright it is, its shadow, its coat and stride, and the parts that it lacks.
PIECE = record(
    "figure owner label is_head pattern no_head no_body no_limbs",
    "x y unit angle facing look shade shadow_x shadow_y shadow "
    "red green blue red2 green2 blue2 wave0 wave1 wave2 stride",
)


class Atlas(NamedTuple):
    """All that can be drawn: shapes, layers of paint, the layers of each figure, and coats.

    Attributes:
        capsules: one `Capsule` a row.
        layers: records of `LAYER`.
        figures: first and last layer of each head, body and thing, back to front.
        waves: of each coat: three waves across it, their strengths, and the level where its color changes.
    """

    capsules: Any
    layers: Any
    figures: Any
    waves: Any


@compiled
@no_type_check
def prepare(capsules, first, last, stride, ready):
    """Turn capsules into what `distance` needs: axis, length, radii and bend."""
    for k in range(first, last):
        c = capsules[k]
        x0, x1 = c[0] + c[7] * stride, c[2] + c[8] * stride
        length = np.sqrt((x1 - x0) ** 2 + (c[3] - c[1]) ** 2)
        cos, sin, inverse = 1.0, 0.0, 0.0
        if length > 1e-3:
            inverse = 1 / length
            cos, sin = (x1 - x0) * inverse, (c[3] - c[1]) * inverse
        r = ready[k - first]
        r[0], r[1], r[2], r[3] = cos, sin, x0 * cos + c[1] * sin, c[1] * cos - x0 * sin
        r[4], r[5], r[6], r[7], r[8] = length, inverse, c[4], c[5] - c[4], 4 * c[6]


@compiled
@no_type_check
def distance(x, y, ready, count, smooth):
    """Return the signed distance of a point to the union of bent, tapered capsules.

    A capsule is measured in the frame of its axis, `u` along and `v` across: the nearest point of the axis
    is at `u` clamped to its length, the radius there is interpolated, and a bend shifts `v` by a parabola.
    The distance is exact for straight capsules of one radius and close to it near the outline of all others.
    Joints are rounded by the polynomial smooth minimum (I. Quilez) of radius `smooth`.
    """
    nearest = FAR
    for k in range(count):
        r = ready[k]
        u = x * r[0] + y * r[1] - r[2]
        v = y * r[0] - x * r[1] - r[3]
        foot = min(max(u, 0.0), r[4])
        along = foot * r[5]
        v += along * (1 - along) * r[8]
        u -= foot
        d = np.sqrt(u * u + v * v) - along * r[7] - r[6]
        near = smooth - abs(nearest - d)
        nearest = min(nearest, d)
        if near > 0:
            nearest -= near * near / (4 * smooth)
    return nearest


@compiled
@no_type_check
def wave(turns):
    """Return a wave of period 1 between -1 and 1, made of parabolas: unlike a sine, the same everywhere."""
    t = 2 * (turns - np.floor(turns)) - 1
    return 4 * t * (1 - abs(t))


@compiled
@no_type_check
def shadow(light, x, y, width, darkness):
    """Darken the ground in a flat ellipse of half width `width`; all in picture widths."""
    size, height = light.shape[1], 0.22 * width
    for i in range(max(0, int((y - height) * size)), min(size, int((y + height) * size) + 1)):
        v = ((i + 0.5) / size - y) / height
        for j in range(max(0, int((x - width) * size)), min(size, int((x + width) * size) + 1)):
            u = ((j + 0.5) / size - x) / width
            depth = max(1 - u * u - v * v, 0.0) * darkness
            for c in range(3):
                light[c, i, j] *= 1 - depth


@compiled
@no_type_check
def turned(x, y, look, squeeze):
    """Return a point of a symmetric head that looks aside: its far half is foreshortened."""
    x -= look
    return abs(x) * (1 + squeeze if x > 0 else 1 / (1 + 0.3 * squeeze)), y


@compiled
@no_type_check
def figure(atlas, piece, fine, light, shares, work):
    """Paint the layers of a figure, and hand their pixels to its parts.

    Args:
        atlas: see `Atlas`.
        piece: record of `PIECE`.
        fine: noise of the picture.
        light: the picture; changed in place.
        shares: how much of each pixel belongs to each part; changed in place.
        work: scratch space: coverage and glow of the last layer, distances of the row above.
    """
    size = light.shape[1]
    cover_below, glow_below, above, ready = work
    x, y, unit, facing, head = piece.x, piece.y, piece.unit, piece.facing, piece.is_head
    cos, sin, pixel = np.cos(piece.angle), np.sin(piece.angle), 1 / (size * unit)
    waves = atlas.waves[piece.pattern]
    coat, second = (piece.red, piece.green, piece.blue), (piece.red2, piece.green2, piece.blue2)
    phase = (piece.wave0, piece.wave1, piece.wave2)
    which, shade = piece.figure, piece.shade
    start, stop = atlas.figures[which, 0], atlas.figures[which, 1]
    for number in range(start, stop):
        layer = atlas.layers[number]
        count = layer.last - layer.first
        lacks = (layer.part == 0 and piece.no_head) or (layer.part == 1 and piece.no_body)
        if count == 0 or lacks or (layer.part == 2 and piece.no_limbs):
            continue
        prepare(atlas.capsules, layer.first, layer.last, piece.stride, ready)
        aside, squeeze = piece.look * layer.depth, max(0.9 * piece.look * layer.depth, 0.0)
        left, right, top, bottom = 9.0, -9.0, 9.0, -9.0
        for k in range(layer.first, layer.last):  # the window that holds the layer
            c = atlas.capsules[k]
            for end in (0, 2):
                for side in (1, -1) if head else (1, 1):
                    a = side * (c[end] + c[7 + end // 2] * piece.stride) + aside
                    b = c[end + 1]
                    u, v = x + unit * (cos * facing * a - sin * b), y + unit * (sin * facing * a + cos * b)
                    reach = abs(c[6]) + layer.smooth / 4 + layer.soft + 1.5 * pixel
                    reach = unit * (reach + c[4 + end // 2]) * (1 + 0.3 * squeeze)
                    left, right = min(left, u - reach), max(right, u + reach)
                    top, bottom = min(top, v - reach), max(bottom, v + reach)
        first, last = max(0, int(left * size)), min(size, int(right * size) + 1)
        if number + 1 < stop and atlas.layers[number + 1].clip and not layer.clip:
            cover_below[:] = 0
        above[:] = FAR
        color = (layer.red * shade, layer.green * shade, layer.blue * shade)
        if layer.dye != OWN:
            color = (coat[0] * layer.red, coat[1] * layer.green, coat[2] * layer.blue)
        if layer.dye == PALE:
            color = (coat[0] * 0.55 + 0.45, coat[1] * 0.55 + 0.45, coat[2] * 0.55 + 0.45)
        width = max(pixel, layer.soft)
        for i in range(max(0, int(top * size)), min(size, int(bottom * size) + 1)):
            for j in range(first, last):
                if layer.clip and cover_below[i, j] == 0:
                    continue
                dx, dy = (j + 0.5) / size - x, (i + 0.5) / size - y
                px, py = (dx * cos + dy * sin) * facing / unit, (dy * cos - dx * sin) / unit
                if head:
                    px, py = turned(px, py, aside, squeeze)
                d = distance(px, py, ready, count, layer.smooth)
                slope = (d - above[j]) / pixel if above[j] < FAR else 0.0
                above[j] = d
                cover = min(max(0.5 - d / width, 0.0), 1.0) * layer.opacity
                if cover == 0:
                    continue
                glow = 1.0
                if layer.round > 0:
                    edge = min(max(d / layer.round + 1, 0.0), 1.0) ** 2
                    line = min(max(d / layer.ink + 1.4, 0.0), 1.0)
                    glow = 1.04 - 0.08 * edge - 0.26 * slope * edge - 0.42 * line
                    glow *= 1 + layer.grain * fine[i, j]
                if layer.clip:
                    cover *= cover_below[i, j]
                    glow = glow_below[i, j]
                else:
                    cover_below[i, j], glow_below[i, j] = cover, glow
                mark = 0.0
                if layer.dye == PATTERN:
                    for k in range(3):
                        mark += waves[6 + k] * wave(px * waves[2 * k] + py * waves[2 * k + 1] + phase[k])
                    mark = min(max((mark - waves[9]) * 4, 0.0), 1.0)
                for c in range(3):
                    paint = (color[c] + (second[c] - color[c]) * mark) * glow
                    light[c, i, j] += (min(max(paint, 0.0), 1.0) - light[c, i, j]) * cover
                if layer.part >= 0 and not layer.clip:
                    for c in range(3):
                        shares[c, i, j] *= 1 - cover
                    shares[layer.part, i, j] += cover


@compiled
@no_type_check
def claim(owner, shares, owners, parts):
    """Give an animal, and its part with the largest share, each pixel that it covers to one half or more."""
    for i in range(owners.shape[0]):
        for j in range(owners.shape[1]):
            head, body, limbs = shares[0, i, j], shares[1, i, j], shares[2, i, j]
            if head + body + limbs >= 0.5:
                owners[i, j] = owner
                parts[0, i, j] = head >= body and head >= limbs
                parts[1, i, j] = body > head and body >= limbs
                parts[2, i, j] = limbs > head and limbs > body
            shares[0, i, j] = shares[1, i, j] = shares[2, i, j] = 0


@compiled
@no_type_check
def draw(atlas, pieces, darkness, fine, images, masks, parts, boxes):
    """Draw pictures from records: light, class in front, its part, and corners of what is visible.

    Args:
        atlas: see `Atlas`.
        pieces: `n` rows of records of `PIECE`, back to front: things, then body and head of each animal.
        darkness: of the shadows in each picture.
        fine: n x h x w, noise about 0, for fur.
        images: n x 3 x h x w, landscapes with light in [0, 1], to draw upon.
        masks: n x h x w, filled with labels of animals, 0 for none.
        parts: n x 3 x h x w of zeros, filled with whether the pixel shows head, body or limbs.
        boxes: n x animals x 4 of -1, filled with inclusive corners where something is visible.
    """
    size = images.shape[-1]
    shares = np.zeros((3, size, size))
    labels, owners = np.zeros(boxes.shape[1], np.int64), np.empty((size, size), np.int64)
    work = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size), np.zeros((32, 9))
    for n in range(len(pieces)):
        light = images[n]
        owners[:] = -1
        for animals in range(2):  # shadows lie on the ground, under all animals, whatever parts these lack
            for p in pieces[n]:
                if p.shadow > 0 and (p.owner >= 0) == animals:
                    shadow(light, p.shadow_x, p.shadow_y, p.shadow, darkness[n])
            for p in pieces[n]:
                if p.figure >= 0 and (p.owner >= 0) == animals:
                    figure(atlas, p, fine[n], light, shares, work)
                    if p.is_head:
                        claim(p.owner, shares, owners, parts[n])
                        labels[p.owner] = p.label
        for i in range(size):
            for j in range(size):
                k = owners[i, j]
                masks[n, i, j] = 0 if k < 0 else labels[k]
                if k >= 0:
                    b = boxes[n, k]
                    b[0] = j if b[0] < 0 else min(b[0], j)
                    b[1] = i if b[1] < 0 else b[1]
                    b[2], b[3] = max(b[2], j), i
