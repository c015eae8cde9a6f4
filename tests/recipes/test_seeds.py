"""A recipe over seeds: the numbers, and where they come from."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from wsolbook import cli, results
from wsolbook.files import write_json
from wsolbook.recipes import RECIPES, OnCritters
from wsolbook.training import Optim

SMALL = ["--steps", "2", "--batch-size", "4", "--data.n", "8", "--data.held-out", "6", "--data.size", "16"]


def test_reproduce_writes_numbers_with_their_provenance(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["reproduce", "cam-critters", "--seeds", "0", "1", "--device", "cpu", *SMALL]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    path = tmp_path / "results" / "cam-critters.json"
    record = json.loads(path.read_text())
    assert len(record["metrics"]["top-1"]) == 2
    assert record["target"] == {"top-1": 95.0}
    assert record["target_source"].startswith("ours")
    assert record["pictures"] == {"training": 8, "evaluated": 6}
    parts = {"head", "body", "limbs", "background"}
    assert record["center"].keys() == {"MaxBoxAccV2", "MaxBoxAcc", "PxAP"} | parts
    assert record["over_center"].keys() == {"MaxBoxAccV2", "MaxBoxAcc", "PxAP"} | parts
    assert record["columns"] == {}
    for metric, intervals in record["over_center"].items():
        for (low, high), ours in zip(intervals, record["metrics"][metric], strict=True):
            assert low <= high
            assert low - 1e-9 <= ours - record["center"][metric] <= high + 1e-9  # six images, 1,000 draws
    assert record["config"]["data"]["size"] == 16
    assert not record["config"].keys() & {"seed", "source", "target"}
    about = record["provenance"]
    assert about["command"] == "wsolbook " + " ".join(arguments)
    assert about["seeds"] == [0, 1]
    assert set(about) >= {"commit", "device", "threads", "versions", "date"}
    assert about["instruction_set"] == torch.backends.cpu.get_cpu_capability()
    assert all(seconds > 0 for seconds in about["seconds"])
    assert str(tmp_path) not in json.dumps(record)
    assert results.compare(record) in said
    assert re.search(r"top-1 +\S+ ± \S+ +95\.0", said)

    config = tmp_path / "runs" / "cam-critters-seed1" / "config.json"
    write_json(config, json.loads(config.read_text()) | {"commit": "0" * 40})
    assert cli.main(arguments) == 1
    assert f"cam-critters-seed1 was begun at commit {'0' * 40}" in capsys.readouterr().err


def test_a_seed_that_is_done_is_neither_trained_nor_measured_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "results" / "acol-critters.json"
    acol = replace(RECIPES["acol-critters"], columns={"first": {"fusion": "first"}})
    monkeypatch.setitem(RECIPES, "acol-critters", acol)
    measured = []

    def each(recipe, model):
        measured.append(recipe.seed)
        return recipe.data.each(model, recipe.workers)

    monkeypatch.setattr(type(acol), "each", each)

    def reproduce(commit, *seeds):
        """Return the record, and the seeds that were measured; each once for ACoL and once for its column."""
        monkeypatch.setattr("wsolbook.results.commit", lambda: commit)
        measured.clear()
        arguments = ["reproduce", "acol-critters", "--device", "cpu", *SMALL, "--evaluate-every", "0"]
        assert cli.main([*arguments, "--seeds", *seeds]) == 0
        return json.loads(path.read_text()), list(measured)

    clean = "0" * 40
    alone, looked = reproduce(clean, "1")
    assert looked == [1, 1]
    both, looked = reproduce(clean, "0", "1")
    assert looked == [0, 0]
    again, looked = reproduce(clean, "0", "1")
    assert looked == []
    for record in (both, again):
        record["provenance"].pop("date")
    assert both == again
    assert both["provenance"]["seconds"][1:] == alone["provenance"]["seconds"]
    assert {m: values[1:] for m, values in both["metrics"].items()} == alone["metrics"]
    assert both["columns"]["first"]["lead"]["PxAP"][1:] == alone["columns"]["first"]["lead"]["PxAP"]

    found = tmp_path / "runs" / "acol-critters-seed0" / "found.json"
    write_json(found, json.loads(found.read_text()) | {"config": {}})  # of other settings
    third, looked = reproduce(clean, "0", "1")
    assert looked == [0, 0]
    assert third["metrics"] == both["metrics"]
    assert third["provenance"]["seconds"] == [None, both["provenance"]["seconds"][1]]

    for kept in tmp_path.glob("runs/*/*.json"):
        write_json(kept, json.loads(kept.read_text()) | {"commit": f"{clean}-dirty"})
    assert reproduce(f"{clean}-dirty", "0", "1")[1] == [0, 0, 1, 1]  # who knows what was changed since


def test_columns_are_trained_beside_it_from_the_same_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = {"twin": {"slope": 30.0}, "still": {"optim": Optim(lr=1e-9)}}
    monkeypatch.setitem(RECIPES, "gain-critters", replace(RECIPES["gain-critters"], columns=columns))
    assert cli.main(["reproduce", "gain-critters", "--seeds", "3", "4", "--device", "cpu", *SMALL]) == 0
    record = json.loads((tmp_path / "results" / "gain-critters.json").read_text())
    assert "columns" not in record["config"]
    twin, still = record["columns"]["twin"], record["columns"]["still"]
    assert twin["changed"] == {"slope": 30.0}
    assert still["changed"]["optim"]["lr"] == 1e-9
    assert twin["metrics"] == record["metrics"]  # the same settings: the same pictures, start and steps
    assert twin["lead"] == {metric: [[0.0, 0.0]] * 2 for metric in record["metrics"]}
    assert still["metrics"] != record["metrics"]
    for metric, intervals in still["lead"].items():
        for (low, high), theirs, ours in zip(
            intervals, still["metrics"][metric], record["metrics"][metric], strict=True
        ):
            assert low - 1e-9 <= theirs - ours <= high + 1e-9
    assert all(seconds > 0 for seconds in still["seconds"])
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {
        f"gain-critters{column}-seed{seed}" for column in ("", "-twin", "-still") for seed in (3, 4)
    }


def test_a_column_may_be_another_method_or_other_maps_of_the_same_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    short = {"steps": 2, "batch_size": 4, "device": "cpu", "data": OnCritters(n=8, held_out=6, size=16)}
    cam = replace(RECIPES["cam-critters"], **short)
    again = {"first": {"fusion": "first"}, "second": {"fusion": "second"}}
    acol = replace(RECIPES["acol-critters"], columns={"CAM": cam, **again}, **short)
    monkeypatch.setitem(RECIPES, "acol-critters", acol)
    assert cli.main(["reproduce", "acol-critters", "--seeds", "3"]) == 0
    record = json.loads((tmp_path / "results" / "acol-critters.json").read_text())
    columns = record["columns"]
    assert columns["CAM"]["changed"] == {
        "method": "cam", "evaluate_every": 1, "head": "gap", "dropout": 0.0, "momentum_slip": False,
    }  # fmt: skip
    assert columns["first"]["changed"] == {"fusion": "first"}
    assert columns["first"]["metrics"]["top-1"] == record["metrics"]["top-1"]  # the same network
    assert columns["first"]["metrics"] != record["metrics"] != columns["second"]["metrics"]
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {
        "acol-critters-seed3",
        "acol-critters-CAM-seed3",
    }
    assert (
        cli.main(["reproduce", "cam-critters", "--seeds", "3", *SMALL, "--steps", "2", "--device", "cpu"])
        == 0
    )
    alone = json.loads((tmp_path / "results" / "cam-critters.json").read_text())
    assert columns["CAM"]["metrics"] == alone["metrics"]


def test_a_result_of_code_that_is_not_committed_says_so(tmp_path, capsys, monkeypatch):
    record = {
        "name": "cam-critters", "metrics": {"top-1": [90.0]}, "target": {}, "target_source": "", "center": {},
        "provenance": {"seeds": [0], "commit": "0" * 40 + "-dirty"},
    }  # fmt: skip
    monkeypatch.setattr("wsolbook.recipes.seeds.reproduce", lambda *_: record)
    assert cli.main(["reproduce", "cam-critters", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert said == "wsolbook: made with uncommitted changes; commit them before a result is kept\n"


@pytest.mark.parametrize("seeds", [[], ["1", "1"]])
def test_seeds_must_differ(seeds, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["reproduce", "cam-critters", "--seeds", *seeds, *SMALL]) == 1
    assert "seeds must be different numbers, at least one" in capsys.readouterr().err


def test_reproduce_needs_a_name_and_its_help_lists_them(capsys):
    assert cli.main(["reproduce"]) == 1
    assert "recipe must be one of cam-critters" in capsys.readouterr().err
    assert cli.main(["reproduce", "--help"]) == 0
    assert set(RECIPES) <= set(capsys.readouterr().out.split())


def test_the_page_lists_every_recipe():
    page = Path(__file__).parents[2] / "book" / "reproduce.md"
    assert set(
        re.findall(
            r"`((?:cam|gain|gain_ext|erasing|acol|spg|seenet|psa|affinity|deeplab|sec)-[\w-]+)`",
            page.read_text(encoding="utf-8"),
        )
    ) == set(RECIPES)
