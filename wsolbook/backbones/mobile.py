"""Two small ImageNet networks for machines without a GPU: MobileNetV2 and SqueezeNet 1.1."""

from __future__ import annotations

from torch import nn
from torchvision import models

from wsolbook.backbones.strides import limit_stride
from wsolbook.backbones.trunk import Tap, Trunk

MOBILENET_V2_TAPS = {  # the rows of table 2 of the paper
    "conv1": Tap("0", 32, 2),
    "bottleneck1": Tap("1", 16, 2),
    "bottleneck2": Tap("3", 24, 4),
    "bottleneck3": Tap("6", 32, 8),
    "bottleneck4": Tap("10", 64, 16),
    "bottleneck5": Tap("13", 96, 16),
    "bottleneck6": Tap("16", 160, 32),
    "bottleneck7": Tap("17", 320, 32),
    "conv2": Tap("18", 1280, 32),
}
SQUEEZENET_TAPS = {
    "conv1": Tap("1", 64, 2),
    "fire3": Tap("4", 128, 4),
    "fire5": Tap("7", 256, 8),
    "fire7": Tap("10", 384, 16),
    "fire9": Tap("12", 512, 16),
}


def mobilenet_v2(stride: int, dilation: bool, cam_classes: int | None) -> Trunk:
    """Return MobileNetV2 (Sandler et al., 2018) without its head at output stride 32 (its own), 16 or 8.

    A bottleneck ends in a linear layer: its feature maps are not rectified.
    """
    layers = dict(models.mobilenet_v2().features.named_children())
    limit_stride(layers.values(), stride, dilation)
    keys = {"classifier.1.": "linear.", "features.": "features."}
    return Trunk("mobilenet_v2", stride, layers, MOBILENET_V2_TAPS, keys)


def squeezenet1_1(stride: int, dilation: bool, cam_classes: int | None) -> Trunk:
    """Return SqueezeNet 1.1 (Iandola et al., 2016) at output stride 16 (13x13 maps of 224 pixels) or 8.

    Its own head scores every position with a 1x1 convolution, rectifies and averages. For CAM over the 1,000
    classes of ImageNet that convolution and its ReLU are kept as the last feature maps, one a class, and the
    linear layer after the pooling is the identity: logits are torchvision's and CAM, then the rectified
    score of each position, stays exact. For any other number of classes an ordinary linear layer over the
    512 maps takes their place, since a rectified score could never say "absent" to a sigmoid.
    """
    network = models.squeezenet1_1()
    layers = dict(network.features.named_children())
    limit_stride(layers.values(), stride, dilation)
    if cam_classes != 1000:
        keys = {"classifier.": None, "features.": "features."}
        return Trunk("squeezenet1_1", stride, layers, SQUEEZENET_TAPS, keys, ["class_conv"])
    layers |= {"class_conv": network.classifier[1], "class_relu": nn.ReLU(inplace=True)}
    taps = SQUEEZENET_TAPS | {"cam": Tap("class_relu", 1000, 16)}
    keys = {"classifier.1.": "features.class_conv.", "features.": "features."}
    return Trunk("squeezenet1_1", stride, layers, taps, keys, identity=True)
