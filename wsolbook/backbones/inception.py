"""GoogLeNet and Inception-v3, cut before their last stages (Zhou et al. 2016; Zhang et al. 2018) or whole."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d
from torchvision.models import GoogLeNet, Inception3
from torchvision.models.inception import InceptionB

from wsolbook.backbones.trunk import Tap, Trunk, cam_convolution, he_initialize
from wsolbook.data.transforms import MEAN, STD, channels

GOOGLENET_TAPS = {
    "stem": Tap("maxpool2", 192, 8),
    "inception_3": Tap("inception3b", 480, 8),
    "inception_4": Tap("inception4e", 832, 16),
    "inception_5": Tap("inception5b", 1024, 32),
}
INCEPTION_V3_TAPS = {
    "stem": Tap("maxpool2", 192, 8),
    "mixed_5": Tap("Mixed_5d", 288, 8),
    "mixed_6a": Tap("Mixed_6a", 768, 16),
    "mixed_6b": Tap("Mixed_6b", 768, 16),
    "mixed_6c": Tap("Mixed_6c", 768, 16),
    "mixed_6d": Tap("Mixed_6d", 768, 16),
    "mixed_6e": Tap("Mixed_6e", 768, 16),
    "mixed_7": Tap("Mixed_7c", 2048, 32),
}


def googlenet(stride: int, dilation: bool, cam_classes: int | None) -> Trunk:
    """Return GoogLeNet at output stride 16 (up to inception_4e) or 32 (torchvision's, whole).

    For CAM at 16, the network of the paper, a 3x3 convolution of 1,024 units in two groups whose bias starts
    at 1 follows; pool4, 5a, 5b and both auxiliary classifiers are gone.
    """
    network = GoogLeNet(aux_logits=False, init_weights=False)
    he_initialize(network)
    keys: dict[str, str | None] = {"aux1.": None, "aux2.": None, "fc.": "linear.", "": "features."}
    trunk = Trunk("googlenet", stride, _layers(network), GOOGLENET_TAPS, keys)
    if stride == 32:
        return trunk
    trunk = trunk.upto("inception_4")
    if cam_classes is None:
        return trunk
    added = {"cam_conv": cam_convolution(832, bias=1.0), "cam_relu": nn.ReLU(inplace=True)}
    return trunk.with_stage("cam", added, 1024)


def inception_v3(stride: int, dilation: bool, cam_classes: int | None) -> Trunk:
    """Return Inception-v3 at output stride 8 (of SPG), 16 (both up to Mixed_6e) or 32 (torchvision's, whole).

    At 8 the stem is padded and Mixed_6a has stride 1: 28x28 maps of 224 pixels. At 16, Mixed_6a keeps its
    stride (13x13). For CAM at both, two 3x3 convolutions of 1,024 units follow: SPG-plain of Zhang et al.
    (2018). Whole, it was trained on 299 pixels and gives 8x8 maps of them.
    """
    network = Inception3(aux_logits=False, init_weights=False)
    he_initialize(network)
    if stride < 32:
        network.get_submodule("Conv2d_1a_3x3.conv").padding = (1, 1)
        network.maxpool1 = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        network.maxpool2 = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
    if stride == 8:
        network.Mixed_6a = DenseReduction(288)
    keys: dict[str, str | None] = {"AuxLogits.": None, "fc.": "linear.", "": "features."}
    trunk = Trunk("inception_v3", stride, _layers(network), INCEPTION_V3_TAPS, keys)
    if stride == 32:
        return trunk
    trunk = trunk.upto("mixed_6e")
    if cam_classes is None:
        return trunk
    added: dict[str, nn.Module] = {}
    for name, inputs in (("a3_1", 768), ("a3_2", 1024)):
        layer = nn.Conv2d(inputs, 1024, 3, padding=1)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.get_parameter("bias"))
        added |= {f"conv_{name}": layer, f"relu_{name}": nn.ReLU(inplace=True)}
    return trunk.with_stage("cam", added, 1024)


class SignedInput(nn.Module):
    """From ImageNet statistics to [-1, 1], the range that the ported weights of both networks expect."""

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Return the pictures, rescaled."""
        scale, shift = channels(STD, images) / 0.5, (channels(MEAN, images) - 0.5) / 0.5
        return images * scale + shift


class DenseReduction(InceptionB):
    """Mixed_6a of Inception-v3 at stride 1, padded: the resolution stays."""

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs)
        for branch in (self.branch3x3, self.branch3x3dbl_3):
            branch.conv.stride, branch.conv.padding = (1, 1), (1, 1)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Return the three branches side by side."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps)))
        return torch.cat([self.branch3x3(maps), double, max_pool2d(maps, 3, stride=1, padding=1)], 1)


def _layers(network: nn.Module) -> dict[str, nn.Module]:
    """Return everything before the pooling of torchvision's network."""
    head = ("avgpool", "dropout", "fc")
    kept = {name: layer for name, layer in network.named_children() if name not in head}
    return {"signed_input": SignedInput(), **kept}
