"""Each house rule catches what it is for, and a chapter in order passes."""

import nbformat
import pytest
from lint_notebooks import CODE_CELLS, WORDS, count_words, lint

ALT = {"mystnb": {"image": {"alt": "A fox, and its map over it."}}}


def code(source, outputs=(), **metadata):
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata=metadata)


def text(source, **metadata):
    return nbformat.v4.new_markdown_cell(source, metadata=metadata)


def chapter(*extra):
    """A chapter that keeps every rule, with `extra` cells at its end."""
    notebook = nbformat.v4.new_notebook()
    cells = [text("# Title"), text("word " * WORDS[0]), code("setup = wsolbook.setup()")]
    cells += [code(f"x = {i}") for i in range(CODE_CELLS[0] - 1)]
    notebook.cells = [*cells, *extra]
    for count, cell in enumerate((c for c in notebook.cells if c.cell_type == "code"), start=1):
        cell.execution_count = count
    return notebook


def stream(words, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=words)


def shown(**data):
    return nbformat.v4.new_output("display_data", data={k.replace("_", "/"): v for k, v in data.items()})


def test_a_chapter_in_order_passes():
    good = [
        code("print('cuda:0'); x = 2  # `tqdm` is not called\nx", [stream("✓ it holds (>= 0.9)\n")]),
        code("1 / 0", [nbformat.v4.new_output("error", ename="Z", evalue="")], tags=["raises-exception"]),
        code("plt.show()", [shown(image_png="AAAA")], **ALT),
        text("```{exercise}\n:label: ex-a\nWhy?\n```\n\n```{solution-start} ex-a\n:class: dropdown\n```"),
        code("pass\n" * 3, tags=["solution"]),
    ]
    assert lint(chapter(*good)) == []


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (code("plt.plot(x);"), "semicolon"),
        (code("plt.plot(x);\n"), "semicolon"),
        (code("clear_output(wait=True)"), "in place"),
        (code("f()  # NBVAL_IGNORE_OUTPUT"), "tag"),
        (code("for i in tqdm(range(3)):\n    pass"), "progress bar"),
        (code("interact(f, x=3)"), "interact"),
        (code("x = 1\n%timeit x"), "magic"),
        (code("!ls"), "magic"),
        (code("open('/home/me/x')"), "path of one machine"),
        (code("x = 1\n" * 41), "41 lines, at most 40"),
        (code("x = " + "1" * 90), "line of 94 characters"),
        (code("x", [stream("<object at 0x7f2a1c3d4e5f>")]), "memory address"),
        (code("x", [shown(text_plain="/tmp/abc")]), "path of one machine"),
        (code("x", [stream("careful", "stderr")]), "stderr: careful"),
        (code("x", [nbformat.v4.new_output("error", ename="KeyError", evalue="")]), "KeyError"),
        (code("x", [shown(image_png="AAAA")]), "alt text"),
        (code("x", [shown(image_png="AAAA")], mystnb={"image": {"alt": "figure"}}), "alt text"),
        (code("x", [shown(**{"image_svg+xml": "<svg/>"})]), "SVG"),
        (text("# Another title"), "one title, at the top; found 2"),
        (text("```{exercise}\n:label: ex-a\nWhy?\n```"), "exercise ex-a has no solution"),
        (text("word " * 2000), "4001 words"),
    ],
)
def test_a_broken_rule_is_named(cell, sentence):
    (problem,) = lint(chapter(cell))
    assert sentence in problem


def test_rules_of_the_whole_chapter():
    notebook = chapter(*[code("x = 1\n" * 9) for _ in range(30)])
    notebook.metadata["widgets"] = {}
    notebook.cells[5].execution_count = None
    notebook.cells[2].source = "x = 0"
    problems = "\n".join(lint(notebook))
    for sentence in (
        "widget state",
        "wsolbook.setup",
        "45 code cells",
        "9 lines in the median",
        "top to bottom",
    ):
        assert sentence in problems


def test_the_colab_cell_may_do_what_others_may_not():
    cell = code("import sys\n" + "x = 1  # " + "long " * 30, tags=["colab"])
    assert lint(chapter(cell)) == []


def test_words_are_prose():
    assert (
        count_words("Two words, $a b c$ and `code here`.\n\n```python\nnot this\n```\n[a link](https://x.y)")
        == 5
    )
