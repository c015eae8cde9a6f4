"""Backgrounds, each a palette and the strength of its textures, and the things that lie about."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from wsolbook.data.critters.drawing import Capsule


def rgb(code: str) -> tuple[float, float, float]:
    """Turn `#rrggbb` into three numbers in [0, 1]."""
    return int(code[1:3], 16) / 255, int(code[3:5], 16) / 255, int(code[5:7], 16) / 255


@dataclass(frozen=True)
class Scenery:
    """A palette, and how much of each texture a background shows.

    Attributes:
        zenith, haze: colors of the sky at the top and at the horizon.
        cloud, hill, far, near: colors of clouds, distant hills, and the ground from horizon to viewer.
        trunk, blade, speck: colors of upright streaks above the horizon, of the ground's texture, of dots.
        horizon: range of the horizon's height; 0 is the top of the picture. All animals stand below it.
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
    "sky": Scenery("#3f8bdc", "#cfe8fa", "#ffffff", "#eef6fc", "#dcebf8",
        "#ffffff", "#ffffff", "#b9d3ec", "#ffffff",
        (0.3, 0.45), clouds=0.9, waves=0.9, patches=0.2, grain=0.05, shadow=0.25),
    "forest": Scenery("#4d7f63", "#a9c99a", "#c8dfae", "#55866a", "#6f8f52",
        "#3f5a34", "#3d3328", "#26401f", "#b7cf7a",
        (0.26, 0.46), clouds=0.4, trunks=0.95, blades=0.5, patches=0.6, specks=0.4),
    "snow": Scenery("#a8c4e0", "#eef3f8", "#ffffff", "#b9cde0", "#f4f8fc",
        "#dbe7f3", "#dbe7f3", "#b4cbe2", "#ffffff",
        (0.16, 0.44), clouds=0.4, patches=0.5, waves=0.2, grain=0.15, specks=0.5, shadow=0.26),
    "autumn": Scenery("#e9b98a", "#fbe6c4", "#fff3df", "#c98a52", "#c9964a",
        "#8a4f2a", "#5b3a2a", "#6b3a1f", "#f0a030",
        (0.2, 0.46), clouds=0.4, trunks=0.55, blades=0.35, patches=0.5, specks=1.0),
    "dusk": Scenery("#2b2f63", "#d98aa0", "#8c6f9f", "#4a4a7d", "#5d5a86",
        "#2e2f55", "#2e2f55", "#23244a", "#f7e6b0",
        (0.26, 0.46), clouds=0.8, blades=0.4, patches=0.4, specks=0.25, shadow=0.5),
}
# fmt: on
_FIELDS = [(field.name, field.type) for field in fields(Scenery)]
_ALL = BACKGROUNDS.values()
# What the compiled pass reads: nine colors of each background, and the strengths of its textures.
PALETTE = np.array([[rgb(getattr(b, k)) for k, kind in _FIELDS if kind == "str"] for b in _ALL])
STRENGTHS = np.array([[getattr(b, k) for k, kind in _FIELDS if kind == "float"] for b in _ALL])

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
