"""Two networks for pictures of 64 pixels that learn in seconds on a laptop."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from wsolbook.backbones.trunk import Tap, Trunk, he_initialize

WIDTHS = (16, 32, 64, 128)
TINY_TAPS = {
    "stage1": Tap("stage1", 16, 1),
    "stage2": Tap("stage2", 32, 2),
    "stage3": Tap("stage3", 64, 4),
    "stage4": Tap("stage4", 128, 16),
}
TINY_RESNET_TAPS = TINY_TAPS | {"stage4": Tap("stage4", 128, 8), "stage5": Tap("stage5", 128, 16)}


def tiny(stride: int, dilation: bool, cam_classes: int | None) -> Trunk:
    """Return four stages of 3x3 convolutions, a VGG in small, with batch normalization.

    Halving is left to 2x2 pools, so that a cell of the map lies exactly over its pixels. Output stride 8 is
    the default; 4 leaves out the last pool and 16 adds one before the last convolution.
    """
    spread = 2 if dilation and stride == 4 else 1
    a, b, c, d = WIDTHS
    layers = {
        "stage1": _block(3, a),
        "pool1": nn.MaxPool2d(2),
        "stage2": nn.Sequential(_block(a, b), _block(b, b)),
        "pool2": nn.MaxPool2d(2),
        "stage3": nn.Sequential(_block(b, c), _block(c, c)),
        "pool3": _halve(stride >= 8),
        "stage4": nn.Sequential(_block(c, d, spread), _halve(stride == 16), _block(d, d, spread)),
    }
    he_initialize(nn.ModuleDict(layers))
    return Trunk("tiny", stride, layers, TINY_TAPS, {"": "features."})


def tiny_resnet(stride: int, dilation: bool, cam_classes: int | None) -> Trunk:
    """Return five stages of one residual block each, the first a plain one, at the same strides as `tiny`."""
    spread = 2 if dilation and stride == 4 else 1
    a, b, c, d = WIDTHS
    layers = {
        "stage1": _block(3, a),
        "pool1": nn.MaxPool2d(2),
        "stage2": Residual(a, b),
        "pool2": nn.MaxPool2d(2),
        "stage3": Residual(b, c),
        "pool3": _halve(stride >= 8),
        "stage4": Residual(c, d, spread),
        "pool4": _halve(stride == 16),
        "stage5": Residual(d, d, spread),
    }
    he_initialize(nn.ModuleDict(layers))
    return Trunk("tiny_resnet", stride, layers, TINY_RESNET_TAPS, {"": "features."})


class Residual(nn.Module):
    """Two convolutions and a way around them (He et al., 2016)."""

    def __init__(self, inputs: int, outputs: int, spread: int = 1) -> None:
        super().__init__()
        self.first = _block(inputs, outputs, spread)
        self.second = _block(outputs, outputs, spread)[:2]
        self.around = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Return the sum of both ways, rectified."""
        return self.relu(self.second(self.first(maps)) + self.around(maps))


def _block(inputs: int, outputs: int, spread: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=spread, dilation=spread, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _halve(really: bool) -> nn.Module:
    return nn.MaxPool2d(2) if really else nn.Identity()
