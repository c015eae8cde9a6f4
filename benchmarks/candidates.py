"""The maps that `benchmarks/own.py` compares: those of the package, and candidates that it does without."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from wsolbook import cam
from wsolbook.alignment import Grid, align, grid_of
from wsolbook.evaluation.sources import center_gaussian
from wsolbook.maps import multi_scale, normalize, resize
from wsolbook.types import Maps

Method = Callable[[nn.Module, Tensor, Tensor], Tensor]  # network, images, classes (n,) -> maps (n, u, v)


def of(method: Callable[..., Maps], layer: str | None = None) -> Method:
    """Return a method of the package, at a layer if one is given, as a function to maps."""
    options = {} if layer is None else {"layer": layer}
    return lambda model, x, classes: method(model, x, classes, **options).values[:, 0]


def pixels(method: Callable[..., Maps]) -> Method:
    """Return a method whose maps are gradients, summed over colors."""

    def strength(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
        values = method(model, x, classes).values[:, 0]
        return values.abs().sum(1) if values.ndim == 4 else values

    return strength


def ablation_cam(layer: str, together: int = 256) -> Method:
    """Weigh a channel by the share of the score that is lost without it (Desai and Ramaswamy 2020)."""

    def method(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
        found = []
        for image, wanted in zip(x, classes, strict=True):
            with cam.record(model, layer) as tape:
                whole = model(image[None])[0, wanted].detach()
            activation = tape.activation.detach()
            lost = [
                whole - scores_without(model, layer, image, activation, part)[:, wanted]
                for part in torch.arange(activation.shape[1]).split(together)
            ]
            weights = torch.cat(lost) / whole
            found.append(torch.einsum("k,kuv->uv", weights, activation[0]).relu())
        return torch.stack(found)

    return method


def scores_without(
    model: nn.Module, layer: str, image: Tensor, activation: Tensor, channels: Tensor
) -> Tensor:
    """Return the logits without each of some channels of a layer; what comes before it runs once."""

    def ablated(*_: Any) -> Tensor:
        copies = activation.repeat(len(channels), 1, 1, 1)
        copies[torch.arange(len(channels)), channels] = 0
        return copies

    hook = model.get_submodule(layer).register_forward_hook(ablated)
    try:
        with torch.no_grad():
            return model(image[None])
    finally:
        hook.remove()


def eigen_cam(layer: str) -> Method:
    """Project the activation onto its first principal direction (Muhammad and Yeasin 2020): no class."""

    def method(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
        with cam.record(model, layer) as tape:
            model(x)
        flat = tape.activation.detach().flatten(2).mT
        direction = torch.linalg.svd(flat, full_matrices=False).Vh[:, 0]
        found = (flat @ direction[..., None])[..., 0]
        return (found * found.sum(1, keepdim=True).sign()).unflatten(1, tape.activation.shape[2:]).relu()

    return method


def smoothed(layer: str, copies: int = 8, noise: float = 0.15) -> Method:
    """Average Grad-CAM over noisy copies of a picture (Smilkov et al. 2017, for Grad-CAM)."""

    def method(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
        draw = torch.Generator().manual_seed(0)
        spread = noise * (x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True))
        maps = [
            of(cam.grad_cam, layer)(model, x + spread * torch.randn(x.shape, generator=draw), classes)
            for _ in range(copies)
        ]
        return torch.stack(maps).mean(0)

    return method


def seen_again(layer: str, scales: tuple[float, ...]) -> Method:
    """Average Grad-CAM over sizes of a picture and its mirror images."""

    def method(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
        return multi_scale(
            lambda view: cam.grad_cam(model, view, classes, layer).values, x, scales=scales
        )[:, 0]  # fmt: skip

    return method


def both(late: Method, early: Method) -> Method:
    """Multiply the maps of two layers, each scaled by its maximum, at the size of the finer one."""

    def method(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
        fine, coarse = early(model, x, classes), late(model, x, classes)
        size = (fine.shape[-2], fine.shape[-1])
        return normalize(fine, "max") * normalize(resize(coarse, size), "max")

    return method


def patches(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """Return the fall of the logit under patches of a quarter of the side."""
    patch = x.shape[-1] // 4
    return cam.occlusion(model, x, classes, patch=patch, stride=patch // 2).values[:, 0]


@cache
def grid(model: nn.Module, layer: str, side: int, cells: int) -> Grid:
    """Return where the cells of a layer look."""
    return grid_of(model, layer, torch.zeros(1, 3, side, side), (cells, cells))


def aligned(method: Method, layer: str) -> Method:
    """Lay each value of a map where its cell looks."""

    def placed(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
        values, side = method(model, x, classes), x.shape[-1]
        return align(values, grid(model, layer, side, values.shape[-1]), side)

    return placed


def center(model: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """Return a bell curve in the middle, which looks at nothing."""
    return center_gaussian(x.shape[-1]).float().expand(len(x), -1, -1)


def methods_of(layer: str, early: str) -> dict[str, Method]:
    """Return every method by name."""
    grad = of(cam.grad_cam, layer)
    return {
        "Grad-CAM": grad,
        "CAM": of(cam.cam),
        "HiRes-CAM": of(cam.hires_cam, layer),
        "XGrad-CAM": of(cam.xgrad_cam, layer),
        "Grad-CAM++": of(cam.grad_cam_plus_plus, layer),
        "LayerCAM": of(cam.layer_cam, layer),
        "Grad-CAM, earlier": of(cam.grad_cam, early),
        "LayerCAM, earlier": of(cam.layer_cam, early),
        "both layers": both(grad, of(cam.layer_cam, early)),
        "Grad-CAM, aligned": aligned(grad, layer),
        "Grad-CAM, mirrored": seen_again(layer, (1,)),
        "Grad-CAM, 4 sizes": seen_again(layer, (0.5, 1, 1.5, 2)),
        "Grad-CAM, smoothed": smoothed(layer),
        "Eigen-CAM": eigen_cam(layer),
        "Ablation-CAM": ablation_cam(layer),
        "Score-CAM": of(cam.score_cam, layer),
        "Guided Grad-CAM": pixels(cam.guided_grad_cam),
        "guided backprop": pixels(cam.guided_backprop),
        "gradient": pixels(cam.backprop),
        "occlusion": patches,
        "center": center,
    }
