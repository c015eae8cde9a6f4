"""Run a chapter as `scripts/play.py` does, on the simulated device."""

import sys
import warnings
from pathlib import Path

from play import play  # of scripts
from simulated_device import simulated

if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
    with simulated():
        play(Path(sys.argv[1]).resolve())
