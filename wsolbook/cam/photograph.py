"""The maps of one photograph by any method: raw, where its pixels are, and in a box."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsolbook import cam
from wsolbook.alignment import Grid, align, grid_of, tiling
from wsolbook.backbones.classifier import Classifier
from wsolbook.backbones.pretrained import Pretrained
from wsolbook.data.photos import Photo, box_on_photo
from wsolbook.metrics.boxes import box_above
from wsolbook.types import Localizer, Maps

SHARE = 0.2  # of the maximum: the box rule of Zhou et al. (2016), section 3.2


def own_maps(model: nn.Module, images: Tensor, classes: Tensor) -> Maps:
    """Compute the maps that a network of a method of this book has itself.

    Raises:
        ValueError: when it has none.
    """
    if not isinstance(model, Localizer):
        raise ValueError(f"{type(model).__name__} has no maps of its own; choose another method")
    with torch.no_grad():
        return Maps(model.maps(images, classes), model(images), classes)


EXPLAINERS: dict[str, Callable[..., Maps]] = {
    "cam": cam.cam,
    "grad-cam": cam.grad_cam,
    "grad-cam++": cam.grad_cam_plus_plus,
    "layer-cam": cam.layer_cam,
    "xgrad-cam": cam.xgrad_cam,
    "hires-cam": cam.hires_cam,
    "score-cam": cam.score_cam,
    "guided-grad-cam": cam.guided_grad_cam,
    "guided-backprop": cam.guided_backprop,
    "deconvnet": cam.deconvnet,
    "backprop": cam.backprop,
    "occlusion": cam.occlusion,
    "maps": own_maps,
}


@dataclass(frozen=True)
class Explanation:
    """One map of one photo.

    Attributes:
        method: a key of `EXPLAINERS`.
        layer: where the map comes from; empty for a network's own maps.
        wanted: index of the class.
        score: its probability.
        values: the raw map `(u, v)`, or gradients `(3, s, s)` at the pixels of the crop.
        view: the same at the pixels of the crop, each cell where it looks.
        grid: where that is.
        box: the CAM paper's box in pixels of the file, inclusive corners; None for gradients.
    """

    method: str
    layer: str
    wanted: int
    score: float
    values: Tensor
    view: Tensor
    grid: Grid
    box: tuple[int, int, int, int] | None


def method_for(network: nn.Module) -> str:
    """Return the method that suits a network: its own maps where it has others than class activation maps."""
    return "maps" if isinstance(network, Localizer) and type(network) is not Classifier else "cam"


def takes_layer(method: str) -> bool:
    """Say whether a method lets one choose the layer."""
    return "layer" in inspect.signature(EXPLAINERS[method]).parameters


def probabilities(trained: Pretrained, photo: Photo) -> Float[Tensor, "c"]:
    """Return the probability of each class by softmax, or one by one by sigmoid."""
    device = next(trained.network.parameters()).device
    with torch.no_grad():
        logits = trained.network(photo.view.to(device))[0].float().cpu()
    return logits.sigmoid() if trained.sigmoid else logits.softmax(0)


def explain_photo(
    trained: Pretrained,
    photo: Photo,
    scores: Float[Tensor, "c"],
    classes: Sequence[int],
    methods: Sequence[str],
    layer: str | None = None,
) -> list[Explanation]:
    """Compute the maps of one photo, for each method those of all classes at once.

    Args:
        trained: the network.
        photo: from `read_photo`.
        scores: from `probabilities`.
        classes: indices.
        methods: keys of `EXPLAINERS`.
        layer: for the methods that let one choose.

    Raises:
        ValueError: when a method cannot explain this network, or there is no such layer.
    """
    device = next(trained.network.parameters()).device
    view, wanted = photo.view.to(device), torch.tensor([list(classes)], device=device)
    side = view.shape[-1]
    found = []
    for method in methods:
        options = {"layer": layer} if layer and takes_layer(method) else {}
        if takes_layer(method) and trained.name.startswith(("vit_", "swin_")):
            options["reshape"] = "tokens"
        computed = EXPLAINERS[method](trained.network, view, wanted, **options)
        raw = computed.values[0].float().cpu()
        cells = (raw.shape[-2], raw.shape[-1])
        known = computed.layer != ""
        grid = grid_of(trained.network, computed.layer, view, cells) if known else tiling((side, side), cells)
        for index, values in zip(classes, raw, strict=True):
            aligned, score = align(values, grid, side), float(scores[index])
            box = box_on_photo(photo, box_above(aligned, SHARE), side) if aligned.ndim == 2 else None
            found.append(Explanation(method, computed.layer, index, score, values, aligned, grid, box))
    return found
