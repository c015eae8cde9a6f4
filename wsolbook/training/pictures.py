"""Pictures of localization maps while a network learns."""

from __future__ import annotations

import os

import torch

from wsolbook.data.transforms import from_network
from wsolbook.files import atomic
from wsolbook.types import Localizer, Samples


@torch.no_grad()
def write_pictures(
    path: str | os.PathLike[str], model: Localizer, data: Samples, device: torch.device, count: int = 8
) -> None:
    """Write a PNG of the first samples under their maps, one class each, as the model sees them now."""
    import matplotlib.pyplot as plt

    from wsolbook.show.figures import overlay, show_images

    batch = data.batch(range(min(count, len(data))))
    classes = batch.labels.argmax(1)
    maps = model.maps(batch.images.to(device), classes.to(device)).float().cpu()
    pictures = from_network(batch.images)
    figure = show_images(
        [overlay(picture, heat) for picture, heat in zip(pictures, maps, strict=True)],
        [data.classes[c] for c in classes],
    )
    with atomic(path) as temporary:
        figure.savefig(temporary)
    plt.close(figure)
