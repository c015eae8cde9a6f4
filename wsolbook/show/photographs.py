"""Maps and gradients laid over the photograph that a network saw."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import grid_sample

from wsolbook.cam.photograph import Explanation
from wsolbook.data.photos import Photo
from wsolbook.maps import normalize
from wsolbook.show.figures import INK, etching, overlay


def draw_photo(photo: Photo) -> Image.Image:
    """Draw the photograph alone."""
    return _to_image(photo.picture)


def draw(photo: Photo, found: Explanation) -> Image.Image:
    """Draw a map with its box, or gradients, over the photograph."""
    if found.view.ndim == 3:
        return draw_pixels(photo, found.view)
    return draw_map(photo, normalize(found.view, "max"), found.box)


def draw_map(photo: Photo, heat: Float[Tensor, "u v"], box: tuple[int, int, int, int] | None) -> Image.Image:
    """Draw a map in [0, 1] and a box in pixels of the file over a photograph."""
    values, inside = place(photo, heat)
    blend = torch.from_numpy(overlay(photo.picture, values)).movedim(-1, 0).float()
    image = _to_image(_surround(photo, blend, inside))
    if box is not None:
        _outline(image, photo, box)
    return image


def draw_pixels(photo: Photo, gradients: Float[Tensor, "3 s s"]) -> Image.Image:
    """Draw gradients at the pixels as a picture on gray, where the network saw them."""
    placed = [place(photo, channel) for channel in torch.from_numpy(etching(gradients)).movedim(-1, 0)]
    return _to_image(_surround(photo, torch.stack([values for values, _ in placed]), placed[0][1]))


def place(photo: Photo, heat: Float[Tensor, "u v"]) -> tuple[Float[Tensor, "h w"], Bool[Tensor, "h w"]]:
    """Lay a map over the shown picture, each value where the network saw it.

    Returns:
        The map, bilinear with half-pixel centers, 0 outside the crop; and where the crop is.
    """
    x0, y0, x1, y1 = photo.region
    height, width = photo.picture.shape[1:]
    x = ((torch.arange(width) + 0.5) * photo.size[0] / width - x0) / (x1 - x0)
    y = ((torch.arange(height) + 0.5) * photo.size[1] / height - y0) / (y1 - y0)
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    inside = ((places >= 0) & (places <= 1)).all(-1)
    values = grid_sample(
        heat[None, None].float(), places[None] * 2 - 1, padding_mode="border", align_corners=False
    )
    return values[0, 0] * inside, inside


def _surround(photo: Photo, picture: Float[Tensor, "3 h w"], inside: Bool[Tensor, "h w"]) -> Tensor:
    """Show a pale photograph around the crop: the network did not see it."""
    return torch.where(inside, picture, photo.picture.mean(0, keepdim=True) * 0.35 + 0.6)


def _to_image(picture: Float[Tensor, "3 h w"]) -> Image.Image:
    return Image.fromarray((picture.clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy())


def _outline(image: Image.Image, photo: Photo, box: tuple[int, int, int, int]) -> None:
    across, down = image.width / photo.size[0], image.height / photo.size[1]
    x0, y0, x1, y1 = box[0] * across, box[1] * down, (box[2] + 1) * across - 1, (box[3] + 1) * down - 1
    thick = max(2, round(max(image.size) / 250))
    pen = ImageDraw.Draw(image)
    pen.rectangle((x0, y0, x1, y1), outline="white", width=3 * thick)
    pen.rectangle((x0 + thick, y0 + thick, x1 - thick, y1 - thick), outline=INK["prediction"], width=thick)
