"""GoogLeNet and Inception-v3, cut before their last stages (Zhou et al. 2016; Zhang et al. 2018) or whole."""

from __future__ import annotations

from collections import OrderedDict

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d
from torchvision.models import GoogLeNet, Inception3
from torchvision.models.inception import InceptionB

from wsolbook.backbones.trunk import Trunk, cam_convolution, he_initialize, require_stride
from wsolbook.data.transforms import MEAN, STD


def googlenet(classes: int, output_stride: int | None = None, dilation: bool = True) -> Trunk:
    """Return GoogLeNet at output stride 16 (the network of the CAM paper) or 32 (torchvision's, whole).

    At 16 it ends with inception_4e and a 3x3 convolution of 1,024 units in two groups whose bias starts at 1;
    pool4, 5a, 5b and both auxiliary classifiers are gone.
    """
    stride = output_stride or 16
    require_stride("googlenet", stride, (16, 32))
    network = he_initialize(GoogLeNet(aux_logits=False, init_weights=False))
    unused: dict[str, str | None] = {"aux1.": None, "aux2.": None}
    if stride == 32:
        whole = _upto(network, "inception5b")
        return Trunk(whole, 1024, {**unused, "fc.": "linear.", "": "features."})
    features = _upto(network, "inception4e")
    features.add_module("cam_conv", cam_convolution(832, bias=1.0))
    features.add_module("cam_relu", nn.ReLU(inplace=True))
    unused |= {"fc.": None, "inception5a.": None, "inception5b.": None}
    return Trunk(features, 1024, {**unused, "": "features."}, ("cam_conv",))


def inception_v3(classes: int, output_stride: int | None = None, dilation: bool = True) -> Trunk:
    """Return Inception-v3 at output stride 8 (SPG-plain), 16 or 32 (torchvision's, whole).

    At 8, the CAM network of Zhang et al. (2018): a padded stem, Mixed_6a at stride 1, everything after
    Mixed_6e replaced by two 3x3 convolutions of 1,024 units; 28x28 maps of 224 pixels. At 16, Mixed_6a
    keeps its stride (13x13). Whole, it was trained on 299 pixels and gives 8x8 maps of them.
    """
    stride = output_stride or 8
    require_stride("inception_v3", stride, (8, 16, 32))
    network = he_initialize(Inception3(aux_logits=False, init_weights=False))
    unused: dict[str, str | None] = {"AuxLogits.": None}
    if stride == 32:
        return Trunk(_upto(network, "Mixed_7c"), 2048, {**unused, "fc.": "linear.", "": "features."})
    network.Conv2d_1a_3x3.conv.padding = (1, 1)  # type: ignore[union-attr]
    network.maxpool1 = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
    network.maxpool2 = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
    if stride == 8:
        network.Mixed_6a = DenseReduction(288)
    features = _upto(network, "Mixed_6e")
    for name, inputs in (("conv_a3_1", 768), ("conv_a3_2", 1024)):
        layer = nn.Conv2d(inputs, 1024, 3, padding=1)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        features.add_module(name, layer)
        features.add_module(name.replace("conv", "relu"), nn.ReLU(inplace=True))
    unused |= {"fc.": None, "Mixed_7a.": None, "Mixed_7b.": None, "Mixed_7c.": None}
    return Trunk(features, 1024, {**unused, "": "features."}, ("conv_a3_1", "conv_a3_2"))


class SignedInput(nn.Module):
    """From ImageNet statistics to [-1, 1], the range that the ported weights of both networks expect."""

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Return the pictures, rescaled."""
        scale = images.new_tensor(STD).view(3, 1, 1) / 0.5
        shift = (images.new_tensor(MEAN).view(3, 1, 1) - 0.5) / 0.5
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


def _upto(network: nn.Module, last: str) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(signed_input=SignedInput())
    for name, layer in network.named_children():
        layers[name] = layer
        if name == last:
            break
    return nn.Sequential(layers)
