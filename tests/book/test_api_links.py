"""Entries of the API lead to chapters and chapters to entries, as the code of the chapters says."""

import ast
import re
from types import SimpleNamespace

import api_links
import pytest
from chapters import find_notebooks, read_notebook
from docutils import nodes

import wsolbook
import wsolbook.methods
from wsolbook import cam, maps

METHOD_CHAPTERS = {"02", "03", "04", "05", "06", "07", "08", "09"}

CODE = """
import torch
import wsolbook
from wsolbook import maps, results as kept
from wsolbook.methods import METHODS
from wsolbook.cam import grad_cam as explain
here = wsolbook.setup()
maps.resize(torch.zeros(2), 3).mean()
kept.load("x")["y"]
explain(here)
METHODS["gain"](3)
"""


def test_names_are_followed_to_the_package():
    tree = ast.parse(CODE)
    names = api_links.imported(tree)
    assert names == {
        "wsolbook": "wsolbook",
        "maps": "wsolbook.maps",
        "kept": "wsolbook.results",
        "METHODS": "wsolbook.methods.METHODS",
        "explain": "wsolbook.cam.grad_cam",
    }
    assert {
        "wsolbook.setup",
        "wsolbook.maps.resize",
        "wsolbook.results.load",
        "wsolbook.cam.grad_cam",
        "wsolbook.methods.METHODS.gain",
    } <= set(api_links.used(tree, names))


@pytest.mark.parametrize(
    ("name", "thing"),
    [
        ("wsolbook.maps.resize", maps.resize),
        ("wsolbook.cam.grad_cam", cam.grad_cam),
        ("wsolbook.types.Batch.to", wsolbook.types.Batch),
        ("wsolbook.methods.METHODS.gain", wsolbook.methods.METHODS["gain"]),
        ("wsolbook.methods.METHODS.none", None),
        ("wsolbook.maps", None),
        ("wsolbook.maps.nothing", None),
    ],
)
def test_a_name_is_its_function_or_class(name, thing):
    assert api_links.resolved(name) is thing


def test_entries_name_their_chapters():
    lines = ["What it does."]
    api_links.add_chapters(None, "function", "wsolbook.cam.grad_cam", cam.grad_cam, None, lines)
    assert lines[2].startswith("*In chapters* ")
    assert ":doc:`3 </notebooks/03_grad_cam>`" in lines[2]
    assert "/02_cam" not in lines[2]
    api_links.add_chapters(None, "method", "x", cam.grad_cam, None, lines)
    api_links.add_chapters(None, "function", "x", ast.walk, None, lines)
    assert len(lines) == 4


def test_a_chapter_links_what_it_uses():
    section = nodes.section("", nodes.title("", "The same with wsolbook"))
    doctree = nodes.document(None, None)
    doctree += [nodes.literal_block("", CODE, language="ipython3"), section]
    section += nodes.paragraph("", "", nodes.literal("", "METHODS['gain']"), nodes.literal("", "no code"))
    section += nodes.section("", nodes.literal_block("", "maps.normalize(3)", language="python"))
    section += nodes.literal_block(
        "", "explain(here)\nmaps.resize(a, 2)\nkept.nothing()\nwsolbook.check('b', 1)", language="python"
    )
    entry = SimpleNamespace(docname="book/api", node_id="there", objtype="function")
    other = SimpleNamespace(docname="book/api", node_id="elsewhere", objtype="method")
    objects = {"wsolbook.cam.grad_cam": entry, "wsolbook.check": entry, "wsolbook.maps": other}
    objects |= {"wsolbook.methods.gain.build": entry, "wsolbook.maps.normalize": entry}
    objects |= {"wsolbook.types.Batch": entry, "wsolbook.types.Batch.to": other}
    app = SimpleNamespace(
        env=SimpleNamespace(domains={"py": SimpleNamespace(objects=objects)}),
        builder=SimpleNamespace(get_relative_uri=lambda page, goal: f"../{goal}.html"),
    )
    api_links.add_entries(app, doctree, "book/preface")
    assert len(section) == 4
    api_links.add_entries(app, doctree, "notebooks/03_grad_cam")
    line = "In the package: gain.build, grad_cam. Source: methods/gain.py, cam/grad_cam.py"
    assert section[1].astext() == line
    assert [link["refuri"] for link in section[1].findall(nodes.reference)] == [
        *["../book/api.html#there"] * 2,
        "../_modules/wsolbook/methods/gain.html",
        "../_modules/wsolbook/cam/grad_cam.html",
    ]


@pytest.mark.parametrize("path", [p for p in find_notebooks() if p.stem[:2] in METHOD_CHAPTERS])
def test_a_chapter_of_a_method_leads_to_its_code(path):
    headings = [cell.source for cell in read_notebook(path).cells if cell.cell_type == "markdown"]
    assert re.search(r"^#+ .*\b[Tt]he same with `wsolbook`$", "\n".join(headings), re.MULTILINE)
