"""Boxes, pixels, segmentation and localization errors: every number that the book reports."""
