"""From descriptions to pixels: lay backgrounds, things and animals over each other, and keep count of who is where."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from wsolbook.data import species as sp
from wsolbook.data.drawing import COLUMNS, NOWHERE, Region, capsules, cover, paint, rgb, shade
from wsolbook.data.scenery import _STRENGTHS, BACKGROUNDS, STRENGTHS, THINGS, backdrop, noise
from wsolbook.data.scenes import PARTS, Critter, Scene, Thing

HEAD, BODY, LIMBS = range(3)
HEAD_RADIUS = 0.33  # in half body lengths
CHUNK = 32  # pictures drawn together, so that a plane of pixels stays in the cache


@dataclass(frozen=True)
class Scenes:
    """Rendered scenes with everything that is known about them.

    Attributes:
        scenes: the descriptions.
        images: pictures in [0, 1].
        labels: 1.0 where a class is present.
        masks: 0 background, class index + 1 of the frontmost animal that covers at least half of the pixel.
        parts: the visible part of that animal: head, body or limbs.
        boxes: extent of the visible pixels of each animal, inclusive corners `(x0, y0, x1, y1)`, back to front.
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


# --- tables: one row a species, plan or thing, one column a capsule ------------------------------------------


def _table(rows: Sequence[Sequence[sp.Capsule]]) -> Float[Tensor, "s g 8"]:
    width = max(1, max(len(row) for row in rows))
    padded = [
        [(*shape, *(0.0,) * (COLUMNS - len(shape))) for shape in row] + [NOWHERE] * (width - len(row))
        for row in rows
    ]
    return torch.tensor(padded, dtype=torch.float32)


def _eyes(species: sp.Species) -> tuple[sp.Capsule, sp.Capsule, sp.Capsule]:
    x, y, ball, pupil, tall = sp.EYES[species.eyes]
    return (
        (x, y, x, y, ball, ball) if ball else NOWHERE,
        (x, y - tall, x, y + tall, pupil, pupil),
        (
            x - 0.3 * pupil,
            y - 0.4 * pupil - tall,
            x - 0.3 * pupil,
            y - 0.4 * pupil - tall,
            0.42 * pupil,
            0.42 * pupil,
        ),
    )


_ALL = list(sp.SPECIES.values())
_NOSE_COLOUR = {
    "none": "ink",
    "nostrils": "ink",
    "button": "ink",
    "big": "ink",
    "trunk": "fur",
    "jaws": "fur",
    "long": "pale",
}
# Layers of a head from back to front: shapes and colour of each species.
_CROWN_LAYERS = {
    "ruff": (_table([sp.RUFFS[s.ruff] for s in _ALL]), [s.accent for s in _ALL]),
    "crown": (_table([sp.CROWNS[s.crown] for s in _ALL]), [s.accent for s in _ALL]),
    "ears": (_table([sp.EARS[s.ears][:1] for s in _ALL]), [s.ear or s.fur for s in _ALL]),
    "lining": (_table([sp.EARS[s.ears][1:] for s in _ALL]), [s.accent for s in _ALL]),
}
_FACE_LAYERS = {
    "skull": (_table([sp.SKULLS[s.skull] for s in _ALL]), [s.fur for s in _ALL]),
    "light": (_table([sp.MARKS[s.light] for s in _ALL]), [s.pale for s in _ALL]),
    "dark": (_table([sp.MARKS[s.dark] for s in _ALL]), [s.ink for s in _ALL]),
    "nose": (
        _table([sp.NOSES[s.nose] for s in _ALL]),
        [getattr(s, _NOSE_COLOUR.get(s.nose, "accent")) for s in _ALL],
    ),
    "nostrils": (_table([sp.NOSTRILS.get(s.nose, ()) for s in _ALL]), [s.ink for s in _ALL]),
    "mouth": (
        _table([sp.MOUTHS[s.mouth] for s in _ALL]),
        [s.ink if s.mouth in ("smile", "grin", "none") else "#fffdf5" for s in _ALL],
    ),
    "ball": (_table([_eyes(s)[:1] for s in _ALL]), [s.iris for s in _ALL]),
    "pupil": (_table([_eyes(s)[1:2] for s in _ALL]), ["#17130f" for _ in _ALL]),
    "glint": (_table([_eyes(s)[2:] for s in _ALL]), ["#ffffff" for _ in _ALL]),
}
_PLAN_LAYERS = {
    name: _table([getattr(p, name) for p in sp.PLANS.values()]) for name in ("far", "body", "belly", "near")
}
_NECKS = torch.tensor([p.neck for p in sp.PLANS.values()], dtype=torch.float64)
# Three waves across the coat, their strengths, and the level above which the second colour shows.
_PATTERNS = torch.tensor(
    [
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
        [11, 2.5, 2.2, 4.1, -3.1, 2.3, 1, 0.5, 0.3, 0.15],
        [11, 6, -6, 11, 3, 4, 1, 1, 0.25, 0.95],
        [3.6, 1.9, -2.4, 4.1, 4.9, -3.1, 1, 1, 1, 0.55],
    ],
    dtype=torch.float32,
)
_THING_SHAPES = torch.stack(
    [
        _table([layers[k][1] if k < len(layers) else () for layers in THINGS.values()] + [(NOWHERE,) * 2])
        for k in range(3)
    ]
)
_THING_COLOURS = torch.tensor(
    [[rgb(layers[k][0] if k < len(layers) else "#000000") for layers in THINGS.values()] for k in range(3)]
)


