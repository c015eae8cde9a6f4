"""Who lives in the world of critters: heads that tell species apart, and bodies that any head may wear.

Every shape is a *capsule*, the points within a radius of a bent line:
`(x0, y0, x1, y1, r0, r1, bend, swing)`. It runs from `(x0, y0)` with radius `r0` to `(x1, y1)` with radius
`r1`; its middle is pushed sideways by `bend`; `swing` says how far its end follows the stride of the animal.
A dot is a capsule without length, a horn or a beak one that narrows to nothing. x points to the right and
y down.

Heads are measured in head radii and seen from the front. They are symmetric, so one capsule at `x0 > 0`
draws a left and a right ear. Bodies are measured in half body lengths, seen from the side, facing right.
"""

from __future__ import annotations

from dataclasses import dataclass

Capsule = tuple[float, ...]
Shapes = dict[str, tuple[Capsule, ...]]

# --- heads: each feature of a face is a choice from one of these -------------------------------------------

RUFFS: Shapes = {
    "none": (),
    "mane": ((0, 0.05, 0.1, 0.1, 1.42, 1.42),),
    "fluff": ((0.4, 0.3, 1.2, 0.5, 0.55, 0.05), (0.5, 0.0, 1.15, 0.1, 0.4, 0.05)),
    "wool": ((0, -0.75, 0.3, -0.75, 0.5, 0.45), (0.75, -0.35, 0.85, 0.1, 0.42, 0.36)),
    "frill": ((0, -0.3, 0.75, -0.45, 0.95, 0.8),),
    "spines": ((0.5, -0.5, 1.15, -1.05, 0.55, 0.02), (0.75, 0.0, 1.4, -0.25, 0.5, 0.02)),
}

CROWNS: Shapes = {
    "none": (),
    "antlers": (
        (0.3, -0.8, 1.0, -1.85, 0.13, 0.08, 0.22),
        (0.72, -1.15, 1.32, -1.35, 0.1, 0.06, 0.06),
        (0.86, -1.45, 0.5, -1.9, 0.1, 0.05, -0.05),
    ),
    "horns": ((0.5, -0.72, 0.78, -1.5, 0.2, 0.03, 0.16),),
    "long horns": ((0.55, -0.7, 1.45, -1.25, 0.19, 0.03, 0.28),),
    "ram": ((0.45, -0.75, 1.3, -0.35, 0.3, 0.25, -0.42), (1.3, -0.35, 0.95, 0.35, 0.25, 0.1, -0.16)),
    "knobs": ((0.3, -0.85, 0.36, -1.35, 0.11, 0.1), (0.36, -1.42, 0.36, -1.45, 0.19, 0.19)),
    "crest": (
        (0.0, -0.8, 0.0, -1.65, 0.2, 0.04),
        (0.15, -0.8, 0.5, -1.45, 0.18, 0.03, 0.08),
        (0.3, -0.7, 0.85, -1.15, 0.16, 0.03, 0.08),
    ),
    "comb": ((0, -0.95, 0, -1.2, 0.28, 0.2), (0.34, -0.88, 0.42, -1.05, 0.22, 0.16)),
    "feelers": ((0.25, -0.85, 0.75, -1.65, 0.07, 0.06, 0.16), (0.75, -1.65, 0.75, -1.66, 0.17, 0.17)),
    "mohawk": ((0, -1.1, 0, -0.5, 0.32, 0.2),),
    "one horn": ((0, -0.85, 0, -1.85, 0.19, 0.02),),
    "spikes": (
        (0, -0.9, 0, -1.5, 0.28, 0.02),
        (0.45, -0.8, 0.68, -1.35, 0.24, 0.02),
        (0.8, -0.45, 1.25, -0.85, 0.22, 0.02),
    ),
}

