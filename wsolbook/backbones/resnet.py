"""ResNet-18, -50 and -101: already fully convolutional with pooling and a linear layer (He et al., 2016)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn
from torchvision.models import ResNet

from wsolbook.backbones.trunk import Trunk, limit_stride, require_stride


def resnet(
    network: Callable[[], ResNet], classes: int, output_stride: int | None = None, dilation: bool = True
) -> Trunk:
    """Return a ResNet without its head at output stride 32 (its own), 16 (layer4) or 8 (layer3 as well).

    A stride that is given up becomes 1 in its block; `dilation` decides whether later convolutions are
    spread by 2 or 4 (see `limit_stride`). The benchmark of Choe et al. (2020) does not spread them.
    """
    stride = output_stride or 32
    whole = network()
    require_stride(network.__name__, stride, (32, 16, 8))
    stages = OrderedDict((n, m) for n, m in whole.named_children() if n not in ("avgpool", "fc"))
    limit_stride(stages.values(), stride, dilation)
    return Trunk(nn.Sequential(stages), whole.fc.in_features, {"fc.": "linear.", "": "features."})
