"""Finding objects with image labels only: weakly supervised localization and segmentation, paper by paper."""

from wsolbook.checks import check, check_close
from wsolbook.profiles import setup

__version__ = "0.1.0"
__all__ = ["check", "check_close", "setup"]
