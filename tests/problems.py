"""Small networks whose maps are known in closed form, and the full definition of Grad-CAM by autograd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES, CHANNELS = 5, 4


class Net(nn.Module):
    """Features `A` by one convolution, then a head given as a function of the network and A."""

    def __init__(self, head: Callable[[Net, Tensor], Tensor], width: int = CHANNELS, after=None) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.after = after or nn.Identity()
        self.linear = nn.Linear(width, CLASSES)
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self, self.after(self.features(x)))


@dataclass(frozen=True)
class Problem:
    """A network, and the channel weights of Grad-CAM at `features` derived by hand.

    Attributes:
        make: builds the network with random parameters.
        alpha: from network, activation `(n, K, h, w)` and classes `(n, k)` to weights `(n, k, K)`.
        pooled: whether the head is global pooling and one linear layer, so that `cam` applies.
    """

    make: Callable[[], Net]
    alpha: Callable[[Net, Tensor, Tensor], Tensor]
    pooled: bool = False

    def maps(self, net: Net, images: Tensor, classes: Tensor) -> Tensor:
        """Return the signed Grad-CAM maps in closed form."""
        activation = net.features(images).detach()
        return torch.einsum("nkc,nchw->nkhw", self.alpha(net, activation, classes).detach(), activation)


def _positive(a: Tensor) -> Tensor:
    """Return the share of positive positions of each channel, `(n, 1, K)`."""
    return (a > 0).to(a.dtype).mean((2, 3))[:, None]


def _z(a: Tensor) -> int:
    return a[0, 0].numel()


SIDE = 6  # the images of the `flat` problem have this side: its linear layer sees every position

PROBLEMS: dict[str, Problem] = {
    # y = W mean(A): dy/dA = W / Z.
    "gap": Problem(
        lambda: Net(lambda n, a: n.linear(a.mean((2, 3)))),
        lambda n, a, c: n.linear.weight[c] / _z(a),
        pooled=True,
    ),
    "gap by module": Problem(
        lambda: Net(lambda n, a: n.linear(a.flatten(1)), after=nn.AdaptiveAvgPool2d(1)),
        lambda n, a, c: n.linear.weight[c] / _z(a),
        pooled=True,
    ),
    # y = W max(A): dy/dA is W at the largest position, so its mean is W / Z.
    "gmp": Problem(
        lambda: Net(lambda n, a: n.linear(a.amax((2, 3)))),
        lambda n, a, c: n.linear.weight[c] / _z(a),
        pooled=True,
    ),
    # y = mean(A) over one channel a class: the weight matrix is the identity.
    "class maps": Problem(
        lambda: Net(lambda n, a: F.adaptive_avg_pool2d(a, 1).flatten(1)),
        lambda n, a, c: torch.eye(CHANNELS, dtype=a.dtype)[c] / _z(a),
        pooled=True,
    ),
    # y = W mean(ReLU(A)): the gradient is W / Z where A is positive.
    "functional ReLU": Problem(
        lambda: Net(lambda n, a: n.linear(F.relu(a).mean((2, 3)))),
        lambda n, a, c: n.linear.weight[c] / _z(a) * _positive(a),
    ),
    "in-place ReLU module": Problem(
        lambda: Net(lambda n, a: n.linear(a.mean((2, 3))), after=nn.ReLU(inplace=True)),
        lambda n, a, c: n.linear.weight[c] / _z(a) * _positive(a),
    ),
    "in-place ReLU function": Problem(
        lambda: Net(lambda n, a: n.linear(F.relu(a, inplace=True).mean((2, 3)))),
        lambda n, a, c: n.linear.weight[c] / _z(a) * _positive(a),
    ),
    # y = W mean(A)^2: a head that is no linear function of the pooled map.
    "squared": Problem(
        lambda: Net(lambda n, a: n.linear(a.mean((2, 3)) ** 2)),
        lambda n, a, c: 2 * n.linear.weight[c] * a.mean((2, 3))[:, None] / _z(a),
    ),
    # y = W mean(A) + W mean(A) by two branches of one map.
    "branches": Problem(
        lambda: Net(lambda n, a: n.linear(a.mean((2, 3))) + n.linear(a.flatten(2).mean(2))),
        lambda n, a, c: 2 * n.linear.weight[c] / _z(a),
    ),
    # y = W A over all positions, as the fully connected head of VGG: dy/dA = W.
    "flat": Problem(
        lambda: Net(lambda n, a: n.linear(a.flatten(1)), width=CHANNELS * SIDE * SIDE),
        lambda n, a, c: n.linear.weight[c].unflatten(2, (CHANNELS, SIDE * SIDE)).mean(3),
    ),
}


def full_gradients(net: nn.Module, layer: str, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return activation and gradient `(n, k, K, h, w)` by the whole graph and one backward pass a class."""
    kept: dict[str, Tensor] = {}

    def keep(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        kept["a"] = output
        return output.clone()

    handle = net.get_submodule(layer).register_forward_hook(keep)
    logits = net(images)
    handle.remove()
    gradients = [
        torch.autograd.grad(logits.gather(1, c[:, None]).sum(), kept["a"], retain_graph=True)[0]
        for c in classes.unbind(1)
    ]
    return kept["a"].detach(), torch.stack(gradients, 1)


def full_grad_cam(net: nn.Module, layer: str, images: Tensor, classes: Tensor) -> Tensor:
    """Return Grad-CAM by its definition."""
    activation, gradients = full_gradients(net, layer, images, classes)
    return torch.einsum("nkc,nchw->nkhw", gradients.mean((3, 4)), activation).relu()
