"""Randomness by counter: a number is a function of (seed, stream, index, slot), not of what came before.

A stream of random numbers changes everything after the first insertion; a counter changes nothing.
Batch size, order, process count, workers, device and the point where a run was stopped therefore cannot reach
the pictures. Every stored result depends on the bits that these functions give.
"""

from __future__ import annotations

import hashlib
import struct

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

_LOW = 0xFFFFFFFF


def seed_of(*numbers: int) -> int:
    """Hash counters such as (seed, epoch) into one 63-bit seed; distinct counters give unrelated seeds."""
    return _digest(repr(numbers).encode()) >> 1


def generator(seed: int, epoch: int, index: int) -> Generator:
    """Return the private generator of sample `index` in `epoch`."""
    return Generator().manual_seed(_digest(struct.pack("<3q", seed, epoch, index)))


def _digest(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def scramble(x: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """Mix 32 bits thoroughly: flipping one input bit flips each output bit half of the time.

    The integer hash `lowbias32` that C. Wellons found by search (2018), on int64 tensors that hold 32 bits:
    integer arithmetic only, so that every device computes the same.
    """
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _LOW
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _LOW
    return x ^ (x >> 16)


def keys(seed: int, index: Int[Tensor, "*n"], stream: int = 0) -> Int[Tensor, "*n"]:
    """Return one 32-bit key for each index, different for each seed and stream.

    Args:
        seed: any integer; its low 32 bits count.
        index: counters; their low 48 bits count.
        stream: separates uses of the same counter, so that they are independent.
    """
    start = torch.tensor([seed & _LOW, stream & _LOW], dtype=torch.int64, device=index.device)
    base = scramble((scramble(start[0]) + 0x9E3779B9 * start[1] + 1) & _LOW)
    return scramble((scramble((base + (index & _LOW)) & _LOW) + (index >> 32)) & _LOW)


def uniform(key: Int[Tensor, "*n"], count: int) -> Float[Tensor, "*n count"]:
    """Return `count` numbers in [0, 1) for each key, multiples of 2**-24 and so exact in float32."""
    slots = torch.arange(count, dtype=torch.int64, device=key.device)
    bits = scramble((scramble(slots + 1) + key[..., None]) & _LOW)
    return (bits >> 8).to(torch.float32) * 2.0**-24
