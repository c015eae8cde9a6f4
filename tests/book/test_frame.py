"""The frame of the repository: contents, settings of the book, and the environment that make creates."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from chapters import ROOT, find_notebooks

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


def listed():
    chapters = [entry["file"] for part in TOC["parts"] for entry in part["chapters"]]
    return [TOC["root"], *chapters]


def test_contents_list_every_chapter_and_page_once_and_in_order():
    names = listed()
    assert len(set(names)) == len(names)
    chapters = [n for n in names if n.startswith("notebooks/")]
    assert chapters == [f"notebooks/{p.stem}" for p in find_notebooks()]
    pages = {n for n in names if n.startswith("book/")}
    assert pages == {f"book/{p.stem}" for p in (ROOT / "book").glob("*.md")}


def test_the_book_asks_nothing_of_the_network():
    config = CONFIG["sphinx"]["config"]
    assert config["mathjax_path"].startswith("../vendor/")
    assert config["nb_ipywidgets_js"] == {}
    assert "sphinx_thebe" not in config["extensions"]
    assert "sphinx.ext.intersphinx" not in config["extensions"]
    assert CONFIG["execute"]["execute_notebooks"] == "off"
    assert CONFIG["only_build_toc_files"] is True


def test_the_api_page_has_every_package_and_every_file_beside_them():
    page = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    packages = {p.parent.name for p in (ROOT / "wsolbook").glob("*/__init__.py")}
    files = {p.stem for p in (ROOT / "wsolbook").glob("*.py")} - {"__init__", "cli"}
    needed = (packages | files) - {"commands"}  # `wsolbook --help` documents those
    assert {name for name in needed if f"automodule:: wsolbook.{name}" not in page} == set()


def test_every_result_says_where_it_comes_from():
    for path in (ROOT / "results").glob("*.json"):
        provenance = json.loads(path.read_text(encoding="utf-8"))["provenance"]
        needed = {"command", "commit", "seeds", "device", "threads", "versions", "seconds", "date"}
        assert needed <= set(provenance), path.name
        assert provenance["command"].startswith(("wsolbook ", "python benchmarks/", "python scripts/")), (
            path.name
        )


def make(folder, *arguments):
    """Run make in a folder that has our Makefile and nothing else."""
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "pyproject.toml").touch()
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, env=clean, check=False
    )


def fake_python(folder: Path, script: str) -> str:
    path = folder / "fake-python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_make_help_lists_the_two_commands(tmp_path):
    words = make(tmp_path, "help").stdout.split()
    assert {"book", "test", "notebooks", "pair"} <= {words[i + 1] for i, w in enumerate(words) if w == "make"}


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ('case "$2" in *version_info*) exit 1;; esac; echo Python 3.9.6', "needs Python 3.11 or newer"),
        ('case "$2" in *"import venv"*) exit 1;; esac', "lacks the venv module"),
    ],
)
def test_a_python_that_cannot_do_it_gets_one_clear_sentence(tmp_path, script, sentence):
    done = make(tmp_path, "book", fake_python(tmp_path, script))
    assert done.returncode != 0
    assert sentence in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_without_ensurepip_the_environment_gets_pip_from_outside(tmp_path):
    log = tmp_path / "log"
    script = f'case "$2" in *ensurepip*) exit 1;; esac; echo "$@" >> {log}'
    make(tmp_path, ".venv/bin/python", fake_python(tmp_path, script))
    assert log.read_text().splitlines()[-2:] == [
        "-m venv --without-pip .venv",
        "-m pip --python .venv/bin/python install --quiet pip",
    ]
