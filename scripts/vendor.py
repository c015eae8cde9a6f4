"""Put the scripts that pages need beside the pages, so that reading the book asks nothing of the network.

Formulas are set by MathJax. Its single-file build comes with the Python package
`sphinx-mathjax-offline`, so that neither Node nor a download outside pip is needed.
"""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "_build" / "extra" / "vendor" / "mathjax"
# All TeX extensions inside, vector glyphs inside: no further file is asked for, whatever a formula uses.
SCRIPT = "tex-svg-full.js"


def mathjax_source() -> Path:
    """Return the installed single-file build of MathJax.

    Raises:
        FileNotFoundError: saying what to install, when it is not there.
    """
    try:
        files = distribution("sphinx-mathjax-offline").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name == SCRIPT:
            return Path(str(file.locate()))
    raise FileNotFoundError(f"MathJax ({SCRIPT}) is not installed: pip install sphinx-mathjax-offline")


def main() -> int:
    """Copy what is missing."""
    TARGET.mkdir(parents=True, exist_ok=True)
    source, target = mathjax_source(), TARGET / SCRIPT
    if not target.exists() or target.stat().st_size != source.stat().st_size:
        shutil.copyfile(source, target)
    shutil.copyfile(ROOT / "book" / "_static" / "mathjax-license.txt", TARGET / "LICENSE.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
