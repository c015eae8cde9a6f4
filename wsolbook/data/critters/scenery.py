"""Backgrounds: one program of gradients, hills and noise, eight palettes, and things that lie about."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from wsolbook.data.counters import uniform
from wsolbook.data.critters.drawing import Capsule, Region, capsules, cover, paint, rgb, shade, table


@dataclass(frozen=True)
class Scenery:
    """A palette, and how much of each texture a background shows.

    Attributes:
        zenith, haze: colors of the sky at the top and at the horizon.
        cloud, hill, far, near: colors of clouds, distant hills, and the ground from horizon to viewer.
        trunk, blade, speck: colors of upright streaks above the horizon, of the ground's texture, of dots.
        horizon: range of the horizon's height; 0 is the top of the picture, above 1 there is no ground.
        clouds, trunks, blades, waves, patches, grain, specks: strength of each texture, 0 to 1.
        shadow: darkness of the shadow under an animal.
    """

    zenith: str
    haze: str
    cloud: str
    hill: str
    far: str
    near: str
    trunk: str
    blade: str
    speck: str
    horizon: tuple[float, float]
    clouds: float = 0.0
    trunks: float = 0.0
    blades: float = 0.0
    waves: float = 0.0
    patches: float = 0.3
    grain: float = 0.3
    specks: float = 0.0
    shadow: float = 0.4


# fmt: off
BACKGROUNDS: dict[str, Scenery] = {
    "meadow": Scenery("#7db9e8", "#d9eef7", "#ffffff", "#86b184", "#a3c96b",
        "#4f8f3a", "#4f8f3a", "#2f6a2a", "#fff1a8",
        (0.12, 0.42), clouds=0.7, blades=0.75, patches=0.35, specks=0.8),
    "water": Scenery("#8fc7ea", "#e4f3f8", "#ffffff", "#6f9f95", "#5fb3cf",
        "#1f6f9f", "#1f6f9f", "#bfe6f2", "#f4fdff",
        (0.1, 0.36), clouds=0.5, waves=0.8, patches=0.35, specks=0.3, shadow=0.3),
    "sand": Scenery("#7fc4ea", "#fdebc8", "#fff8ea", "#dcb27c", "#f2d9a4",
        "#d9aa66", "#d9aa66", "#b98545", "#8d6a45",
        (0.14, 0.44), clouds=0.25, waves=0.35, patches=0.4, grain=0.6, specks=0.6),
    "sky": Scenery("#4f9be0", "#cfe8fa", "#ffffff", "#cfe8fa", "#e8f3fb",
        "#ffffff", "#ffffff", "#ffffff", "#ffffff",
        (1.25, 1.4), clouds=1.0, patches=0.15, grain=0.05, shadow=0.0),
    "forest": Scenery("#4d7f63", "#a9c99a", "#c8dfae", "#55866a", "#6f8f52",
        "#3f5a34", "#3d3328", "#26401f", "#b7cf7a",
        (0.3, 0.56), clouds=0.4, trunks=0.95, blades=0.5, patches=0.6, specks=0.4),
    "snow": Scenery("#a8c4e0", "#eef3f8", "#ffffff", "#b9cde0", "#f4f8fc",
        "#dbe7f3", "#dbe7f3", "#b4cbe2", "#ffffff",
        (0.16, 0.46), clouds=0.4, patches=0.5, waves=0.2, grain=0.15, specks=0.5, shadow=0.26),
    "autumn": Scenery("#e9b98a", "#fbe6c4", "#fff3df", "#c98a52", "#c9964a",
        "#8a4f2a", "#5b3a2a", "#6b3a1f", "#f0a030",
        (0.22, 0.5), clouds=0.4, trunks=0.55, blades=0.35, patches=0.5, specks=1.0),
    "dusk": Scenery("#2b2f63", "#d98aa0", "#8c6f9f", "#4a4a7d", "#5d5a86",
        "#2e2f55", "#2e2f55", "#23244a", "#f7e6b0",
        (0.3, 0.55), clouds=0.8, blades=0.4, patches=0.4, specks=0.25, shadow=0.5),
}
# fmt: on
COLORS = tuple(field.name for field in fields(Scenery) if field.type == "str")
STRENGTHS = tuple(field.name for field in fields(Scenery) if field.type == "float")
_COLORS = torch.tensor([[rgb(getattr(b, name)) for name in COLORS] for b in BACKGROUNDS.values()])
_STRENGTHS = torch.tensor([[getattr(b, name) for name in STRENGTHS] for b in BACKGROUNDS.values()])


def grids(key: Int[Tensor, n], *shapes: tuple[int, int]) -> list[Float[Tensor, "n 1 _ _"]]:
    """Return random grids in [0, 1), of the given shapes, for each key."""
    cells = uniform(key, sum(rows * columns for rows, columns in shapes))
    parts = cells.split([rows * columns for rows, columns in shapes], 1)
    return [part.view(-1, 1, *shape) for part, shape in zip(parts, shapes, strict=True)]


def grow(coarse: Float[Tensor, "n 1 _ _"], size: int) -> Float[Tensor, "n 1 s s"]:
    """Resample a grid bilinearly to a square of `size`."""
    return interpolate(coarse, (size, size), mode="bilinear", align_corners=False)


def noise(key: Int[Tensor, n], size: int) -> Float[Tensor, "4 n s s"]:
    """Return four kinds of value noise about 0: soft, fine, upright streaks and level streaks.

    Value noise is a grid of random numbers, interpolated; several grids, each twice as fine and half as
    strong, add up to something that looks like nature (Perlin's octaves). The grids do not depend on the
    size of the picture, which therefore shows the same scene at every size.
    """
    g4, g8, g16, g32, g64, upright, level = grids(
        key, (4, 4), (8, 8), (16, 16), (32, 32), (64, 64), (7, 44), (32, 5)
    )
    soft = grow(g4, 8)
    soft += 0.5 * g8
    soft = grow(soft, 16)
    soft += 0.25 * g16
    soft /= 1.75
    soft = grow(grow(soft, 32), size)
    fine = grow(g32, 64)
    fine += 0.7 * g64
    fine /= 1.7
    fine = grow(fine, size)
    planes = [soft, fine, grow(grow(upright, 48), size), grow(grow(level, 40), size)]
    return torch.stack([plane[:, 0] - 0.5 for plane in planes])


def ramp(x: Float[Tensor, "*n"], low: float, high: float) -> Float[Tensor, "*n"]:
    """Rise from 0 at `low` to 1 at `high`, smoothly."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def backdrop(
    kind: Int[Tensor, n],
    horizon: Float[Tensor, n],
    tint: Float[Tensor, "n 3"],
    planes: Float[Tensor, "4 n s s"],
) -> Float[Tensor, "n 3 s s"]:
    """Paint backgrounds: sky, clouds, distant hills, trunks, ground with its texture, specks.

    Args:
        kind: row of `BACKGROUNDS`.
        horizon: height of the horizon, 0 top to 1 bottom.
        tint: factors of the three colors, about 1: the hour of the day.
        planes: from `noise`.
    """
    device, size = planes.device, planes.shape[-1]
    soft, fine, upright, level = planes
    palette = (_COLORS.to(device)[kind] * tint[:, None])[..., None, None].unbind(1)
    zenith, haze, cloud, hill, far, near, trunk, blade, speck = palette
    clouds, trunks, blades, waves, patches, grain, specks, _ = _STRENGTHS.to(device)[kind][
        ..., None, None
    ].unbind(1)
    y = ((torch.arange(size, device=device) + 0.5) / size)[None, :, None]
    h = horizon[:, None, None]

    def lay(over: Tensor, coverage: Tensor) -> None:
        step = over - picture
        step *= coverage[:, None]
        picture.add_(step)

    picture = zenith + (haze - zenith) * (y / h.clamp(max=1.0)).clamp(0, 1)[:, None]
    picture = picture.expand(-1, -1, -1, size).clone()
    billow = soft * 1.3 + level * 0.35
    lay(cloud, ramp(billow, -0.02, 0.3) * clouds)
    skyline = h + soft[:, 2:3] * 0.22
    ridge = skyline - 0.05 - soft[:, -3:-2].abs() * 0.3
    lay(hill, ((y - ridge) * size + 0.5).clamp(0, 1) * 0.85)
    bark = upright[:, :1] + 0.1 * upright  # a trunk runs all the way down
    lay(trunk, ramp(bark, 0.06, 0.16) * trunks * (1.0 - 0.5 * fine.abs()))
    ground = ((y - skyline) * size + 0.5).clamp(0, 1)
    depth = ((y - skyline) / (1 - h).clamp(min=0.2)).clamp(0, 1)
    floor = far + (near - far) * depth[:, None]
    strands = ramp(upright * 0.8 + fine * 1.1, -0.1, 0.4) * blades
    swell = ramp(level * 1.1 + soft * 0.6 + fine * 0.25, 0.0, 0.35) * waves
    floor += (blade - floor) * torch.maximum(strands, swell)[:, None] * 0.55
    lay(floor, ground)
    lay(speck, ramp(fine, 0.27, 0.36) * specks * ground)
    light = soft * patches
    light += fine * (grain * 0.22 + 0.06)
    light += 1
    return picture.mul_(light[:, None]).clamp_(0, 1)


