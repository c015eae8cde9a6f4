"""Agreement with other libraries where they are right."""

import pytest
import torch

from wsolbook.cam import grad_cam, hires_cam, layer_cam, xgrad_cam
from wsolbook.maps import normalize, resize

CASES = [("resnet18", "layer4"), ("densenet121", "features.denseblock4"), ("googlenet", "inception5b")]


@pytest.fixture(params=CASES, ids=lambda case: case[0])
def case(request, network):
    name, layer = request.param
    net, x = network(name), torch.randn(2, 3, 96, 96)
    every = grad_cam(net, x, torch.arange(10).expand(2, 10), layer).values
    return net, layer, x, every.amax((2, 3)).argmax(1)  # classes whose map is not empty


def agree(ours, theirs, atol=1e-5):
    scale = float(theirs.abs().max())
    assert scale > 0
    torch.testing.assert_close(ours / scale, theirs / scale, rtol=0, atol=atol)


def test_captum(case):
    attr = pytest.importorskip("captum.attr")
    net, layer, x, classes = case
    theirs = attr.LayerGradCam(net, net.get_submodule(layer)).attribute(x, classes, relu_attributions=True)
    agree(grad_cam(net, x, classes, layer).values, theirs.detach())


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (grad_cam, "GradCAM"),
        (xgrad_cam, "XGradCAM"),
        (layer_cam, "LayerCAM"),
    ],
)
def test_torchcam(case, ours, theirs):
    methods = pytest.importorskip("torchcam.methods")
    net, layer, x, classes = case
    with getattr(methods, theirs)(net, layer) as extractor:
        scores = net(x)
        (expected,) = extractor(classes.tolist(), scores, normalized=False)
    values = ours(net, x, classes, layer).values[:, 0]
    expected = expected.detach().relu()
    agree(values, expected)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("ours", "theirs"), [(grad_cam, "GradCAM"), (hires_cam, "HiResCAM")])
def test_pytorch_grad_cam(case, ours, theirs):
    library = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net, layer, x, classes = case
    with getattr(library, theirs)(model=net, target_layers=[net.get_submodule(layer)]) as extractor:
        expected = extractor(x, targets=[ClassifierOutputTarget(int(c)) for c in classes])
    net.zero_grad(set_to_none=True)
    small = normalize(ours(net, x, classes, layer).values[:, 0])
    # It scales the map, resizes it by OpenCV and scales it again.
    agree(normalize(resize(small, 96)), torch.from_numpy(expected), atol=1e-3)
