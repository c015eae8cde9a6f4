"""Run a chapter as `scripts/play.py` does, on the simulated device and with few pictures."""

import sys
import warnings
from pathlib import Path

from play import play  # of scripts
from simulated_device import simulated

from wsolbook.data import critters

MORE = {"04_gain": 142}  # pictures of chapters that point at one further back


class Few(critters.Critters):
    """The first pictures of a data set."""

    most = 64

    def __init__(self, n: int, **settings) -> None:
        super().__init__(min(n, self.most), **settings)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
    twin = Path(sys.argv[1]).resolve()
    Few.most = MORE.get(twin.stem, Few.most)
    critters.Critters = Few
    with simulated():
        play(twin)
