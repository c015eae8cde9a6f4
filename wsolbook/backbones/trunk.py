"""What all trunks share: the record `build` works on, output strides, padding, initialization."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


@dataclass(frozen=True)
class Trunk:
    """Everything before the pooling of a classifier.

    Attributes:
        features: images to feature maps.
        channels: number of feature maps.
        keys: where parameters of a torchvision state dict belong here: the first prefix that fits a key is
            replaced; None drops the key. `"linear."` is the layer after the pooling.
        new: names in `features` of layers that no pre-trained network has.
        identity: the feature maps already are class scores, so the linear layer is the identity.
    """

    features: nn.Module
    channels: int
    keys: Mapping[str, str | None]
    new: tuple[str, ...] = ()
    identity: bool = False

    @property
    def new_keys(self) -> tuple[str, ...]:
        """Prefixes, in a classifier, of the parameters of the new layers."""
        return tuple(f"features.{name}." for name in self.new)


def limit_stride(stages: Iterable[nn.Module], output_stride: int, dilation: bool) -> None:
    """Hold the resolution of a network once its stride has reached `output_stride`.

    A layer whose stride would exceed the limit gets stride 1. With `dilation`, every later 3x3 convolution
    is spread by the stride that was lost, so that each parameter meets the same neighbors as in
    pre-training: the new feature map, read at every second position, is the original one exactly.
    Without, the convolutions stay dense and see half as far, as in the benchmark of Choe et al. (2020).

    Args:
        stages: the parts of a network in order, changed in place; a part holds one stride at most,
            and it comes before the 3x3 convolutions of stride 1 of that part.
        output_stride: pixels of the image for one of the feature map.
        dilation: whether to spread later convolutions.
    """
    reached = rate = 1
    for stage in stages:
        layers = [m for m in stage.modules() if isinstance(m, nn.Conv2d | nn.MaxPool2d)]
        step = max((_first(layer.stride) for layer in layers), default=1)
        before, hold = rate, reached * step > output_stride
        reached, rate = (reached, rate * step) if hold else (reached * step, rate)
        for layer in layers:
            strided = _first(layer.stride) > 1
            if strided and not hold:
                continue
            spread = (before if strided else rate) if dilation else 1
            reach = spread * (_first(layer.kernel_size) - 1) // 2
            if isinstance(layer, nn.MaxPool2d):
                layer.stride, layer.padding, layer.dilation = 1, reach, spread
            else:
                layer.stride, layer.padding, layer.dilation = (1, 1), (reach, reach), (spread, spread)


class SameConv2d(nn.Conv2d):
    """A strided convolution padded as TensorFlow's SAME: an odd pixel of padding goes right and below."""

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k u v"]:
        """Return the convolution, `ceil(side / stride)` positions a side."""
        margins: list[int] = []
        for axis in (1, 0):
            side, kernel, stride = images.shape[2 + axis], self.kernel_size[axis], self.stride[axis]
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            margins += [total // 2, total - total // 2]
        return conv2d(pad(images, margins), self.weight, self.bias, self.stride, 0, 1, self.groups)


def use_same_padding(features: nn.Module) -> None:
    """Replace every strided convolution by one padded as TensorFlow does; parameters keep their names."""
    for name, layer in list(features.named_modules()):
        if isinstance(layer, nn.Conv2d) and _first(layer.stride) > 1:
            same = SameConv2d(
                layer.in_channels,
                layer.out_channels,
                (layer.kernel_size[0], layer.kernel_size[1]),
                (layer.stride[0], layer.stride[1]),
                groups=layer.groups,
                bias=layer.bias is not None,
            )
            same.load_state_dict(layer.state_dict())
            features.set_submodule(name, same)


def cam_convolution(inputs: int, outputs: int = 1024, groups: int = 2, bias: float = 0.0) -> nn.Conv2d:
    """Return the 3x3 convolution that Zhou et al. put before the pooling, initialized as they did."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(layer.bias, bias)  # type: ignore[arg-type]
    return layer


def he_initialize(network: nn.Module) -> nn.Module:
    """Initialize all convolutions after He et al. (2015), in place, and return the network."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def require_stride(name: str, output_stride: int, allowed: tuple[int, ...]) -> None:
    """Raise a ValueError that names the output strides a network offers, if it is not one of them."""
    if output_stride not in allowed:
        raise ValueError(f"{name} has output stride {' or '.join(map(str, allowed))}, not {output_stride!r}")


def _first(value: int | tuple[int, ...]) -> int:
    return value if isinstance(value, int) else value[0]
