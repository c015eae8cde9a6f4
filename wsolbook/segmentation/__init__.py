"""Segmentation networks, which say the class of each pixel, and learn it from label maps that others made."""
