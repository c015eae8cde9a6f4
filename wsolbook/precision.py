"""Number formats: which of them a device computes in, and which was meant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

# fp32 as written; its products rounded to 10 bits, where a card can; two half-sized formats; the fastest.
Precision = Literal["fp32", "tf32", "bf16", "fp16", "auto"]


def fastest(device: torch.device) -> Literal["fp32", "bf16", "fp16"]:
    """Return the format of `"auto"`: on a card a half-sized one that it has, not one that it emulates.

    bf16 has the range of fp32 and needs no scaling of the loss, but cards before Ampere, such as the T4,
    compute it in fp32 with conversions. They are fast in fp16.
    """
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"


def chosen(precision: Precision, device: torch.device) -> Precision:
    """Return the format that a name means on a device."""
    return fastest(device) if precision == "auto" else precision


@contextmanager
def computing(precision: Precision, device: torch.device) -> Iterator[None]:
    """Run networks in a format for the length of a block; those of two bytes by autocast."""
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(chosen(precision, device))
    with products(precision), torch.autocast(device.type, half) if half else nullcontext():
        yield


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """Compute products of fp32 as their name says for the length of a block: rounded under `"tf32"` alone."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    round_products(precision == "tf32")
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before


def round_products(yes: bool) -> None:
    """Let cards round the products of fp32 to 10 bits, or not; torch itself does so in convolutions alone."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = yes
