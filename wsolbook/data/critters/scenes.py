"""A scene is a description first: what is drawn where, in numbers that can be read, compared and changed.

Because a scene is a description, one thing in it can be changed while everything else stays as it is:
without its head, on water, with the body of another species. That is what makes the world of critters a
laboratory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from wsolbook.data.counters import keys, uniform
from wsolbook.data.critters.bodies import COATS, PATTERNS, PLANS
from wsolbook.data.critters.scenery import BACKGROUNDS, THINGS
from wsolbook.data.critters.species import MAIN, SPECIES

PARTS = ("head", "body", "limbs")
MOST = 4  # animals in a picture


def known(what: str, name: str, among: Any) -> str:
    """Return `name` if it is one of `among`; otherwise raise a ValueError that says what there is."""
    if name not in among:
        raise ValueError(f"unknown {what} {name!r}; there are {', '.join(among)}")
    return name


@dataclass(frozen=True)
class World:
    """The knobs of the world.

    Attributes:
        species: the classes, names of `SPECIES`.
        classes: use only the first so many of them; None for all.
        objects: fewest and most animals in a picture, 1 to 4.
        object_scale: range of the length of an animal, in picture widths, when it is alone.
        body_cue: probability that an animal wears its own species' body; otherwise body plan, coat and
            pattern are drawn without regard to the species. 0: the body says nothing about the class,
            1: as much as the head.
        context_bias: probability that a picture keeps to `context`.
        context: pairs of a species and its background. A picture that keeps to them shows a listed species
            on its own background, and any other on a background that is not listed.
        overlap: how far animals that share a picture move together; 0 side by side, 1 on one heap.
        clutter: probability of each of three things that are no animals: stones, bushes, logs, mushrooms.
        missing_part: share of the animals in training pictures that lack one part, so that a picture
            without a head is not foreign to a network. No animal of `val` and `test` lacks one.
    """

    species: tuple[str, ...] = MAIN
    classes: int | None = None
    objects: tuple[int, int] = (1, 1)
    object_scale: tuple[float, float] = (0.3, 0.75)
    body_cue: float = 0.5
    context_bias: float = 0.0
    context: tuple[tuple[str, str], ...] = tuple((name, SPECIES[name].home) for name in MAIN)
    overlap: float = 0.3
    clutter: float = 0.3
    missing_part: float = 0.05

    def __post_init__(self) -> None:
        for name in self.species:
            known("species", name, SPECIES)
        if len(set(self.species)) < len(self.species):
            raise ValueError(f"species must differ, got {', '.join(self.species)}")
        if self.classes is not None and not 1 <= self.classes <= len(self.species):
            raise ValueError(f"classes must be between 1 and {len(self.species)}, got {self.classes}")
        if not self.species:
            raise ValueError("a world needs at least one species")
        for name in ("body_cue", "context_bias", "overlap", "clutter", "missing_part"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        if not 1 <= self.objects[0] <= self.objects[1] <= MOST:
            raise ValueError(f"objects must be a range within 1 to 4, got {self.objects}")
        if not 0.1 <= self.object_scale[0] <= self.object_scale[1] <= 1.5:
            raise ValueError(f"object_scale must be a range within 0.1 to 1.5, got {self.object_scale}")
        for name, home in self.context:
            known("species", name, SPECIES)
            known("background", home, BACKGROUNDS)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes in use."""
        return self.species[: self.classes]


PRESETS: dict[str, World] = {
    "single": World(),
    "multi": World(objects=(1, 4), object_scale=(0.5, 0.8)),
    "biased": World(context_bias=1.0, context=(("duck", "water"),)),
}


def world(preset: str = "single", **knobs: Any) -> World:
    """Return a preset with some knobs turned.

    Raises:
        ValueError: on an unknown preset, or a knob out of its range.
        TypeError: on an unknown knob.
    """
    chosen = PRESETS[known("preset", preset, PRESETS)]
    for name in knobs:
        if name not in {field.name for field in fields(World)}:
            raise TypeError(f"unknown knob {name!r}; there are {', '.join(f.name for f in fields(World))}")
    if "species" in knobs:
        knobs["species"] = tuple(knobs["species"])
    return replace(chosen, **knobs)


