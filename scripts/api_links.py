"""A Sphinx extension: entries of the API lead to the chapters that use them, chapters to entries and files.

What a chapter uses follows from its code: names that it imports from the package, and their attributes.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

from chapters import find_notebooks, read_notebook, tags
from docutils import nodes
from sphinx.application import Sphinx

from wsolbook import check, check_close
from wsolbook import setup as setup_chapter

PACKAGE = "wsolbook"
SECTION = "the same with"  # what sections are called whose code is the package's
OPENING, SOURCE = "In the package: ", ". Source: "
EVERYWHERE = {check, check_close, setup_chapter}  # of no method in particular


def imported(tree: ast.Module) -> dict[str, str]:
    """Return what names that some code imports from the package stand for: `{"cam": "wsolbook.cam.cam"}`."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.asname or PACKAGE: a.name if a.asname else PACKAGE for a in node.names
                      if a.name.split(".")[0] == PACKAGE}  # fmt: skip
    return names


def used(tree: ast.Module, names: dict[str, str]) -> Iterator[str]:
    """Yield the full names of what some code uses: `wsolbook.maps.resize`."""
    for node in ast.walk(tree):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):  # METHODS["gain"]
            parts.append(str(node.slice.value))
            node = node.value
        if isinstance(node, ast.Name) and node.id in names:
            yield ".".join([names[node.id], *reversed(parts)])


@cache
def resolved(name: str) -> object:
    """Return the function or class that a full name begins with, or nothing if it is none."""
    first, *rest = name.split(".")
    thing: object = importlib.import_module(first)
    for part in rest:
        try:
            if isinstance(thing, dict):
                thing = thing.get(part)
            else:
                thing = getattr(thing, part, None) or importlib.import_module(f"{thing.__name__}.{part}")
        except (ImportError, AttributeError):
            return None
        if inspect.isfunction(thing) or inspect.isclass(thing):
            return thing
    return None


@cache
def chapters() -> dict[object, list[str]]:
    """Return the chapters that use each function or class, solutions left out, in reading order."""
    found: dict[object, list[str]] = {}
    for path in find_notebooks():
        cells = [c for c in read_notebook(path).cells if c.cell_type == "code" and "colab" not in tags(c)]
        tree = ast.parse("\n".join(cell.source for cell in cells if "solution" not in tags(cell)))
        for thing in {resolved(name) for name in used(tree, imported(tree))} - {None}:
            found.setdefault(thing, []).append(path.stem)
    return found


def add_chapters(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Write below an entry which chapters use it."""
    if what in ("function", "class") and (stems := chapters().get(thing)):
        links = ", ".join(f":doc:`{int(stem[:2])} </notebooks/{stem}>`" for stem in stems)
        lines += ["", f"*In chapter{'s' * (len(stems) > 1)}* {links}.", ""]


def add_entries(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Write under a chapter's "The same with `wsolbook`" what of the package its code uses, and files."""
    if not page.startswith("notebooks/"):
        return
    objects = app.env.domains["py"].objects.items()
    entries = {resolved(name): entry for name, entry in objects if entry.objtype in ("function", "class")}
    names = {key: name for tree in trees(doctree) for key, name in imported(tree).items()}
    for section in doctree.findall(nodes.section):
        if SECTION in section[0].astext().lower():
            own = [child for child in section.children if not isinstance(child, nodes.section)]
            code = [tree for child in own for tree in trees(child)]
            things = dict.fromkeys(resolved(name) for tree in code for name in used(tree, names))
            found = [t for t in things if t in entries and t not in {None, *EVERYWHERE}]
            if found:
                to = partial(app.builder.get_relative_uri, page)
                goals = {label(t): f"{to(entries[t].docname)}#{entries[t].node_id}" for t in found}
                files = {file(t): to(f"_modules/{t.__module__.replace('.', '/')}") for t in found}
                section.insert(1, paragraph(goals, files))


def label(thing: object) -> str:
    """Return how a function or class is called in prose; every method has a `build`."""
    module, name = thing.__module__.split(".")[-1], thing.__name__
    return f"{module}.{name}" if name == "build" else name


def file(thing: object) -> str:
    """Return the file of a function or class as prose calls it: `cam/grad_cam.py`."""
    return Path(inspect.getfile(sys.modules[thing.__module__])).as_posix().rpartition(f"/{PACKAGE}/")[2]


def trees(node: nodes.Element) -> list[ast.Module]:
    """Return the Python inside a node, parsed: code cells, and names in the prose."""
    found = []
    for code in (*node.findall(nodes.literal), *node.findall(nodes.literal_block)):
        if isinstance(code, nodes.literal) or "python" in code.get("language", ""):
            with suppress(SyntaxError):  # a command or a file
                found.append(ast.parse(code.astext()))
    return found


def paragraph(goals: dict[str, str], files: dict[str, str]) -> nodes.paragraph:
    """Return a line with a link for each name and for each file."""
    line = nodes.paragraph("", "", classes=["wb-package"])
    for opening, links in ((OPENING, goals), (SOURCE, files)):
        for i, (name, goal) in enumerate(links.items()):
            link = nodes.reference("", "", nodes.literal(name, name), internal=True, refuri=goal)
            line += [nodes.Text(", " if i else opening), link]
    return line


def setup(app: Sphinx) -> dict[str, bool]:
    """Register both directions with Sphinx."""
    app.connect("autodoc-process-docstring", add_chapters)
    app.connect("doctree-resolved", add_entries)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
