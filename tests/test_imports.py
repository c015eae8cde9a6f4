"""The rooms of the package stand on each other in one order, and nothing stands on a command."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "wsolbook"
# From the ground up. A module may import its own room and those before it.
ROOMS = [
    "compiled", "files", "doubts", "types", "memory", "precision", "results", "checks", "profiles",
    "distributed", "maps", "alignment", "data", "metrics", "refine", "backbones", "cam", "show",
    "segmentation", "methods", "evaluation", "training", "recipes", "commands", "cli",
]  # fmt: skip
# Arrows that go up, taken only when a function that needs them is called.
LATE = {
    ("profiles", "recipes"),  # under the profile `real`, a result is computed
    ("profiles", "show"),  # the style of figures
    ("profiles", "training"),  # settings of a training
    ("types", "data"),  # what a network sees of the bytes of a picture
    ("backbones", "cam"),  # the maps of a classifier are CAM's
    ("backbones", "methods"),  # a file may hold the network of any method
}


def read(package: Path) -> dict[str, ast.Module]:
    """Return the modules of a package by dotted name."""
    files = {".".join(p.relative_to(package.parent).with_suffix("").parts): p for p in package.rglob("*.py")}
    return {name.removesuffix(".__init__"): ast.parse(path.read_text()) for name, path in files.items()}


def imports(node: ast.AST, late: bool, inside: bool = False) -> list[ast.Import | ast.ImportFrom]:
    """Return the imports inside functions, or those outside; what only type checkers see is left out."""
    found: list[ast.Import | ast.ImportFrom] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import | ast.ImportFrom) and inside == late:
            found.append(child)
        found += imports(child, late, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))
    return found


def arrows(modules: dict[str, ast.Module], late: bool = False) -> dict[str, set[str]]:
    """Return the modules that each one imports."""
    graph: dict[str, set[str]] = {}
    for name, tree in modules.items():
        targets: set[str] = set()
        for each in imports(tree, late):
            for alias in each.names:
                if isinstance(each, ast.Import):
                    targets.add(alias.name)
                else:
                    inner = f"{each.module}.{alias.name}"
                    targets.add(inner if inner in modules else str(each.module))
        graph[name] = (targets & modules.keys()) - {name}
    return graph


def rooms(graph: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Return the arrows between rooms; the package itself, which imports nothing, is none."""
    between = {(a, b) for a, targets in graph.items() for b in targets if "." in a and "." in b}
    return {(x, y) for x, y in ((a.split(".")[1], b.split(".")[1]) for a, b in between) if x != y}


@pytest.fixture(scope="module")
def modules():
    return read(PACKAGE)


def test_nothing_imports_in_a_circle(modules):
    TopologicalSorter(arrows(modules)).prepare()


def test_a_module_imports_its_own_room_and_those_before_it(modules):
    assert {name.split(".")[1] for name in modules if "." in name} <= set(ROOMS)
    assert {(a, b) for a, b in rooms(arrows(modules)) if ROOMS.index(a) < ROOMS.index(b)} == set()


def test_what_functions_import_goes_up_only_where_it_is_listed(modules):
    up = {(a, b) for a, b in rooms(arrows(modules, late=True)) if ROOMS.index(a) < ROOMS.index(b)}
    assert up - LATE == set()


def test_only_the_command_line_knows_commands(modules):
    for late in (False, True):
        assert {a for a, b in rooms(arrows(modules, late)) if b == "commands"} <= {"cli"}


def test_the_reader_of_imports_sees_them():
    source = {
        "p.a": "import p.b\ndef f():\n    from p.c import x\nif TYPE_CHECKING:\n    import p.d",
        "p.b": "from p import a",
        "p.c": "",
        "p.d": "",
    }
    modules = {name: ast.parse(text) for name, text in source.items()}
    assert arrows(modules) == {"p.a": {"p.b"}, "p.b": {"p.a"}, "p.c": set(), "p.d": set()}
    assert arrows(modules, late=True)["p.a"] == {"p.c"}
    with pytest.raises(CycleError):
        TopologicalSorter(arrows(modules)).prepare()