# The first capsule is the ear, the last one the lining.
EARS: Shapes = {
    "none": (),
    "pointed": ((0.52, -0.55, 0.86, -1.4, 0.42, 0.05), (0.58, -0.62, 0.83, -1.2, 0.22, 0.03)),
    "round": ((0.74, -0.74, 0.76, -0.76, 0.42, 0.42), (0.76, -0.76, 0.78, -0.78, 0.24, 0.24)),
    "small": ((0.7, -0.72, 0.74, -0.76, 0.3, 0.28), (0.72, -0.74, 0.74, -0.76, 0.15, 0.15)),
    "dish": ((0.95, -0.7, 1.02, -0.75, 0.62, 0.6), (0.97, -0.7, 1.02, -0.72, 0.4, 0.4)),
    "long": ((0.36, -0.75, 0.52, -1.95, 0.25, 0.2, 0.06), (0.39, -0.85, 0.52, -1.85, 0.13, 0.1, 0.06)),
    "lop": ((0.7, -0.68, 1.18, 0.5, 0.26, 0.32, 0.18), (0.92, -0.2, 1.16, 0.45, 0.1, 0.2, 0.06)),
    "leaf": ((0.75, -0.5, 1.5, -0.85, 0.3, 0.06, 0.06), (0.88, -0.54, 1.38, -0.79, 0.15, 0.03, 0.04)),
    "tufts": ((0.45, -0.65, 0.9, -1.4, 0.34, 0.02, -0.05), (0.55, -0.75, 0.82, -1.2, 0.15, 0.02)),
    "bulges": ((0.62, -0.66, 0.62, -0.68, 0.46, 0.46), (0.62, -0.66, 0.62, -0.68, 0.2, 0.2)),
    "gills": ((0.8, 0.05, 1.5, -0.2, 0.34, 0.08), (0.95, 0.02, 1.4, -0.15, 0.16, 0.03)),
    "fans": ((1.05, -0.15, 1.25, 0.05, 0.72, 0.62), (1.12, -0.1, 1.25, 0.05, 0.48, 0.42)),
}

SKULLS: Shapes = {
    "round": ((0, 0, 0.04, 0, 0.96, 0.94),),
    "wide": ((0, 0.05, 0.26, 0.08, 0.86, 0.86),),
    "flat": ((0, 0.08, 0.48, 0.14, 0.74, 0.66),),
    "tall": ((0, -0.28, 0, 0.45, 0.82, 0.7),),
    "wedge": ((0, -0.15, 0.3, -0.1, 0.78, 0.72), (0, 0.05, 0, 0.86, 0.72, 0.2)),
    "square": ((0, -0.2, 0.22, -0.2, 0.74, 0.72), (0, 0.35, 0.24, 0.38, 0.62, 0.58)),
    "pear": ((0, -0.35, 0.02, -0.3, 0.7, 0.7), (0, 0.25, 0.22, 0.35, 0.78, 0.66)),
}

# Paint on the skull, clipped to it.
MARKS: Shapes = {
    "none": (),
    "muzzle": ((0, 0.58, 0.12, 0.58, 0.46, 0.44),),
    "cheeks": ((0.85, 0.35, 0.12, 0.9, 0.42, 0.3, 0.06),),
    "blaze": ((0, -1.0, 0, 0.35, 0.26, 0.13),),
    "bandit": ((0.25, 0.02, 0.8, 0.22, 0.28, 0.24),),
    "patches": ((0.4, -0.18, 0.52, 0.12, 0.27, 0.3),),
    "disc": ((0.4, -0.05, 0.4, 0.02, 0.52, 0.52),),
    "mask": ((0.34, -0.05, 0.3, 0.2, 0.42, 0.46), (0, 0.5, 0.1, 0.5, 0.45, 0.42)),
    "bars": ((0.42, -1.0, 0.46, 0.5, 0.18, 0.14),),
    "tabby": ((0, -1.0, 0, -0.5, 0.12, 0.03), (1.05, 0.12, 0.58, 0.2, 0.15, 0.02)),
    "zebra": ((0.95, -0.5, 0.15, -0.55, 0.13, 0.03, 0.1), (1.0, 0.2, 0.5, 0.35, 0.13, 0.04)),
    "spots": ((0.3, -0.62, 0.32, -0.6, 0.19, 0.19), (0.74, 0.28, 0.76, 0.3, 0.19, 0.17)),
    "cap": ((0, -0.95, 0.6, -0.85, 0.48, 0.35),),
    "blush": ((0.68, 0.36, 0.7, 0.36, 0.22, 0.2),),
    "brows": ((0.18, -0.42, 0.66, -0.5, 0.16, 0.13),),
}

NOSES: Shapes = {
    "none": (),
    "nostrils": ((0.14, 0.12, 0.15, 0.13, 0.06, 0.06),),
    "button": ((0, 0.34, 0.07, 0.33, 0.16, 0.15),),
    "big": ((0, 0.08, 0, 0.42, 0.2, 0.25),),
    "kitten": ((0, 0.3, 0, 0.44, 0.17, 0.04),),
    "beak": ((0, 0.1, 0, 0.7, 0.3, 0.02),),
    "hook": ((0, 0.0, 0, 0.72, 0.42, 0.1),),
    "bill": ((0, 0.42, 0.44, 0.5, 0.26, 0.2),),
    "trunk": ((0, 0.15, 0, 1.45, 0.32, 0.2),),
    "snout": ((0, 0.38, 0.16, 0.38, 0.36, 0.34),),
    "long": ((0, 0.55, 0.16, 0.78, 0.48, 0.42),),
    "jaws": ((0, 0.35, 0.2, 0.95, 0.5, 0.36),),
}

