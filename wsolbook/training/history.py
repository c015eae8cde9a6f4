"""What happened in a training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class History:
    """Losses and evaluations by optimizer step.

    Attributes:
        losses: sum of the loss terms at each step of this call.
        terms: each loss term at each step of this call.
        evaluations: metrics with the `step` they were measured at, over the whole run.
        step: number of optimizer steps done over the whole run.
    """

    losses: list[float] = field(default_factory=list)
    terms: dict[str, list[float]] = field(default_factory=dict)
    evaluations: list[dict[str, int | float]] = field(default_factory=list)
    step: int = 0

    def add(self, terms: dict[str, float]) -> None:
        """Count a step with its loss terms."""
        self.step += 1
        self.losses.append(sum(terms.values()))
        for name, value in terms.items():
            self.terms.setdefault(name, []).append(value)

    @property
    def final(self) -> dict[str, int | float]:
        """The last evaluation; empty when there was none."""
        return self.evaluations[-1] if self.evaluations else {}

    def best_step(self, metric: str) -> int | None:
        """Return the first step at which `metric` was largest; None where it was never measured."""
        measured = [e for e in self.evaluations if math.isfinite(e.get(metric, math.nan))]
        return int(max(measured, key=lambda e: e[metric])["step"]) if measured else None
