"""Draw an animal from its description: which shapes it is made of, where they go, and in which order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from wsolbook.data.critters import species as sp
from wsolbook.data.critters.bodies import PATTERNS, PLANS
from wsolbook.data.critters.drawing import (
    NOWHERE,
    Capsule,
    Region,
    capsules,
    cover,
    paint,
    reach,
    rgb,
    shade,
    table,
)
from wsolbook.data.critters.scenes import PARTS, Critter

HEAD, BODY, LIMBS = range(3)
HEAD_RADIUS = 0.39  # in half body lengths


def _eyes(species: sp.Species) -> tuple[Capsule, Capsule, Capsule]:
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
_NOSE_COLOR = {
    "none": "ink",
    "nostrils": "ink",
    "button": "ink",
    "big": "ink",
    "trunk": "fur",
    "jaws": "fur",
    "long": "pale",
}
# Layers of a head from back to front: shapes and color of each species.
_CROWN_LAYERS = {
    "ruff": (table([sp.RUFFS[s.ruff] for s in _ALL]), [s.accent for s in _ALL]),
    "crown": (table([sp.CROWNS[s.crown] for s in _ALL]), [s.accent for s in _ALL]),
    "ears": (table([sp.EARS[s.ears][:1] for s in _ALL]), [s.ear or s.fur for s in _ALL]),
    "lining": (table([sp.EARS[s.ears][1:] for s in _ALL]), [s.accent for s in _ALL]),
}
_FACE_LAYERS = {
    "skull": (table([sp.SKULLS[s.skull] for s in _ALL]), [s.fur for s in _ALL]),
    "light": (table([sp.MARKS[s.light] for s in _ALL]), [s.pale for s in _ALL]),
    "dark": (table([sp.MARKS[s.dark] for s in _ALL]), [s.ink for s in _ALL]),
    "nose": (
        table([sp.NOSES[s.nose] for s in _ALL]),
        [getattr(s, _NOSE_COLOR.get(s.nose, "accent")) for s in _ALL],
    ),
    "nostrils": (table([sp.NOSTRILS.get(s.nose, ()) for s in _ALL]), [s.ink for s in _ALL]),
    "mouth": (
        table([sp.MOUTHS[s.mouth] for s in _ALL]),
        [s.ink if s.mouth in ("smile", "grin", "none") else "#fffdf5" for s in _ALL],
    ),
    "ball": (table([_eyes(s)[:1] for s in _ALL]), [s.iris for s in _ALL]),
    "pupil": (table([_eyes(s)[1:2] for s in _ALL]), ["#17130f" for _ in _ALL]),
    "glint": (table([_eyes(s)[2:] for s in _ALL]), ["#ffffff" for _ in _ALL]),
}
_PLAN_LAYERS = {
    name: table([getattr(p, name) for p in PLANS.values()]) for name in ("far", "body", "belly", "near")
}
_NECKS = torch.tensor([p.neck for p in PLANS.values()], dtype=torch.float64)
# Three waves across the coat, their strengths, and the level above which the second color shows.
_PATTERNS = torch.tensor(
    [
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
        [11, 2.5, 2.2, 4.1, -3.1, 2.3, 1, 0.5, 0.3, 0.15],
        [11, 6, -6, 11, 3, 4, 1, 1, 0.25, 0.95],
        [3.6, 1.9, -2.4, 4.1, 4.9, -3.1, 1, 1, 1, 0.55],
    ],
    dtype=torch.float32,
)


def _colors(codes: Sequence[str]) -> Float[Tensor, "s 3"]:
    return torch.tensor([rgb(code) for code in codes])


_HEAD_COLORS = {name: _colors(codes) for name, (_, codes) in (_CROWN_LAYERS | _FACE_LAYERS).items()}
_CROWN_REACH = reach(*(shapes for shapes, _ in _CROWN_LAYERS.values()))
_FACE_REACH = reach(*(shapes for shapes, _ in _FACE_LAYERS.values())) + 0.16
_BODY_REACH = reach(*_PLAN_LAYERS.values())
_rgb = lru_cache(rgb)
_SPECIES_ROW = {name: row for row, name in enumerate(sp.SPECIES)}
_PLAN_ROW = {name: row for row, name in enumerate(PLANS)}
_PATTERN_ROW = {name: row for row, name in enumerate(PATTERNS)}


@dataclass
class _Pose:
    """Numbers of a batch of animals, ready for the device."""

    frame: Float[Tensor, "n 2 3"]
    face: Float[Tensor, "n 2 3"]
    center: Float[Tensor, "n 2"]
    head: Float[Tensor, "n 2"]
    unit: Float[Tensor, n]
    radius: Float[Tensor, n]

    @classmethod
    def of(cls, critters: Sequence[Critter]) -> _Pose:
        plans = [_PLAN_ROW[c.body.plan] for c in critters]
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
        center = torch.stack([x, y], 1)
        frame = torch.cat([turn, -(turn @ center[..., None])], 2)
        head_x = x + unit * (cos * facing * neck_x - sin * neck_y)
        head_y = y + unit * (sin * facing * neck_x + cos * neck_y)
        c, s = tilt.cos(), tilt.sin()
        nod = torch.stack([torch.stack([c, s], 1), torch.stack([-s, c], 1)], 1) / swell[:, None, None]
        shifted = torch.cat([frame[..., :2], frame[..., 2:] - torch.stack([neck_x, neck_y], 1)[..., None]], 2)
        return cls(
            frame.float(),
            (nod @ shifted).float(),
            center.float(),
            torch.stack([head_x, head_y], 1).float(),
            unit.float(),
            (unit * swell).float(),
        )


def draw_animals(canvas: Float[Tensor, "n 7 s s"], critters: Sequence[Critter]) -> None:
    """Draw one animal on each canvas: far limbs, trunk, near limbs, then the head over them.

    Coverage of its parts is added to channels 3 to 5 of the canvas, in the order of `PARTS`.
    """
    pose = _Pose.of(critters)
    _body(canvas, critters, pose)
    _head(canvas, critters, pose)


def _there(critters: Sequence[Critter], part: int, device: torch.device) -> Float[Tensor, "n 1 1"]:
    return torch.tensor([[[float(PARTS[part] not in c.missing)]] for c in critters]).to(device)


def _body(canvas: Tensor, critters: Sequence[Critter], pose: _Pose) -> None:
    device, size = canvas.device, canvas.shape[-1]
    unit = pose.unit.to(device)
    plan = torch.tensor([_PLAN_ROW[c.body.plan] for c in critters])
    region = Region.around(canvas, pose.center.to(device), _BODY_REACH[plan].to(device) * unit)
    x, y = region.frame(pose.frame.to(device))
    pixel = 1 / (size * unit)
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
        return capsules(x, y, shapes)

    fur = 1 + 0.22 * region.pixels[:, 6]
    d = distance("far")
    paint(region, cover(d, pixel) * limbs, base * 0.72, shade(d, pixel, 0.16, 0.045) * fur, LIMBS)

    d = distance("body")
    coverage = cover(d, pixel) * trunk
    phase = torch.tensor([c.body.phase for c in critters]).to(device)[..., None, None]
    waves = _PATTERNS[[_PATTERN_ROW[c.body.pattern] for c in critters]].to(device)[..., None, None]
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
    kind = torch.tensor([_SPECIES_ROW[c.species] for c in critters])
    radius, center = pose.radius.to(device), pose.head.to(device)
    pixel = 1 / (size * radius)
    there = _there(critters, HEAD, device)

    region = Region.around(canvas, center, _CROWN_REACH[kind].to(device) * radius)
    x, y = region.frame(pose.face.to(device))
    x = x.abs()
    fur = 1 + 0.15 * region.pixels[:, 6]
    for name, (shapes, _) in _CROWN_LAYERS.items():
        d = capsules(x, y, shapes[kind])
        light = shade(d, pixel, 0.35, 0.12) * fur
        paint(region, cover(d, pixel) * there, _HEAD_COLORS[name][kind].to(device), light, HEAD)
    region.paste()

    region = Region.around(canvas, center, _FACE_REACH[kind].to(device) * radius)
    x, y = region.frame(pose.face.to(device))
    look = torch.tensor([c.look for c in critters]).to(device)[:, None, None]
    aside = (x - look).abs()
    x = x.abs()
    skull = shape = torch.empty(0)
    for name, (shapes, _) in _FACE_LAYERS.items():
        d = capsules(x if name == "skull" else aside, y, shapes[kind])
        color = _HEAD_COLORS[name][kind].to(device)
        shape = cover(d, pixel) * there
        if name == "skull":
            skull = shape
            glow = shade(d, pixel, 0.7, 0.12)
            paint(region, shape, color, glow, HEAD)
        elif name in ("light", "dark"):
            paint(region, shape * skull, color, glow)
        elif name == "nose":
            paint(region, shape, color, shade(d, pixel, 0.25, 0.08), HEAD)
        else:
            paint(region, shape, color, None, HEAD)
    region.paste()
