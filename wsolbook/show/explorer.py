"""The threshold explorer: slide a threshold over a localization map and watch region, box and IoU follow.

Two maps are compared on the same picture with a divider to drag: left of it the one, right of it the other.
In a live notebook it is a widget (anywidget). Its output also carries a self-contained HTML twin, so that
the rendered book, a page opened from disk and a notebook without a kernel show the same explorer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import traitlets
from jaxtyping import Bool, Float, Num, UInt8
from torch import Tensor

from wsolbook.maps import Interpolation, normalize, resize
from wsolbook.show.widget import Figure, as_base64, data_url, joined

MODULE = joined("common", "explorer")
GRID = 160  # longest side, in pixels, of the grid that a page stores and computes on

Boxes = Num[Tensor, "_ 4"]
Mask = UInt8[Tensor, "h w"] | Bool[Tensor, "h w"]


class Explorer(Figure):
    """Widget that `explore` returns.

    Attributes:
        content: pictures with their maps, boxes and masks, as the page stores them.
        threshold: share of the map's maximum, 0.00 to 0.99; follows the slider and moves it.
        picture: index of the picture shown.
        map: index of the map shown.
        against: index of the map that it is compared with, right of the divider; -1 for none.
    """

    kind = "explorer"
    shown = ("content", "threshold", "picture", "map", "against")
    _esm = MODULE
    content = traitlets.Dict().tag(sync=True)
    threshold = traitlets.Float(0.2, min=0, max=0.99).tag(sync=True)
    picture = traitlets.Int(0, min=0).tag(sync=True)
    map = traitlets.Int(0, min=0).tag(sync=True)
    against = traitlets.Int(-1, min=-1).tag(sync=True)

    def __repr__(self) -> str:
        """Say what is on show, without a memory address."""
        pictures, maps = self.content["pictures"], self.content["maps"]
        return f"Explorer(pictures={len(pictures)}, maps={maps}, threshold={self.threshold:.2f})"


def explore(
    image: Float[Tensor, "3 h w"] | Float[Tensor, "n 3 h w"],
    maps: Mapping[str, Float[Tensor, "u v"] | Float[Tensor, "n u v"]] | Float[Tensor, "*n u v"],
    boxes: Boxes | Sequence[Boxes] | None = None,
    mask: Mask | UInt8[Tensor, "n h w"] | Bool[Tensor, "n h w"] | None = None,
    titles: Sequence[str] | None = None,
    *,
    threshold: float = 0.2,
    against: str | None = None,
    how: Interpolation = "bilinear",
    finer: Float[Tensor, "3 H W"] | Float[Tensor, "n 3 H W"] | None = None,
) -> Explorer:
    """Explore how thresholding turns localization maps into boxes.

    Each map is resized to its picture, then scaled by min-max to [0, 1] and cut to 8 bits. Region,
    box and IoU follow the evaluation protocol (Choe et al. 2020): strictly above `int(threshold * maximum)`,
    8-connected, largest component, inclusive corners. A picture whose longer side exceeds 160 pixels is
    reduced to 160 first, so that a page stays small; its IoU may then differ a little from that at full size.

    Args:
        image: one picture or several of one size, in [0, 1].
        maps: raw maps by name (of a method, of a class), each for the one picture or for all `n`; or a
            tensor, which is then called "map".
        boxes: ground-truth boxes `(x0, y0, x1, y1)`, for one picture or a list over pictures. The score
            shown is the best IoU over them.
        mask: ground truth as masks: nonzero on the object, 255 is ignored. Adds pixel precision and recall;
            without boxes the score shown is the IoU of region and mask.
        titles: a short name for each picture.
        threshold: where the slider starts.
        against: name of the map to compare the first with, at the start; the reader may choose any two.
        how: maps are resized to their picture.
        finer: the same pictures with more pixels, to look at; all that is measured has the size of `image`.

    Raises:
        ValueError: when the numbers of pictures, maps, boxes, masks and titles do not agree, a map holds NaN,
            or `against` names none.
    """
    pictures = image[None] if image.ndim == 3 else image
    looks = pictures if finer is None else finer[None] if finer.ndim == 3 else finer
    n = len(pictures)
    named = dict(maps) if isinstance(maps, Mapping) else {"map": maps}
    stacks = {name: values[None] if values.ndim == 2 else values for name, values in named.items()}
    truth = [boxes] if isinstance(boxes, Tensor) else list(boxes or ())
    covers = [] if mask is None else [mask] if mask.ndim == 2 else list(mask)
    names = list(titles) if titles is not None else [f"{i + 1}" for i in range(n)]
    counts = {f"map {name!r}": len(values) for name, values in stacks.items()}
    counts |= {"boxes": len(truth or pictures), "masks": len(covers or pictures), "titles": len(names)}
    counts["finer pictures"] = len(looks)
    for what, count in counts.items():
        if count != n:
            raise ValueError(f"{what}: {count} given for {n} pictures")
    others = list(stacks)[1:]
    if against is not None and against not in others:
        raise ValueError(f"against must be one of {', '.join(others) or 'several maps'}, got {against!r}")

    height, width = pictures.shape[-2:]
    shrink = min(1.0, GRID / max(height, width))
    grid = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    levels = {
        name: (normalize(resize(values.detach().float().cpu(), grid, how)).double() * 255).to(torch.uint8)
        for name, values in stacks.items()
    }
    content = {
        "maps": list(levels),
        "pictures": [
            {
                "title": names[i],
                "src": data_url(looks[i]),
                "fine": looks.shape[-1] >= 128,
                "height": grid[0],
                "width": grid[1],
                "boxes": _to_grid(truth[i], (height, width), grid) if truth else [],
                "mask": as_base64(_nearest(covers[i], grid)) if covers else None,
                "maps": [as_base64(values[i]) for values in levels.values()],
            }
            for i in range(n)
        ],
    }
    right = -1 if against is None else list(stacks).index(against)
    return Explorer(content=content, threshold=threshold, against=right)


def _to_grid(boxes: Boxes, size: tuple[int, int], grid: tuple[int, int]) -> list[list[int]]:
    """Scale boxes and truncate, as the protocol does with ground truth."""
    if not torch.isfinite(boxes.float()).all():
        raise ValueError(f"a box holds NaN or infinity: {boxes.tolist()}")
    scale = torch.tensor([grid[1] / size[1], grid[0] / size[0]] * 2, dtype=torch.float64)
    return [[int(v) for v in box] for box in (boxes.detach().cpu().double() * scale).tolist()]


def _nearest(mask: Mask, grid: tuple[int, int]) -> UInt8[Tensor, "u v"]:
    values = mask.detach().cpu().to(torch.uint8)
    return resize(values[None].float(), grid, "nearest")[0].to(torch.uint8)
