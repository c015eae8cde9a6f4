"""Draw landscapes, in one compiled pass: value noise, and what it makes of a palette."""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from wsolbook.compiled import compiled
from wsolbook.data.critters.drawing import record

# Row of the background, key of all noise, height of the horizon (0 top, 1 bottom), factors of the colors.
SCENE = record("background noise", "horizon red green blue")


@compiled
@no_type_check
def scramble(x):
    """Mix 32 bits: `wsolbook.data.counters.scramble`, for one number."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return x ^ (x >> 16)


@compiled
@no_type_check
def fill(grid, key, slot):
    """Fill a grid with the numbers of a key from `slot` on, and return the next slot."""
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            slot += 1
            grid[i, j] = (scramble((scramble(slot) + key) & 0xFFFFFFFF) >> 8) * 2.0**-24
    return slot


@compiled
@no_type_check
def grow(coarse, fine, weight):
    """Resample a grid bilinearly; what the finer one holds already is added with `weight`."""
    rows, columns = coarse.shape
    height, width = fine.shape
    left, share = np.empty(width, np.int64), np.empty(width)
    for j in range(width):
        x = max((j + 0.5) * columns / width - 0.5, 0.0)
        left[j] = int(x)
        share[j] = x - left[j]
    for i in range(height):
        y = max((i + 0.5) * rows / height - 0.5, 0.0)
        top = int(y)
        below, v = min(top + 1, rows - 1), y - top
        for j in range(width):
            a, b, u = left[j], min(left[j] + 1, columns - 1), share[j]
            upper = coarse[top, a] + (coarse[top, b] - coarse[top, a]) * u
            lower = coarse[below, a] + (coarse[below, b] - coarse[below, a]) * u
            fine[i, j] = upper + (lower - upper) * v + weight * fine[i, j]


@compiled
@no_type_check
def noise(key, planes):
    """Fill four planes with value noise about 0: soft, fine, upright streaks and level streaks.

    Value noise is a grid of random numbers, interpolated; several grids, each twice as fine and half as
    strong, add up to something that looks like nature (Perlin's octaves). The grids do not depend on the
    size of the picture, which therefore shows the same scene at every size.
    """
    g4, g8, g16 = np.empty((4, 4)), np.empty((8, 8)), np.empty((16, 16))
    g32, g64, g128 = np.empty((32, 32)), np.empty((64, 64)), np.empty((128, 128))
    upright, level = np.empty((7, 44)), np.empty((32, 5))
    slot = fill(g4, key, 0)
    for grid in (g8, g16, g32, g64):
        slot = fill(grid, key, slot)
    slot = fill(upright, key, slot)
    slot = fill(level, key, slot)
    grow(g4, g8, 0.5)
    grow(g8, g16, 0.25)
    soft, bark, sea = np.zeros((32, 32)), np.zeros((48, 48)), np.zeros((40, 40))
    grow(g16, soft, 0.0)
    grow(soft, planes[0], 0.0)
    grow(g32, g64, 0.7)
    if planes.shape[1] > 64:  # a picture of 64 pixels is too coarse to show this one
        fill(g128, key, slot)
        grow(g64, g128, 0.6)
        grow(g128, planes[1], 0.0)
    else:
        grow(g64, planes[1], 0.0)
    grow(upright, bark, 0.0)
    grow(bark, planes[2], 0.0)
    grow(level, sea, 0.0)
    grow(sea, planes[3], 0.0)
    fine = 2.3 if planes.shape[1] > 64 else 1.7
    for k, (mean, total) in enumerate(((0.5, 1.75), (0.5 * fine / 1.7, 1.7), (0.5, 1.0), (0.5, 1.0))):
        for i in range(planes.shape[1]):
            for j in range(planes.shape[2]):
                planes[k, i, j] = planes[k, i, j] / total - mean


@compiled
@no_type_check
def ramp(x, low, high):
    """Rise from 0 at `low` to 1 at `high`, smoothly."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@compiled
@no_type_check
def paint(scene, colors, strengths, planes, light):
    """Paint sky, clouds, distant hills, trunks, the ground with its texture, and specks."""
    size = light.shape[1]
    tint = (scene.red, scene.green, scene.blue)
    clouds, trunks, blades, waves = strengths[0], strengths[1], strengths[2], strengths[3]
    patches, grain, specks = strengths[4], strengths[5], strengths[6]
    soft, fine, upright, level = planes[0], planes[1], planes[2], planes[3]
    h = scene.horizon
    for i in range(size):
        y = (i + 0.5) / size
        height = min(y / h, 1.0)
        for j in range(size):
            skyline = h + soft[2, j] * 0.16
            ridge = skyline - 0.05 - abs(soft[size - 3, j]) * 0.3
            cloud = ramp(soft[i, j] * 1.3 + level[i, j] * 0.35, -0.02, 0.3) * clouds
            hill = min(max((y - ridge) * size + 0.5, 0.0), 1.0) * 0.85
            bark = upright[0, j] + 0.1 * upright[i, j]  # a trunk runs all the way down
            trunk = ramp(bark, 0.06, 0.16) * trunks * (1 - 0.5 * abs(fine[i, j]))
            ground = min(max((y - skyline) * size + 0.5, 0.0), 1.0)
            depth = min(max((y - skyline) / max(1 - h, 0.2), 0.0), 1.0)
            strand = ramp(upright[i, j] * 0.8 + fine[i, j] * 1.1, -0.1, 0.4) * blades
            swell = ramp(level[i, j] * 1.1 + soft[i, j] * 0.6 + fine[i, j] * 0.25, 0.0, 0.35) * waves
            texture = max(strand, swell) * 0.55
            speck = ramp(fine[i, j], 0.27, 0.36) * specks * ground
            glow = 1 + soft[i, j] * patches + fine[i, j] * (grain * 0.22 + 0.06)
            for c in range(3):
                value = colors[0, c] + (colors[1, c] - colors[0, c]) * height
                value += (colors[2, c] - value) * cloud
                value += (colors[3, c] - value) * hill
                value += (colors[6, c] - value) * trunk
                floor = colors[4, c] + (colors[5, c] - colors[4, c]) * depth
                floor += (colors[7, c] - floor) * texture
                value += (floor - value) * ground
                value += (colors[8, c] - value) * speck
                light[c, i, j] = min(max(value * tint[c] * glow, 0.0), 1.0)


@compiled
@no_type_check
def landscapes(palette, strengths, scenes, images, fine):
    """Draw landscapes from records.

    Args:
        palette: nine colors of each background.
        strengths: of each background's textures.
        scenes: `n` records of `SCENE`.
        images: n x 3 x h x w, filled with light in [0, 1].
        fine: n x h x w, filled with fine noise about 0.
    """
    planes = np.zeros((4, images.shape[2], images.shape[3]))
    for n in range(len(scenes)):
        kind = scenes[n].background
        noise(scenes[n].noise, planes)
        paint(scenes[n], palette[kind], strengths[kind], planes, images[n])
        fine[n] = planes[1]
