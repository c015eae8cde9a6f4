"""The affinity explorer: pick a cell, see its affinities and where a random walk takes its score.

It is a widget with a twin in the page, as the threshold explorer is.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import traitlets
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from wsolbook.maps import normalize, resize
from wsolbook.refine.affinity import offsets
from wsolbook.show.widget import Figure, as_base64, data_url, joined

MODULE = joined("common", "affinities")


class Affinities(Figure):
    """Widget that `explore_affinities` returns.

    Attributes:
        content: pictures with affinities, maps and masks on one grid, as the page stores them.
        picture: index of the picture shown.
        cell: index of the cell chosen, row after row; follows the pointer's click and the arrow keys.
        view: `"affinities"` of the cell, a `"walk"` from it, or the `"map"` on its walk.
        steps: of the walk.
    """

    kind = "affinities"
    shown = ("content", "picture", "cell", "view", "steps")
    _esm = MODULE
    content = traitlets.Dict().tag(sync=True)
    picture = traitlets.Int(0, min=0).tag(sync=True)
    cell = traitlets.Int(0, min=0).tag(sync=True)
    view = traitlets.Enum(("affinities", "walk", "map"), "affinities").tag(sync=True)
    steps = traitlets.Int(256, min=0).tag(sync=True)

    def __repr__(self) -> str:
        """Say what is on show, without a memory address."""
        count, grid = len(self.content["pictures"]), (self.content["height"], self.content["width"])
        return f"Affinities(pictures={count}, grid={grid}, cell={divmod(self.cell, grid[1])})"


def explore_affinities(
    image: Float[Tensor, "n 3 h w"],
    affinities: Float[Tensor, "n m u v"],
    maps: Float[Tensor, "n y x"] | None = None,
    mask: UInt8[Tensor, "n a b"] | Bool[Tensor, "n a b"] | None = None,
    titles: Sequence[str] | None = None,
    *,
    classes: Sequence[str] = (),
    cell: tuple[int, int] | None = None,
    beta: float = 8.0,
    steps: int = 256,
    radius: int = 5,
) -> Affinities:
    """Explore what affinities say of each cell, and how they lead a random walk.

    Affinities are rounded to 8 bits, and so are the maps, resized to the grid and divided by their maximum.

    Args:
        image: pictures in [0, 1], of any size.
        affinities: as `wsolbook.refine.affinity.affinities` makes them; 34 kB a picture of 32 x 32 cells.
        maps: one raw map of each picture, to be walked.
        mask: what each pixel is, of any size: 0 is background, `k` the class `k - 1`, 255 not known.
        titles: a short name for each picture.
        classes: their names.
        cell: row and column to begin with; None for the middle.
        beta: power of the affinities in the walk.
        steps: the most that the reader can walk; fewer are powers of two.
        radius: that of the affinities.

    Raises:
        ValueError: when the numbers of pictures, affinities, maps, masks and titles do not agree, the
            affinities are of another radius, or the cell is outside.
    """
    n, count, height, width = affinities.shape
    names = list(titles) if titles is not None else [f"{i + 1}" for i in range(len(image))]
    given = {"pictures": image, "maps": maps, "masks": mask, "titles": names}
    for what, values in given.items():
        if values is not None and len(values) != n:
            raise ValueError(f"{what}: {len(values)} given for the affinities of {n} pictures")
    if count != len(offsets(radius)):
        raise ValueError(f"affinities of radius {radius} are {len(offsets(radius))} a cell, got {count}")
    row, column = (height // 2, width // 2) if cell is None else cell
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"cell {(row, column)} is outside the grid of {height} x {width} cells")
    levels, grid = _levels(affinities), (height, width)
    seen = None if maps is None else _levels(normalize(resize(maps.detach().float(), grid), "max"))
    things = None if mask is None else resize(mask.detach().float(), grid, "nearest").to(torch.uint8)
    lengths = [0, *(2**k for k in range(steps.bit_length()) if 2**k < steps), *([steps] if steps else [])]
    content = {
        "height": height, "width": width, "beta": beta, "offsets": offsets(radius), "lengths": lengths,
        "names": ["background", *classes],
        "pictures": [
            {
                "title": names[i],
                "src": data_url(image[i]),
                "fine": image.shape[-1] >= 128,
                "affinities": as_base64(levels[i]),
                "map": None if seen is None else as_base64(seen[i]),
                "mask": None if things is None else as_base64(things[i]),
            }
            for i in range(n)
        ],
    }  # fmt: skip
    return Affinities(content=content, cell=row * width + column, steps=steps)


def _levels(values: Float[Tensor, "*n h w"]) -> UInt8[Tensor, "*n h w"]:
    return (values.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
