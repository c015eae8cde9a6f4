"""Run the code of a chapter as plain Python: no kernel, nothing stored, figures drawn and thrown away.

    python scripts/play.py notebooks/text/02_cam.py

For what wants to know whether a chapter runs or what its checks find, under any profile, seed and processor.
"""

from __future__ import annotations

import os
import sys
import types
import warnings
from pathlib import Path

from chapters import notebook_of, read_twin, tags


def play(twin: Path) -> dict[str, object]:
    """Run the code cells of a percent script in order, in the folder of its notebook; return their names.

    Raises:
        Exception: whatever a cell raises that is not tagged `raises-exception`; the traceback names the cell.
    """
    code = [cell for cell in read_twin(twin).cells if cell.cell_type == "code"]
    main = sys.modules["__main__"] = types.ModuleType("__main__")  # where its classes say they are from
    os.chdir(notebook_of(twin).parent)
    for place, cell in enumerate(code, start=1):
        try:
            exec(compile(cell.source, f"<{twin.stem}, code cell {place}>", "exec"), main.__dict__)
        except Exception:
            if "raises-exception" not in tags(cell):
                raise
    return main.__dict__


if __name__ == "__main__":
    os.environ["MPLBACKEND"] = "agg"
    warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
    play(Path(sys.argv[1]).resolve())
