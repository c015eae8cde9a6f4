"""The atlas: every head, body and thing as layers of paint, in the arrays that the compiled pass reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from wsolbook.data.critters import species as sp
from wsolbook.data.critters.bodies import PATTERNS, PLANS, Plan
from wsolbook.data.critters.drawing import COAT, LAYER, OWN, PALE, PATTERN, Atlas, Capsule
from wsolbook.data.critters.scenery import THINGS, rgb

HEAD, BODY, LIMBS = range(3)
HEAD_RADIUS = 0.41  # in half body lengths

# A layer before it is numbered: its capsules, its color, and what else differs from 0.
Layer = tuple[Sequence[Capsule], str, dict[str, float | int]]

# Three waves across the coat, their strengths, and the level above which the second color shows.
_WAVES = {
    "plain": (0, 0, 0, 0, 0, 0, 0, 0, 0, 9),
    "stripes": (1.9, 0.4, 0.35, 0.65, -0.5, 0.37, 1, 0.5, 0.3, 0.15),
    "spots": (1.75, 0.95, -0.95, 1.75, 0.48, 0.64, 1, 1, 0.25, 0.95),
    "patches": (0.57, 0.3, -0.38, 0.65, 0.78, -0.49, 1, 1, 1, 0.55),
}
_NOSE_COLOR = {
    "none": "ink",
    "nostrils": "ink",
    "button": "ink",
    "big": "ink",
    "trunk": "fur",
    "jaws": "fur",
    "long": "pale",
}


def _eyes(species: sp.Species) -> tuple[list[Capsule], list[Capsule], list[Capsule]]:
    x, y, ball, pupil, tall = sp.EYES[species.eyes]
    u, v = x - 0.3 * pupil, y - 0.4 * pupil - tall
    return (
        [(x, y, x, y, ball, ball)] if ball else [],
        [(x, y - tall, x, y + tall, pupil, pupil)],
        [(u, v, u, v, 0.42 * pupil, 0.42 * pupil)],
    )


def head(species: sp.Species) -> list[Layer]:
    """Return the layers of a head, from back to front. What sticks out of the face follows the look most."""
    s = species
    ball, pupil, glint = _eyes(s)
    ear, lining = sp.EARS[s.ears][:1], sp.EARS[s.ears][1:]
    nose = getattr(s, _NOSE_COLOR.get(s.nose, "accent"))
    mouth = s.ink if s.mouth in ("smile", "grin", "none") else "#fffdf5"
    furry = {"part": HEAD, "round": 0.35, "ink": 0.12, "grain": 0.15}
    inside = {"part": HEAD, "depth": 0.9, "clip": 1}
    flat = {"part": HEAD, "depth": 1.0}
    return [
        (sp.RUFFS[s.ruff], s.accent, furry | {"depth": -0.3, "smooth": 0.1}),
        (sp.CROWNS[s.crown], s.accent, furry | {"depth": -0.1, "smooth": 0.06}),
        (ear, s.ear or s.fur, furry | {"depth": -0.25}),
        (lining, s.accent, furry | {"depth": -0.15}),
        (sp.SKULLS[s.skull], s.fur, furry | {"smooth": 0.25, "round": 0.7}),
        (sp.MARKS[s.light], s.pale, inside),
        (sp.MARKS[s.dark], s.ink, inside),
        (sp.NOSES[s.nose], nose, furry | {"depth": 1.5, "round": 0.25, "ink": 0.08, "grain": 0}),
        (sp.NOSTRILS.get(s.nose, ()), s.ink, flat | {"depth": 1.6}),
        (sp.MOUTHS[s.mouth], mouth, flat | {"depth": 1.3}),
        (ball, s.iris, flat),
        (pupil, "#17130f", flat | {"depth": 1.1}),
        (glint, "#ffffff", flat | {"depth": 1.1}),
    ]


def body(plan: Plan) -> list[Layer]:
    """Return the layers of a body, from back to front; they are dyed with the animal's coat."""
    limb = {"part": LIMBS, "dye": COAT, "smooth": 0.05, "round": 0.16, "ink": 0.045, "grain": 0.22}
    trunk = limb | {"part": BODY, "dye": PATTERN, "smooth": 0.16, "round": 0.34}
    belly = {"part": BODY, "dye": PALE, "clip": 1, "soft": 0.12, "opacity": 0.8}
    return [
        (plan.far, "#b8b8b8", limb),
        (plan.body, "#ffffff", trunk),
        (plan.belly, "#ffffff", belly),
        (plan.near, "#eeeeee", limb),
    ]


def thing(name: str) -> list[Layer]:
    """Return the layers of a thing."""
    rough = {"part": -1, "round": 0.4, "ink": 0.1, "grain": 0.35}
    return [(shapes, color, rough) for color, shapes in THINGS[name]]


def build_atlas(figures: Iterable[list[Layer]]) -> Atlas:
    """Number the capsules and layers of figures, and add the coats."""
    capsules: list[Capsule] = []
    layers: list[tuple[float, ...]] = []
    ends: list[int] = [0]
    for figure in figures:
        for shapes, color, options in figure:
            own = dict.fromkeys(LAYER.names or (), 0.0) | {"dye": OWN, "opacity": 1.0} | options
            own |= dict(zip(("red", "green", "blue"), rgb(color), strict=True))
            own |= {"first": len(capsules), "last": len(capsules) + len(shapes)}
            capsules += [(*shape, *[0.0] * (9 - len(shape))) for shape in shapes]
            layers.append(tuple(own.values()))
        ends.append(len(layers))
    return Atlas(
        np.array(capsules),
        np.array(layers, LAYER),
        np.stack([ends[:-1], ends[1:]], 1),
        np.array([_WAVES[name] for name in PATTERNS], float),
    )


ATLAS = build_atlas(
    [*map(head, sp.SPECIES.values()), *map(body, PLANS.values()), *(thing(name) for name in THINGS)]
)
# Rows of `ATLAS.figures`.
HEADS = {name: row for row, name in enumerate(sp.SPECIES)}
BODIES = {name: len(HEADS) + row for row, name in enumerate(PLANS)}
OBJECTS = {name: len(HEADS) + len(BODIES) + row for row, name in enumerate(THINGS)}
