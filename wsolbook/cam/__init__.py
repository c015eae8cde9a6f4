"""Explain any trained network: CAM, Grad-CAM and their family."""

from wsolbook.cam.cam import cam

__all__ = ["cam"]
