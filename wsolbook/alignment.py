"""Where on the image each cell of a feature map looks.

A map is usually enlarged as if its cells tiled the image. They do so behind 2x2 pools; a 3x3 convolution of
stride 2 with one pixel of padding looks half a pixel further to the upper left, and five of them, one
behind the other, 15.5 pixels: 7 % of a picture of 224. A map that is laid out where its cells really look
does not have this bias.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import grid_sample
from torch.overrides import TorchFunctionMode

from wsolbook.maps import size_of

Pair = tuple[float, float]


@dataclass(frozen=True)
class Grid:
    """Centers of the receptive fields of a feature map, in pixel indices of the image, `(y, x)` each.

    Attributes:
        step: distance between neighboring cells.
        start: center of the first cell.
    """

    step: Pair
    start: Pair


def tiling(image: tuple[int, int], cells: tuple[int, int]) -> Grid:
    """Return the grid of cells that tile an image, which `wsolbook.maps.resize` takes for granted."""
    step = (image[0] / cells[0], image[1] / cells[1])
    return Grid(step, ((step[0] - 1) / 2, (step[1] - 1) / 2))


def grid_of(model: nn.Module, layer: str, images: Float[Tensor, "n c h w"], cells: tuple[int, int]) -> Grid:
    """Return the grid of a layer by watching kernels, strides and paddings in one forward pass.

    Args:
        model: a network in evaluation mode.
        layer: dotted name; `"input"` is the image itself.
        images: network input; the first is used.
        cells: height and width of the map.

    Returns:
        The exact centers for a convolutional layer. A tiling where they cannot be told, as in networks that
        shrink their maps by indexing.
    """
    size = size_of(images)
    if layer == "input":
        return tiling(size, cells)
    seen: list[Tensor] = []
    hook = model.get_submodule(layer).register_forward_hook(lambda _m, _i, output: seen.append(output))
    try:
        with torch.no_grad(), _GridWatch():
            pixels = images[:1].clone()
            pixels.grid = Grid((1.0, 1.0), (0.0, 0.0))  # type: ignore[attr-defined]
            model(pixels)
    finally:
        hook.remove()
    found = next((output.grid for output in reversed(seen) if hasattr(output, "grid")), None)
    spans = (found.step[i] * cells[i] / size[i] for i in (0, 1)) if found else ()
    return found if found and all(0.6 < span < 1.4 for span in spans) else tiling(size, cells)


def align(maps: Float[Tensor, "*n u v"], grid: Grid, size: int | tuple[int, int]) -> Float[Tensor, "*n h w"]:
    """Enlarge maps bilinearly so that each value lies where its cell looks.

    Beyond the outermost cells the map continues as it ends.

    Args:
        maps: maps of a layer.
        grid: of that layer.
        size: height and width of the image in pixels; one number means a square.
    """
    height, width = (size, size) if isinstance(size, int) else size
    cells = maps.shape[-2:]
    axes = [
        ((torch.arange(length, dtype=maps.dtype) - start) / step + 0.5) / count * 2 - 1
        for length, start, step, count in zip((height, width), grid.start, grid.step, cells, strict=True)
    ]
    y, x = torch.meshgrid(*axes, indexing="ij")
    where = torch.stack([x, y], -1)[None].to(maps.device)
    flat = maps.reshape(1, -1, *cells)
    placed = grid_sample(flat, where, padding_mode="border", align_corners=False)
    return placed.reshape(*maps.shape[:-2], height, width)


class _GridWatch(TorchFunctionMode):
    """Inside the block every tensor made from one that has a grid has its own."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        grid = next((t.grid for t in _tensors(args) if hasattr(t, "grid")), None)
        result = func(*args, **kwargs)
        for made in _tensors([result]):
            if grid is not None and not hasattr(made, "grid"):
                made.grid = _moved(grid, getattr(func, "__name__", ""), args, kwargs)  # type: ignore[attr-defined]
        return result


# The places of kernel size (for a convolution: its weight), stride, padding and dilation among the arguments.
WINDOWS = {"conv2d": (1, 3, 4, 5), "max_pool2d": (1, 2, 3, 4), "avg_pool2d": (1, 2, 3, 99)}
NAMES = ("kernel_size", "stride", "padding", "dilation")


def _moved(grid: Grid, name: str, args: Any, kwargs: Any) -> Grid:
    if name == "pad":
        margins = [*map(float, args[1]), 0.0, 0.0, 0.0][:4]
        return _shift(grid, (margins[2], margins[0]))
    if name not in WINDOWS:
        return grid
    values = [
        args[place] if place < len(args) else kwargs.get(key)
        for place, key in zip(WINDOWS[name], NAMES, strict=True)
    ]
    kernel = _pair(values[0].shape[2:] if isinstance(values[0], Tensor) else values[0])
    stride = kernel if values[1] in (None, (), []) else _pair(values[1])
    dilation = _pair(values[3] or 1)
    reach = (dilation[0] * (kernel[0] - 1) / 2, dilation[1] * (kernel[1] - 1) / 2)
    padding = {"same": reach, "valid": (0.0, 0.0)}.get(values[2]) or _pair(values[2] or 0)
    moved = _shift(grid, (padding[0] - reach[0], padding[1] - reach[1]))
    return Grid((grid.step[0] * stride[0], grid.step[1] * stride[1]), moved.start)


def _shift(grid: Grid, cells: Pair) -> Grid:
    start = (grid.start[0] - cells[0] * grid.step[0], grid.start[1] - cells[1] * grid.step[1])
    return Grid(grid.step, start)


def _pair(value: Any) -> Pair:
    first, last = (value, value) if isinstance(value, int) else (value[0], value[-1])
    return float(first), float(last)


def _tensors(args: Iterable[Any]) -> Iterable[Tensor]:
    for arg in args:
        if isinstance(arg, Tensor):
            yield arg
        elif isinstance(arg, list | tuple):
            yield from (a for a in arg if isinstance(a, Tensor))
