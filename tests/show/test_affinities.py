"""The affinity explorer walks as the package does, and answers pointer and keyboard."""

import base64
import re

import pytest
import torch
from pages import in_a_browser, in_node, needs_chromium, needs_node

from wsolbook.refine.affinity import affinities, offsets
from wsolbook.refine.random_walk import random_walk, transition
from wsolbook.show import widget
from wsolbook.show.affinities import explore_affinities

MODULE = widget.ROOM / "affinities.mjs"


def rooms():
    """A grid of 5 x 6 cells with a wall in the middle: affinities are 1 on either side, exp(-1) across."""
    features = torch.zeros(1, 1, 5, 6)
    features[..., 3:] = 1.0
    return affinities(features, radius=3)


def rounded(values):
    return (values * 255).round() / 255


def grid_of(found, radius, beta=2.0):
    levels = (found[0] * 255).round().flatten().int().tolist()
    height, width = found.shape[-2:]
    return {"offsets": offsets(radius), "height": height, "width": width, "beta": beta, "levels": levels}


@needs_node
def test_neighborhood_holds_each_pair_of_the_cell_once(tmp_path):
    torch.manual_seed(0)
    found = affinities(torch.randn(1, 4, 7, 9), radius=3)
    expected = torch.full((7, 9), -1)
    expected[2, 1] = 255
    for o, (dy, dx) in enumerate(offsets(3)):
        for sign, y, x in ((1, 2 + dy, 1 + dx), (-1, 2 - dy, 1 - dx)):
            if 0 <= y < 7 and 0 <= x < 9:
                expected[y, x] = (255 * found[0, o][(2, 1) if sign > 0 else (y, x)]).round()
    ask = "[...neighborhood(given, given.levels, 19)]"
    answer = in_node("neighborhood", MODULE, ask, grid_of(found, 3), tmp_path)
    assert answer == expected.flatten().tolist()
    assert sum(v >= 0 for v in answer) == 20  # of 25 cells; those beyond the left border are missing


@needs_node
def test_walks_are_those_of_the_package(tmp_path):
    torch.manual_seed(0)
    found = rounded(affinities(torch.randn(1, 4, 6, 8), radius=4))
    scores = torch.rand(1, 1, 6, 8)
    names, probabilities = transition(found, 2.0, 4)
    T = torch.zeros(48, 48).scatter_add(1, names.long(), probabilities).double()
    given = grid_of(found, 4) | {"scores": scores.flatten().tolist()}
    ask = """(() => { const way = walkway(given, given.levels);
      return { walker: [...walker(way, 13, 20)], scores: [...walked(way, given.scores, 20)] }; })()"""
    answer = in_node("walkway, walker, walked", MODULE, ask, given, tmp_path)
    assert answer["walker"] == pytest.approx(torch.matrix_power(T, 20)[13].tolist(), abs=1e-6)
    expected = random_walk(scores, found, 2.0, 20, 4).flatten()
    assert answer["scores"] == pytest.approx(expected.tolist(), abs=1e-5)
    assert sum(answer["walker"]) == pytest.approx(1)


def test_page_holds_bytes_of_one_grid():
    mask = torch.zeros(1, 10, 12, dtype=torch.uint8)
    mask[:, :, 6:] = 2
    heat = torch.zeros(1, 5, 6)
    heat[0, 2, 1] = 4.0
    found = explore_affinities(
        torch.zeros(1, 3, 20, 24), rooms(), heat, mask, ["room"], classes=("fox", "owl"), cell=(2, 1),
        radius=3, steps=20,
    )  # fmt: skip
    page = found.content["pictures"][0]
    read = {key: torch.tensor(list(base64.b64decode(page[key]))) for key in ("affinities", "map", "mask")}
    levels = read["affinities"].view(-1, 5, 6)
    right = offsets(3).index((0, 1))
    assert levels[right, 2].tolist() == [255, 255, 94, 255, 255, 0]  # exp(-1) is 94 of 255
    assert read["map"].view(5, 6)[2].tolist() == [0, 255, 0, 0, 0, 0]
    assert read["mask"].view(5, 6)[0].tolist() == [0, 0, 0, 2, 2, 2]
    assert found.content["lengths"] == [0, 1, 2, 4, 8, 16, 20]
    assert repr(found) == "Affinities(pictures=1, grid=(5, 6), cell=(2, 1))"
    assert found._repr_mimebundle_()[0]["text/html"] == found.html()
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w{2,}/", found.html())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"radius": 5}, "affinities of radius 5 are 34 a cell, got 12"),
        ({"cell": (5, 0)}, "cell (5, 0) is outside the grid of 5 x 6 cells"),
        ({"titles": []}, "titles: 0 given for the affinities of 1 pictures"),
    ],
)
def test_disagreeing_arguments_are_named(changes, message):
    given = {"image": torch.zeros(1, 3, 20, 24), "affinities": rooms(), "radius": 3}
    with pytest.raises(ValueError, match=re.escape(message)):
        explore_affinities(**given | changes)


