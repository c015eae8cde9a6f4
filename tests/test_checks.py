"""A check prints a line that never changes, or raises."""

from __future__ import annotations

import json

import pytest
import torch

from wsolbook import check, check_close


def test_a_claim_that_holds_prints_the_claim_and_the_bound_but_not_the_value(capsys):
    check("accuracy", 0.9731, at_least=0.95)
    check("body coverage", 0.43, at_most=0.6)
    assert capsys.readouterr().out == "✓ accuracy (>= 0.95)\n✓ body coverage (<= 0.6)\n"


@pytest.mark.parametrize("value", [0.94, float("nan")])
def test_a_claim_that_fails_raises_with_its_value(value):
    with pytest.raises(AssertionError, match=r"accuracy: .*, expected >= 0\.95"):
        check("accuracy", value, at_least=0.95)


def test_a_claim_needs_one_bound():
    with pytest.raises(ValueError, match="one of them"):
        check("accuracy", 1.0)
    with pytest.raises(ValueError, match="one of them"):
        check("accuracy", 1.0, at_least=0.0, at_most=1.0)


def test_close_tensors_print_one_line(capsys):
    check_close("CAM", torch.tensor([100.0, 1.0]), torch.tensor([100.0, 1.0 + 5e-4]))
    assert capsys.readouterr().out == "✓ CAM (within 1e-05)\n"


def test_tensors_that_differ_or_have_other_shapes_raise():
    with pytest.raises(AssertionError, match=r"difference 0.01, allowed 1e-05"):
        check_close("CAM", torch.tensor([0.01]), torch.tensor([0.0]))
    with pytest.raises(AssertionError, match=r"\(1,\) and \(2,\)"):
        check_close("CAM", torch.zeros(1), torch.zeros(2))
    with pytest.raises(AssertionError, match="CAM"):
        check_close("CAM", torch.tensor([float("nan")]), torch.tensor([0.0]))


def test_several_seeds_the_worst_must_hold_and_the_line_tells_mean_and_spread(capsys):
    check("accuracy", [0.9, torch.tensor(1.0)], at_least=0.8)
    check("error", [0.1], at_most=0.2)
    assert capsys.readouterr().out == ("✓ accuracy (>= 0.8, 0.950 ± 0.071 over 2 seeds)\n✓ error (<= 0.2)\n")
    with pytest.raises(AssertionError, match=r"error: 0\.3, expected <= 0\.2"):
        check("error", [0.1, 0.3, 0.2], at_most=0.2)
    with pytest.raises(AssertionError, match="accuracy: nan"):
        check("accuracy", [1.0, float("nan")], at_least=0.8)
    with pytest.raises(ValueError, match="accuracy: there is no value"):
        check("accuracy", [], at_least=0.8)


def test_where_somebody_listens_values_are_noted_and_nothing_raises(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("WSOLBOOK_CHECKS", str(tmp_path / "heard"))
    check("accuracy", 0.5, at_least=0.95)
    check("coverage", [0.25, 0.125], at_most=0.5)
    check_close("CAM", 1.25, 1.0, atol=0.5)
    heard = [json.loads(line) for line in (tmp_path / "heard").read_text().splitlines()]
    assert heard == [
        {"claim": "accuracy", "side": "at_least", "bound": 0.95, "value": 0.5},
        {"claim": "coverage", "side": "at_most", "bound": 0.5, "value": 0.25},
        {"claim": "CAM", "side": "within", "bound": 0.5, "value": 0.25},
    ]
    assert "accuracy" not in capsys.readouterr().out
