"""Residual networks: ResNet-18, -50 and -101 of He et al. (2016), ResNet-38 of Wu et al. (2019)."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import dropout2d, relu
from torchvision.models import ResNet

from wsolbook.backbones.strides import limit_stride
from wsolbook.backbones.trunk import Tap, Trunk, he_initialize

# Names of parameters in PSA's file of ImageNet weights. What it calls the first normalization of b5 and b6
# is here a layer between the stages, bn4 and bn5: its rectified output is read by AffinityNet.
RESNET38_KEYS = {
    "b5.bn_branch2a.": "features.bn4.",
    "b6.bn_branch2a.": "features.bn5.",
    "fc8.": None,
    "": "features.",
}


def resnet(network: Callable[[], ResNet], stride: int, dilation: bool, cam_classes: int | None) -> Trunk:
    """Return a ResNet without its head at output stride 32 (its own), 16 (layer4) or 8 (layer3 as well).

    A stride that is given up becomes 1 in its block; `dilation` decides whether later convolutions are
    spread by 2 or 4 (see `limit_stride`). The benchmark of Choe et al. (2020) does not spread them.
    """
    whole = network()
    layers = {name: layer for name, layer in whole.named_children() if name not in ("avgpool", "fc")}
    limit_stride(layers.values(), stride, dilation)
    width = whole.fc.in_features
    taps = {"stem": Tap("maxpool", 64, 4)} | {
        f"layer{i}": Tap(f"layer{i}", width >> (4 - i), 2 << i) for i in (1, 2, 3, 4)
    }
    return Trunk(network.__name__, stride, layers, taps, {"fc.": "linear.", "": "features."})


def resnet38(stride: int, dilation: bool, cam_classes: int | None, width: int = 64) -> Trunk:
    """Return ResNet-38, model A1 of Wu et al. as Ahn and Kwak (2018) use it, at output stride 8.

    It has 4,096 maps, of 56x56 positions for 448 pixels.

    The stages conv4, conv5 and conv6 end normalized and rectified, as the taps of these names in the authors'
    code; conv1, conv2 and conv3 are sums that the next block normalizes. `dilation` spreads the 3x3
    convolutions of conv5 by 2 and those of conv6 by 4. In the paper all normalization is frozen.

    Args:
        stride: 8.
        dilation: whether conv5 and conv6 are spread.
        cam_classes: nothing is added for CAM.
        width: channels of conv1; 64 in the paper, the others in proportion.
    """
    w, two, four = width, 2 if dilation else 1, 4 if dilation else 1
    layers: dict[str, nn.Module] = {"conv1a": nn.Conv2d(3, w, 3, padding=1, bias=False)}
    layers |= _stage("b2", 3, w, 2 * w)
    layers |= _stage("b3", 3, 2 * w, 4 * w)
    layers |= _stage("b4", 6, 4 * w, 8 * w)
    layers |= {"bn4": nn.BatchNorm2d(8 * w), "relu4": nn.ReLU()}
    layers["b5"] = Block(8 * w, 8 * w, 16 * w, rates=(1, two), normalized=True)
    layers["b5_1"] = Block(16 * w, 8 * w, 16 * w, rates=(two, two))
    layers["b5_2"] = Block(16 * w, 8 * w, 16 * w, rates=(two, two))
    layers |= {"bn5": nn.BatchNorm2d(16 * w), "relu5": nn.ReLU()}
    layers["b6"] = Bottleneck(16 * w, 32 * w, four, 0.3, normalized=True)
    layers["b7"] = Bottleneck(32 * w, 64 * w, four, 0.5)
    layers |= {"bn7": nn.BatchNorm2d(64 * w), "relu7": nn.ReLU()}
    he_initialize(nn.ModuleDict(layers))
    taps = {
        "conv1": Tap("conv1a", w, 1),
        "conv2": Tap("b2_2", 2 * w, 2),
        "conv3": Tap("b3_2", 4 * w, 4),
        "conv4": Tap("relu4", 8 * w, 8),
        "conv5": Tap("relu5", 16 * w, 8),
        "conv6": Tap("relu7", 64 * w, 8),
    }
    return Trunk("resnet38", stride, layers, taps, RESNET38_KEYS)


class Block(nn.Module):
    """Twice normalize, rectify and convolve; around it goes the input, or its projection to another shape.

    `normalized` says that the layer before already normalizes and rectifies.
    """

    def __init__(
        self,
        inputs: int,
        middle: int,
        outputs: int,
        stride: int = 1,
        rates: tuple[int, int] = (1, 1),
        normalized: bool = False,
    ) -> None:
        super().__init__()
        self.bn_branch2a = nn.Identity() if normalized else nn.BatchNorm2d(inputs)
        self.conv_branch2a = _convolution(inputs, middle, 3, stride, rates[0])
        self.bn_branch2b1 = nn.BatchNorm2d(middle)
        self.conv_branch2b1 = _convolution(middle, outputs, 3, 1, rates[1])
        self.conv_branch1 = _convolution(inputs, outputs, 1, stride) if inputs != outputs else None

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k u v"]:
        """Return the sum, not rectified."""
        entry = relu(self.bn_branch2a(maps))
        branch = self.conv_branch2a(entry)
        branch = self.conv_branch2b1(relu(self.bn_branch2b1(branch)))
        return branch + (maps if self.conv_branch1 is None else self.conv_branch1(entry))


class Bottleneck(nn.Module):
    """Normalize, rectify and convolve by 1x1, 3x3 and 1x1, with dropout of channels before the last two."""

    def __init__(
        self, inputs: int, outputs: int, rate: int, dropout: float, normalized: bool = False
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.bn_branch2a = nn.Identity() if normalized else nn.BatchNorm2d(inputs)
        self.conv_branch2a = _convolution(inputs, outputs // 4, 1)
        self.bn_branch2b1 = nn.BatchNorm2d(outputs // 4)
        self.conv_branch2b1 = _convolution(outputs // 4, outputs // 2, 3, 1, rate)
        self.bn_branch2b2 = nn.BatchNorm2d(outputs // 2)
        self.conv_branch2b2 = _convolution(outputs // 2, outputs, 1)
        self.conv_branch1 = _convolution(inputs, outputs, 1)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Return the sum of the branch and the projected input, not rectified."""
        entry = relu(self.bn_branch2a(maps))
        branch = relu(self.bn_branch2b1(self.conv_branch2a(entry)))
        branch = self.conv_branch2b1(dropout2d(branch, self.dropout, self.training))
        branch = relu(self.bn_branch2b2(branch))
        branch = self.conv_branch2b2(dropout2d(branch, self.dropout, self.training))
        return self.conv_branch1(entry) + branch


def _stage(name: str, blocks: int, inputs: int, outputs: int) -> dict[str, nn.Module]:
    """Return blocks of equal width, the first of which halves the resolution."""
    later = {f"{name}_{i}": Block(outputs, outputs, outputs) for i in range(1, blocks)}
    return {name: Block(inputs, outputs, outputs, stride=2), **later}


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, rate: int = 1) -> nn.Conv2d:
    reach = rate * (kernel - 1) // 2
    return nn.Conv2d(inputs, outputs, kernel, stride, reach, rate, bias=False)
