"""Who lives in the world of critters: heads that tell species apart.

Heads are measured in head radii, y down, and seen from the front. They are symmetric, so one shape at
`x > 0` draws a left and a right ear. Each feature of a face is a choice from a small list, each entry of it
a few capsules (`wsolbook.data.critters.drawing.Capsule`).
"""

from __future__ import annotations

from dataclasses import dataclass

from wsolbook.data.critters.drawing import Capsule

Shapes = dict[str, tuple[Capsule, ...]]

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
    "tuft": ((0, -0.85, 0.22, -1.3, 0.16, 0.03, 0.06),),
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
    "smile": ((0, 0.68, 0.36, 0.5, 0.055, 0.04, -0.07),),
    "grin": ((0, 0.5, 0.9, 0.16, 0.06, 0.04, -0.1),),
    "teeth": ((0, 0.64, 0.05, 0.78, 0.12, 0.1),),
    "tusks": ((0.32, 0.55, 0.42, 1.2, 0.13, 0.05),),
    "fangs": ((0.2, 0.62, 0.2, 0.86, 0.09, 0.01),),
}

# x, y, radius of the colored ball, radius of the pupil, half height of the pupil beyond its radius
EYES: dict[str, tuple[float, float, float, float, float]] = {
    "bead": (0.4, -0.08, 0.0, 0.17, 0.0),
    "wide": (0.56, -0.1, 0.0, 0.18, 0.03),
    "open": (0.42, -0.1, 0.29, 0.18, 0.0),
    "owl": (0.4, -0.04, 0.36, 0.2, 0.0),
    "cat": (0.42, -0.08, 0.27, 0.09, 0.13),
    "perched": (0.62, -0.72, 0.32, 0.18, 0.0),
    "bug": (0.62, -0.08, 0.4, 0.2, 0.0),
}


@dataclass(frozen=True)
class Species:
    """A head, and the body that goes with it when the world lets the body tell the class.

    Attributes:
        fur, ink, pale, accent: colors of skull and ears, of the dark marks, of the light marks, and of horns,
            beak and ear linings.
        skull, ears, crown, ruff, dark, light, nose, mouth, eyes: names of the features above; `dark` and
            `light` are the marks in `ink` and in `pale`.
        iris: color of the eye ball.
        ear, torso: colors of the ears and of the species' own body, where they are not that of the fur.
        plan, pattern: the species' own body and the pattern of its coat.
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
    torso: str = ""
    plan: str = "walker"
    pattern: str = "plain"
    home: str = "meadow"

    @property
    def coat(self) -> tuple[str, str]:
        """Base and second color of the species' own body."""
        return self.torso or self.fur, self.ink


