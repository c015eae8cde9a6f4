"""Stored results are found, tabulated and summarized."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from wsolbook import results

# To be written again: made with uncommitted changes, or before a result told its instruction set.
OUTDATED = {"peers", "scaling-cpu"}


def test_load_reads_the_file_and_names_what_exists_when_there_is_none(tmp_path, monkeypatch):
    (tmp_path / "cam-critters.json").write_text(json.dumps({"seeds": [0, 1]}))
    monkeypatch.setattr(results, "folder", lambda: tmp_path)
    assert results.load("cam-critters") == {"seeds": [0, 1]}
    with pytest.raises(ValueError, match="no results 'cam-cats'; there are: cam-critters"):
        results.load("cam-cats")


def test_every_committed_result_comes_from_a_commit_and_says_where():
    outdated = set()
    for path in results.folder().glob("*.json"):
        about = json.loads(path.read_text(encoding="utf-8"))["provenance"]
        assert about["command"], path.name
        if not about["commit"] or about["commit"].endswith("-dirty") or "instruction_set" not in about:
            outdated.add(path.stem)
    assert outdated == OUTDATED


def test_a_table_aligns_names_left_and_numbers_right():
    assert results.table(["net", "%"], [["GAP", 7], ["GMP-long", 12.5]]) == (
        "net          %\n--------  ----\nGAP          7\nGMP-long  12.5"
    )


def test_spread_is_mean_and_sample_deviation():
    assert results.spread([1.0, 2.0, 3.0]) == "2.0 ± 1.0"
    assert results.spread([97.25], digits=2) == "97.25"


def test_a_lead_is_paired_by_seed_and_has_students_interval():
    # Differences 1, 2, 3: mean 2, deviation 1, half-width 4.303 / sqrt(3) = 2.48.
    assert results.lead([11.0, 22.0, 33.0], [10.0, 20.0, 30.0]) == "+2.0 [-0.5, +4.5]"
    assert results.lead([1.0, 1.0], [2.0, 2.0]) == "-1.0 [-1.0, -1.0]"


def test_the_page_shows_how_far_processors_are_apart(monkeypatch):
    root = Path(__file__).parents[1]
    monkeypatch.syspath_prepend(root / "benchmarks")
    benchmark = importlib.import_module("processors")
    assert benchmark.table(results.load("processors")) in (root / "book" / "reproduce.md").read_text("utf-8")
    assert benchmark.apart([1.0, 1.0]) == "identical"
    assert benchmark.apart([1.0, 1.02, 1.01]) == "0.02 points"
    assert benchmark.apart([1.0, 3.5]) == "2.5 points"
    assert benchmark.apart([1.0, 1.00001]) == "less than 0.0001 points"
