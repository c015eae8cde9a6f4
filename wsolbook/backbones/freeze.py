"""Layers that do not learn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Statistics = Literal["frozen", "batch"]


def freeze_layers(features: nn.Module, count: int) -> None:
    """Stop the first `count` parts of a feature extractor from learning.

    Of a trunk whole stages are frozen by `trunk.upto("conv2").requires_grad_(False)`.
    """
    for part in list(features.children())[:count]:
        part.requires_grad_(False)


def freeze_norms(model: nn.Module) -> None:
    """Keep batch normalization as pre-training left it: stored statistics in training too, and no learning.

    A layer is put back into evaluation mode before each pass, whatever `train` was told.
    Needed where batches are small, and for networks whose normalization was folded into the convolutions.
    """
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.requires_grad_(False)
            layer.register_forward_pre_hook(_stay)


@contextmanager
def keep_statistics(model: nn.Module, by: Statistics = "batch") -> Iterator[None]:
    """Inside the block, batch normalization changes no stored statistics.

    Args:
        model: any network.
        by: what a layer in training mode normalizes by: `"frozen"` statistics or those of the `"batch"`.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    flags = [(layer.training, layer.track_running_stats) for layer in layers]
    for layer in layers:
        layer.training &= by == "batch"
        layer.track_running_stats &= by == "frozen"
    try:
        yield
    finally:
        for layer, (training, tracks) in zip(layers, flags, strict=True):
            layer.training, layer.track_running_stats = training, tracks


def _stay(layer: nn.Module, _inputs: Any) -> None:
    layer.training = False
