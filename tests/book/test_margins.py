"""The distance of a check from its bound, and the list that has every check of every chapter."""

import ast
import json
import math
import re

import pytest
from chapters import find_notebooks, read_notebook, tags
from margins import LIST, RUNS, digest, measure, play, report, weigh, weigh_one

CHAPTER = """\
# %% [markdown]
# # Three checks

# %%
import torch
from wsolbook import check, check_close, setup

here = setup()

# %% tags=["raises-exception"]
1 / 0

# %%
for half in ("one", "two"):
    check(f"{half} half", 10.0 + here.seed, at_least=2)
check("too large", 3.0, at_most=1)
check_close("sum", torch.ones(2), torch.tensor([1.0, 1.001]))
"""


@pytest.fixture
def twin(tmp_path):
    (tmp_path / "text").mkdir()
    path = tmp_path / "text" / "00_small.py"
    path.write_text(CHAPTER)
    return path


def check_of(claim, side, bound, value):
    return {"claim": claim, "side": side, "bound": bound, "value": value}


@pytest.mark.slow
def test_a_chapter_tells_its_checks_also_those_that_fail_and_the_seed_reaches_it(twin):
    at_least, within = check_of("one half", "at_least", 2, 12.0), check_of("sum", "within", 1e-5, 0.001)
    found = play(twin, RUNS["seed 2"])
    assert [c["claim"] for c in found] == ["one half", "two half", "too large", "sum"]
    assert found[0] == at_least
    assert found[3] == within | {"value": pytest.approx(0.001 / 1.001, rel=1e-4)}


@pytest.mark.slow
def test_runs_are_weighed_together(twin):
    runs = {name: RUNS[name] for name in ("default", "seed 1", "seed 2")}
    one, two, large, close = measure(twin, runs, jobs=2)
    assert one | {"claim": "two half"} == two
    assert (one["worst"], one["spread"], one["distance"], one["runs"]) == (10, 1, 8, 3)
    assert [c["keeps"] for c in (one, two, large, close)] == [True, True, False, False]
    assert "4 checks, 2 too near" in report("00_small", [one, two, large, close])


@pytest.mark.slow
def test_a_chapter_that_stops_is_an_error_with_the_cell(twin):
    twin.write_text(CHAPTER.replace(' tags=["raises-exception"]', ""))
    with pytest.raises(RuntimeError, match=r"00_small, code cell 2(.|\n)*ZeroDivisionError"):
        play(twin, {})


@pytest.mark.parametrize(
    ("side", "bound", "values", "distance", "keeps"),
    [
        ("at_least", 1.0, [2.0, 3.0, 4.0], 1.0, False),  # nearer than three spreads
        ("at_least", 1.0, [5.0, 6.0, 7.0], 4.0, True),
        ("at_least", 100.0, [110.0, 111.0, 112.0], 10.0, False),  # nearer than a quarter of the bound
        ("at_most", 1.0, [0.7, 0.7], math.inf, True),
        ("at_most", 1.0, [0.8, 0.8], math.inf, False),
        ("at_most", 1.0, [1.5, 0.5], -0.5 / math.sqrt(0.5), False),
        ("at_least", 1.0, [1.0, 1.0], 0.0, True),  # equal to its bound in every run
        ("at_least", 1.0, [1.0, 1.0 + 1e-9], 0.0, False),
        ("at_least", 0.0, [math.nan, 1.0], math.nan, False),
        ("within", 1e-5, [1e-7, 1e-8], 2.0, True),
        ("within", 1e-5, [5e-6, 1e-8], math.log10(2), False),
        ("within", 1e-5, [0.0, 0.0], math.inf, True),
        ("within", 1e-5, [2e-5, 2e-5], -math.inf, False),
    ],
)
def test_distance_by_hand(side, bound, values, distance, keeps):
    found = weigh_one("a claim", side, bound, values)
    assert float(found["distance"]) == pytest.approx(distance, rel=1e-3, nan_ok=True)
    assert found["keeps"] is keeps


def test_a_claim_stated_twice_counts_with_its_worst_value():
    runs = [[check_of("a", "at_most", 9.0, v) for v in values] for values in ([1.0, 3.0], [2.0, 1.0])]
    (found,) = weigh(runs)
    assert (found["worst"], found["runs"], found["spread"]) == (3, 2, pytest.approx(math.sqrt(0.5), rel=1e-3))


def test_prose_does_not_change_the_digest_and_code_does(twin):
    first = digest(twin)
    twin.write_text(CHAPTER.replace("Three", "A few"))
    assert digest(twin) == first
    twin.write_text(CHAPTER.replace("3.0", "4.0"))
    assert digest(twin) != first


def stated(source):
    """Yield (claim as a pattern, bound or None where it is computed) of each check in a cell."""
    for call in ast.walk(ast.parse(source)):
        name = getattr(call.func, "id", "") if isinstance(call, ast.Call) else ""
        if name not in ("check", "check_close"):
            continue
        claim = call.args[0]
        parts = claim.values if isinstance(claim, ast.JoinedStr) else [claim]
        pattern = "".join(re.escape(p.value) if isinstance(p, ast.Constant) else ".+" for p in parts)
        bounds = [k.value for k in call.keywords if k.arg in ("at_least", "at_most", "atol")]
        bounds += call.args[3:] if name == "check_close" else []
        try:
            default = 1e-5 if name == "check_close" else None
            yield pattern, float(ast.literal_eval(bounds[0])) if bounds else default
        except ValueError:  # computed
            yield pattern, None


def test_claims_are_read_from_code():
    source = 'check("a (b)", 1, at_least=-0.5)\ncheck_close(f"{n} c", x, y, 1e-3)\ncheck_close("d", x, y)\n'
    source += 'if x:\n    check("e", v, **bound)\n    check("f", v, at_most=2 * v)'
    assert list(stated(source)) == [
        (r"a\ \(b\)", -0.5), (r".+\ c", 1e-3), ("d", 1e-5), ("e", None), ("f", None),
    ]  # fmt: skip


@pytest.mark.skipif(not LIST.exists(), reason="results/margins.json waits for the chapters")
@pytest.mark.parametrize("path", find_notebooks(), ids=lambda p: p.stem)
def test_the_list_has_every_check_and_each_keeps_its_distance(path):
    listed = json.loads(LIST.read_text(encoding="utf-8"))["chapters"].get(path.stem, {"checks": []})["checks"]
    code = [c for c in read_notebook(path).cells if c.cell_type == "code" and "colab" not in tags(c)]
    lacking = [
        (pattern, bound)
        for cell in code
        for pattern, bound in stated(cell.source)
        if not any(re.fullmatch(pattern, c["claim"]) and bound in (None, c["bound"]) for c in listed)
    ]
    assert lacking == [], "run `make margins`"
    assert [c["claim"] for c in listed if not c["keeps"]] == []