# Holes in the nose, drawn on it in the ink of the mouth.
NOSTRILS: Shapes = {
    "none": (),
    "snout": ((0.15, 0.38, 0.15, 0.42, 0.09, 0.09),),
    "long": ((0.22, 0.72, 0.24, 0.78, 0.1, 0.1),),
    "jaws": ((0.2, 0.95, 0.2, 0.98, 0.1, 0.1),),
    "bill": ((0.12, 0.38, 0.13, 0.38, 0.05, 0.05),),
}

MOUTHS: Shapes = {
    "none": (),
    "smile": ((0, 0.68, 0.34, 0.56, 0.05, 0.04, 0.05),),
    "grin": ((0, 0.52, 0.85, 0.26, 0.07, 0.04, 0.1),),
    "teeth": ((0, 0.72, 0.05, 0.9, 0.13, 0.12),),
    "tusks": ((0.32, 0.55, 0.42, 1.2, 0.13, 0.05),),
    "fangs": ((0.2, 0.62, 0.2, 0.86, 0.09, 0.01),),
}

# x, y, radius of the coloured ball, radius of the pupil, half height of the pupil beyond its radius
EYES: dict[str, tuple[float, float, float, float, float]] = {
    "bead": (0.4, -0.08, 0.0, 0.17, 0.0),
    "wide": (0.56, -0.1, 0.0, 0.18, 0.03),
    "open": (0.42, -0.1, 0.29, 0.18, 0.0),
    "owl": (0.4, -0.04, 0.36, 0.2, 0.0),
    "cat": (0.42, -0.08, 0.27, 0.09, 0.13),
    "perched": (0.62, -0.72, 0.32, 0.18, 0.0),
    "bug": (0.62, -0.08, 0.4, 0.2, 0.0),
}

