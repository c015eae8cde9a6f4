"""Explain any trained network: CAM, Grad-CAM and their family.

A network is left as it was found: its flags, hooks and gradients. Threads may share one: a method waits until
those of other threads on the same network have ended.
"""

from wsolbook.cam.cam import cam
from wsolbook.cam.faithfulness import area, deletion, insertion
from wsolbook.cam.grad_cam import grad_cam, grad_cam_of
from wsolbook.cam.guided import backprop, deconvnet, guided_backprop, guided_grad_cam, pixel_gradients
from wsolbook.cam.layers import default_layer
from wsolbook.cam.occlusion import occlusion
from wsolbook.cam.record import Tape, record
from wsolbook.cam.variants import grad_cam_plus_plus, hires_cam, layer_cam, score_cam, xgrad_cam

__all__ = [
    "Tape",
    "area",
    "backprop",
    "cam",
    "deconvnet",
    "default_layer",
    "deletion",
    "grad_cam",
    "grad_cam_of",
    "grad_cam_plus_plus",
    "guided_backprop",
    "guided_grad_cam",
    "hires_cam",
    "insertion",
    "layer_cam",
    "occlusion",
    "pixel_gradients",
    "record",
    "score_cam",
    "xgrad_cam",
]
