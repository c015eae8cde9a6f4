"""The explorer computes what the package computes, and its page is whole, small and quiet."""

import base64
import io
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pages import in_a_browser, in_node, needs_chromium, needs_node
from PIL import Image

from wsolbook.show import explorer
from wsolbook.show.explorer import explore

MODULE = Path(explorer.__file__).with_suffix(".mjs")


def javascript(expression, cases, tmp_path):
    """Evaluate `expression` of `c` for each case, with the explorer's functions in scope."""
    return in_node(
        "boxAbove, iou, precisionRecall, above", MODULE, f"given.map((c) => {expression})", cases, tmp_path
    )


def random_maps(count=600):
    """Noise, coarse levels and binary maps of odd sizes, full of ties, holes and thin lines."""
    r = np.random.default_rng(0)
    for i in range(count):
        shape = tuple(r.integers(1, 14, 2))
        levels = r.integers(0, (256, 4, 2)[i % 3], shape) * (1, 80, 255)[i % 3]
        yield levels.astype(np.uint8), float(r.integers(0, 100) / 100)


def as_case(levels, threshold):
    return {"v": levels.ravel().tolist(), "w": levels.shape[1], "h": levels.shape[0], "t": threshold}


@needs_node
def test_box_equals_the_official_rule_in_opencv(tmp_path):
    cases, expected = [], []
    for levels, threshold in random_maps():
        binary = (levels > int(threshold * levels.max())).astype(np.uint8)
        found = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
        box = [0, 0, 0, 0]
        if len(found):
            x, y, w, h = cv2.boundingRect(max(found, key=cv2.contourArea))
            box = [x, y, min(x + w, levels.shape[1] - 1), min(y + h, levels.shape[0] - 1)]
        cases.append(as_case(levels, threshold))
        expected.append(box)
    assert javascript("boxAbove(Uint8Array.from(c.v), c.w, c.h, c.t)", cases, tmp_path) == expected


@needs_node
def test_box_equals_the_package(tmp_path):
    from wsolbook.metrics.boxes import boxes_from_map

    cases, expected = [], []
    for levels, threshold in random_maps(200):
        score = torch.from_numpy(levels / 255)
        (boxes,) = boxes_from_map(score, [threshold], contours="largest")
        cases.append(as_case((score * 255).to(torch.uint8).numpy(), threshold))
        expected.append(np.asarray(boxes)[0].tolist())
    assert javascript("boxAbove(Uint8Array.from(c.v), c.w, c.h, c.t)", cases, tmp_path) == expected


@needs_node
def test_iou_has_inclusive_corners(tmp_path):
    pairs = [
        [[1, 2, 5, 6], [3, 1, 4, 5]],
        [[0, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 0, 3, 3], [4, 4, 5, 5]],
        [[0, 0, 3, 3], [0, 0, 3, 7]],
    ]
    assert javascript("iou(c[0], c[1])", pairs, tmp_path) == pytest.approx([8 / 27, 1, 0, 0.5])


@needs_node
def test_precision_and_recall_skip_ignored_pixels(tmp_path):
    case = {"region": [1, 1, 0, 0, 1], "mask": [3, 0, 1, 0, 255]}
    (value,) = javascript("precisionRecall(c.region, c.mask)", [case], tmp_path)
    assert value == pytest.approx({"precision": 1 / 2, "recall": 1 / 2, "iou": 1 / 3})


@needs_node
def test_threshold_is_strict_and_relative_to_the_maximum(tmp_path):
    case = {"v": [100, 50, 51, 0]}
    assert javascript("[...above(Uint8Array.from(c.v), 0.5)]", [case], tmp_path) == [[1, 0, 1, 0]]


def square(size=8):
    heat = torch.zeros(size, size)
    heat[2:5, 3:7] = 1.0
    return torch.full((3, size, size), 0.5), heat, torch.tensor([[3, 2, 6, 4]])


def test_content_is_min_max_scaled_and_truncated_to_bytes():
    image, heat, boxes = square()
    heat[0, 0] = 0.25
    page = explore(image, 7 * heat - 3, boxes).content["pictures"][0]
    levels = np.frombuffer(base64.b64decode(page["maps"][0]), np.uint8).reshape(8, 8)
    assert (levels[3, 4], levels[0, 0], levels[7, 7]) == (255, 63, 0)
    assert page["boxes"] == [[3, 2, 6, 4]]