@dataclass(frozen=True)
class Body:
    """Trunk and limbs: a plan of `PLANS`, a pattern of `PATTERNS`, two colors, and how they vary."""

    plan: str
    pattern: str
    coat: tuple[str, str]
    shade: float
    phase: tuple[float, float, float]
    stride: float


@dataclass(frozen=True)
class Critter:
    """One animal.

    Attributes:
        species: whose head it carries; this is its class.
        body: what it wears below the neck.
        x, y: the point of the ground on which it stands, in picture widths from the upper left corner.
        scale: its length in picture widths.
        angle: rotation about this point in degrees, clockwise.
        facing: 1 to the right, -1 to the left.
        tilt: rotation of the head in degrees.
        look: how far the face turns from the viewer to where the body goes, in head radii.
        swell: size of the head, 1 on average.
        ground: middle and half width of its shadow, which belongs to the background.
        missing: parts that are not drawn.
    """

    species: str
    body: Body
    x: float
    y: float
    scale: float
    angle: float
    facing: int
    tilt: float
    look: float
    swell: float
    ground: tuple[float, float, float]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Thing:
    """What is no animal: a name of `THINGS`, its place and size in picture widths, and its brightness."""

    kind: str
    x: float
    y: float
    scale: float
    shade: float


@dataclass(frozen=True)
class Scene:
    """A picture before it is drawn.

    Attributes:
        classes: names of the classes of its world.
        critters: the animals, from the back to the front.
        background: a name of `BACKGROUNDS`.
        horizon: where the horizon lies within the range of the background, 0 to 1.
        tint: factors of red, green and blue in the background, about 1.
        noise: key of all noise in the picture.
        things: clutter, from the back to the front; it lies behind the animals.
    """

    classes: tuple[str, ...]
    critters: tuple[Critter, ...]
    background: str
    horizon: float
    tint: tuple[float, float, float]
    noise: int
    things: tuple[Thing, ...] = ()

    def without(self, *parts: str) -> Scene:
        """Return the same scene, with these parts of every animal gone. The shadow on the ground stays."""
        for part in parts:
            known("part", part, PARTS)
        return self._each(lambda c: replace(c, missing=tuple(p for p in PARTS if p in (*c.missing, *parts))))

    def on(self, background: str) -> Scene:
        """Return the same scene on another background."""
        return replace(self, background=known("background", background, BACKGROUNDS))

    def with_body_of(self, species: str) -> Scene:
        """Return the same scene, every animal with the trunk, limbs and coat of `species`; heads stay put."""
        own = SPECIES[known("species", species, SPECIES)]

        def swap(critter: Critter) -> Critter:
            before, after = PLANS[critter.body.plan].neck, PLANS[own.plan].neck
            growth = before[1] / after[1]  # the feet stay on the ground, the head where it is
            dx, dy = critter.facing * (before[0] - growth * after[0]), before[1] - growth * after[1]
            cos, sin = math.cos(math.radians(critter.angle)), math.sin(math.radians(critter.angle))
            return replace(
                critter,
                body=replace(critter.body, plan=own.plan, pattern=own.pattern, coat=own.coat),
                x=critter.x + critter.scale / 2 * (cos * dx - sin * dy),
                y=critter.y + critter.scale / 2 * (sin * dx + cos * dy),
                scale=critter.scale * growth,
                swell=critter.swell / growth,
            )

        return self._each(swap)

    def with_head_of(self, species: str) -> Scene:
        """Return the same scene, every animal with the head of `species`, and so of that class."""
        known("species", species, self.classes)
        return self._each(lambda c: replace(c, species=species))

    def _each(self, change: Callable[[Critter], Critter]) -> Scene:
        return replace(self, critters=tuple(change(critter) for critter in self.critters))


class Dice:
    """Numbers drawn for one scene, read one after the other; how many are read never depends on a choice."""

    def __init__(self, numbers: list[float]) -> None:
        self._next = iter(numbers).__next__

    def between(self, low: float | int, high: float | int) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self._next()

    def chance(self, probability: float | int) -> bool:
        """Return True with this probability."""
        return self._next() < probability

    def one_of(self, choices: Any) -> Any:
        """Return one of `choices`, each equally likely."""
        return choices[int(self._next() * len(choices))]


