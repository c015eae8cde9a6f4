"""Under `full` a chapter runs from top to bottom on a simulated GPU: large pictures, but few; three seeds."""

import os
import re
from pathlib import Path

import pytest
from chapters import find_twins, notebook_of, read_notebook
from margins import play

CONVERTED = [t for t in find_twins() if re.search(r"\bhere\.seeds\b", t.read_text(encoding="utf-8"))]


@pytest.mark.slow
@pytest.mark.parametrize("twin", CONVERTED, ids=lambda t: t.stem)
def test_a_chapter_runs_under_full_with_few_steps(twin):
    """Its checks need not hold after two steps, but must be reached: as many as under `book`."""
    tests, scripts = Path(__file__).parents[1], Path(__file__).parents[2] / "scripts"
    short = {
        "WSOLBOOK_PROFILE": "full", "WSOLBOOK_STEPS": "2", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg",
        "PYTHONPATH": os.pathsep.join([str(tests), str(scripts), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    claims = [c["claim"] for c in play(twin, short, tests / "device" / "play_simulated.py")]
    assert len(claims) == len(re.findall(r"^✓ ", stored(twin), re.MULTILINE))


def stored(twin):
    """Return what the notebook of a chapter printed when it was stored."""
    cells = [c for c in read_notebook(notebook_of(twin)).cells if c.cell_type == "code"]
    return "".join(o.get("text", "") for c in cells for o in c.outputs)
