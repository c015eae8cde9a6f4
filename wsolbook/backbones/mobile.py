"""Two small ImageNet networks for machines without a GPU: MobileNetV2 and SqueezeNet 1.1."""

from __future__ import annotations

from torch import nn
from torchvision import models

from wsolbook.backbones.trunk import Trunk, limit_stride, require_stride


def mobilenet_v2(classes: int, output_stride: int | None = None, dilation: bool = True) -> Trunk:
    """Return MobileNetV2 (Sandler et al., 2018) without its head at output stride 32 (its own), 16 or 8."""
    stride = output_stride or 32
    require_stride("mobilenet_v2", stride, (32, 16, 8))
    network = models.mobilenet_v2()
    limit_stride(network.features, stride, dilation)
    return Trunk(
        network.features, network.last_channel, {"classifier.1.": "linear.", "features.": "features."}
    )


def squeezenet1_1(classes: int, output_stride: int | None = None, dilation: bool = True) -> Trunk:
    """Return SqueezeNet 1.1 (Iandola et al., 2016) at output stride 16 (13x13 maps of 224 pixels) or 8.

    Its own head scores every position with a 1x1 convolution, rectifies and averages. For the 1,000 classes
    of ImageNet that convolution and its ReLU are kept as the last feature maps, one a class, and the
    linear layer after the pooling is the identity: logits are torchvision's and CAM, then the rectified
    score of each position, stays exact. For any other number of classes an ordinary linear layer over the
    512 maps takes their place, since a rectified score could never say "absent" to a sigmoid.
    """
    stride = output_stride or 16
    require_stride("squeezenet1_1", stride, (16, 8))
    network = models.squeezenet1_1()
    limit_stride(network.features, stride, dilation)
    if classes != 1000:
        return Trunk(network.features, 512, {"classifier.": None, "features.": "features."})
    network.features.add_module("class_conv", network.classifier[1])
    network.features.add_module("class_relu", nn.ReLU(inplace=True))
    keys = {"classifier.1.": "features.class_conv.", "features.": "features."}
    return Trunk(network.features, 1000, keys, identity=True)
