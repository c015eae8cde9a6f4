"""Gradients at the pixels: saliency, deconvnet, guided backprop, Guided Grad-CAM.

They differ in what a ReLU lets pass on the way back. With f its input and R the gradient that arrives:

    backprop          R  where f > 0               Simonyan et al. 2014
    deconvnet         R  where R > 0               Zeiler and Fergus 2014
    guided backprop   R  where f > 0 and R > 0     Springenberg et al. 2015
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from wsolbook.cam.classes import Classes, Score, score
from wsolbook.cam.grad_cam import grad_cam
from wsolbook.cam.network import (
    differentiating,
    eager,
    evaluating,
    forward,
    names_of,
    quantized,
    require_images,
    require_visible,
    unwrap,
    why_no_gradient,
)
from wsolbook.cam.record import Reshape
from wsolbook.maps import require_finite
from wsolbook.types import Maps

Images = Float[Tensor, "n _ *space"]
Rule = Literal["backprop", "deconvnet", "guided"]


class Rectifier(torch.autograd.Function):
    """ReLU, or ReLU6 with its ceiling, with another rule for the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rule: Rule, ceiling: float, inplace: bool) -> Tensor:
        """Clamp to [0, ceiling], in place where the network asks for it: others may hold the same tensor."""
        ctx.rule = rule
        ctx.save_for_backward((x > 0) & (x < ceiling))
        if not inplace:
            return x.clamp(0, ceiling)
        ctx.mark_dirty(x)
        return x.clamp_(0, ceiling)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Apply the rule."""
        (active,) = ctx.saved_tensors
        arriving = gradients[0] if ctx.rule == "backprop" else gradients[0].clamp(min=0)
        return (arriving if ctx.rule == "deconvnet" else arriving * active), None, None, None


class ReplaceReLU(TorchFunctionMode):
    """Inside the block every call of ReLU, by module, function or method, in place or not, follows the rule.

    No module is touched: the calls are caught on their way to torch.
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replace the call if it is one of a ReLU."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        ceiling = {"relu": torch.inf, "relu_": torch.inf, "relu6": 6.0}.get(name)
        if name in ("hardtanh", "hardtanh_") and kwargs.get("min_val") == 0:  # how nn.ReLU6 calls itself
            ceiling = kwargs["max_val"]
        if ceiling is None:
            return func(*args, **kwargs)
        x = args[0] if args else kwargs["input"]
        return Rectifier.apply(x, self.rule, ceiling, name.endswith("_") or kwargs.get("inplace", False))


def pixel_gradients(
    model: nn.Module, images: Images, classes: Classes | Score = None, rule: Rule = "backprop"
) -> Maps:
    """Differentiate scores with respect to the images under a rule for ReLU and ReLU6.

    Other activations are differentiated as usual. The network runs in evaluation mode and is left as it was.

    Args:
        model: the network.
        images: network input.
        classes: as in `grad_cam`.
        rule: `"backprop"`, `"deconvnet"` or `"guided"`.

    Returns:
        Signed gradients: values `(n, k, channels, *space)`.

    Raises:
        TypeError: when the images are not floating point or the classes not integers.
        ValueError: when classes or images do not fit the network, its ReLUs cannot be seen because it is
            scripted, traced or exported, a layer is quantized, or a gradient is not finite.
    """
    network = unwrap(model)
    if rule != "backprop":
        require_visible(network)
    require_images(images)
    if reason := quantized(network):
        raise ValueError(reason)
    with torch.inference_mode(False), torch.enable_grad(), evaluating(network), eager():
        pixels = images.clone().detach().requires_grad_()
        with ReplaceReLU(rule), differentiating():
            output = forward(network, pixels.clone())
            scores, chosen = score(classes, output, names_of(network))
            if not scores.requires_grad:
                raise ValueError(f"the scores have no gradient: {why_no_gradient(network)}")
            rows = [
                torch.autograd.grad(column.sum(), pixels, retain_graph=True)[0] for column in scores.unbind(1)
            ]
    values = torch.stack(rows, 1)
    require_finite(scores, images, "input")  # a ReLU that blocks the gradient would hide it
    require_finite(values, images, "input")
    return Maps(values, (output if isinstance(output, Tensor) else scores).detach(), chosen, "input")


def backprop(model: nn.Module, images: Images, classes: Classes | Score = None) -> Maps:
    """Compute saliency maps (Simonyan et al. 2014, section 3.1): the largest `|gradient|` of the channels.

    Arguments and errors are those of `pixel_gradients`.

    Returns:
        Maps `(n, k, *space)`, not negative, at the resolution of the images.
    """
    found = pixel_gradients(model, images, classes)
    return Maps(found.values.abs().amax(2), found.logits, found.classes, found.layer)


def deconvnet(model: nn.Module, images: Images, classes: Classes | Score = None) -> Maps:
    """Compute deconvnet pictures (Zeiler and Fergus 2014): signed, `(n, k, channels, *space)`.

    Arguments and errors are those of `pixel_gradients`.
    """
    return pixel_gradients(model, images, classes, "deconvnet")


def guided_backprop(model: nn.Module, images: Images, classes: Classes | Score = None) -> Maps:
    """Compute guided backprop pictures (Springenberg et al. 2015): signed, `(n, k, channels, *space)`.

    Arguments and errors are those of `pixel_gradients`.
    """
    return pixel_gradients(model, images, classes, "guided")


def guided_grad_cam(
    model: nn.Module,
    images: Images,
    classes: Classes | Score = None,
    layer: str | nn.Module | None = None,
    *,
    reshape: Reshape = None,
) -> Maps:
    """Compute Guided Grad-CAM (Selvaraju et al. 2017, section 3.2): guided backprop times the resized map.

    Arguments and errors are those of `grad_cam`.

    Returns:
        Signed pictures `(n, k, channels, *space)`, zero wherever the bilinearly resized map is.
    """
    coarse = grad_cam(model, images, classes, layer, reshape=reshape)
    fine = guided_backprop(model, images, classes if callable(classes) else coarse.classes)
    mode = "bilinear" if images.ndim == 4 else "trilinear"
    large = F.interpolate(coarse.values, size=images.shape[2:], mode=mode, align_corners=False)
    return Maps(fine.values * large[:, :, None], coarse.logits, coarse.classes, coarse.layer)
