"""MATLAB files, in which SBD keeps its masks and ILSVRC its class list."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def read_mat(path: Path) -> dict[str, Any]:
    """Read the variables of a .mat file, with single-element arrays unwrapped.

    Raises:
        OSError: when the file is missing or damaged, naming it; or when scipy, which reads the format, is not
            installed.
    """
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise OSError(f"{path}: reading .mat files needs scipy: pip install 'wsolbook[data]'") from error
    try:
        return loadmat(str(path), squeeze_me=True)
    except FileNotFoundError:
        raise
    except (MatReadError, ValueError, TypeError, OSError, KeyError, IndexError, EOFError) as error:
        raise OSError(f"{path}: damaged MATLAB file ({error})") from error