STEPS = """
  window.requestAnimationFrame = (f) => f();
  const found = {};
  const stage = $(".stage");
  const said = () => [$(".score b").textContent, $(".score span").textContent];
  const key = (key) => stage.dispatchEvent(new KeyboardEvent("keydown", { key }));
  const color = (x, y) => [...$("canvas").getContext("2d").getImageData(x, y, 1, 1).data];
  const at = () => [$(".cell").getAttribute("x"), $(".cell").getAttribute("y")].map(Number);
  found.start = [said(), $(".panel .note").textContent, at(), $("input[type=range]").disabled];
  found.far = color(5, 2);
  found.spoken = [$("[role=status]").textContent, stage.role];
  key("ArrowRight");
  found.right = [at(), said()];
  ["ArrowUp", "ArrowUp", "ArrowUp", "End", "x"].forEach(key);
  found.corner = [at(), said()];
  point("pointermove", stage, 0.75, 0.5);
  found.hover = at();
  stage.dispatchEvent(new PointerEvent("pointerleave"));
  found.left = at();
  point("pointerdown", stage, 0.1, 0.5);
  found.clicked = at();
  $("[name=view][value=walk]").click();
  const slider = $("input[type=range]");
  const walk = (index) => { slider.value = index; slider.dispatchEvent(new Event("input")); return said(); };
  found.still = [walk(0), $(".panel .note").textContent];
  found.walked = [walk(7), $(".panel .note").textContent, $("output").value, slider.ariaValueText];
  $("[name=view][value=map]").click();
  found.map = [walk(0), walk(1), $(".legend b").textContent];
  return found;"""


@needs_chromium
def test_pointer_and_keyboard_in_a_browser(tmp_path):
    mask = torch.zeros(1, 5, 6, dtype=torch.uint8)
    mask[:, :, 3:] = 1
    heat = torch.zeros(1, 5, 6)
    heat[0, 2, 0] = 1.0
    figure = explore_affinities(
        torch.zeros(1, 3, 20, 24), rooms(), heat, mask, ["two rooms"], classes=("fox",), cell=(2, 2),
        radius=3, steps=64, beta=50.0,
    )  # fmt: skip
    found = in_a_browser(figure.html(), STEPS, tmp_path)
    # 24 cells are nearer than 3: 14 in the own half, 10 across at exp(-1), which is 94 of 255.
    near = "Next to it: right 0.37, left 1.00, above 1.00, below 1.00."
    split = " On average 1.00 to cells of background, as it is, 0.37 to others."
    assert found["start"] == [["0.74", "mean affinity to its 24 neighbors"], near + split, [2, 2], True]
    assert found["far"] == [0, 0, 0, 110]
    assert found["spoken"][0] == (
        "two rooms, row 3, column 3, background: 0.74 mean affinity to its 24 neighbors"
    )
    assert found["spoken"][1] == "application"
    assert found["right"][0] == [3, 2]
    assert found["corner"] == [[5, 0], ["1.00", "mean affinity to its 8 neighbors"]]
    assert found["hover"] == [4, 2]
    assert found["left"] == [5, 0]
    assert found["clicked"] == [0, 2]
    assert found["still"][0] == ["0.00", "cells away on average after 0 steps"]
    assert "100 % of it lies on background, where the cell is" in found["still"][1]
    assert "100 % of it lies on background" in found["walked"][1]  # nobody walks through exp(-50)
    assert found["walked"][2:] == ["64", "after 64 steps"]
    assert float(found["walked"][0][0]) > 1
    # After a step the cell has the mean of the 15 cells of its room; a corner, near to 9, has the most.
    assert found["map"] == [
        ["1.00", "score of the cell after 0 steps"], ["0.07", "score of the cell after 1 step"], "0.11"
    ]  # fmt: skip
