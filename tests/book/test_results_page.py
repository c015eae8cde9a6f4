"""The page of results shows what the files hold: means, leads, goals, and where each number is from."""

import asyncio

import pytest
from browser_check import find_chromium, launch
from bs4 import BeautifulSoup
from results_page import (
    SCRIPT,
    center_row,
    goal_row,
    grouped,
    interval,
    is_recipe,
    leaves,
    markdown,
    purpose,
    read,
    recipe_rows,
    table,
)

ABOUT = {
    "command": "wsolbook reproduce cam-critters", "commit": "0123456789abcdef",
    "seeds": [0, 1], "seconds": [60, None], "date": "2026-01-02", "versions": {"torch": "2.9"},
    "device": "a <fast> one", "threads": 1,
}  # fmt: skip
RECORD = {
    "name": "cam-critters",
    "metrics": {"PxAP": [50.0, 52.0], "top-1": [99.0, 99.0]},
    "over_center": {"PxAP": [[1.0, 3.0], [2.0, 5.0]]},
    "center": {"PxAP": 30.0},
    "target": {"PxAP": 60.0},
    "target_source": "Zhou et al., CVPR 2016",
    "columns": {"wide": {"changed": {"width": 2}, "metrics": {"PxAP": [40.0, 40.0]}, "lead": {}}},
    "pictures": {"evaluated": 1500},
    "config": {"data": {"preset": "single"}},
    "provenance": ABOUT,
}


def cells(html):
    return [
        [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])]
        for row in BeautifulSoup(html, "html.parser").find_all("tr")
    ]


def test_rows_of_a_recipe_and_of_what_was_trained_beside_it():
    own, beside = cells("".join(recipe_rows(RECORD, ["PxAP", "top-1", "mAP"])))
    assert own[1:] == ["51.0 ± 1.4 ▲ +1.0 to +5.0", "99.0 ± 0.0", ""]
    for words in (
        "CAM cam-critters 2 seeds",
        "0123456789ab",
        "torch 2.9",
        "a <fast> one, 1 thread",
        "1 minutes",
    ):
        assert words in own[0]
    assert beside[0].startswith("CAM: wide cam-critters 2 seeds, what differs")
    assert beside[0].endswith("width = 2.")
    assert beside[1:] == ["40.0 ± 0.0", "", ""]


def test_center_and_goals_stand_below():
    assert cells(center_row([RECORD], ["PxAP", "top-1"])) == [["center no network", "30.0", ""]]
    assert cells(goal_row(RECORD, ["PxAP"])) == [["a paper's number Zhou et al., CVPR 2016", "60.0"]]
    ours = RECORD | {"target_source": "ours; method of Zhou et al."}
    assert cells(goal_row(ours, ["PxAP"])) == [["goal ours; method of Zhou et al.", "60.0"]]


@pytest.mark.parametrize(
    ("ends", "sign", "words"),
    [
        ([[0.5, 2.0], [0.1, 4.0]], "▲ +0.1 to +4.0", "above center in every seed"),
        ([[0.5, 2.0], [0.0, 4.0]], "○ +0.0 to +4.0", "undecided against center"),
        ([[-0.5, -0.2], [-3.0, -0.1]], "▼ -3.0 to -0.1", "below center in every seed"),
    ],
)
def test_a_lead_is_above_only_where_every_seed_says_so(ends, sign, words):
    found = BeautifulSoup(interval(ends, "center"), "html.parser")
    assert found.get_text() == sign
    assert found.find(role="img")["aria-label"] == words


def test_the_same_test_pictures_share_a_table_and_label_maps_and_segmentation_have_others():
    voc = RECORD | {"config": {"data": {"root": "$ROOT/VOC2012"}}}
    few = RECORD | {"pictures": {"evaluated": 3}}
    walk = RECORD | {"metrics": {"walk mIoU": [1.0], "walk mFP": [1.0]}}
    network = RECORD | {"metrics": {"mIoU": [1.0], "mFP": [1.0], "mFP with CRF": [1.0]}}
    bias = RECORD | {"config": {"data": {"preset": "biased", "context_bias": 0.95}}, "pictures": {}}
    stairs = RECORD | {"metrics": walk["metrics"] | network["metrics"]}
    worlds = {"a": RECORD, "v": voc, "f": few, "w": walk, "n": network, "s": stairs, "b": bias}
    found = grouped(worlds | {"again": RECORD})
    assert [(title, len(group)) for title, group in found] == [
        ("Critters, one a picture: 1,500 test pictures", 2),
        ("Critters, one a picture: 3 test pictures", 1),
        ("Critters, one a picture: 1,500 test pictures, label maps", 2),
        ("Critters, one a picture: 1,500 test pictures, segmentation", 1),
        ("Critters, ducks on water in 95%", 1),
        ("VOC 2012: 1,500 test pictures", 1),
    ]


def test_every_stored_number_is_on_the_page_and_every_file():
    records = read()
    html = BeautifulSoup(markdown(records), "html.parser")
    text = html.get_text()
    for name, record in records.items():
        assert name in text
        assert record["provenance"]["command"] in text
        if is_recipe(record):
            rows = [row for row in html.find_all("tr") if row.th.code and row.th.code.text == name]
            ways = [record, *record.get("columns", {}).values()]
            counts = [len(row.find_all("td", attrs={"data-value": True})) for row in rows]
            assert counts == [len(way["metrics"]) for way in ways], name


def test_other_files_show_their_numbers_and_what_they_are():
    found = dict(
        leaves({"a": {"b": 1.5, "words": "x", "right": True}, "seeds": [1.0, 3.0], "long": list(range(99))})
    )
    assert found == {"a, b": "1.5", "seeds": "2.00 ± 1.41"}
    assert purpose("python benchmarks/gain.py --threads 1").startswith("Time and memory of a training step")
    assert purpose("wsolbook reproduce cam-critters") == ""


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
def test_a_head_sorts_and_turns_around(tmp_path):
    low = RECORD | {"name": "low", "metrics": {"PxAP": [9.0], "top-1": [100.0]}, "columns": {}, "target": {}}
    page = tmp_path / "page.html"
    page.write_text(
        f"<article>{table('t', [low, RECORD])}</article><script type=module>{SCRIPT}</script>", "utf-8"
    )

    press = "document.querySelectorAll('thead button')[1].click();"
    seen = (
        "[...document.querySelectorAll('tbody tr')].map((r) => r.cells[1].innerText.split('\\n')[0]).join()"
    )

    async def order():
        async with launch(find_chromium()) as browser:
            await browser.call("Page.navigate", url=page.as_uri())
            await browser.wait_for("Page.loadEventFired")
            return [await browser.call("Runtime.evaluate", expression=press + seen) for _ in range(2)]

    down, up = (answer["result"]["value"] for answer in asyncio.run(order()))
    assert down == "60.0,51.0 ± 1.4,40.0 ± 0.0,30.0,9.0"
    assert up == "9.0,30.0,40.0 ± 0.0,51.0 ± 1.4,60.0"