# Things that are no animals: layers of shapes, each with its color, in half widths of the thing.
THINGS: dict[str, tuple[tuple[str, tuple[Capsule, ...]], ...]] = {
    "stone": (
        ("#8d8f94", ((-0.4, 0.2, 0.35, 0.25, 0.5, 0.42), (-0.1, -0.05, 0.1, 0.0, 0.5, 0.45))),
        ("#b3b5b8", ((-0.3, -0.25, 0.05, -0.3, 0.16, 0.1),)),
    ),
    "bush": (
        ("#3f7d3a", ((-0.5, 0.25, 0.5, 0.3, 0.42, 0.4), (-0.1, -0.2, 0.15, -0.15, 0.5, 0.45))),
        ("#63a04c", ((-0.25, -0.3, -0.2, -0.3, 0.24, 0.24), (0.35, 0.05, 0.4, 0.05, 0.2, 0.2))),
    ),
    "log": (
        ("#7a5534", ((-0.75, 0.35, 0.6, 0.35, 0.3, 0.3), (-0.2, 0.2, -0.35, -0.25, 0.12, 0.08))),
        ("#d9b27c", ((0.66, 0.35, 0.67, 0.35, 0.22, 0.22),)),
    ),
    "mushroom": (
        ("#efe4cf", ((0.0, 0.1, 0.0, 0.62, 0.2, 0.26),)),
        ("#c9402f", ((-0.4, -0.02, 0.4, -0.02, 0.22, 0.22), (-0.15, -0.2, 0.15, -0.2, 0.36, 0.36))),
        ("#fbf1e0", ((-0.25, -0.22, -0.24, -0.22, 0.11, 0.11), (0.2, -0.1, 0.21, -0.1, 0.1, 0.1))),
    ),
}
_LAYERS = [
    [layers[k] if k < len(layers) else ("#000000", ()) for layers in THINGS.values()] for k in range(3)
]
_SHAPES = [table([shapes for _, shapes in layer]) for layer in _LAYERS]
_PAINTS = [torch.tensor([rgb(code) for code, _ in layer]) for layer in _LAYERS]