def _colours(codes: Sequence[str]) -> Float[Tensor, "s 3"]:
    return torch.tensor([rgb(code) for code in codes])


_HEAD_COLOURS = {name: _colours(codes) for name, (_, codes) in (_CROWN_LAYERS | _FACE_LAYERS).items()}
_rgb = lru_cache(rgb)
_NUMBER = {
    kind: {name: place for place, name in enumerate(names)}
    for kind, names in {
        "species": sp.SPECIES,
        "plan": sp.PLANS,
        "pattern": sp.PATTERNS,
        "background": BACKGROUNDS,
        "thing": THINGS,
    }.items()
}


# --- rendering -----------------------------------------------------------------------------------------------


def render(scenes: Sequence[Scene], size: int = 64, device: torch.device | str = "cpu") -> Scenes:
    """Draw scenes.

    Args:
        scenes: descriptions of one world.
        size: side of the square pictures in pixels, at least 16.
        device: where to draw; pictures of other devices agree to the last few bits of float32.

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
    kinds = torch.tensor(
        [[number[c.species] for c in s.critters] + [0] * (4 - len(s.critters)) for s in scenes]
    )
    lookup = torch.cat([torch.zeros(n, 1, dtype=torch.long), kinds + 1], 1).to(device, torch.uint8)
    masks = lookup.gather(1, owners.flatten(1).long()).view_as(owners)
    labels = torch.zeros(n, len(classes), device=device)
    for k in range(4):
        there = torch.tensor([len(s.critters) > k for s in scenes])
        labels[there.nonzero()[:, 0].to(device), kinds[there, k].to(device)] = 1
    boxes, box_classes = _boxes(owners, kinds)
    return Scenes(scenes, images, labels, masks, parts, boxes, box_classes)


def _boxes(
    owners: UInt8[Tensor, "n h w"], kinds: Int[Tensor, "n 4"]
) -> tuple[list[Int[Tensor, "_ 4"]], list[Int[Tensor, _]]]:
    size = owners.shape[-1]
    seen = owners[:, None] == torch.arange(1, 5, device=owners.device, dtype=torch.uint8)[:, None, None]
    columns, rows = seen.any(2).int(), seen.any(3).int()
    corners = torch.stack(
        [
            columns.argmax(2),
            rows.argmax(2),
            size - 1 - columns.flip(2).argmax(2),
            size - 1 - rows.flip(2).argmax(2),
        ],
        2,
    ).cpu()
    visible = columns.any(2).cpu()
    return (
        [box[there] for box, there in zip(corners, visible, strict=True)],
        [kind[there] for kind, there in zip(kinds, visible, strict=True)],
    )


def _draw(
    scenes: Sequence[Scene], size: int, device: torch.device
) -> tuple[Float[Tensor, "n 3 h w"], UInt8[Tensor, "n h w"], Bool[Tensor, "n 3 h w"]]:
    """Return light, the number of the animal in front (0 for none) and its part, of a few scenes."""
    kind = torch.tensor([_NUMBER["background"][s.background] for s in scenes])
    ranges = torch.tensor([BACKGROUNDS[s.background].horizon for s in scenes])
    heights = torch.tensor([s.horizon for s in scenes])
    horizon = ranges[:, 0] + (ranges[:, 1] - ranges[:, 0]) * heights
    tint = torch.tensor([s.tint for s in scenes])
    planes = noise(torch.tensor([s.noise for s in scenes]).to(device), size)
    light = backdrop(kind.to(device), horizon.to(device), tint.to(device), planes)
    canvas = torch.cat([light, torch.zeros_like(light), planes[1][:, None]], 1)
    darkness = _STRENGTHS[kind, STRENGTHS.index("shadow")].to(device)
    for k in range(max(len(s.things) for s in scenes)):
        _lay(canvas, [s.things[k : k + 1] for s in scenes], _thing, darkness)
    animals = [[s.critters[k : k + 1] for s in scenes] for k in range(max(len(s.critters) for s in scenes))]
    for layer in animals:
        _lay(canvas, layer, _shadow, darkness)
    owners = torch.zeros(len(scenes), size, size, dtype=torch.uint8, device=device)
    parts = torch.zeros(len(scenes), 3, size, size, dtype=torch.bool, device=device)
    for k, layer in enumerate(animals):
        canvas[:, 3:6] = 0
        _lay(canvas, layer, _critter, darkness)
        shares = canvas[:, 3:6]
        mine = shares[:, 0] + shares[:, 1] + shares[:, 2] >= 0.5
        owners[mine] = k + 1
        front = shares.argmax(1)
        for p in range(3):
            parts[:, p] = torch.where(mine, front == p, parts[:, p])
    return canvas[:, :3].clamp(0, 1), owners, parts


def _lay(
    canvas: Tensor,
    layer: list[tuple[Any, ...]],
    draw: Callable[[Tensor, list[Any], Tensor], None],
    darkness: Tensor,
) -> None:
    """Draw one thing on each canvas that has one in this layer."""
    who = [row for row, some in enumerate(layer) if some]
    items = [some[0] for some in layer if some]
    if len(who) == len(canvas):
        draw(canvas, items, darkness)
    elif who:
        some = canvas[who]
        draw(some, items, darkness[who])
        canvas[who] = some


@dataclass
class _Pose:
    """Numbers of a batch of animals, ready for the device."""

    frame: Float[Tensor, "n 2 3"]
    face: Float[Tensor, "n 2 3"]
    centre: Float[Tensor, "n 2"]
    head: Float[Tensor, "n 2"]
    unit: Float[Tensor, n]
    radius: Float[Tensor, n]

    @classmethod
    def of(cls, critters: Sequence[Critter]) -> _Pose:
        plans = [_NUMBER["plan"][c.body.plan] for c in critters]
        rows = [
            (
                c.x,
                c.y,
                c.scale / 2,
                math.radians(c.angle),
                c.facing,
                math.radians(c.tilt),
                HEAD_RADIUS * c.swell,
            )
            for c in critters
        ]
        x, y, unit, angle, facing, tilt, swell = torch.tensor(rows, dtype=torch.float64).unbind(1)
        neck_x, neck_y = _NECKS[plans].unbind(1)
        cos, sin = angle.cos(), angle.sin()
        turn = torch.stack([torch.stack([cos * facing, sin * facing], 1), torch.stack([-sin, cos], 1)], 1)
        turn = turn / unit[:, None, None]
        centre = torch.stack([x, y], 1)
        frame = torch.cat([turn, -(turn @ centre[..., None])], 2)
        head_x = x + unit * (cos * facing * neck_x - sin * neck_y)
        head_y = y + unit * (sin * facing * neck_x + cos * neck_y)
        c, s = tilt.cos(), tilt.sin()
        nod = torch.stack([torch.stack([c, s], 1), torch.stack([-s, c], 1)], 1) / swell[:, None, None]
        shifted = torch.cat([frame[..., :2], frame[..., 2:] - torch.stack([neck_x, neck_y], 1)[..., None]], 2)
        return cls(
            frame.float(),
            (nod @ shifted).float(),
            centre.float(),
            torch.stack([head_x, head_y], 1).float(),
            unit.float(),
            (unit * swell).float(),
        )


def _shadow(canvas: Tensor, critters: Sequence[Critter], darkness: Float[Tensor, n]) -> None:
    """Darken the ground under animals. It belongs to the background: no intervention on a part changes it."""
    device = canvas.device
    rows = torch.tensor([(c.x, c.y + 0.46 * c.scale, c.scale) for c in critters]).to(device)
    region = Region.around(canvas, rows[:, :2], 0.5 * rows[:, 2])
    x, y = region.x - rows[:, 0, None, None], region.y - rows[:, 1, None, None]
    scale = rows[:, 2, None, None]
    x, y = x / (0.5 * scale), y / (0.13 * scale)
    depth = (1 - x * x - y * y).clamp(min=0) * darkness[:, None, None]
    region.pixels[:, :3] *= (1 - depth)[:, None]
    region.paste()


def _thing(canvas: Tensor, things: Sequence[Thing], darkness: Float[Tensor, n]) -> None:
    device, size = canvas.device, canvas.shape[-1]
    kind = torch.tensor([_NUMBER["thing"][t.kind] for t in things])
    x, y, unit, light = torch.tensor([(t.x, t.y, t.scale / 2, t.shade) for t in things]).to(device).unbind(1)
    region = Region.around(canvas, torch.stack([x, y], 1), 1.15 * unit)
    u = (region.x - x[:, None, None]) / unit[:, None, None]
    v = (region.y - y[:, None, None]) / unit[:, None, None]
    w = (v - 0.72) / 0.25
    depth = (1 - u * u - w * w).clamp(min=0) * darkness[:, None, None]
    region.pixels[:, :3] *= (1 - depth)[:, None]
    pixel = 1 / (size * unit)
    fur = 1 + 0.35 * region.pixels[:, 6]
    for shapes, colours in zip(_THING_SHAPES, _THING_COLOURS, strict=True):
        d = capsules(u, v, shapes[kind].to(device))
        glow = shade(d, pixel, 0.4, 0.1) * light[:, None, None] * fur
        paint(region, cover(d, pixel), colours[kind].to(device), glow)
    region.paste()


def _critter(canvas: Tensor, critters: Sequence[Critter], _: Tensor) -> None:
    pose = _Pose.of(critters)
    _body(canvas, critters, pose)
    _head(canvas, critters, pose)


def _there(critters: Sequence[Critter], part: int, device: torch.device) -> Float[Tensor, "n 1 1"]:
    return torch.tensor([[[float(PARTS[part] not in c.missing)]] for c in critters]).to(device)


def _body(canvas: Tensor, critters: Sequence[Critter], pose: _Pose) -> None:
    device, size = canvas.device, canvas.shape[-1]
    unit = pose.unit.to(device)
    region = Region.around(canvas, pose.centre.to(device), 1.25 * unit)
    x, y = region.frame(pose.frame.to(device))
    pixel = 1 / (size * unit)
    plan = torch.tensor([_NUMBER["plan"][c.body.plan] for c in critters])
    stride = torch.tensor([c.body.stride for c in critters])[:, None]
    base, second = (
        torch.tensor([[_rgb(code) for code in c.body.coat] for c in critters])
        .mul(torch.tensor([c.body.shade for c in critters])[:, None, None])
        .to(device)
        .unbind(1)
    )
    trunk, limbs = _there(critters, BODY, device), _there(critters, LIMBS, device)

    def distance(layer: str) -> Tensor:
        shapes = _PLAN_LAYERS[layer][plan].clone()
        shapes[..., 2] += shapes[..., 7] * stride
        return capsules(x, y, shapes.to(device))

    fur = 1 + 0.22 * region.pixels[:, 6]
    d = distance("far")
    paint(region, cover(d, pixel) * limbs, base * 0.72, shade(d, pixel, 0.16, 0.045) * fur, LIMBS)

    d = distance("body")
    coverage = cover(d, pixel) * trunk
    phase = torch.tensor([c.body.phase for c in critters]).to(device)[..., None, None]
    waves = _PATTERNS[[_NUMBER["pattern"][c.body.pattern] for c in critters]].to(device)[..., None, None]
    level = -waves[:, 9].expand_as(d)
    for k in range(3):
        level = level + waves[:, 6 + k] * torch.sin(
            x * waves[:, 2 * k] + y * waves[:, 2 * k + 1] + phase[:, k]
        )
    marks = (level * 4).clamp(0, 1)
    pale = base + 0.45 * (1 - base)
    belly = (0.5 - distance("belly") / 0.12).clamp(0, 1) * 0.8
    coat = base[..., None, None] + (second - base)[..., None, None] * marks[:, None]
    coat += (pale[..., None, None] - coat) * belly[:, None]
    paint(region, coverage, coat, shade(d, pixel, 0.34, 0.045) * fur, BODY)

    d = distance("near")
    paint(region, cover(d, pixel) * limbs, base * 0.93, shade(d, pixel, 0.16, 0.045) * fur, LIMBS)
    region.paste()


def _head(canvas: Tensor, critters: Sequence[Critter], pose: _Pose) -> None:
    device, size = canvas.device, canvas.shape[-1]
    kind = torch.tensor([_NUMBER["species"][c.species] for c in critters])
    radius, centre = pose.radius.to(device), pose.head.to(device)
    pixel = 1 / (size * radius)
    there = _there(critters, HEAD, device)

    region = Region.around(canvas, centre, 2.4 * radius)
    x, y = region.frame(pose.face.to(device))
    x = x.abs()
    fur = 1 + 0.15 * region.pixels[:, 6]
    for name, (shapes, _) in _CROWN_LAYERS.items():
        d = capsules(x, y, shapes[kind].to(device))
        light = shade(d, pixel, 0.35, 0.12) * fur
        paint(region, cover(d, pixel) * there, _HEAD_COLOURS[name][kind].to(device), light, HEAD)
    region.paste()

    region = Region.around(canvas, centre, 1.75 * radius)
    x, y = region.frame(pose.face.to(device))
    look = torch.tensor([c.look for c in critters]).to(device)[:, None, None]
    aside = (x - look).abs()
    x = x.abs()
    skull = shape = torch.empty(0)
    for name, (shapes, _) in _FACE_LAYERS.items():
        d = capsules(x if name == "skull" else aside, y, shapes[kind].to(device))
        colour = _HEAD_COLOURS[name][kind].to(device)
        shape = cover(d, pixel) * there
        if name == "skull":
            skull = shape
            glow = shade(d, pixel, 0.7, 0.12)
            paint(region, shape, colour, glow, HEAD)
        elif name in ("light", "dark"):
            paint(region, shape * skull, colour, glow)
        elif name == "nose":
            paint(region, shape, colour, shade(d, pixel, 0.25, 0.08), HEAD)
        else:
            paint(region, shape, colour, None, HEAD)
    region.paste()
