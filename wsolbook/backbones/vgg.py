"""VGG-16 and AlexNet without their fully connected layers, as Zhou et al. (2016) cut and extend them."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from wsolbook.backbones.trunk import Trunk, cam_convolution, he_initialize, require_stride

# Simonyan and Zisserman (2015), configuration D: output channels of each 3x3 convolution, "pool" halves.
VGG16 = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512)


def vgg16(classes: int, output_stride: int | None = None, dilation: bool = True) -> Trunk:
    """Return VGG-16 up to conv5_3 and a 3x3 convolution of 1,024 units in two groups.

    As in the released network of the CAM paper: pool5 and fc6 to fc8 are gone. Output stride 16 (14x14 maps
    of 224 pixels) or 8, which leaves out pool4 as well; `dilation` then spreads conv5.
    """
    stride = output_stride or 16
    require_stride("vgg16", stride, (16, 8))
    spread = 2 if stride == 8 and dilation else 1
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs, place, pools = 3, 0, 0
    for item in VGG16:
        if isinstance(item, str):
            pools += 1
            if pools < 4 or stride == 16:
                layers[str(place)] = nn.MaxPool2d(2)
            place += 1
            continue
        reach = spread if pools == 4 else 1
        layers[str(place)] = nn.Conv2d(inputs, item, 3, padding=reach, dilation=reach)
        layers[str(place + 1)] = nn.ReLU(inplace=True)
        inputs, place = item, place + 2
    features = he_initialize(nn.Sequential(layers))
    features.add_module("cam_conv", cam_convolution(512))
    features.add_module("cam_relu", nn.ReLU(inplace=True))
    return Trunk(features, 1024, {"classifier.": None, "features.": "features."}, ("cam_conv",))


def alexnet(classes: int, output_stride: int | None = None, dilation: bool = True) -> Trunk:
    """Return AlexNet*-GAP: pool5 at stride 1 and two more 3x3 convolutions of 512 units in two groups.

    Maps are 11x11 for 224 pixels. conv1 to conv5 are torchvision's (64, 192, 384, 256, 256 channels,
    no groups), which differ from those of the Caffe network that the paper started from.
    """
    require_stride("alexnet", output_stride or 16, (16,))
    layers = [
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
    ]
    features = he_initialize(nn.Sequential(*layers))
    features.add_module("pool5", nn.MaxPool2d(3, stride=1))
    features.add_module("conv6", cam_convolution(256, 512))
    features.add_module("relu6", nn.ReLU(inplace=True))
    features.add_module("conv7", cam_convolution(512, 512))
    features.add_module("relu7", nn.ReLU(inplace=True))
    return Trunk(features, 512, {"classifier.": None, "features.": "features."}, ("conv6", "conv7"))