# fmt: off
# The eight classes of the main world.
_MAIN: dict[str, Species] = {
    "fox": Species("#e2742a", "#3b2418", "#fbf3e6", "#4a2c1c", "wedge", "bead", "button", "pointed",
                   light="cheeks", home="autumn"),
    "owl": Species("#8a6a48", "#4e3822", "#f0dfbd", "#e6a02c", "round", "owl", "beak", "tufts",
                   light="disc", iris="#f8c630", plan="bird", pattern="spots",
                   home="dusk"),
    "frog": Species("#6cb544", "#2f5a22", "#d8eda0", "#4f9433", "flat", "perched", "nostrils", "bulges",
                    light="muzzle", mouth="grin", iris="#f3e27a", plan="sitter",
                    pattern="spots", home="water"),
    "deer": Species("#b9814c", "#5a3a22", "#f3e3c8", "#d9c39a", "tall", "wide", "button", "leaf", "antlers",
                    light="muzzle", pattern="spots", home="forest"),
    "rabbit": Species("#cfc8c2", "#6a5d58", "#ffffff", "#f0a6ae", "round", "wide", "kitten", "long",
                      light="muzzle", mouth="teeth", plan="hopper", home="snow"),
    "lion": Species("#e9b85a", "#5a3517", "#fbe7bd", "#a85a22", "square", "bead", "big", "round",
                    ruff="mane", light="muzzle", home="sand"),
    "duck": Species("#2f7d5b", "#16442f", "#f4f1e6", "#f2a81d", "round", "wide", "bill", crown="tuft",
                    plan="bird", pattern="patches", home="sky", torso="#a39382"),
    "panda": Species("#f7f5ef", "#26262a", "#ffffff", "#26262a", "wide", "bead", "button", "round",
                     dark="patches", mouth="smile", ear="#26262a", plan="sitter",
                     pattern="patches"),
}
# Other species, to pre-train on what the main world does not show.
_OTHERS: dict[str, Species] = {
    "cat": Species("#8b8f96", "#4a4d54", "#f2f0ec", "#eab0ae", "round", "cat", "kitten", "pointed",
                   dark="tabby", light="muzzle", iris="#b7d45a", plan="sitter", pattern="stripes"),
    "dog": Species("#c99a62", "#5d3d24", "#f6ead6", "#7a4f2c", "square", "bead", "big", "lop",
                   light="muzzle", ear="#7a4f2c", plan="sitter"),
    "raccoon": Species("#9a9a98", "#2e2d30", "#f4f2ec", "#5a5958", "wedge", "bead", "button", "round",
                       dark="bandit", light="cheeks", plan="walker", pattern="stripes"),
    "badger": Species("#f3f1ea", "#2b2a2c", "#ffffff", "#e6dfd2", "wedge", "bead", "button", "small",
                      dark="bars", plan="walker", torso="#85838a"),
    "tiger": Species("#ee8e2c", "#2a1b10", "#fff3dd", "#f7c78f", "square", "cat", "kitten", "round",
                     dark="tabby", light="muzzle", iris="#d9e08a", pattern="stripes"),
    "mouse": Species("#b3a9a4", "#5b504c", "#eee6e0", "#f2b6bb", "wedge", "bead", "kitten", "dish",
                     plan="hopper"),
    "koala": Species("#9aa2ac", "#33363c", "#dfe3e8", "#e9d7dc", "wide", "bead", "big", "dish",
                     plan="sitter"),
    "bear": Species("#7a4f30", "#2c1c12", "#d2a878", "#c08f5e", "wide", "bead", "button", "round",
                    light="muzzle", mouth="smile", plan="walker"),
    "pig": Species("#f3a8ae", "#8f4a55", "#fbd0d2", "#e07f8c", "round", "bead", "snout", "leaf",
                   plan="walker"),
    "cow": Species("#f6f1e8", "#33302f", "#f4b9b0", "#d8c7a6", "tall", "wide", "long", "leaf", "horns",
                   dark="patches", pattern="patches"),
    "sheep": Species("#3f3a3c", "#1d1a1b", "#6a6163", "#f5efe2", "tall", "wide", "nostrils", "leaf",
                     ruff="wool", torso="#efe8da"),
    "ibex": Species("#a58a6b", "#4e3c2b", "#e6d6bd", "#6f5c48", "tall", "wide", "button", "leaf", "ram",
                    light="muzzle"),
    "giraffe": Species("#eebf62", "#9a5a28", "#f9e3b4", "#7b4a25", "tall", "wide", "nostrils", "leaf",
                       "knobs", dark="spots", light="muzzle", pattern="patches"),
    "zebra": Species("#f5f3ee", "#242428", "#4a4648", "#242428", "tall", "wide", "long", "small", "mohawk",
                     dark="zebra", pattern="stripes"),
    "elephant": Species("#97a0aa", "#4c525a", "#c3c9cf", "#d5b1b4", "round", "bead", "trunk", "fans",
                        mouth="tusks"),
    "penguin": Species("#22262f", "#101218", "#fbfaf5", "#f2a23a", "round", "bead", "beak", light="mask",
                       plan="bird"),
    "parrot": Species("#d93b3b", "#7c1f24", "#fdf5e8", "#33373d", "round", "open", "hook", crown="crest",
                      light="mask", plan="bird"),
    "rooster": Species("#f0e6d2", "#7c5a30", "#ffffff", "#d8392f", "round", "open", "beak", crown="comb",
                       plan="bird", pattern="patches", torso="#c9702e"),
    "eagle": Species("#f7f4ec", "#4a3220", "#ffffff", "#f0b429", "flat", "cat", "hook", dark="brows",
                     iris="#f6d55c", plan="bird", torso="#6b4c34"),
    "lizard": Species("#4f9a86", "#24564a", "#c5e3b2", "#e8813a", "flat", "perched", "nostrils", "bulges",
                      ruff="frill", mouth="grin", iris="#f6b23c", plan="walker", pattern="spots"),
    "axolotl": Species("#f5b8c4", "#a65a70", "#fbe0e3", "#d9567f", "wide", "wide", "none", "gills",
                       light="blush", mouth="grin", ear="#d9567f", plan="seal"),
    "ladybird": Species("#2c2a2e", "#141316", "#f6efe2", "#d9382c", "round", "bug", "none", crown="feelers",
                        plan="beetle", pattern="spots", torso="#d9382c"),
    "bee": Species("#f4c22e", "#33291c", "#fff1b8", "#33291c", "round", "bug", "none", crown="feelers",
                   dark="cap", mouth="smile", plan="beetle", pattern="stripes"),
    "hedgehog": Species("#e8cfa8", "#4a3526", "#f6e8cf", "#5d4634", "wedge", "bead", "button", "small",
                        "spikes", ruff="spines", plan="turtle"),
    "lynx": Species("#d0a673", "#4a3422", "#f8efdf", "#3a2a1e", "round", "cat", "kitten", "tufts",
                    ruff="fluff", light="muzzle", iris="#d8c45a", pattern="spots"),
    "hippo": Species("#9b8aa0", "#54465a", "#c9a9b4", "#d99aa8", "pear", "bead", "long", "small",
                     mouth="teeth"),
    "walrus": Species("#8d6650", "#3c281e", "#c9a48a", "#6f4d3b", "pear", "bead", "button", light="muzzle",
                      mouth="tusks", plan="seal"),
    "dragon": Species("#7a5bb5", "#35245c", "#c9b4ea", "#f0b84a", "wedge", "cat", "nostrils", "gills",
                      "long horns", light="muzzle", mouth="fangs", iris="#f6e05e", plan="hopper"),
    "unicorn": Species("#fbf4fa", "#7d6a8f", "#fbe0ea", "#f0b7d5", "tall", "open", "long", "pointed",
                       "one horn", iris="#a9c9f2"),
    "monkey": Species("#6e4a32", "#2d1c12", "#f0cfa4", "#d9a878", "round", "bead", "nostrils", "dish",
                      light="mask", mouth="smile", plan="sitter"),
}
# fmt: on
SPECIES = _MAIN | _OTHERS
MAIN = tuple(_MAIN)
OTHERS = tuple(_OTHERS)
