"""Layers that do not learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
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


def keep_statistics(model: nn.Module, by: Statistics = "batch") -> AbstractContextManager[None]:
    """Return a block inside which batch normalization changes no stored statistics.

    Layers run in the mode they are in when this is called, even if the block is entered later: so a pass can
    be repeated as it was, which `torch.utils.checkpoint` needs.

    Args:
        model: any network.
        by: what a layer in training mode normalizes by: `"frozen"`, the stored statistics, or those of the
            `"batch"`.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm)]
    return _norms([(layer, layer.training and by == "batch") for layer in layers])


def share_statistics(model: nn.Module) -> None:
    """Let batch normalization that learns see the pictures of all processes at once; what is frozen stays so.

    torch's own conversion of a whole network would lose the freezing. It works on CUDA devices alone.
    """
    for parent in [*model.modules()]:
        for name, layer in [*parent.named_children()]:
            if isinstance(layer, _BatchNorm) and _stay not in layer._forward_pre_hooks.values():
                setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(layer))


@contextmanager
def _norms(modes: Sequence[tuple[_BatchNorm, bool]]) -> Iterator[None]:
    """Put each layer into its mode inside the block; what it then stores goes into copies."""
    before = [(layer, layer.training, dict(layer._buffers)) for layer, _ in modes]
    try:
        for layer, training in modes:
            layer.training = training
            if training:
                for name, buffer in [*layer.named_buffers(recurse=False)]:
                    setattr(layer, name, buffer.clone())
        yield
    finally:
        for layer, training, buffers in before:
            layer.training = training
            layer._buffers.update(buffers)


def _stay(layer: nn.Module, _inputs: Any) -> None:
    layer.training = False
