"""VGG-16 and AlexNet without their fully connected layers, as Zhou et al. (2016) and DeepLab cut them."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from wsolbook.backbones.trunk import Tap, Trunk, cam_convolution, he_initialize

# Simonyan and Zisserman (2015), configuration D: output channels of each 3x3 convolution.
VGG16 = {
    "conv1": (64, 64),
    "conv2": (128, 128),
    "conv3": (256, 256, 256),
    "conv4": (512, 512, 512),
    "conv5": (512, 512, 512),
}
VGG16_TAPS = {
    "conv1": Tap("3", 64, 1),
    "conv2": Tap("8", 128, 2),
    "conv3": Tap("15", 256, 4),
    "conv4": Tap("22", 512, 8),
    "conv5": Tap("29", 512, 16),
}
ALEXNET_TAPS = {
    "conv1": Tap("1", 64, 4),
    "conv2": Tap("4", 192, 8),
    "conv3": Tap("7", 384, 16),
    "conv4": Tap("9", 256, 16),
    "conv5": Tap("11", 256, 16),
}
KEYS = {"classifier.": "classifier.", "features.": "features."}


def vgg16(stride: int, dilation: bool, cam_classes: int | None) -> Trunk:
    """Return VGG-16 up to conv5_3, each stage after its ReLU; pool5 and fc6 to fc8 are gone.

    Output stride 16 (14x14 maps of 224 pixels) or 8, which leaves out pool4 as well; `dilation` then
    spreads conv5. For CAM, a 3x3 convolution of 1,024 units in two groups follows, as in the released
    network of the paper.
    """
    trunk = Trunk("vgg16", stride, _vgg16(stride, dilation, 2), VGG16_TAPS, KEYS)
    if cam_classes is None:
        return trunk
    added = {"cam_conv": cam_convolution(512), "cam_relu": nn.ReLU(inplace=True)}
    return trunk.with_stage("cam", added, 1024)


def vgg16_largefov(stride: int, dilation: bool, cam_classes: int | None) -> Trunk:
    """Return VGG-16 as DeepLab-LargeFOV has it (Chen et al., 2015), up to pool5.

    All pools are 3x3 and padded; pool4 and pool5 stay, at stride 1, so that the output stride is 8: 41x41
    maps of 321 pixels. `dilation` spreads conv5.
    """
    layers = _vgg16(stride, dilation, 3) | {"30": nn.MaxPool2d(3, 1, 1)}
    return Trunk("vgg16", stride, layers, VGG16_TAPS | {"pool5": Tap("30", 512, 8)}, KEYS)


def vgg16_psa(stride: int, dilation: bool, cam_classes: int | None) -> Trunk:
    """Return VGG-16 as Ahn and Kwak (2018) have it: LargeFOV without pool5, and fc6 and fc7 as convolutions.

    56x56 maps of 448 pixels, 1,024 of them. fc6 is a 3x3 convolution, which AffinityNet spreads by 4. The two
    are new layers, with dropout of channels, for weights that know only the convolutions.
    """
    trunk = vgg16_largefov(stride, dilation, cam_classes).upto("conv5")
    return trunk.with_stage("fc7", fc6_fc7(1), 1024)


def fc6_fc7(rate: int, dropout: type[nn.Module] = nn.Dropout2d) -> dict[str, nn.Module]:
    """Return the first two fully connected layers as convolutions of 1,024 units; fc6 is 3x3, spread."""
    layers = {
        "fc6": nn.Conv2d(512, 1024, 3, padding=rate, dilation=rate),
        "relu6": nn.ReLU(inplace=True),
        "drop6": dropout(0.5),
        "fc7": nn.Conv2d(1024, 1024, 1),
        "relu7": nn.ReLU(inplace=True),
    }
    he_initialize(nn.ModuleDict(layers))
    return layers


def fully_connected(classes: int, dropout: float) -> nn.Sequential:
    """Return what follows conv5 in VGG-16: pool5 and fc6 to fc8, under the numbers of torchvision."""
    return nn.Sequential(
        OrderedDict(
            {
                "pool5": nn.MaxPool2d(2),
                "size": nn.AdaptiveAvgPool2d(7),  # changes nothing at 224 pixels
                "flat": nn.Flatten(),
                "0": nn.Linear(512 * 7 * 7, 4096),
                "1": nn.ReLU(inplace=True),
                "2": nn.Dropout(dropout),
                "3": nn.Linear(4096, 4096),
                "4": nn.ReLU(inplace=True),
                "5": nn.Dropout(dropout),
                "6": nn.Linear(4096, classes),
            }
        )
    )


def alexnet(stride: int, dilation: bool, cam_classes: int | None) -> Trunk:
    """Return AlexNet up to conv5, each stage after its ReLU.

    For CAM it becomes AlexNet*-GAP: pool5 at stride 1 and two more 3x3 convolutions of 512 units in two
    groups; maps are 11x11 for 224 pixels. conv1 to conv5 are torchvision's (64, 192, 384, 256, 256 channels,
    no groups), which differ from those of the Caffe network that the paper started from.
    """
    plain = nn.Sequential(
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
    )
    he_initialize(plain)
    trunk = Trunk("alexnet", stride, dict(plain.named_children()), ALEXNET_TAPS, KEYS)
    if cam_classes is None:
        return trunk
    added = {
        "pool5": nn.MaxPool2d(3, stride=1),
        "conv6": cam_convolution(256, 512),
        "relu6": nn.ReLU(inplace=True),
        "conv7": cam_convolution(512, 512),
        "relu7": nn.ReLU(inplace=True),
    }
    return trunk.with_stage("cam", added, 512)


def _vgg16(stride: int, dilation: bool, window: int) -> dict[str, nn.Module]:
    """Return conv1 to conv5 under torchvision's numbers, which a pool that is left out skips."""
    layers: dict[str, nn.Module] = {}
    inputs, place = 3, 0
    for stage, widths in VGG16.items():
        held = VGG16_TAPS[stage].stride > stride
        if stage != "conv1":
            if window == 3:
                layers[str(place)] = nn.MaxPool2d(3, 1 if held else 2, 1)
            elif not held:
                layers[str(place)] = nn.MaxPool2d(2)
            place += 1
        reach = 2 if held and dilation else 1
        for outputs in widths:
            layers[str(place)] = nn.Conv2d(inputs, outputs, 3, padding=reach, dilation=reach)
            layers[str(place + 1)] = nn.ReLU(inplace=True)
            inputs, place = outputs, place + 2
    he_initialize(nn.ModuleDict(layers))
    return layers
