"""Learning rates over time, as pure functions of the step: there is no scheduler state to save or to lose."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes.

    Attributes:
        kind: `"constant"`; `"poly"`, (1 - t)^power; `"step"`, multiplied by `gamma` at each milestone;
            `"cosine"`, half a period from 1 to 0. t runs from 0 to 1 over the training after warm-up.
        power: exponent of `"poly"` (0.9 in DeepLab and AffinityNet).
        milestones: moments of `"step"`, in `unit`.
        gamma: factor at each milestone.
        warmup: length of a linear rise from 0 at the start, in `unit`.
        unit: what `milestones` and `warmup` count.
    """

    kind: Literal["constant", "poly", "step", "cosine"] = "constant"
    power: float = 0.9
    milestones: tuple[int | float, ...] = ()
    gamma: float = 0.1
    warmup: float = 0.0
    unit: Literal["epochs", "steps"] = "epochs"

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = []
        if self.kind == "step" and not self.milestones:
            found.append('schedule.milestones is empty, but schedule.kind is "step"')
        if list(self.milestones) != sorted(set(self.milestones)):
            found.append(f"schedule.milestones must increase, got {self.milestones}")
        if self.power <= 0:
            found.append(f"schedule.power must be positive, got {self.power}")
        if self.gamma <= 0:
            found.append(f"schedule.gamma must be positive, got {self.gamma}")
        if self.warmup < 0:
            found.append(f"schedule.warmup must not be negative, got {self.warmup}")
        return found


def factor(schedule: Schedule, step: int, total: int, per_epoch: int) -> float:
    """Return the share of the base learning rate that a step uses, in [0, 1] for gamma <= 1.

    Args:
        schedule: the shape.
        step: optimizer step, counted from 0.
        total: steps of the whole training.
        per_epoch: steps of one epoch.
    """
    unit = per_epoch if schedule.unit == "epochs" else 1
    warmup = schedule.warmup * unit
    if step < warmup:
        return (step + 1) / (warmup + 1)
    t = (step - warmup) / max(total - warmup, 1)
    match schedule.kind:
        case "poly":
            return (1 - t) ** schedule.power
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * t))
        case "step":
            return schedule.gamma ** bisect.bisect_right(schedule.milestones, step / unit)
        case _:
            return 1.0
