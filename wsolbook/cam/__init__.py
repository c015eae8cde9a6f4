"""Explain any trained network: CAM, Grad-CAM and their family."""