def test_raw_maps_are_resized_to_the_picture():
    image, _, boxes = square()
    page = explore(image, {"cam": torch.tensor([[0.0, 1.0]])}, boxes).content["pictures"][0]
    row = np.frombuffer(base64.b64decode(page["maps"][0]), np.uint8).reshape(8, 8)[5]
    assert row.tolist() == [0, 0, 31, 95, 159, 223, 255, 255]  # bilinear, half-pixel centers, truncated


def test_bicubic_maps_are_those_of_the_protocol_under_a_finer_picture():
    """What is measured is the score map that the box metric cuts; what is seen has more pixels."""
    from wsolbook.maps import normalize, resize

    torch.manual_seed(0)
    raw, image, finer = torch.randn(2, 4, 4), torch.rand(2, 3, 32, 32), torch.rand(2, 3, 256, 256)
    page = explore(image, {"cam": raw}, how="bicubic", finer=finer).content["pictures"][1]
    levels = np.frombuffer(base64.b64decode(page["maps"][0]), np.uint8).reshape(32, 32)
    score = normalize(resize(raw, 32, "bicubic"))[1]
    assert np.array_equal(levels, (score.double() * 255).to(torch.uint8).numpy())
    smooth = explore(image, {"cam": raw}).content["pictures"][1]
    assert smooth["maps"] != page["maps"]
    seen = Image.open(io.BytesIO(base64.b64decode(page["src"].split(",")[1])))
    assert (seen.size, page["fine"], smooth["fine"]) == ((256, 256), True, False)


def test_large_pictures_are_reduced_and_stay_small():
    torch.manual_seed(0)
    coarse = torch.rand(1, 3, 40, 30)
    image = torch.nn.functional.interpolate(coarse, (480, 320), mode="bilinear")[0]
    box, mask = torch.tensor([[32, 48, 319, 479]]), torch.ones(480, 320, dtype=torch.uint8)
    widget = explore(image, {"a": torch.rand(14, 14)}, box, mask)
    page = widget.content["pictures"][0]
    assert (page["height"], page["width"]) == (160, 107)
    assert page["boxes"] == [[10, 16, 106, 159]]
    assert len(page["src"]) < 60_000
    assert len(page["maps"][0]) == 4 * -(-160 * 107 // 3)


def test_repr_and_page_are_the_same_every_time():
    image, heat, boxes = square()
    one, two = (explore(image, {"cam": heat}, boxes, titles=["fox"]) for _ in range(2))
    assert repr(one) == repr(two) == "Explorer(pictures=1, maps=['cam'], threshold=0.20)"
    assert one.html() == two.html()
    bundle, _ = one._repr_mimebundle_()
    assert bundle["text/plain"] == repr(one)
    assert bundle["text/html"] == one.html()
    one.threshold = 0.5
    assert one.html() != two.html()


def test_page_asks_nothing_of_the_network_and_survives_odd_titles():
    image, heat, boxes = square()
    title = "</script><!--<script><b>&\u2028"
    page = explore(image, {title: heat}, boxes, titles=[title]).html()
    state = re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1]
    assert json.loads(state)["content"]["pictures"][0]["title"] == title
    assert "<" not in state  # a parser of HTML finds nothing to open or to close
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w{2,}/", page)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"titles": ["a", "b"]}, "titles: 2 given for 1 pictures"),
        ({"boxes": [torch.zeros(1, 4), torch.zeros(1, 4)]}, "boxes: 2 given for 1 pictures"),
        ({"maps": {"cam": torch.zeros(3, 4, 4)}}, "map 'cam': 3 given for 1 pictures"),
        ({"maps": {"cam": torch.tensor([[0.0, float("nan")]])}}, "localization map holds nan"),
        ({"boxes": torch.tensor([[0.0, 0.0, float("inf"), 2.0]])}, "a box holds NaN or infinity"),
        ({"finer": torch.zeros(2, 3, 9, 9)}, "finer pictures: 2 given for 1 pictures"),
        ({"against": "gain"}, "against must be one of several maps, got 'gain'"),
    ],
)
def test_disagreeing_arguments_are_named(arguments, message):
    image, heat, _ = square()
    with pytest.raises(ValueError, match=re.escape(message)):
        explore(**{"image": image, "maps": heat, **arguments})


