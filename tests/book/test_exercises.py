"""Exercises have hints and solutions, those that predict are answered by a click, and a browser remembers."""

import asyncio
import re

import pytest
from browser_check import find_chromium, launch
from chapters import ROOT, find_notebooks, read_notebook

CHAPTERS = {path.stem: read_notebook(path) for path in find_notebooks()}
EXERCISE = re.compile(
    r"^(?P<fence>[:`]{3,})\{exercise(?P<gated>-start)?\}[^\n]*\n:label: (?P<label>\S+)\n(?P<rest>.*?)"
    r"^(?(gated)[:`]{3,}\{exercise-end\}|(?P=fence)$)",
    re.MULTILINE | re.DOTALL,
)
KINDS = {"Predict", "Compute", "Implement", "Investigate"}
CHOICE, ANSWER = r"^- \[ \] (.+)$", r"^- \[x\] (.+)$"


def prose(name):
    return "\n\n".join(cell.source for cell in CHAPTERS[name].cells if cell.cell_type == "markdown")


def exercises(name):
    """Return the exercises of a chapter, text by label."""
    return {found["label"]: found["rest"] for found in EXERCISE.finditer(prose(name))}


def solution(name, label):
    """Return the text from the start of a solution to the next exercise."""
    text = prose(name)
    start = re.search(rf"\{{solution(-start)?\}} {label}\n", text).end()
    following = re.search(r"\{exercise(-start)?\}|^## Summary", text[start:], re.MULTILINE)
    return text[start : start + following.start()] if following else text[start:]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_has_four_exercises_with_hints_and_each_guess_is_a_click(name):
    found = exercises(name)
    assert len(found) >= 4
    assert len(found) == len(re.findall(r"\{exercise(?:-start)?\}", prose(name)))
    for label, text in found.items():
        assert "{dropdown} Hint\n" in text, label
        choices = re.findall(CHOICE, text, re.MULTILINE)
        answers = re.findall(ANSWER, solution(name, label), re.MULTILINE)
        assert bool(choices) is ("*Predict" in text), label
        assert len(set(choices)) == len(choices) != 1, label
        assert len(answers) == bool(choices), label
        assert set(answers) <= set(choices), label
    assert any("*Predict" in text for text in found.values())


def test_the_right_answer_does_not_stand_at_the_same_place():
    places = [
        re.findall(CHOICE, text, re.MULTILINE).index(*re.findall(ANSWER, solution(name, label), re.MULTILINE))
        for name in CHAPTERS
        for label, text in exercises(name).items()
        if re.search(CHOICE, text, re.MULTILINE)
    ]
    assert set(places) == {0, 1, 2}


def test_every_kind_of_exercise_is_asked():
    texts = [text for name in CHAPTERS for text in exercises(name).values()]
    assert {kind for text in texts for kind in re.findall(r"\*(\w+)", text)} >= KINDS


# What sphinx-exercise and sphinx-togglebutton write.
PAGE = """<!doctype html><html><meta charset=utf-8><body><article class=bd-article>
<div class="exercise admonition" id="ex-a"><p class=admonition-title>Exercise 1</p><p>Which?</p>
<ul class="contains-task-list"><li class="task-list-item"><p><input type=checkbox disabled> The <em>left</em>
 one</p></li><li class="task-list-item"><p><input type=checkbox disabled> The right one</p></li></ul></div>
<div class="solution admonition toggle-hidden"><p class=admonition-title>
<a href="#ex-a">Solution to Exercise 1</a><button class=toggle-button
 onclick="this.closest('.solution').classList.remove('toggle-hidden')">Show</button></p>
<ul class="contains-task-list"><li class="task-list-item"><p><input type=checkbox checked disabled>
 The left one</p></li></ul></div>
<div class="exercise admonition" id="ex-b"><p class=admonition-title>Exercise 2</p></div>
<script src="book.js"></script></article></body></html>"""
CLICK = "document.querySelectorAll('.wb-choices button')[{}].click()"
SEEN = """({
  said: document.querySelector('.wb-said').textContent,
  pressed: [...document.querySelectorAll('.wb-choices button')].map((b) => b.ariaPressed + b.dataset.right),
  open: !document.querySelector('.solution').classList.contains('toggle-hidden'),
  ticked: document.querySelector('.wb-done input').checked,
  progress: document.querySelector('.wb-progress').innerText,
})"""


async def play(folder, turns):
    """Open the page once for each turn of expressions, and return what is seen after each turn."""
    seen = []
    async with launch(find_chromium()) as browser:
        for expressions in turns:
            browser.events.clear()
            await browser.call("Page.navigate", url=(folder / "page.html").as_uri())
            await browser.wait_for("Page.loadEventFired")
            for expression in (*expressions, SEEN):
                answer = await browser.call("Runtime.evaluate", expression=expression, returnByValue=True)
                assert "exceptionDetails" not in answer, answer
            seen.append(answer["result"]["value"])
    return seen


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")
def test_a_click_answers_opens_the_solution_and_is_remembered(tmp_path):
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "book.js").write_text((ROOT / "book" / "_static" / "book.js").read_text())
    tick = "document.querySelector('.wb-done input').click()"
    first, wrong, right, later = asyncio.run(
        play(tmp_path, [[], [CLICK.format(1)], [CLICK.format(0), tick], []])
    )
    assert first == {"said": "", "pressed": ["false"] * 2, "open": False, "ticked": False, "progress": ""}
    assert wrong["said"] == "✗ No. The solution says what happens, and why."
    assert wrong["pressed"] == ["false", "truefalse"]
    assert wrong["open"]
    assert wrong["progress"] == "1 of 2 exercises done. forget my answers"
    assert right["said"] == "✓ Right. The solution says why."
    assert right["pressed"] == ["truetrue", "false"]
    assert right["progress"] == "2 of 2 exercises done. forget my answers"
    assert later == right | {"open": False}
