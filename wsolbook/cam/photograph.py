"""The maps of photographs by any method: raw, where their pixels are, and in a box."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from wsolbook import cam
from wsolbook.alignment import Grid, align, grid_of, tiling
from wsolbook.backbones.classifier import Classifier
from wsolbook.backbones.pretrained import Pretrained
from wsolbook.cam.classes import Classes, best, choose, find_class
from wsolbook.data.photos import Photo, box_on_photo
from wsolbook.maps import size_of
from wsolbook.metrics.boxes import box_above
from wsolbook.types import Localizer, Maps

SHARE = 0.2  # of the maximum: the box rule of Zhou et al. (2016), section 3.2


def own_maps(model: nn.Module, images: Tensor, classes: Classes) -> Maps:
    """Compute the maps that a network of a method of this book has itself.

    Raises:
        ValueError: when it has none.
    """
    if not isinstance(model, Localizer):
        raise ValueError(f"{type(model).__name__} has no maps of its own; choose another method")
    with torch.no_grad():
        logits = model(images)
        chosen = choose(classes, logits)
        return Maps(model.maps(images, chosen), logits, chosen)


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

    def mask(self) -> Bool[Tensor, "s s"]:
        """Return the pixels of the crop above `SHARE` of the maximum; the box is of the largest region."""
        return self.view > SHARE * self.view.max().clamp(min=0)


def method_for(network: nn.Module) -> str:
    """Return the method that suits a network: its own maps where it has others than class activation maps."""
    return "maps" if isinstance(network, Localizer) and type(network) is not Classifier else "cam"


def takes_layer(method: str) -> bool:
    """Say whether a method lets one choose the layer."""
    return "layer" in inspect.signature(EXPLAINERS[method]).parameters


class Explainer:
    """A network and the methods that explain photographs to it, many at a time.

    Args:
        trained: the network.
        methods: keys of `EXPLAINERS`.
        classes: names, numbers, `"auto"` for the best class, and `"top3"` for the best three.
        layer: for the methods that let one choose.

    Raises:
        ValueError: on a class that does not exist.
    """

    def __init__(
        self, trained: Pretrained, methods: Sequence[str], classes: Sequence[str], layer: str | None = None
    ) -> None:
        self.trained, self.methods = trained, methods
        words = ["top1" if word == "auto" else word for word in classes]
        self._wanted = [word if best(word) else find_class(word, trained.names) for word in words]
        transformer = trained.name.startswith(("vit_", "swin_"))
        options = {"layer": layer or None, "reshape": "tokens" if transformer else None}
        self._options = {method: options if takes_layer(method) else {} for method in methods}
        self._grids: dict[tuple[str, tuple[int, int]], Grid] = {}

    def __call__(self, views: Float[Tensor, "n 3 s s"]) -> list[Seen]:
        """Return what the network says of each view and the raw maps of each method.

        A method costs what it costs; classes cost a forward pass more only where best ones and others mix.

        Raises:
            ValueError: when a method cannot explain this network, or there is no such layer.
        """
        views = views.to(next(self.trained.network.parameters()).device)
        wanted, computed = self._classes(views), list[Maps]()
        for method in self.methods:
            computed.append(EXPLAINERS[method](self.trained.network, views, wanted, **self._options[method]))
            wanted = computed[0].classes
        logits, classes = computed[0].logits.float().cpu(), computed[0].classes.tolist()
        scores = logits.sigmoid() if self.trained.sigmoid else logits.softmax(1)
        grids = [self._grid(maps, views) for maps in computed]
        values = [maps.values.float().cpu() for maps in computed]
        layers = [maps.layer for maps in computed]
        seen = []
        for i, asked in enumerate(classes):
            once = [asked.index(each) for each in dict.fromkeys(asked)]
            raw = zip(layers, grids, (value[i, once] for value in values), strict=True)
            seen.append(Seen(scores[i], [asked[j] for j in once], dict(zip(self.methods, raw, strict=True))))
        return seen

    def _classes(self, views: Tensor) -> Classes:
        """Return the classes in the form that spares a forward pass where one can be spared."""
        if len(self._wanted) == 1:
            return self._wanted[0]
        if not any(isinstance(each, str) for each in self._wanted):
            return torch.tensor([self._wanted] * len(views), device=views.device)
        with torch.no_grad():
            logits = self.trained.network(views)
        return torch.cat([choose(each, logits) for each in self._wanted], 1)

    def _grid(self, maps: Maps, views: Tensor) -> Grid:
        cells = size_of(maps.values)
        if (maps.layer, cells) not in self._grids:
            side = views.shape[-1]
            self._grids[maps.layer, cells] = (
                grid_of(self.trained.network, maps.layer, views, cells)
                if maps.layer
                else tiling((side, side), cells)
            )
        return self._grids[maps.layer, cells]


@dataclass(frozen=True)
class Seen:
    """What a network says of one view, and why.

    Attributes:
        scores: the probability of each class, by softmax or one by one by sigmoid.
        classes: those explained, each once.
        raw: of each method the layer, the grid, and the map of each of the classes.
    """

    scores: Float[Tensor, "c"]
    classes: list[int]
    raw: dict[str, tuple[str, Grid, Tensor]]

    def top(self, names: Sequence[str]) -> list[tuple[str, float]]:
        """Return names and probabilities of the best five classes."""
        values, classes = self.scores.topk(min(5, len(self.scores)))
        return [(names[c], v) for v, c in zip(values.tolist(), classes.tolist(), strict=True)]

    def explanations(self, photo: Photo) -> list[Explanation]:
        """Return the maps of a photo where they lie on it."""
        side = photo.view.shape[-1]
        found = []
        for method, (layer, grid, raw) in self.raw.items():
            for index, values in zip(self.classes, raw, strict=True):
                aligned, score = align(values, grid, side), float(self.scores[index])
                box = box_on_photo(photo, box_above(aligned, SHARE), side) if aligned.ndim == 2 else None
                found.append(Explanation(method, layer, index, score, values, aligned, grid, box))
        return found
