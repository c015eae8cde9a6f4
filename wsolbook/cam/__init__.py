"""Explain any trained network: CAM, Grad-CAM and their family."""

from wsolbook.cam.cam import cam
from wsolbook.cam.faithfulness import area, average_drop, deletion, increase, insertion
from wsolbook.cam.grad_cam import default_layer, grad_cam
from wsolbook.cam.guided import backprop, deconvnet, guided_backprop, guided_grad_cam, pixel_gradients
from wsolbook.cam.occlusion import occlusion
from wsolbook.cam.record import Tape, record
from wsolbook.cam.variants import grad_cam_plus_plus, hires_cam, layer_cam, score_cam, xgrad_cam

__all__ = [
    "Tape",
    "area",
    "average_drop",
    "backprop",
    "cam",
    "deconvnet",
    "default_layer",
    "deletion",
    "grad_cam",
    "grad_cam_plus_plus",
    "guided_backprop",
    "guided_grad_cam",
    "hires_cam",
    "increase",
    "insertion",
    "layer_cam",
    "occlusion",
    "pixel_gradients",
    "record",
    "score_cam",
    "xgrad_cam",
]