@needs_chromium
def test_slider_moves_the_box_in_a_browser(tmp_path):
    image, heat, boxes = square()
    heat[2:5, 3:5] = 0.4  # above 0.4 only the right half of the square is left
    steps = """
      const iou = () => $(".score b").textContent;
      const before = iou();
      const slider = $("input[type=range]");
      slider.value = 0.5;
      slider.dispatchEvent(new Event("input"));
      const hidden = getComputedStyle($(".divider")).display;
      return [before, iou(), $("output").value, hidden, $("[role=status]").textContent];"""
    # Boxes end one pixel late: 5 x 4 against 4 x 3, then 3 x 4 of which 2 x 3 are right.
    found = in_a_browser(explore(image, {"cam": heat}, boxes).html(), steps, tmp_path)
    assert found == ["0.60", "0.33", "0.50", "none", "1, threshold 0.50, cam, box IoU 0.33"]


@needs_chromium
def test_two_maps_share_a_picture_left_and_right_of_a_divider(tmp_path):
    image, heat, boxes = square()
    half = heat.clone()
    half[2:5, 3:5] = 0
    maps = {"whole": heat, "half": half, "none": 0 * heat}
    steps = """
      const found = {};
      const divider = $(".divider");
      const at = () => [Number(divider.ariaValueNow), $(".stage").style.getPropertyValue("--split")];
      const clips = () => [...root.querySelectorAll("canvas")].map((c) => getComputedStyle(c).clipPath);
      const scores = () => [...root.querySelectorAll(".score b")].map((b) => b.textContent);
      const key = (key) => divider.dispatchEvent(new KeyboardEvent("keydown", { key }));
      const names = () => [...root.querySelectorAll(".name")].map((b) => b.textContent);
      found.start = [at(), clips(), scores(), names()];
      found.spoken = [divider.role, divider.ariaLabel, divider.ariaValueText, $("[role=status]").textContent];
      point("pointerdown", $(".stage"), 0.25, 0.5);
      found.pointed = [at(), divider.ariaValueText];
      point("pointermove", $(".stage"), 0.75, 0.5);
      found.dragged = at();
      ["ArrowRight", "PageDown", "ArrowUp", "a"].forEach(key);
      found.pressed = at();
      key("Home");
      found.home = at();
      key("End");
      found.end = [at(), clips()];
      $("[name=map][value='1']").click();
      const value = (state) => $(`[name=against]:${state}`).value;
      found.swapped = [names(), scores(), value("checked"), value("disabled")];
      $("[name=against][value='-1']").click();
      const lines = root.querySelectorAll(".own").length;
      found.alone = [scores(), clips()[0], getComputedStyle(divider).display, lines];
      return found;"""
    found = in_a_browser(explore(image, maps, boxes, against="half").html(), steps, tmp_path)
    left, right = "inset(0px 50% 0px 0px)", "inset(0px 0px 0px 50%)"
    # Boxes end one pixel late: 5 x 4 and 3 x 4 against 4 x 3.
    assert found["start"] == [[50, "50%"], [left, right], ["0.60", "0.33"], ["whole", "half"]]
    assert found["spoken"] == [
        "slider", "Divider between whole and half", "whole on 50 %, half on 50 %",
        "1, threshold 0.20, whole on the left, box IoU 0.60, half on the right, box IoU 0.33",
    ]  # fmt: skip
    assert found["pointed"] == [[25, "25%"], "whole on 25 %, half on 75 %"]
    assert found["dragged"] == [75, "75%"]
    assert found["pressed"] == [69, "69%"]
    assert found["home"] == [0, "0%"]
    assert found["end"] == [[100, "100%"], ["inset(0px 0% 0px 0px)", "inset(0px 0px 0px 100%)"]]
    assert found["swapped"] == [["half", "whole"], ["0.33", "0.60"], "0", "1"]
    assert found["alone"] == [["0.33"], "none", "none", 1]
