"""A sheet of small pictures with boxes and masks drawn in: the quickest check that labels fit pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from torch import Tensor
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks, make_grid

from wsolbook.data.transforms import from_network
from wsolbook.data.voc import palette
from wsolbook.types import Samples

CAPTION = 14  # pixels below each picture
COLUMNS = 6


def contact_sheet(data: Samples, index: Sequence[int]) -> Image.Image:
    """Draw the evaluation view of samples in rows, each with number and class names below.

    Args:
        data: any data set; boxes and masks are drawn where it has them. Ignored pixels are white.
        index: which samples.
    """
    cells = [_cell(data, i) for i in index]
    size = (max(c.shape[1] for c in cells), max(c.shape[2] for c in cells))
    canvas = [torch.full((3, *size), 255, dtype=torch.uint8) for _ in cells]
    for paper, cell in zip(canvas, cells, strict=True):
        paper[:, : cell.shape[1], : cell.shape[2]] = cell
    sheet = make_grid(torch.stack(canvas), nrow=COLUMNS, padding=4, pad_value=255)
    return Image.fromarray(sheet.permute(1, 2, 0).numpy())


def _cell(data: Samples, index: int) -> UInt8[Tensor, "3 h w"]:
    batch = data.batch([index])
    picture = (from_network(batch.images[0]) * 255).round().to(torch.uint8)
    if batch.masks is not None:
        values = [v for v in batch.masks.unique().tolist() if v]
        if values:
            layers = torch.stack([batch.masks[0] == v for v in values])
            colors = [(255, 255, 255) if v == 255 else tuple(palette()[v].tolist()) for v in values]
            picture = draw_segmentation_masks(picture, layers, alpha=0.5, colors=colors)
    if batch.boxes is not None:
        drawable = batch.boxes[0][(batch.boxes[0][:, 2:] >= batch.boxes[0][:, :2]).all(1)]
        if len(drawable):
            picture = draw_bounding_boxes(picture, drawable, colors="#00ff88", width=2)
    names = ", ".join(data.classes[c] for c in batch.labels[0].nonzero().flatten().tolist())
    strip = Image.new("RGB", (picture.shape[2], CAPTION), "white")
    ImageDraw.Draw(strip).text((2, 1), f"{index}: {names}", fill="black")
    caption = torch.frombuffer(bytearray(strip.tobytes()), dtype=torch.uint8)
    caption = caption.reshape(CAPTION, picture.shape[2], 3).permute(2, 0, 1)
    return torch.cat([picture, caption], dim=1)
