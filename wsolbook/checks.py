"""Checks that a chapter prints: a fixed line when they hold, an error when they do not.

Trained numbers differ from machine to machine in late digits, so a chapter never prints them raw.
It states what must hold of them; `pytest --nbval` then compares a line that does not change.
Where the environment variable `WSOLBOOK_CHECKS` names a file, as in `make margins`, each check adds a
line with its value to it, and none raises.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Literal

import torch

from wsolbook.results import spread

Side = Literal["at_least", "at_most", "within"]
SIGNS: dict[Side, str] = {"at_least": ">=", "at_most": "<=", "within": "within"}


def check(
    claim: str,
    value: float | torch.Tensor | Sequence[float | torch.Tensor],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    """Print `claim` with its bound if `value` respects it.

    Args:
        claim: what must hold, in words.
        value: one number, or one for each seed: then the worst must hold, and where there are several the
            line ends in their mean and spread.
        at_least: the lowest value that is allowed.
        at_most: the highest; exactly one of the two is given.

    Raises:
        ValueError: when neither or both bounds are given, or there is no value.
        AssertionError: naming claim, value and bound, when the claim does not hold.
    """
    if (at_least is None) == (at_most is None):
        raise ValueError("give at_least or at_most, one of them")
    values = [float(v) for v in value] if isinstance(value, Sequence) else [float(value)]
    if not values:
        raise ValueError(f"{claim}: there is no value to check")
    ordered = torch.tensor(values, dtype=torch.float64)  # NaN is the worst of all to amin and amax
    if at_least is not None:
        _settle(claim, "at_least", at_least, float(ordered.amin()), values)
    elif at_most is not None:
        _settle(claim, "at_most", at_most, float(ordered.amax()), values)


def check_close(
    claim: str, actual: torch.Tensor | float, expected: torch.Tensor | float, atol: float = 1e-5
) -> None:
    """Print `claim` if two tensors agree within `atol` everywhere, relative to the largest value expected.

    Raises:
        AssertionError: naming claim and largest difference, when they do not, or their shapes differ.
    """
    a = torch.as_tensor(actual).detach().cpu().double()
    b = torch.as_tensor(expected).detach().cpu().double()
    if a.shape != b.shape:
        raise AssertionError(f"{claim}: shapes differ, {tuple(a.shape)} and {tuple(b.shape)}")
    scale = max(1.0, float(b.abs().max())) if b.numel() else 1.0
    difference = float((a - b).abs().max()) / scale if b.numel() else 0.0
    _settle(claim, "within", atol, difference)


def _settle(claim: str, side: Side, bound: float, value: float, seeds: Sequence[float] = ()) -> None:
    """Print the line of a claim that holds; note the value where one listens; raise where nobody does."""
    holds = value >= bound if side == "at_least" else value <= bound
    if listener := os.environ.get("WSOLBOOK_CHECKS"):
        with open(listener, "a", encoding="utf-8") as lines:
            lines.write(json.dumps({"claim": claim, "side": side, "bound": bound, "value": value}) + "\n")
    elif not holds and side == "within":
        raise AssertionError(f"{claim}: largest relative difference {value:.3g}, allowed {bound:g}")
    elif not holds:
        raise AssertionError(f"{claim}: {value:.4g}, expected {SIGNS[side]} {bound:g}")
    if holds:
        over = f", {spread(seeds, 3)} over {len(seeds)} seeds" if len(seeds) > 1 else ""
        print(f"✓ {claim} ({SIGNS[side]} {bound:g}{over})")
