"""The layer that is explained when none is given: the right one, or a refusal that says what to pass."""

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import VisionTransformer, segmentation

from wsolbook.cam import default_layer, grad_cam

X = torch.randn(1, 3, 64, 64)


@pytest.mark.parametrize("build", [segmentation.fcn_resnet50, segmentation.deeplabv3_resnet50])
def test_a_segmenter_with_an_auxiliary_head_asks_for_the_layer(build):
    make = {"weights": None, "weights_backbone": None, "num_classes": 4}
    net = build(**make, aux_loss=True).eval()
    score = lambda y: y["out"][:, 1].mean((1, 2))  # noqa: E731
    message = r"of several outputs: name the layer to explain, for example backbone.layer4 or classifier"
    with pytest.raises(ValueError, match=message):
        grad_cam(net, X, score)
    assert grad_cam(net, X, score, "backbone.layer4").values.shape == (1, 1, 8, 8)
    net.aux_classifier = None
    assert default_layer(net, X) == "classifier"


def test_a_detector_asks_for_the_layer():
    class Detector(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            return [{"boxes": boxes} for boxes in self.head(self.body(x)).flatten(2)]

    with pytest.raises(ValueError, match="Detector returns a list of several outputs: name the layer"):
        grad_cam(Detector().eval(), X, lambda y: y[0]["boxes"].sum()[None])


def test_a_vision_transformer_without_reshape():
    net = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=10).eval()
    with pytest.raises(ValueError, match=r'tokens follow conv_proj, .*: pass reshape="tokens"'):
        grad_cam(net, X[..., :32, :32])


def test_windows_are_no_grid():
    """MaxViT's attention reads windows: 64 pixels give `(n, 4, 4, K)` once, elsewhere `(n, 16, 4, K)`."""
    torch.manual_seed(0)
    net = torchvision.models.MaxVit((64, 64), 8, 2, [8, 8, 8], [1, 1, 1], 4, 0.0, num_classes=3).eval()
    assert default_layer(net, X).startswith("blocks.2")
    seen = {}
    layer = "blocks.1.layers.0.layers.window_attention.attn_layer.0"
    handle = net.get_submodule(layer).register_forward_hook(lambda m, i, o: seen.update(shape=o.shape))
    net(X)
    handle.remove()
    assert seen["shape"][1:3] == (16, 4)
    with pytest.raises(ValueError, match=r"were read as 16 x 4, which images of 64 x 64 are not"):
        grad_cam(net, X, 0, layer, reshape="tokens")


def test_tokens_of_an_oblong_image_are_no_square():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches, self.norm, self.linear = nn.Conv2d(3, 8, 8, 8), nn.LayerNorm(8), nn.Linear(8, 3)

        def forward(self, x):
            return self.linear(self.norm(self.patches(x).flatten(2).mT).square().mean(1))

    net, x = Tokens().eval(), torch.randn(2, 3, 16, 64)  # 2 x 8 patches: sixteen
    with pytest.raises(ValueError, match="were read as 4 x 4, which images of 16 x 64 are not"):
        grad_cam(net, x, 0, "norm", reshape="tokens")
    assert grad_cam(net, x, 0, "norm", reshape=(2, 8)).values.shape == (2, 1, 2, 8)