# --- bodies ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """A body seen from the side, facing right.

    Attributes:
        far: limbs behind the body: tail, far legs, fins.
        body: trunk and neck.
        belly: lighter paint on the body, clipped to it.
        near: limbs before the body: near legs, wing, flipper.
        neck: where the centre of the head sits.
    """

    far: tuple[Capsule, ...]
    body: tuple[Capsule, ...]
    belly: tuple[Capsule, ...]
    near: tuple[Capsule, ...]
    neck: tuple[float, float]


PLANS: dict[str, Plan] = {
    "walker": Plan(
        far=(
            (-0.78, -0.12, -1.02, 0.3, 0.1, 0.06, -0.14),
            (-0.4, 0.2, -0.34, 0.8, 0.16, 0.1, 0, 1),
            (0.36, 0.2, 0.42, 0.8, 0.15, 0.1, 0, -1),
        ),
        body=((-0.46, -0.02, 0.3, -0.04, 0.4, 0.38), (0.25, -0.1, 0.56, -0.4, 0.32, 0.24)),
        belly=((-0.4, 0.34, 0.35, 0.3, 0.17, 0.15),),
        near=((-0.6, 0.18, -0.6, 0.84, 0.2, 0.11, 0, -1), (0.18, 0.22, 0.18, 0.84, 0.17, 0.11, 0, 1)),
        neck=(0.6, -0.46),
    ),
    "sitter": Plan(
        far=((-0.5, 0.66, -1.0, 0.3, 0.13, 0.1, 0.22), (0.3, 0.2, 0.44, 0.8, 0.13, 0.11, 0, 0.4)),
        body=((-0.1, 0.26, 0.18, -0.34, 0.48, 0.31), (-0.28, 0.44, -0.22, 0.46, 0.44, 0.42)),
        belly=((0.24, -0.1, 0.26, 0.3, 0.2, 0.24),),
        near=((-0.2, 0.8, 0.1, 0.82, 0.14, 0.12), (0.16, 0.2, 0.24, 0.84, 0.14, 0.1, 0, -0.4)),
        neck=(0.3, -0.56),
    ),
    "bird": Plan(
        far=(
            (-0.45, 0.12, -1.04, 0.36, 0.22, 0.1),
            (-0.45, 0.05, -1.0, 0.12, 0.16, 0.06),
            (0.08, 0.4, 0.12, 0.86, 0.06, 0.05, 0, 1),
        ),
        body=((-0.34, 0.1, 0.22, -0.06, 0.44, 0.44), (0.2, -0.1, 0.44, -0.38, 0.4, 0.24)),
        belly=((0.4, 0.12, 0.0, 0.42, 0.28, 0.22),),
        near=((0.08, 0.02, -0.66, 0.18, 0.28, 0.06, -0.1), (-0.14, 0.42, -0.12, 0.88, 0.06, 0.05, 0, -1)),
        neck=(0.48, -0.52),
    ),
    "fish": Plan(
        far=(
            (-0.6, -0.02, -0.98, -0.36, 0.09, 0.18, 0, 0.3),
            (-0.6, 0.02, -0.98, 0.36, 0.09, 0.18, 0, 0.3),
            (0.12, -0.4, -0.36, -0.6, 0.2, 0.05, 0.06),
            (-0.02, 0.4, -0.36, 0.58, 0.14, 0.04),
        ),
        body=((-0.66, 0.0, 0.12, 0.0, 0.14, 0.5), (0.12, 0.0, 0.42, -0.06, 0.5, 0.4)),
        belly=((-0.4, 0.26, 0.35, 0.36, 0.14, 0.24),),
        near=((0.12, 0.14, -0.26, 0.42, 0.16, 0.1, 0.04, 0.6),),
        neck=(0.62, -0.1),
    ),
    "turtle": Plan(
        far=(
            (-0.38, 0.4, -0.38, 0.72, 0.15, 0.13, 0, 0.6),
            (0.34, 0.4, 0.44, 0.72, 0.14, 0.13, 0, -0.6),
            (-0.75, 0.38, -1.02, 0.48, 0.11, 0.03),
        ),
        body=(
            (-0.3, 0.08, 0.12, 0.08, 0.54, 0.52),
            (0.36, 0.24, 0.72, -0.16, 0.24, 0.2),
            (-0.62, 0.36, 0.48, 0.36, 0.18, 0.18),
        ),
        belly=((-0.75, 0.46, 0.6, 0.46, 0.1, 0.1),),
        near=((-0.56, 0.42, -0.6, 0.76, 0.17, 0.15, 0, -0.6), (0.14, 0.44, 0.18, 0.78, 0.16, 0.15, 0, 0.6)),
        neck=(0.72, -0.3),
    ),
    "seal": Plan(
        far=((-0.78, 0.6, -1.06, 0.34, 0.1, 0.14, 0, 0.3), (-0.78, 0.62, -1.08, 0.74, 0.1, 0.12, 0, 0.3)),
        body=((-0.8, 0.62, 0.12, 0.24, 0.12, 0.48, -0.06), (0.12, 0.2, 0.36, -0.34, 0.48, 0.28)),
        belly=((0.48, -0.1, 0.3, 0.5, 0.2, 0.2),),
        near=((0.2, 0.38, -0.08, 0.8, 0.17, 0.09, 0.05, 0.8),),
        neck=(0.42, -0.54),
    ),
    "hopper": Plan(
        far=((-0.25, 0.42, -1.06, 0.72, 0.26, 0.06, 0.12), (0.34, 0.0, 0.58, 0.2, 0.1, 0.07, 0, 0.6)),
        body=((-0.14, 0.3, 0.16, -0.3, 0.47, 0.3),),
        belly=((0.26, -0.05, 0.2, 0.42, 0.18, 0.24),),
        near=(
            (-0.12, 0.42, 0.08, 0.56, 0.32, 0.24),
            (0.1, 0.6, -0.02, 0.84, 0.14, 0.1, 0, 0.3),
            (0.0, 0.86, 0.32, 0.88, 0.1, 0.08, 0, 0.3),
        ),
        neck=(0.28, -0.56),
    ),
    "beetle": Plan(
        far=(
            (-0.5, 0.4, -0.72, 0.8, 0.08, 0.05, -0.08, 0.6),
            (-0.05, 0.44, -0.12, 0.84, 0.08, 0.05, -0.06, -0.6),
            (0.34, 0.38, 0.5, 0.8, 0.08, 0.05, 0.06, 0.6),
        ),
        body=((-0.36, 0.06, 0.1, 0.06, 0.54, 0.5), (0.2, 0.1, 0.58, -0.08, 0.36, 0.26)),
        belly=((-0.7, 0.52, 0.5, 0.5, 0.16, 0.16),),
        near=(
            (-0.66, 0.36, -0.9, 0.82, 0.08, 0.05, -0.1, -0.6),
            (-0.28, 0.46, -0.42, 0.86, 0.08, 0.05, -0.06, 0.6),
            (0.16, 0.44, 0.24, 0.86, 0.08, 0.05, 0.06, -0.6),
        ),
        neck=(0.64, -0.26),
    ),
}

# Base and second colour of a coat; a body without its species' own coat takes one of these.
COATS: tuple[tuple[str, str], ...] = (
    ("#b5763f", "#6f4324"),
    ("#8f9398", "#55595f"),
    ("#e0c9a0", "#a98250"),
    ("#5f6f52", "#3a4733"),
    ("#7a5a4c", "#453029"),
    ("#d9d4c7", "#8b8577"),
    ("#a3703f", "#e7cf9f"),
    ("#667a8f", "#c3ced8"),
)
PATTERNS = ("plain", "stripes", "spots", "patches")


@dataclass(frozen=True)
class Species:
    """A head, and the body that goes with it when the world lets the body tell the class.

    Attributes:
        fur, ink, pale, accent: colours of skull and ears, of the dark marks, of the light marks, and of horns,
            beak and ear linings.
        skull, ears, crown, ruff, dark, light, nose, mouth, eyes: names of the features above; `dark` and
            `light` are the marks in `ink` and in `pale`.
        iris: colour of the eye ball.
        ear: colour of the ears, where it is not that of the fur.
        plan, coat, pattern: the species' own body: its plan, its two colours and the pattern of its coat.
        home: the background that the species comes with when the world is biased.
    """

    fur: str
    ink: str
    pale: str
    accent: str
    skull: str
    eyes: str
    nose: str
    ears: str = "none"
    crown: str = "none"
    ruff: str = "none"
    dark: str = "none"
    light: str = "none"
    mouth: str = "none"
    iris: str = "#ffffff"
    ear: str = ""
    plan: str = "walker"
    coat: tuple[str, str] = COATS[0]
    pattern: str = "plain"
    home: str = "meadow"


# fmt: off
SPECIES: dict[str, Species] = {
    # the eight of the main world
    "fox": Species("#e2742a", "#3b2418", "#fbf3e6", "#4a2c1c", "wedge", "bead", "button", "pointed",
                   light="cheeks", plan="walker", coat=("#d96f2b", "#f6e6d2"), home="autumn"),
    "owl": Species("#8a6a48", "#4e3822", "#f0dfbd", "#e6a02c", "round", "owl", "beak", "tufts",
                   light="disc", iris="#f8c630", plan="bird", coat=("#8a6a48", "#57402a"), pattern="spots", home="dusk"),
    "frog": Species("#6cb544", "#2f5a22", "#d8eda0", "#4f9433", "flat", "perched", "nostrils", "bulges",
                    light="muzzle", mouth="grin", iris="#f3e27a", plan="sitter", coat=("#6cb544", "#3f7d2c"), pattern="spots", home="water"),
    "deer": Species("#b9814c", "#5a3a22", "#f3e3c8", "#d9c39a", "tall", "wide", "button", "leaf", "antlers",
                    light="muzzle", plan="walker", coat=("#b9814c", "#f0dcb8"), pattern="spots", home="forest"),
    "rabbit": Species("#cfc8c2", "#6a5d58", "#ffffff", "#f0a6ae", "round", "wide", "kitten", "long",
                      light="muzzle", mouth="teeth", plan="hopper", coat=("#cfc8c2", "#8d837c"), home="snow"),
    "lion": Species("#e9b85a", "#5a3517", "#fbe7bd", "#a85a22", "square", "bead", "big", "round", ruff="mane",
                    light="muzzle", plan="walker", coat=("#e3b05a", "#a8692b"), home="sand"),
    "duck": Species("#2f7d5b", "#16442f", "#f4f1e6", "#f2a81d", "round", "wide", "bill",
                    light="blush", plan="bird", coat=("#9a8a78", "#e7e0d2"), pattern="patches", home="sky"),
    "panda": Species("#f7f5ef", "#26262a", "#ffffff", "#26262a", "wide", "bead", "button", "round",
                     dark="patches", mouth="smile", ear="#26262a", plan="sitter", coat=("#f2efe8", "#2b2b30"), pattern="patches", home="meadow"),
}
# fmt: on
MAIN = tuple(SPECIES)
