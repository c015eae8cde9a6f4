"""Every box of every threshold of a map, in one pass over its pixels.

A map of 256 gray levels is thresholded at all of them. Searching contours level by level looks at each
pixel 255 times; but from one level to the next, components only grow and merge. So pixels are switched
on in the order of their level, a union-find structure joins each to its switched-on neighbors, and a box
is written down, with the levels it lived through, only when it changes. The result is a list of *lives*,

    (start, stop, x0, y0, x1, y1, size, first)

each meaning: at thresholds `start <= level < stop`, the binary map `gray > level` has a contour whose
tight box has the inclusive corners (x0, y0) and (x1, y1). When the life ended, `size` was the number of its
pixels or, for `largest`, twice the area of the polygon through them; `first` is the number of the first one
in reading order.

Outer contours belong to 8-connected components of the foreground, inner contours to 4-connected
components of the background that do not reach the frame: holes. The traced border of a hole runs
through the foreground pixels around it, so its box is one pixel larger on each side.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Int, UInt8

from wsolbook.compiled import compiled

START, STOP, X0, Y0, X1, Y1, SIZE, FIRST = range(8)


def outer(gray: UInt8[np.ndarray, "h w"]) -> Int[np.ndarray, "lives 8"]:
    """Return the lives of all foreground components."""
    top = int(gray.max())
    lives = _grow(np.pad(top - gray, 1), top, True, False)
    return _reversed(lives, top)


def holes(gray: UInt8[np.ndarray, "h w"]) -> Int[np.ndarray, "lives 8"]:
    """Return the lives of all holes, each with the box of the border around it."""
    lives = _grow(np.pad(gray, 1), int(gray.max()), False, False)
    lives[:, X0 : Y0 + 1] -= 1
    lives[:, X1 : Y1 + 1] += 1
    return lives


def largest(gray: UInt8[np.ndarray, "h w"]) -> Int[np.ndarray, "lives 8"]:
    """Return the lives of the contour with the largest polygon area, one at each level below the maximum.

    The largest contour is never inside another, so holes can be filled first. The area of what is left is
    a sum over squares of four neighboring pixels: 1 where all four are on, 1/2 where three are. Among equals
    (single pixels and thin lines have area 0) the one that starts last in reading order wins, as it is the
    one that OpenCV lists first.
    """
    filled = _fill(gray)
    top = int(filled.max())
    lives = _reversed(_grow(np.pad(top - filled, 1), top, True, True), top)
    winners = lives[_winners(lives, top)]
    winners[:, START] = np.arange(top)
    winners[:, STOP] = winners[:, START] + 1
    return winners


def most_pixels(on: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "4"]:
    """Return the box of the 8-connected component of `on` with the most pixels."""
    lives = _grow(np.pad(~on, 1).astype(np.uint8), 1, True, False)
    return lives[lives[:, SIZE].argmax(), X0 : Y1 + 1]


def _reversed(lives: Int[np.ndarray, "lives 8"], top: int) -> Int[np.ndarray, "lives 8"]:
    """Turn lives counted in steps down from the maximum into lives counted in levels."""
    lives[:, START], lives[:, STOP] = top - lives[:, STOP], top - lives[:, START]
    return lives


def _patterns(eight: bool) -> tuple[Int[np.ndarray, "256 5"], Int[np.ndarray, "256"]]:
    """Tabulate what a pixel meets, for each pattern of switched-on pixels among its eight neighbors.

    Returns:
        For each pattern the number of groups that the neighbors form, and one neighbor of each group: only
        these need a look-up of their component. And the gain in twice the polygon area: each of the four
        squares of pixels around it gains half its area with its third pixel and half with its fourth.
    """
    ring = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]
    reach = 2 if eight else 1  # squared distance of connected pixels
    groups, gain = np.zeros((256, 5), np.int32), np.zeros(256, np.int32)
    for pattern in range(256):
        on = [k for k in range(8) if pattern >> k & 1]
        gain[pattern] = sum(len({(c - 1) % 8, c, c + 1}.intersection(on)) >= 2 for c in (0, 2, 4, 6))
        waiting = [k for k in on if eight or k % 2]
        while waiting:
            groups[pattern, 0] += 1
            groups[pattern, groups[pattern, 0]] = waiting[0]
            group, size = {waiting[0]}, 0
            while len(group) > size:
                size = len(group)
                group |= {
                    k
                    for k in on
                    for j in group
                    if (ring[k][0] - ring[j][0]) ** 2 + (ring[k][1] - ring[j][1]) ** 2 <= reach
                }
            waiting = [k for k in waiting if k not in group]
    return groups, gain


_GROUPS_4, _ = _patterns(eight=False)
_GROUPS_8, _GAIN = _patterns(eight=True)


@compiled
@no_type_check
def _root(parent, pixel):
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@compiled
@no_type_check
def _record(lives, count, life, component, step):
    """Write down that the life of a component ends at `step`, and return the number of lives written."""
    lives[count] = life[component]
    lives[count, STOP] = step
    return count + 1


@compiled
@no_type_check
def _order(steps):
    """Return the pixels inside the padding sorted by step, in reading order, and where each step begins."""
    height, width = steps.shape
    begin = np.zeros(257, np.int32)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            begin[steps[y, x] + 1] += 1
    begin = np.cumsum(begin).astype(np.int32)
    place = begin.copy()
    order = np.empty(begin[-1], np.int32)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            step = steps[y, x]
            order[place[step]] = y * width + x
            place[step] += 1
    return order, begin


@compiled
@no_type_check
def _grow(steps, stop, eight, polygons):
    """Switch pixels on at the step that `steps` (padded by one pixel) gives them, below `stop`.

    With `eight`, components are 8-connected and end at the padding. Without it they are 4-connected and
    the padding counts as switched on: what touches it is outside, not a hole. A life ends when the box does;
    with `polygons`, when the polygon's area may have.
    """
    height, width = steps.shape
    size = height * width
    order, begin = _order(steps)
    groups = _GROUPS_8 if eight else _GROUPS_4
    offsets = np.array([-width - 1, -width, -width + 1, 1, width + 1, width, width - 1, -1])

    parent = np.full(size, -1, np.int32)
    if not eight:
        parent[:width] = parent[size - width :] = 0
        parent[::width] = parent[width - 1 :: width] = 0

    life = np.empty((size, 8), np.int32)  # the life that each component, known by its root, is living
    lives = np.empty((2 * size, 8), np.int32)  # one begins with each pixel, one with each joining
    life[0, SIZE] = 0
    count = 0

    for step in range(stop):
        for i in range(begin[step], begin[step + 1]):
            pixel = order[i]
            y, x = pixel // width - 1, pixel % width - 1
            place = y * (width - 2) + x
            pattern = 0
            for k in range(8):
                pattern |= (parent[pixel + offsets[k]] >= 0) << k
            gain = _GAIN[pattern] if polygons else 1

            if groups[pattern, 0] == 0:  # the pixel begins a component
                parent[pixel] = pixel
                life[pixel, START] = step
                life[pixel, X0] = life[pixel, X1] = x
                life[pixel, Y0] = life[pixel, Y1] = y
                life[pixel, SIZE] = gain
                life[pixel, FIRST] = place
                continue

            # the pixel enters a component
            root = _root(parent, pixel + offsets[groups[pattern, 1]])
            parent[pixel] = root
            if eight or root != 0:
                wider = x < life[root, X0] or y < life[root, Y0] or x > life[root, X1] or y > life[root, Y1]
                if (wider or polygons) and life[root, START] < step:
                    count = _record(lives, count, life, root, step)
                    life[root, START] = step
                if wider:
                    life[root, X0] = min(life[root, X0], x)
                    life[root, Y0] = min(life[root, Y0], y)
                    life[root, X1] = max(life[root, X1], x)
                    life[root, Y1] = max(life[root, Y1], y)
                if place < life[root, FIRST]:
                    life[root, FIRST] = place
            life[root, SIZE] += gain

            # the pixel connects that component with others
            for k in range(2, groups[pattern, 0] + 1):
                there = _root(parent, pixel + offsets[groups[pattern, k]])
                if there == root:
                    continue
                keep, lose = (root, there) if life[root, SIZE] > life[there, SIZE] else (there, root)
                if not eight and (root == 0 or there == 0):
                    keep, lose = 0, root + there
                parent[lose] = root = keep
                if life[lose, START] < step:
                    count = _record(lives, count, life, lose, step)
                if eight or keep != 0:
                    x0, y0 = min(life[keep, X0], life[lose, X0]), min(life[keep, Y0], life[lose, Y0])
                    x1, y1 = max(life[keep, X1], life[lose, X1]), max(life[keep, Y1], life[lose, Y1])
                    wider = (
                        x0 < life[keep, X0]
                        or y0 < life[keep, Y0]
                        or x1 > life[keep, X1]
                        or y1 > life[keep, Y1]
                    )
                    if (wider or polygons) and life[keep, START] < step:
                        count = _record(lives, count, life, keep, step)
                        life[keep, START] = step
                    if wider:
                        life[keep, X0], life[keep, Y0], life[keep, X1], life[keep, Y1] = x0, y0, x1, y1
                    life[keep, FIRST] = min(life[keep, FIRST], life[lose, FIRST])
                life[keep, SIZE] += life[lose, SIZE]

    for pixel in range(1, size):
        if parent[pixel] == pixel and life[pixel, START] < stop:
            count = _record(lives, count, life, pixel, stop)
    return lives[:count]


@compiled
@no_type_check
def _fill(gray):
    """Raise every hole of every level: flood from the frame, lowest pixels first (4-connected)."""
    height, width = gray.shape
    filled = np.empty_like(gray)
    seen = np.zeros((height, width), np.bool_)
    head = np.full(256, -1, np.int32)  # one stack of waiting pixels a level, linked through `below`
    below = np.empty(height * width, np.int32)
    for y in range(height):
        for x in range(width):
            if y == 0 or x == 0 or y == height - 1 or x == width - 1:
                level = gray[y, x]
                filled[y, x] = level
                seen[y, x] = True
                below[y * width + x] = head[level]
                head[level] = y * width + x
    for level in range(256):
        while head[level] >= 0:
            pixel = head[level]
            head[level] = below[pixel]
            y, x = pixel // width, pixel % width
            for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
                v, u = y + dy, x + dx
                if 0 <= v < height and 0 <= u < width and not seen[v, u]:
                    seen[v, u] = True
                    rise = max(gray[v, u], level)
                    filled[v, u] = rise
                    below[v * width + u] = head[rise]
                    head[rise] = v * width + u
    return filled


@compiled
@no_type_check
def _winners(lives, top):
    """Return the life with the largest area at each level below `top`, of equals the one that starts last."""
    best = np.full(top, -1, np.int64)
    for i in range(len(lives)):
        for level in range(lives[i, START], lives[i, STOP]):
            j = best[level]
            if (
                j < 0
                or lives[i, SIZE] > lives[j, SIZE]
                or (lives[i, SIZE] == lives[j, SIZE] and lives[i, FIRST] > lives[j, FIRST])
            ):
                best[level] = i
    return best


@compiled
@no_type_check
def best_overlap(lives, truth, least, best):
    """Raise best[level] to the highest IoU of a box that lives at that level with a box of `truth`.

    Overlaps below `least` are not looked at.
    """
    for i in range(len(lives)):
        x0, y0, x1, y1 = lives[i, X0], lives[i, Y0], lives[i, X1], lives[i, Y1]
        for j in range(len(truth)):
            width = min(x1, truth[j, 2]) - max(x0, truth[j, 0]) + 1
            height = min(y1, truth[j, 3]) - max(y0, truth[j, 1]) + 1
            if width <= 0 or height <= 0:
                continue
            shared = width * height
            area = (truth[j, 2] - truth[j, 0] + 1) * (truth[j, 3] - truth[j, 1] + 1)
            iou = shared / ((x1 - x0 + 1) * (y1 - y0 + 1) + area - shared)
            if iou >= least:
                for level in range(lives[i, START], lives[i, STOP]):
                    best[level] = max(best[level], iou)
