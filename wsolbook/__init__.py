"""Finding objects with image labels only: weakly supervised localization and segmentation, paper by paper."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsolbook.checks import check, check_close
    from wsolbook.profiles import setup

__version__ = "0.1.0"
__all__ = ["check", "check_close", "setup"]

# Imported when asked for, because they import torch and `wsolbook --help` should not wait for it.
_HOMES = {"check": "wsolbook.checks", "check_close": "wsolbook.checks", "setup": "wsolbook.profiles"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
