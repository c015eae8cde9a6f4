"""A trunk: images to feature maps in named stages, which a method taps or cuts.

A method makes one by `wsolbook.backbones.build_trunk`, keeps it as its `features` and adds its own layers:

    SPG             trunk = build_trunk("inception_v3", output_stride=8)
                    tapped(trunk, images, ("mixed_5", "mixed_6d", "mixed_6e"))    A1, and A2 for B2 and for A3
    AffinityNet     trunk = build_trunk("resnet38")             conv1 and conv2 stay as they are:
                    trunk.upto("conv2").requires_grad_(False)
                    tapped(trunk, images, ("conv4", "conv5", "conv6"))
                    VGG-16 is build_trunk("vgg16_psa"), whose last stage is fc7
    GAIN            build_trunk("vgg16"), where pool5 and torchvision's `classifier` go on
    SeeNet          build_trunk("vgg16"): 512 maps of conv5_3, where three new convolutions begin
    ACoL            build_trunk("vgg16_largefov", dilation=False): pool4 and pool5 at stride 1
    DeepLab         build_trunk("vgg16_largefov"): up to pool5, where the average pool and fc6 begin, or
                    build_trunk("resnet101", output_stride=8)

`start` of `wsolbook.backbones.weights` then gives the whole network its pre-trained parameters.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import overload

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from wsolbook.backbones.freeze import keep_statistics


@dataclass(frozen=True)
class Tap:
    """The end of a stage.

    Attributes:
        layer: the name of its last layer.
        channels: number of feature maps.
        stride: pixels of the image for one position of the maps.
    """

    layer: str
    channels: int
    stride: int


class Trunk(nn.Sequential):
    """Everything before the head of a network, layer after layer.

    Attributes:
        name: of the architecture; torchvision's name where torchvision has it.
        output_stride: pixels of the image for one position of the last feature maps.
        taps: the end of each stage, in forward order.
        keys: where parameters of a pre-trained state dict belong in a network whose `features` this trunk is:
            the first prefix that fits a key is replaced; None drops the key. `"features."` is the trunk,
            other places are layers of the head, which a network may have or not.
        optional: names of layers of which a pre-trained state dict may know nothing, since they are new, or
            too much, since they are not here.
        identity: the feature maps already are class scores.
        checkpointed: whether a pass with a graph keeps the input of each stage alone, for less memory; what
            is in between is computed again for the backward pass, from the same random numbers.
    """

    checkpointed = False

    def __init__(
        self,
        name: str,
        output_stride: int,
        layers: Mapping[str, nn.Module],
        taps: Mapping[str, Tap],
        keys: Mapping[str, str | None],
        optional: Collection[str] = (),
        identity: bool = False,
    ) -> None:
        """Join the layers; strides in `taps` are those of the network whose strides nothing limits."""
        super().__init__(OrderedDict(layers))
        self.name, self.output_stride = name, output_stride
        self.taps = {k: replace(tap, stride=min(tap.stride, output_stride)) for k, tap in taps.items()}
        self.keys, self.optional, self.identity = keys, tuple(optional), identity

    @overload
    def __getitem__(self, index: slice) -> nn.Sequential: ...
    @overload
    def __getitem__(self, index: int) -> nn.Module: ...
    def __getitem__(self, index: slice | int) -> nn.Module:
        """Return a layer, or several as a plain sequence."""
        return nn.Sequential(OrderedDict(self.named_children()))[index]

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c u v"]:
        """Return the feature maps of the last stage."""
        if not (self.checkpointed and torch.is_grad_enabled()):
            return super().forward(images)
        maps = images
        for stage in self.stages.values():
            contexts = partial(_pass_and_repetition, stage)
            maps = checkpoint(stage, maps, use_reentrant=False, context_fn=contexts)
        return maps

    @property
    def channels(self) -> int:
        """Number of feature maps at the end."""
        return list(self.taps.values())[-1].channels

    @property
    def stages(self) -> dict[str, nn.Sequential]:
        """The layers of each stage, in forward order."""
        stages, layers = {}, list(self.named_children())
        for stage, tap in self.taps.items():
            size = [name for name, _ in layers].index(tap.layer) + 1
            stages[stage] = nn.Sequential(OrderedDict(layers[:size]))
            layers = layers[size:]
        return stages

    def upto(self, stage: str) -> Trunk:
        """Return the trunk that ends with this stage and shares its layers with this one.

        Raises:
            ValueError: when there is no such stage, naming those there are.
        """
        _require_stages(self, (stage,))
        layers, ends = list(self.named_children()), list(self.taps)
        taps = {name: self.taps[name] for name in ends[: ends.index(stage) + 1]}
        size = [name for name, _ in layers].index(taps[stage].layer) + 1
        optional = (*self.optional, *(name for name, _ in layers[size:]))
        return Trunk(self.name, taps[stage].stride, dict(layers[:size]), taps, _headless(self.keys), optional)

    def with_stage(self, stage: str, layers: Mapping[str, nn.Module], channels: int) -> Trunk:
        """Return the trunk with new layers behind it, one more stage; it shares the others with this one."""
        every = {**dict(self.named_children()), **layers}
        taps = self.taps | {stage: Tap(list(layers)[-1], channels, self.output_stride)}
        optional = (*self.optional, *layers)
        return Trunk(self.name, self.output_stride, every, taps, _headless(self.keys), optional)


def tapped(
    trunk: Trunk, images: Float[Tensor, "n 3 h w"], stages: Collection[str]
) -> dict[str, Float[Tensor, "n _ _ _"]]:
    """Return the feature maps at the end of several stages, from one pass that stops after the last of them.

    Hooks on layers see the pass; those on the trunk itself do not.

    Raises:
        ValueError: when there is no such stage, naming those there are.
    """
    _require_stages(trunk, stages)
    maps, found = images, {}
    for name, stage in trunk.stages.items():
        maps = stage(maps)
        if name in stages:
            found[name] = maps
        if len(found) == len(stages):
            break
    return found


def cam_convolution(inputs: int, outputs: int = 1024, bias: float = 0.0) -> nn.Conv2d:
    """Return the 3x3 convolution in two groups that Zhou et al. put before the pooling, as they began it."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, groups=2)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(layer.get_parameter("bias"), bias)
    return layer


def he_initialize(network: nn.Module) -> None:
    """Initialize all convolutions after He et al. (2015), in place."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _pass_and_repetition(
    stage: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return the contexts of a pass and of its repetition, which counts no batch for a second time."""
    return nullcontext(), keep_statistics(stage)


def _require_stages(trunk: Trunk, stages: Collection[str]) -> None:
    for stage in stages:
        if stage not in trunk.taps:
            raise ValueError(f"{trunk.name} has no stage {stage!r}; its stages are {', '.join(trunk.taps)}")


def _headless(keys: Mapping[str, str | None]) -> dict[str, str | None]:
    """Drop the head, which was trained on other feature maps."""
    return {old: new if new and new.startswith("features.") else None for old, new in keys.items()}