# Where the animals of a picture stand, by their number: x from the center, and share of the full scale.
_PLACES = {
    1: ((0.0, 1.0),),
    2: ((-0.22, 0.75), (0.22, 0.75)),
    3: ((-0.28, 0.65), (0.28, 0.65), (0.0, 0.65)),
    4: ((-0.33, 0.55), (-0.11, 0.55), (0.12, 0.55), (0.34, 0.55)),
}


def draw_scenes(
    world: World, n: int, seed: int = 0, start: int = 0, training: bool = False
) -> Iterator[Scene]:
    """Yield the scenes with the counters `start` to `start + n - 1` of a world.

    Scene `i` is a function of (world, seed, i) alone. Only `training` scenes may lack a part.
    """
    index = torch.arange(start, start + n, dtype=torch.int64)
    homes = dict(world.context)
    free = tuple(name for name in BACKGROUNDS if name not in homes.values()) or tuple(BACKGROUNDS)
    backdrop = uniform(keys(seed, index, 0), 32).tolist()
    actors = torch.stack([uniform(keys(seed, index, 1 + k), 24) for k in range(MOST)], 1).tolist()
    noises = keys(seed, index, 9).tolist()
    for numbers, cast, noise in zip(backdrop, actors, noises, strict=True):
        dice = Dice(numbers)
        count = dice.one_of(range(world.objects[0], world.objects[1] + 1))
        critters = [
            _critter(world, Dice(cast[k]), place, count, training) for k, place in enumerate(_PLACES[count])
        ]
        keeps = dice.chance(world.context_bias)
        anywhere, elsewhere = dice.one_of(tuple(BACKGROUNDS)), dice.one_of(free)
        home = next((homes[c.species] for c in critters if c.species in homes), elsewhere)
        yield Scene(
            classes=world.names,
            critters=tuple(sorted(critters, key=lambda c: c.y)),
            background=home if keeps else anywhere,
            horizon=dice.between(0, 1),
            tint=(dice.between(0.9, 1.08), dice.between(0.92, 1.06), dice.between(0.9, 1.08)),
            noise=noise,
            things=_things(world, dice, min(c.y for c in critters)),
        )


def _critter(world: World, dice: Dice, place: tuple[float, float], count: int, training: bool) -> Critter:
    name = dice.one_of(world.names)
    species = SPECIES[name]
    own = dice.chance(world.body_cue)
    plan, pattern, coat = dice.one_of(tuple(PLANS)), dice.one_of(PATTERNS), dice.one_of(COATS)
    if own:
        plan, pattern, coat = species.plan, species.pattern, species.coat
    scale = dice.between(*world.object_scale) * place[1]
    room = max(0.05, 0.55 - 0.48 * scale) if count == 1 else 0.05
    lacks, part = dice.chance(world.missing_part), dice.one_of(PARTS)
    together = 1 - 0.6 * world.overlap if count > 1 else 1.0
    body = Body(
        plan,
        pattern,
        coat,
        shade=dice.between(0.85, 1.12),
        phase=(dice.between(0, 1), dice.between(0, 1), dice.between(0, 1)),
        stride=dice.between(-0.14, 0.14),
    )
    x = 0.5 + place[0] * together + dice.between(-room, room)
    # What is near is larger and stands lower in the picture; some animals are small all the same.
    y = dice.between(min(0.5 + 0.48 * scale, 0.9), 0.97)
    return Critter(
        species=name,
        body=body,
        x=x,
        y=y,
        scale=scale,
        angle=dice.between(-4, 4),
        facing=dice.one_of((1, -1)),
        tilt=dice.between(-14, 14),
        look=dice.between(0.06, 0.34),
        swell=dice.between(0.92, 1.1),
        ground=(x, y - 0.02 * scale, 0.52 * scale),
        missing=(part,) if training and lacks else (),
    )


def _things(world: World, dice: Dice, back: float) -> tuple[Thing, ...]:
    """Draw clutter that stands farther away than the hindmost animal, whose feet are at `back`."""
    drawn = []
    for _ in range(3):
        there, kind, x = dice.chance(world.clutter), dice.one_of(tuple(THINGS)), dice.between(0.05, 0.95)
        foot, scale = dice.between(0.5, back - 0.02), dice.between(0.16, 0.3)
        shade = dice.between(0.8, 1.1)
        if there:
            drawn.append(Thing(kind, x, foot - 0.35 * scale, scale, shade))
    return tuple(sorted(drawn, key=lambda thing: thing.y + 0.35 * thing.scale))