def shadow(
    canvas: Float[Tensor, "n 7 s s"],
    center: Float[Tensor, "n 2"],
    width: Float[Tensor, n],
    darkness: Float[Tensor, n],
) -> None:
    """Darken the ground in flat ellipses around `center`, of half width `width`, both in picture widths."""
    region = Region.around(canvas, center, width)
    x = (region.x[:, :1] - center[:, 0, None, None]) / width[:, None, None]
    y = (region.y[:, :, :1] - center[:, 1, None, None]) / (0.26 * width[:, None, None])
    x *= x
    y *= y
    depth = (1 - x - y).clamp(min=0) * darkness[:, None, None]
    region.pixels[:, :3] *= (1 - depth)[:, None]
    region.paste()


def draw_things(
    canvas: Float[Tensor, "n 7 s s"],
    kind: Int[Tensor, n],
    place: Float[Tensor, "n 4"],
    darkness: Float[Tensor, n],
) -> None:
    """Draw one thing on each canvas.

    Args:
        canvas: see `Region`; changed in place.
        kind: row of `THINGS`.
        place: x, y, width, all in picture widths, and brightness.
        darkness: of the shadow.
    """
    center, unit, light = place[:, :2], place[:, 2] / 2, place[:, 3, None, None]
    foot = center.clone()
    foot[:, 1] += 0.7 * unit
    shadow(canvas, foot, 1.05 * unit, darkness)
    region = Region.around(canvas, center, 1.15 * unit)
    x = (region.x - center[:, 0, None, None]) / unit[:, None, None]
    y = (region.y - center[:, 1, None, None]) / unit[:, None, None]
    pixel = 1 / (canvas.shape[-1] * unit)
    light = light * (1 + 0.35 * region.pixels[:, 6])
    for shapes, colors in zip(_SHAPES, _PAINTS, strict=True):
        distance = capsules(x, y, shapes[kind])
        glow = shade(distance, pixel, 0.4, 0.1) * light
        paint(region, cover(distance, pixel), colors[kind].to(canvas.device), glow)
    region.paste()
