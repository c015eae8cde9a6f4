"""How far apart the positions of a feature map lie, and how strided layers are padded."""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


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


def _first(value: int | tuple[int, ...]) -> int:
    return value if isinstance(value, int) else value[0]
