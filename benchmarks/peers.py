"""Where other libraries of class activation maps agree with ours, and where not, by name and version.

    pip install grad-cam torchcam captum
    python benchmarks/peers.py                          # those of the three that are installed

Two questions. Is the Grad-CAM of a convolution the same if the ReLU behind it works in place or not? Both
networks compute the same function with the same weights, so it should be. And is guided backpropagation
different from the plain gradient? On a ResNet, whose ReLUs are modules, and on GoogLeNet, whose ReLUs are
function calls, it should be.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import get_model

from wsolbook import cam, results
from wsolbook.files import write_json
from wsolbook.results import provenance

Explain = Callable[[nn.Module, Tensor, Tensor], Tensor]


def ours(net: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    return cam.grad_cam(net, x, classes, "0").values[:, 0]


def by_grad_cam(net: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with GradCAM(model=net, target_layers=[net.get_submodule("0")]) as extractor:
        return torch.from_numpy(extractor(x, targets=[ClassifierOutputTarget(c) for c in classes.tolist()]))


def by_torchcam(net: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    from torchcam.methods import GradCAM

    with GradCAM(net, "0") as extractor:
        return extractor(classes.tolist(), net(x), normalized=False)[0].detach()


def by_captum(net: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    from captum.attr import LayerGradCam

    maps = LayerGradCam(net, net.get_submodule("0")).attribute(x, classes, relu_attributions=True)
    return maps[:, 0].detach()


def ours_guided(net: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    return cam.guided_backprop(net, x, classes).values[:, 0]


def guided_by_grad_cam(net: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    from pytorch_grad_cam import GuidedBackpropReLUModel

    made = GuidedBackpropReLUModel(net, device=x.device)(x, target_category=int(classes))
    return torch.from_numpy(made).movedim(-1, 0)[None]


def guided_by_captum(net: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    from captum.attr import GuidedBackprop

    return GuidedBackprop(net).attribute(x.clone().requires_grad_(), classes).detach()


# name in the package index: (module, Grad-CAM of the layer "0", guided backpropagation if there is one)
LIBRARIES: dict[str, tuple[str, Explain, Explain | None]] = {
    "wsolbook": ("wsolbook", ours, ours_guided),
    "grad-cam": ("pytorch_grad_cam", by_grad_cam, guided_by_grad_cam),
    "torchcam": ("torchcam", by_torchcam, None),
    "captum": ("captum", by_captum, guided_by_captum),
}


def small(inplace: bool) -> nn.Module:
    """Return the network of chapter 3; its ReLU works in place or not."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.ReLU(inplace), nn.AdaptiveAvgPool2d(4), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(128, 8)).eval()


def apart(a: Tensor, b: Tensor) -> float:
    """Return the largest difference, relative to the peak of `a`."""
    return float((a - b).abs().max() / a.abs().max())


def in_place(explain: Explain) -> float:
    """Return how far the map of the in-place network is from that of its twin."""
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return apart(*(explain(small(inplace), x, torch.arange(4)) for inplace in (False, True)))


def guided(explain: Explain, name: str) -> float:
    """Return how far guided backpropagation is from the plain gradient."""
    torch.manual_seed(0)
    net = get_model(name, weights=None, **({"init_weights": True} if name == "googlenet" else {})).eval()
    x, three = torch.randn(1, 3, 96, 96), torch.tensor([3])
    (gradient,) = torch.autograd.grad(net(x.requires_grad_())[0, 3], x)
    return apart(gradient, explain(net, x.detach(), three))


def main() -> None:
    """Compare the installed libraries, print a table, and store it if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="write the numbers and where they come from as JSON")
    options = parser.parse_args()
    start, found = time.perf_counter(), []
    for name, (module, grad_cam, lines) in LIBRARIES.items():
        if importlib.util.find_spec(module):
            far = {f"guided, {net}": guided(lines, net) for net in ("resnet18", "googlenet")} if lines else {}
            found.append({"library": name, "version": version(name), "in place": in_place(grad_cam), **far})
    columns = ("library", "version", "in place", "guided, resnet18", "guided, googlenet")
    rows = [[f"{v:.3f}" if isinstance(v := one.get(c, ""), float) else v for c in columns] for one in found]
    print(results.table(columns, rows))
    print("\nin place: difference of the maps of two equal networks; it should be 0")
    print("guided: difference of guided backpropagation from the gradient; 0 means that it is the gradient")
    if options.out:
        about = {"command": "python benchmarks/peers.py", "seeds": [0]}
        about |= {"seconds": round(time.perf_counter() - start, 1), **provenance()}
        write_json(
            options.out, {"libraries": found, "provenance": about | {"date": time.strftime("%Y-%m-%d")}}
        )


if __name__ == "__main__":
    sys.exit(main())
