"""Checks that a chapter prints: a fixed line when they hold, an error when they do not.

Trained numbers differ from machine to machine in late digits, so a chapter never prints them raw.
It states what must hold of them; `pytest --nbval` then compares a line that does not change.
"""

from __future__ import annotations

import torch


def check(claim: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
    """Print `claim` with its bound if `value` respects it.

    Raises:
        ValueError: when neither or both bounds are given.
        AssertionError: naming claim, value and bound, when the claim does not hold.
    """
    if (at_least is None) == (at_most is None):
        raise ValueError("give at_least or at_most, one of them")
    value = float(value)
    bound, sign, holds = (
        (at_least, ">=", at_least is not None and value >= at_least)
        if at_least is not None
        else (at_most, "<=", at_most is not None and value <= at_most)
    )
    if not holds:
        raise AssertionError(f"{claim}: {value:.4g}, expected {sign} {bound:g}")
    print(f"✓ {claim} ({sign} {bound:g})")


def check_close(
    claim: str, actual: torch.Tensor | float, expected: torch.Tensor | float, atol: float = 1e-5
) -> None:
    """Print `claim` if two tensors agree within `atol` everywhere, relative to the largest value expected.

    Raises:
        AssertionError: naming claim and largest difference, when they do not, or their shapes differ.
    """
    a = torch.as_tensor(actual).detach().double().cpu()
    b = torch.as_tensor(expected).detach().double().cpu()
    if a.shape != b.shape:
        raise AssertionError(f"{claim}: shapes differ, {tuple(a.shape)} and {tuple(b.shape)}")
    scale = max(1.0, float(b.abs().max())) if b.numel() else 1.0
    difference = float((a - b).abs().max()) / scale if b.numel() else 0.0
    if not difference <= atol:
        raise AssertionError(f"{claim}: largest relative difference {difference:.3g}, allowed {atol:g}")
    print(f"✓ {claim} (within {atol:g})")
