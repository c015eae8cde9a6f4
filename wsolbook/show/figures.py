"""Figures of the book: pictures, maps over pictures, boxes."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Num
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from wsolbook.maps import normalize, resize, size_of

# Readable by the color-blind and in gray print: perceptually uniform, and Okabe and Ito's palette.
HEAT = "inferno"
INK = {
    "truth": "#009E73",
    "prediction": "#D55E00",
    "head": "#D55E00",
    "body": "#0072B2",
    "limbs": "#CC79A7",
    "background": "#7F7F7F",
}


def use_style() -> None:
    """Set matplotlib's defaults for the book: white figures that read the same on light and dark pages."""
    mpl.rcParams.update(
        {
            "figure.facecolor": "white",
            "axes.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.dpi": 110,
            "savefig.bbox": "tight",
            "font.size": 10,
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": False,
            "axes.prop_cycle": plt.cycler(
                color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"]
            ),
            "legend.frameon": False,
            "image.interpolation": "antialiased",  # exact squares where large, smooth where reduced
        }
    )


def overlay(
    image: Float[Tensor, "3 h w"], heat: Float[Tensor, "u v"], strength: float = 0.6
) -> Float[np.ndarray, "h w 3"]:
    """Blend a localization map over its picture, for display.

    Args:
        image: picture in [0, 1].
        heat: raw or scaled map of any size; scaled by min-max and resized bilinearly to the picture.
        strength: share of the color where the map is 1; the picture shows through where it is 0.
    """
    picture = image.detach().float().cpu()
    size = size_of(picture)
    level = resize(normalize(heat[None].detach().float().cpu()), size)[0].clamp(0, 1)
    table = torch.from_numpy(mpl.colormaps[HEAT](range(256))[:, :3]).float()
    color = table[(level * 256).long().clamp(max=255)].movedim(-1, 0)
    mix = strength * (0.35 + 0.65 * level)
    blend = (1 - mix) * 0.5 * (picture.mean(0) + picture) + mix * color
    return blend.clamp(0, 1).movedim(0, -1).numpy()


def etching(gradients: Float[Tensor, "3 h w"]) -> Float[np.ndarray, "h w 3"]:
    """Turn a signed picture of gradients into one to look at: gray where there is none.

    Args:
        gradients: for example from `guided_backprop`; three standard deviations reach black and white.
    """
    signed = gradients.detach().float().cpu()
    scale = 6 * signed.std().clamp(min=1e-12)
    return (0.5 + (signed - signed.mean()) / scale).clamp(0, 1).permute(1, 2, 0).numpy()


def draw_box(axes: Axes, box: Num[Tensor, "4"] | Sequence[float], color: str) -> None:
    """Draw a box, given by its inclusive pixel corners `(x0, y0, x1, y1)`, on a picture."""
    x0, y0, x1, y1 = (float(v) for v in box)
    corner, width, height = (x0 - 0.5, y0 - 0.5), x1 - x0 + 1, y1 - y0 + 1
    axes.add_patch(plt.Rectangle(corner, width, height, fill=False, lw=3.5, ec="white", alpha=0.8))
    axes.add_patch(plt.Rectangle(corner, width, height, fill=False, lw=1.8, ec=color))


def show_images(
    pictures: Sequence[Float[np.ndarray, "h w 3"] | Float[Tensor, "3 h w"]],
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    width: float = 1.6,
) -> Figure:
    """Lay pictures out in a grid without axes, and return the figure.

    Args:
        pictures: tensors `(3, h, w)` in [0, 1] or arrays `(h, w, 3)`, for example from `overlay`.
        titles: one short line over each picture.
        columns: pictures a row; all in one row if not given.
        width: inches of one picture.
    """
    columns = columns or len(pictures)
    rows = -(-len(pictures) // columns)
    shown = [_rows_first(picture) for picture in pictures]
    height = width * max(picture.shape[0] / picture.shape[1] for picture in shown)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(columns * width, rows * (height + 0.25 * bool(titles))),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, picture, title in zip(axes.flat, shown, titles or [""] * len(shown), strict=False):
        axis.imshow(picture)
        axis.set_title(title)
    return figure


def _rows_first(
    picture: Float[np.ndarray, "h w 3"] | Float[Tensor, "3 h w"],
) -> Float[np.ndarray, "h w 3"]:
    return picture.detach().cpu().permute(1, 2, 0).numpy() if isinstance(picture, Tensor) else picture
