"""From descriptions to pixels: lay backgrounds, things and animals over each other, and note who is where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from wsolbook.data.critters.animals import draw_animals
from wsolbook.data.critters.scenery import BACKGROUNDS, THINGS, backdrop, draw_things, noise, shadow
from wsolbook.data.critters.scenes import MOST, Scene

CHUNK = 64  # pictures drawn together: enough to share among threads, few enough for the cache

T = TypeVar("T")


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
    """Draw scenes.

    Args:
        scenes: descriptions of one world.
        size: side of the square pictures in pixels, at least 16.
        device: where to draw; pictures of other devices agree up to the last few bits of float32.

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
    images = torch.empty(n, 3, size, size, device=device)
    owners = torch.empty(n, size, size, dtype=torch.uint8, device=device)
    parts = torch.empty(n, 3, size, size, dtype=torch.bool, device=device)
    for first in range(0, n, CHUNK):
        those = slice(first, first + CHUNK)
        images[those], owners[those], parts[those] = _draw(scenes[those], size, torch.device(device))
    number = {name: place for place, name in enumerate(classes)}
    kinds = [torch.tensor([number[critter.species] for critter in scene.critters]) for scene in scenes]
    labels = torch.zeros(n, len(classes))
    colors = torch.zeros(n, 1 + MOST, dtype=torch.uint8)
    for row, kind in enumerate(kinds):
        labels[row, kind] = 1
        colors[row, 1 : 1 + len(kind)] = kind + 1
    masks = colors.to(device).gather(1, owners.flatten(1).long()).view_as(owners)
    corners, visible = _extents(owners)
    seen = [there[: len(kind)] for there, kind in zip(visible, kinds, strict=True)]
    return Scenes(
        scenes,
        images,
        labels.to(device),
        masks,
        parts,
        boxes=[box[: len(there)][there] for box, there in zip(corners, seen, strict=True)],
        box_classes=[kind[there] for kind, there in zip(kinds, seen, strict=True)],
    )


def _extents(owners: UInt8[Tensor, "n h w"]) -> tuple[Int[Tensor, "n m 4"], Bool[Tensor, "n m"]]:
    """Return the corners of each animal's visible pixels, and whether there are any."""
    last = owners.shape[-1] - 1
    animals = torch.arange(1, 1 + MOST, device=owners.device, dtype=torch.uint8)
    mine = owners[:, None] == animals[:, None, None]
    x, y = mine.any(2).int(), mine.any(3).int()
    corners = [x.argmax(2), y.argmax(2), last - x.flip(2).argmax(2), last - y.flip(2).argmax(2)]
    return torch.stack(corners, 2).cpu(), x.any(2).cpu()


def _draw(
    scenes: Sequence[Scene], size: int, device: torch.device
) -> tuple[Float[Tensor, "n 3 h w"], UInt8[Tensor, "n h w"], Bool[Tensor, "n 3 h w"]]:
    """Return light, the number of the animal in front (0 for none) and its part, of a few scenes."""
    kinds, things = list(BACKGROUNDS), list(THINGS)
    kind = torch.tensor([kinds.index(s.background) for s in scenes])
    low, high = torch.tensor([BACKGROUNDS[s.background].horizon for s in scenes]).unbind(1)
    horizon = low + (high - low) * torch.tensor([s.horizon for s in scenes])
    tint = torch.tensor([s.tint for s in scenes])
    planes = noise(torch.tensor([s.noise for s in scenes]).to(device), size)
    light = backdrop(kind.to(device), horizon.to(device), tint.to(device), planes)
    canvas = torch.cat([light, torch.zeros_like(light), planes[1][:, None]], 1)
    darkness = torch.tensor([BACKGROUNDS[s.background].shadow for s in scenes]).to(device)
    for who, lying in _layers([s.things for s in scenes]):
        place = torch.tensor([(t.x, t.y, t.scale, t.shade) for t in lying]).to(device)
        some = _rows(canvas, who)
        draw_things(some, torch.tensor([things.index(t.kind) for t in lying]), place, darkness[who])
        if some is not canvas:
            canvas[who] = some
    animals = _layers([s.critters for s in scenes])
    # Shadows belong to the ground: they come before all animals, and no missing part changes them.
    for who, layer in animals:
        place = torch.tensor([(*c.ground, 0.5 * c.scale) for c in layer]).to(device)
        some = _rows(canvas, who)
        shadow(some, place[:, :2], place[:, 2], darkness[who])
        if some is not canvas:
            canvas[who] = some
    owners = torch.zeros(len(scenes), size, size, dtype=torch.uint8, device=device)
    parts = torch.zeros(len(scenes), 3, size, size, dtype=torch.bool, device=device)
    for k, (who, layer) in enumerate(animals):
        some = _rows(canvas, who)
        some[:, 3:6] = 0
        draw_animals(some, layer)
        if some is not canvas:
            canvas[who] = some
        head, body, limbs = some[:, 3:6].unbind(1)
        mine = head + body + limbs >= 0.5
        owners[who] = owners[who].masked_fill(mine, k + 1)
        first = (head >= body) & (head >= limbs)
        second = ~first & (body >= limbs)
        parts[who] = torch.where(mine[:, None], torch.stack([first, second, ~first & ~second], 1), parts[who])
    return canvas[:, :3].clamp(0, 1), owners, parts


def _rows(canvas: Float[Tensor, "n 7 s s"], who: list[int]) -> Float[Tensor, "m 7 s s"]:
    """Return some rows of a canvas: a copy, or the canvas itself where they are all."""
    return canvas if len(who) == len(canvas) else canvas[who]


def _layers(rows: Sequence[tuple[T, ...]]) -> list[tuple[list[int], list[T]]]:
    """Return, for each depth, the rows that have something there, and what."""
    deepest = max(len(row) for row in rows)
    return [
        ([i for i, row in enumerate(rows) if len(row) > k], [row[k] for row in rows if len(row) > k])
        for k in range(deepest)
    ]
