"""Bodies that any head may wear: eight plans, the colors of their coats, and the patterns on them.

Bodies are measured in half body lengths, y down, seen from the side and facing right. The ground is at y = 0,
under the middle of the body; limbs on the far side stand a little higher, which is farther away.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsolbook.data.critters.drawing import Capsule

FARTHER = -0.07  # where far feet stand


@dataclass(frozen=True)
class Plan:
    """A body seen from the side, facing right.

    Attributes:
        far: limbs behind the body: tail, far legs, fins.
        body: trunk and neck.
        belly: lighter paint on the body, clipped to it.
        near: limbs before the body: near legs, wing, flipper.
        neck: where the center of the head sits.
    """

    far: tuple[Capsule, ...]
    body: tuple[Capsule, ...]
    belly: tuple[Capsule, ...]
    near: tuple[Capsule, ...]
    neck: tuple[float, float]


def leg(
    x: float, y: float, foot: float, thick: float, swing: float | int, knee: float = 0.0,
    toe: float = 0.12, ground: float = 0.0,
) -> tuple[Capsule, ...]:  # fmt: skip
    """Return a leg from the hip at (x, y) to the ground: thigh, shank and foot, each thinner than the last.

    Args:
        x: of the hip.
        y: of the hip.
        foot: where the foot stands.
        thick: radius at the hip.
        swing: how far the foot follows the stride.
        knee: how far the knee lies before the straight line.
        toe: length of the foot.
        ground: height at which it stands.
    """
    sole = max(0.42 * thick, 0.045)
    across, down = 0.5 * (x + foot) + knee, 0.48 * (y + ground)
    return (
        (x, y, across, down, thick, 0.62 * thick, 0, 0, 0.5 * swing),
        (across, down, foot, ground - sole, 0.6 * thick, 0.4 * thick, 0, 0.5 * swing, swing),
        (foot, ground - sole, foot + toe, ground - sole, sole, 0.9 * sole, 0, swing, swing),
    )


def foot(x: float, thick: float, toe: float, swing: float | int, ground: float = 0.0) -> tuple[Capsule, ...]:
    """Return a flat foot that shows below a body."""
    return ((x, ground - thick, x + toe, ground - thick, thick, 0.9 * thick, 0, swing, swing),)


PLANS: dict[str, Plan] = {
    "walker": Plan(
        far=(
            (-0.74, -1.08, -1.02, -0.5, 0.09, 0.05, -0.14, 0, 0.3),
            *leg(-0.42, -0.75, -0.42, 0.18, 1, -0.05, ground=FARTHER),
            *leg(0.34, -0.75, 0.36, 0.155, -1, 0.03, ground=FARTHER),
        ),
        body=((-0.48, -0.94, 0.28, -0.96, 0.37, 0.35), (0.24, -1.0, 0.5, -1.26, 0.33, 0.25)),
        belly=((-0.4, -0.6, 0.35, -0.62, 0.16, 0.14),),
        near=(*leg(-0.58, -0.78, -0.62, 0.23, -1, -0.06), *leg(0.2, -0.76, 0.18, 0.18, 1, 0.04)),
        neck=(0.47, -1.3),
    ),
    "sitter": Plan(
        far=(
            (-0.5, -0.28, -1.0, -0.6, 0.13, 0.09, 0.22),
            *leg(0.34, -0.8, 0.42, 0.16, 0.4, 0.03, ground=FARTHER),
        ),
        body=((-0.1, -0.62, 0.16, -1.2, 0.5, 0.31), (-0.26, -0.5, -0.22, -0.46, 0.44, 0.42)),
        belly=((0.26, -1.05, 0.28, -0.62, 0.18, 0.22),),
        near=(
            (-0.3, -0.42, -0.1, -0.34, 0.32, 0.22),
            *foot(-0.2, 0.12, 0.34, 0),
            *leg(0.18, -0.78, 0.26, 0.18, -0.4, 0.05, 0.14),
        ),
        neck=(0.23, -1.36),
    ),
    "bird": Plan(
        far=(
            (-0.45, -0.78, -1.04, -0.6, 0.22, 0.08),
            (-0.45, -0.85, -1.0, -0.8, 0.16, 0.05),
            *leg(0.1, -0.5, 0.14, 0.1, 1, -0.08, 0.2, FARTHER),
        ),
        body=((-0.34, -0.82, 0.2, -0.96, 0.42, 0.44), (0.2, -1.0, 0.42, -1.26, 0.41, 0.25)),
        belly=((0.4, -0.85, 0.0, -0.52, 0.26, 0.2),),
        near=((0.1, -0.92, -0.68, -0.68, 0.29, 0.05, -0.12), *leg(-0.14, -0.5, -0.1, 0.11, -1, -0.08, 0.22)),
        neck=(0.37, -1.3),
    ),
    "fish": Plan(
        far=(
            (-0.6, -0.6, -0.98, -1.0, 0.09, 0.2, 0, 0, 0.3),
            (-0.6, -0.58, -0.96, -0.24, 0.09, 0.18, 0, 0, 0.3),
            (0.14, -1.06, -0.36, -1.22, 0.22, 0.05, 0.06),
            (-0.3, -0.4, -0.5, -0.12, 0.16, 0.06, 0, 0, 0.3),
            (0.3, -0.3, 0.34, -0.13, 0.15, 0.07, 0, 0, -0.3),
        ),
        body=((-0.66, -0.6, 0.08, -0.62, 0.13, 0.5), (0.12, -0.62, 0.4, -0.74, 0.5, 0.42)),
        belly=((-0.4, -0.36, 0.35, -0.24, 0.12, 0.2),),
        near=((0.1, -0.46, -0.12, -0.08, 0.17, 0.08, 0.06, 0, 0.4),),
        neck=(0.46, -0.82),
    ),
    "turtle": Plan(
        far=(
            *leg(-0.36, -0.4, -0.42, 0.17, 0.6, -0.05, 0.1, FARTHER),
            *leg(0.34, -0.4, 0.42, 0.16, -0.6, 0.05, 0.1, FARTHER),
            (-0.75, -0.46, -1.04, -0.34, 0.11, 0.02),
        ),
        body=(
            (-0.3, -0.78, 0.1, -0.78, 0.5, 0.48),
            (0.36, -0.62, 0.64, -1.0, 0.25, 0.2),
            (-0.62, -0.5, 0.46, -0.5, 0.17, 0.17),
        ),
        belly=((-0.75, -0.38, 0.6, -0.38, 0.09, 0.09),),
        near=(
            *leg(-0.54, -0.42, -0.62, 0.2, -0.6, -0.06, 0.12),
            *leg(0.16, -0.42, 0.22, 0.19, 0.6, 0.06, 0.12),
        ),
        neck=(0.56, -1.12),
    ),
    "seal": Plan(
        far=(
            (-0.76, -0.2, -1.04, -0.46, 0.1, 0.13, 0, 0, 0.3),
            (-0.76, -0.14, -1.06, -0.12, 0.1, 0.12, 0, 0, 0.2),
            (0.36, -0.42, 0.52, -0.15, 0.16, 0.08, -0.05, 0, 0.4),
        ),
        body=((-0.8, -0.16, 0.1, -0.5, 0.12, 0.46, -0.06), (0.1, -0.52, 0.36, -1.1, 0.47, 0.28)),
        belly=((0.48, -0.9, 0.32, -0.36, 0.18, 0.2),),
        near=((0.14, -0.46, -0.06, -0.1, 0.19, 0.09, 0.07, 0, 0.5), *foot(-0.08, 0.07, -0.2, 0.5)),
        neck=(0.32, -1.2),
    ),
    "hopper": Plan(
        far=(
            (-0.25, -0.45, -1.06, -0.2, 0.24, 0.05, 0.12),
            (0.28, -0.86, 0.52, -0.62, 0.11, 0.07, 0.05, 0, 0.6),
            *foot(0.1, 0.09, 0.34, 0.3, FARTHER),
        ),
        body=((-0.14, -0.6, 0.14, -1.2, 0.45, 0.3),),
        belly=((0.28, -0.98, 0.2, -0.5, 0.17, 0.22),),
        near=(
            (-0.16, -0.5, 0.1, -0.42, 0.33, 0.2),
            (0.12, -0.4, -0.1, -0.12, 0.15, 0.09, 0, 0, 0.3),
            *foot(-0.1, 0.09, 0.42, 0.3),
            (0.14, -0.9, 0.4, -0.66, 0.12, 0.08, 0.05, 0, -0.6),
        ),
        neck=(0.21, -1.34),
    ),
    "beetle": Plan(
        far=(
            *leg(-0.5, -0.4, -0.66, 0.1, 0.6, -0.1, 0.06, FARTHER),
            *leg(-0.02, -0.4, -0.06, 0.1, -0.6, 0.08, 0.06, FARTHER),
            *leg(0.36, -0.4, 0.52, 0.1, 0.6, 0.1, 0.06, FARTHER),
        ),
        body=((-0.36, -0.76, 0.08, -0.76, 0.5, 0.48), (0.2, -0.72, 0.56, -0.96, 0.36, 0.26)),
        belly=((-0.7, -0.36, 0.5, -0.38, 0.14, 0.14),),
        near=(
            *leg(-0.62, -0.44, -0.84, 0.11, -0.6, -0.12, 0.06),
            *leg(-0.24, -0.4, -0.34, 0.11, 0.6, -0.1, 0.06),
            *leg(0.18, -0.4, 0.28, 0.11, -0.6, 0.1, 0.06),
        ),
        neck=(0.5, -1.08),
    ),
}

# Base and second color of a coat; a body without its species' own coat takes one of these.
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
