"""ResNet-18, -50 and -101: already fully convolutional with pooling and a linear layer (He et al., 2016)."""

from __future__ import annotations

from collections.abc import Callable

from torchvision.models import ResNet

from wsolbook.backbones.strides import limit_stride, require_stride
from wsolbook.backbones.trunk import Tap, Trunk


def resnet(
    network: Callable[[], ResNet],
    output_stride: int | None = None,
    dilation: bool = True,
    cam_classes: int | None = None,
) -> Trunk:
    """Return a ResNet without its head at output stride 32 (its own), 16 (layer4) or 8 (layer3 as well).

    A stride that is given up becomes 1 in its block; `dilation` decides whether later convolutions are
    spread by 2 or 4 (see `limit_stride`). The benchmark of Choe et al. (2020) does not spread them.
    """
    stride = output_stride or 32
    whole = network()
    require_stride(network.__name__, stride, (32, 16, 8))
    layers = {name: layer for name, layer in whole.named_children() if name not in ("avgpool", "fc")}
    limit_stride(layers.values(), stride, dilation)
    width = whole.fc.in_features
    taps = {"stem": Tap("maxpool", 64, 4)} | {
        f"layer{i}": Tap(f"layer{i}", width >> (4 - i), 2 << i) for i in (1, 2, 3, 4)
    }
    return Trunk(network.__name__, stride, layers, taps, {"fc.": "linear.", "": "features."})
