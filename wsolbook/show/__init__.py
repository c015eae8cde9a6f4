"""Figures and widgets of the book."""
