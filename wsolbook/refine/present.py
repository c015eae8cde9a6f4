"""Maps of the labels that a picture has, without those that it has not: 2 or 3 of 20 need the work."""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor


def pack(
    maps: Float[Tensor, "n k h w"], present: Bool[Tensor, "p l"]
) -> tuple[Float[Tensor, "n m h w"], Int[Tensor, "n m"], Bool[Tensor, "n m"]]:
    """Move the maps that are present to the front and drop what no picture needs.

    Returns:
        The maps, m being the largest number of present ones; the index that each of them had; and which of
        them are present, because the pictures of a batch differ in how many they have; the others are 0.

    Raises:
        ValueError: when `present` is not one row a picture and one column a map.
    """
    if present.shape != maps.shape[:2]:
        raise ValueError(
            f"present must be {tuple(maps.shape[:2])}, pictures by maps, got {tuple(present.shape)}"
        )
    first, index = present.to(maps.device).int().sort(dim=1, descending=True, stable=True)
    most = int(first.sum(1).max())
    index, there = index[:, :most], first[:, :most].bool()
    return maps.gather(1, _over(index, maps)) * there[:, :, None, None], index, there


def unpack(
    packed: Float[Tensor, "n m h w"], index: Int[Tensor, "n m"], labels: int
) -> Float[Tensor, "n k h w"]:
    """Put maps back where `pack` found them, with zeros for the others."""
    n, _, height, width = packed.shape
    return packed.new_zeros(n, labels, height, width).scatter(1, _over(index, packed), packed)


def _over(index: Int[Tensor, "n m"], maps: Float[Tensor, "n k h w"]) -> Int[Tensor, "n m h w"]:
    return index[:, :, None, None].expand(-1, -1, *maps.shape[-2:])
