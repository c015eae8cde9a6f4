"""Address and requirements stand in pyproject.toml alone; everything else follows."""

import re
import subprocess
import sys
from importlib import metadata

import nbformat
import publish
import pytest
import yaml
from chapters import ROOT, contents, find_twins, read_twin
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import wsolbook

PROJECT = publish.read_project()
URL = publish.repository(PROJECT)


def test_derived_files_are_in_step():
    texts = publish.derived()
    assert {path.name for path in texts} == {"environment.yml", "_config.yml", "CITATION.cff", "README.md"}
    stale = [path.name for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    assert stale + [twin.name for twin in publish.stale_twins()] == [], "run `make publish`"


def test_no_other_file_of_ours_names_another_address():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert config["repository"]["url"] == URL
    pattern = re.compile(r"github\.com/([\w.-]+/wsolbook)\b")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "book").glob("*.md")):
        for found in pattern.findall(path.read_text(encoding="utf-8")):
            assert URL.endswith(found), f"{path.name} names {found}"


def test_environment_has_the_requirements_of_the_package_book_and_tests():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    listed = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    extras = PROJECT["optional-dependencies"]
    assert sorted(listed) == sorted(
        [*PROJECT["dependencies"], *extras["book"], *extras["test"], "--editable ."]
    )
    assert f"python{PROJECT['requires-python']},<3.14" in environment["dependencies"]


@pytest.mark.parametrize("url", ["http://github.com/a/b", "https://github.com/a", "https://github.com/a/b/c"])
def test_an_address_that_makes_no_links_is_refused(url):
    with pytest.raises(ValueError, match=r"Repository must look like .*" + re.escape(url)):
        publish.repository({"urls": {"Repository": url}})


def test_links_of_a_chapter():
    links = publish.launch_links("https://github.com/someone/book", "02_cam")
    assert re.findall(r"\]\(([^)]*)\)", links) == [
        "https://colab.research.google.com/github/someone/book/blob/main/notebooks/02_cam.ipynb",
        "https://mybinder.org/v2/gh/someone/book/main?labpath=notebooks%2F02_cam.ipynb",
        "https://github.com/someone/book/blob/main/notebooks/text/02_cam.py",
    ]


def test_derived_cells_come_after_the_title_once():
    title = nbformat.v4.new_markdown_cell("# A title")
    code = nbformat.v4.new_code_cell("1 + 1")
    chapter = nbformat.v4.new_notebook(cells=[title, code])
    once = publish.with_derived_cells(chapter, "02_cam", PROJECT)
    twice = publish.with_derived_cells(once, "02_cam", PROJECT)
    assert [c.metadata.get("tags") for c in once.cells] == [None, ["launch"], ["colab", "remove-cell"], None]
    assert contents(twice) == contents(once)
    assert publish.title_of(once) == "A title"


def run_colab_cell(prelude: str) -> list[str]:
    """Run the Colab cell in a fresh Python whose `subprocess.run` prints instead of running."""
    fake = "import subprocess\nsubprocess.run = lambda command, check: print('RUN', *command[3:])\n"
    code = fake + prelude + publish.colab_cell(PROJECT)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_colab_cell_does_nothing_elsewhere():
    assert run_colab_cell("") == []


def test_colab_cell_installs_the_package_and_small_requirements():
    small, package, line = run_colab_cell("import sys\nsys.modules['google.colab'] = sys\n")
    assert small.startswith("RUN install --quiet ")
    assert small.split()[3:] == publish.colab_requirements(PROJECT)
    assert package == f"RUN install --quiet --no-deps git+{URL}"
    assert not line.startswith("RUN")
    assert not {publish.name_of(r) for r in small.split()[3:]} & publish.COLAB_SHIPS


# Colab's image of August 2026, on Python 3.13.
COLAB = {
    "accelerate": "1.14.0", "anywidget": "0.9.21", "docstring-parser": "0.18.0", "filelock": "3.32.3",
    "ipywidgets": "7.7.1", "jinja2": "3.1.6", "matplotlib": "3.10.0", "numba": "0.61.2", "numpy": "2.1.3",
    "packaging": "26.3", "pillow": "11.3.0", "psygnal": "0.15.1", "safetensors": "0.8.0",
    "torch": "2.11.0+cu128", "torchvision": "0.26.0+cu128", "tqdm": "4.67.3", "typeguard": "4.6.0",
    "typing-extensions": "4.16.0",
}  # fmt: skip


def test_what_colab_ships_is_new_enough_for_the_package_and_for_what_is_installed_beside_it():
    assert COLAB.keys() >= publish.COLAB_SHIPS
    assert SpecifierSet(PROJECT["requires-python"]).contains("3.13")
    beside = [Requirement(r).name for r in publish.colab_requirements(PROJECT)]
    wanted = [*PROJECT["dependencies"], *(r for name in beside for r in metadata.requires(name) or [])]
    there = {"extra": "", "python_version": "3.13", "python_full_version": "3.13.0"}
    asked = [r for r in map(Requirement, wanted) if r.marker is None or r.marker.evaluate(there)]
    shipped = [(canonicalize_name(r.name), r.specifier) for r in asked if canonicalize_name(r.name) in COLAB]
    assert {"torch", "numpy", "typing-extensions", "ipywidgets"} <= {name for name, _ in shipped}
    old = [(name, str(versions)) for name, versions in shipped if not versions.contains(COLAB[name])]
    assert old == []


def test_what_colab_installs_pulls_in_nothing_that_colab_ships():
    waiting = [Requirement(r) for r in publish.colab_requirements(PROJECT)]
    reached = set()
    while waiting:
        if (name := waiting.pop().name.lower()) not in reached:
            reached.add(name)
            needs = map(Requirement, metadata.requires(name) or [])
            waiting += [r for r in needs if r.marker is None or r.marker.evaluate({"extra": ""})]
    assert {"tyro", "jaxtyping", "anywidget"} <= reached
    assert not reached & {"torch", "torchvision", "numpy"}


def test_every_chapter_is_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for twin in find_twins():
        assert f"[{publish.title_of(read_twin(twin))}](notebooks/{twin.stem}.ipynb)" in readme


def test_the_version_is_one():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    entries = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert "version" not in PROJECT
    assert PROJECT["dynamic"] == ["version"]
    assert entries[0] == "Unreleased"
    assert citation["version"] == entries[1] == wsolbook.__version__
