"""From descriptions to pixels: scenes become records, and threads draw them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from wsolbook.data.critters.animals import ATLAS, BODIES, HEAD_RADIUS, HEADS, OBJECTS
from wsolbook.data.critters.bodies import PATTERNS, PLANS
from wsolbook.data.critters.drawing import PIECE, draw
from wsolbook.data.critters.landscape import SCENE, landscapes
from wsolbook.data.critters.scenery import BACKGROUNDS, PALETTE, STRENGTHS, rgb
from wsolbook.data.critters.scenes import MOST, PARTS, Critter, Scene, Thing

CHUNK = 16  # pictures that a thread draws in one go

_Row = tuple[float | int, ...]  # the values of a record
_BACKGROUND = {name: row for row, name in enumerate(BACKGROUNDS)}
_PATTERN = {name: row for row, name in enumerate(PATTERNS)}
_rgb = lru_cache(rgb)


@dataclass(frozen=True)
class Scenes:
    """Rendered scenes with everything that is known about them.

    Attributes:
        scenes: the descriptions.
        images: pictures in [0, 1].
        labels: 1.0 where a class is present.
        masks: 0 background, class index + 1 of the frontmost animal that covers at least half of the pixel.
        parts: the visible part of that animal: head, body or limbs.
        boxes: extent of the visible pixels of each animal, inclusive corners `(x0, y0, x1, y1)`, back to
            front; an animal without a visible pixel has none.
        box_classes: the class of each box.
    """

    scenes: tuple[Scene, ...]
    images: Float[Tensor, "n 3 h w"]
    labels: Float[Tensor, "n c"]
    masks: UInt8[Tensor, "n h w"]
    parts: Bool[Tensor, "n 3 h w"]
    boxes: list[Int[Tensor, "_ 4"]]
    box_classes: list[Int[Tensor, _]]

    def __len__(self) -> int:
        return len(self.scenes)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.scenes[0].classes


def render(scenes: Sequence[Scene], size: int = 64, device: torch.device | str = "cpu") -> Scenes:
    """Draw scenes, on as many threads as torch uses.

    Args:
        scenes: descriptions of one world.
        size: side of the square pictures in pixels, at least 16.
        device: where the tensors go; the processor draws them, the same ones for every device.

    Raises:
        ValueError: when there is nothing to draw, `size` is below 16 or the scenes have different classes.
    """
    scenes = tuple(scenes)
    if not scenes:
        raise ValueError("there is no scene to render")
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, got {size}")
    classes = scenes[0].classes
    if any(scene.classes != classes for scene in scenes):
        raise ValueError("scenes that are rendered together must have the same classes")
    n = len(scenes)
    number = {name: place for place, name in enumerate(classes)}
    images = np.empty((n, 3, size, size), np.float32)
    masks = np.empty((n, size, size), np.uint8)
    parts = np.zeros((n, 3, size, size), bool)
    corners = np.full((n, MOST, 4), -1)
    chunks = [slice(first, first + CHUNK) for first in range(0, n, CHUNK)]

    def fill(there: slice) -> None:
        settings, darkness, pieces = records(scenes[there], number)
        fine = np.empty((len(settings), size, size))
        landscapes(PALETTE, STRENGTHS, settings, images[there], fine)
        draw(ATLAS, pieces, darkness, fine, images[there], masks[there], parts[there], corners[there])

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        list(threads.map(fill, chunks))
    kinds = np.full((n, MOST), -1)
    for row, scene in enumerate(scenes):
        kinds[row, : len(scene.critters)] = [number[critter.species] for critter in scene.critters]
    labels = np.zeros((n, len(classes) + 1), np.float32)
    np.put_along_axis(labels, kinds, 1, axis=1)  # the last column takes the places without an animal
    seen = corners[..., 0] >= 0
    return Scenes(
        scenes,
        torch.from_numpy(images).to(device),
        torch.from_numpy(labels[:, :-1].copy()).to(device),
        torch.from_numpy(masks).to(device),
        torch.from_numpy(parts).to(device),
        boxes=[torch.from_numpy(box[there]) for box, there in zip(corners, seen, strict=True)],
        box_classes=[torch.from_numpy(kind[there]) for kind, there in zip(kinds, seen, strict=True)],
    )


def records(scenes: Sequence[Scene], number: dict[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn descriptions into records of `SCENE`, the darkness of shadows, and records of `PIECE`."""
    rows = [
        [
            *map(_thing, scene.things),
            *(piece for k, c in enumerate(scene.critters) for piece in _animal(c, k, number[c.species])),
        ]
        for scene in scenes
    ]
    deepest = max(map(len, rows))
    settings = np.array([_setting(scene) for scene in scenes], SCENE)
    darkness = np.array([BACKGROUNDS[scene.background].shadow for scene in scenes])
    return settings, darkness, np.array([row + [_NOTHING] * (deepest - len(row)) for row in rows], PIECE)


_NO_COAT = (0.0,) * 10
_NOTHING = (-1, *[0] * 7, *[0.0] * 10, *_NO_COAT)


def _setting(scene: Scene) -> _Row:
    low, high = BACKGROUNDS[scene.background].horizon
    return (_BACKGROUND[scene.background], scene.noise, low + (high - low) * scene.horizon, *scene.tint)


def _thing(t: Thing) -> _Row:
    unit = t.scale / 2
    return (
        OBJECTS[t.kind], -1, 0, 0, 0, 0, 0, 0,
        t.x, t.y, unit, 0, 1, 0, t.shade, t.x, t.y + 0.7 * unit, 1.05 * unit, *_NO_COAT,
    )  # fmt: skip


def _animal(c: Critter, owner: int, label: int) -> tuple[_Row, _Row]:
    unit, angle = c.scale / 2, math.radians(c.angle)
    neck = PLANS[c.body.plan].neck
    dx, dy = unit * c.facing * neck[0], unit * neck[1]
    cos, sin = math.cos(angle), math.sin(angle)
    head = c.x + cos * dx - sin * dy, c.y + sin * dx + cos * dy
    lacks = tuple(part in c.missing for part in PARTS)
    coat = [c.body.shade * value for code in c.body.coat for value in _rgb(code)]
    nod = angle + c.facing * math.radians(c.tilt)
    return (
        (BODIES[c.body.plan], owner, label + 1, 0, _PATTERN[c.body.pattern], *lacks,
         c.x, c.y, unit, angle, c.facing, 0, 1, *c.ground, *coat, *c.body.phase, c.body.stride),
        (HEADS[c.species], owner, label + 1, 1, 0, *lacks,
         *head, HEAD_RADIUS * c.swell * unit, nod, c.facing, c.look, 1, 0, 0, 0, *_NO_COAT),
    )  # fmt: skip
