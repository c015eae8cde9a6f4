"""Every line of the cheat sheet runs, every method is on it, and its costs are those that were measured."""

import re

import costs
import torch
from chapters import ROOT
from results_page import read

from wsolbook.methods import METHODS
from wsolbook.types import Network

PAGE = (ROOT / "book" / "cheat_sheet.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_all_lines_run_and_every_method_is_built(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names, built = {}, set()
    for block in BLOCKS:
        exec(block, names)
        made = {name: value.method for name, value in names.items() if isinstance(value, Network)}
        built |= set(made.values())
    assert built == set(METHODS)
    heat, images = names["heat"], names["images"]
    assert heat.shape[0] == len(images)
    assert names["mask"].shape == (2, 64, 64)
    x0, y0, x1, y1 = names["box"]
    assert 0 <= x0 < x1 < 64
    assert 0 <= y0 < y1 < 64


def test_costs_are_ratios_of_what_was_measured_in_one_run():
    records = {
        "own-mobilenet_v2": {"methods": {"CAM": {"time": 1.0333}, "other": {"time": 9}}},
        "gain-step": {"networks": {"tiny": {"plain steps": 2.055, "MiB": 31, "plain MiB": 16}}},
        "seenet-step": {"networks": {"tiny": {"ms a picture": {"step": 3.0, "trunk": 2.0, "heads": 0.9}}}},
        "spg-step": {"step / convolutions": 1.107, "backbone": "inception_v3"},
        "acol-critters": {
            "metrics": {},
            "config": {},
            "provenance": {"seconds": [20.0, None, 60.0]},
            "columns": {"CAM": {"seconds": [10.0, 5.0, 15.0]}, "first map": {"seconds": [1.0, 1.0, 1.0]}},
        },
    }
    lines = costs.markdown(records).splitlines()[2:]
    assert lines == [
        "| CAM | a map: 1.03 forward passes (MobileNetV2) | `own-mobilenet_v2` |",
        "| GAIN | a training step: 2.06 plain steps, 1.9 times the memory (`tiny`) | `gain-step` |",
        "| SeeNet | a training step: 1.50 times a step of its trunk alone (`tiny`) | `seenet-step` |",
        "| SPG | a training step: 1.11 times its convolutions (`inception_v3`) | `spg-step` |",
        "| ACoL | a training: 3.0 times a plain one on the clock, measuring included | `acol-critters` |",
    ]
    assert costs.markdown({}).count("|\n") == 2
    assert "| ACoL | a training" in costs.markdown(read())
