"""Write everything that follows from pyproject.toml: the public address, the requirements, the version.

The address is `[project.urls] Repository`. From it come the launch links and the Colab cell of each
chapter, the chapter table of the README, and the address in `_config.yml` and `CITATION.cff`. From the
requirements come `environment.yml` and what the Colab cell installs. The version, which pyproject.toml takes
from the package, goes into `CITATION.cff`.
`publish.py --check` writes nothing and fails where a file is out of step.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path
from urllib.parse import quote, urlsplit

import nbformat
from chapters import KERNEL, ROOT, contents, find_twins, read_twin, tags, write_twin
from nbformat import NotebookNode
from pair import sync

from wsolbook import __version__

BRANCH = "main"
# What Colab ships. A chapter leaves these alone: replacing torch or numpy under a running kernel breaks it.
COLAB_SHIPS = {
    "accelerate", "filelock", "jinja2", "matplotlib", "numba", "numpy", "packaging", "pillow", "safetensors",
    "torch", "torchvision", "tqdm",
}  # fmt: skip
ENVIRONMENT = """\
# For conda and Binder. Written by `make publish` from pyproject.toml; edit that one.
name: wsolbook
channels:
  - conda-forge
dependencies:
  - python>=3.11,<3.14
  - pip
  - pip:
{requirements}
      - --editable .
"""
COLAB = """\
import subprocess
import sys

if "google.colab" in sys.modules:  # wsolbook beside Colab's own torch and numpy
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, {requirements}], check=True)
    subprocess.run([*pip, "--no-deps", "git+{url}"], check=True)
    print("wsolbook is installed; torch and numpy are Colab's own")"""


def read_project(root: Path = ROOT) -> dict:
    """Return the `[project]` table of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def repository(project: dict) -> str:
    """Return the public address.

    Raises:
        ValueError: when it is not `https://host/owner/name`, which the launch links are made of.
    """
    url = project["urls"]["Repository"].rstrip("/").removesuffix(".git")
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.path.count("/") != 2:
        raise ValueError(
            f"[project.urls] Repository must look like https://github.com/owner/name, got {url!r}"
        )
    return url


def name_of(requirement: str) -> str:
    """Return the distribution a requirement names: `torch` of `torch>=2.6`."""
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower()


def colab_requirements(project: dict) -> list[str]:
    """Return what a chapter needs and Colab does not ship."""
    widgets = [r for r in project["optional-dependencies"]["book"] if name_of(r) == "anywidget"]
    needed = [*project["dependencies"], *widgets]
    return sorted(r for r in needed if name_of(r) not in COLAB_SHIPS)


def colab_cell(project: dict) -> str:
    """Return the code that installs wsolbook on Colab and does nothing elsewhere."""
    quoted = ", ".join(f'"{r}"' for r in colab_requirements(project))
    return COLAB.format(requirements=quoted, url=repository(project))


def colab_link(url: str, stem: str) -> str:
    """Return the address that opens a chapter in Colab."""
    return (
        f"https://colab.research.google.com/github{urlsplit(url).path}/blob/{BRANCH}/notebooks/{stem}.ipynb"
    )


def launch_links(url: str, stem: str) -> str:
    """Return the line of links under the title of a chapter."""
    binder = f"https://mybinder.org/v2/gh{urlsplit(url).path}/{BRANCH}?labpath="
    return " · ".join(
        [
            f"[Open in Colab]({colab_link(url, stem)})",
            f"[Run on Binder]({binder}{quote(f'notebooks/{stem}.ipynb', safe='')})",
            f"[Source text]({url}/blob/{BRANCH}/notebooks/text/{stem}.py)",
        ]
    )


def with_derived_cells(notebook: NotebookNode, stem: str, project: dict) -> NotebookNode:
    """Return the chapter with its two derived cells, launch links and Colab set-up, after the title."""
    own = [cell for cell in notebook.cells if not {"launch", "colab"} & set(tags(cell))]
    links = nbformat.v4.new_markdown_cell(
        launch_links(repository(project), stem), metadata={"tags": ["launch"]}
    )
    setup = nbformat.v4.new_code_cell(colab_cell(project), metadata={"tags": ["colab", "remove-cell"]})
    return nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL}, cells=[own[0], links, setup, *own[1:]])


def title_of(notebook: NotebookNode) -> str:
    """Return the heading of a chapter."""
    return re.search(r"^# (.+)$", notebook.cells[0].source, re.MULTILINE)[1]


def chapter_table(twins: list[Path], url: str) -> str:
    """Return the README's table of chapters."""
    rows = [
        f"| [{title_of(read_twin(t))}](notebooks/{t.stem}.ipynb) | [Colab]({colab_link(url, t.stem)}) |"
        for t in twins
    ]
    return "\n".join(["| chapter | run it in |", "|---|---|", *rows])


def replaced(path: Path, changes: dict[str, str]) -> str:
    """Return the text of a file with the one match of each pattern replaced.

    Raises:
        ValueError: naming file and pattern, when there is not exactly one match.
    """
    text = path.read_text(encoding="utf-8")
    for pattern, new in changes.items():
        text, count = re.subn(pattern, lambda _, new=new: new, text, flags=re.MULTILINE | re.DOTALL)
        if count != 1:
            raise ValueError(f"{path.name}: {pattern!r} matches {count} times, expected once")
    return text


def derived(root: Path = ROOT) -> dict[Path, str]:
    """Return the text that each derived file should have."""
    project = read_project(root)
    url = repository(project)
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *extras["book"], *extras["test"]]
    block = f"<!-- chapters -->\n{chapter_table(find_twins(root / 'notebooks'), url)}\n<!-- /chapters -->"
    return {
        root / "environment.yml": ENVIRONMENT.format(
            requirements="\n".join(f'      - "{r}"' for r in requirements)
        ),
        root / "_config.yml": replaced(root / "_config.yml", {r"^  url: \S+": f"  url: {url}"}),
        root / "CITATION.cff": replaced(
            root / "CITATION.cff",
            {
                r"^repository-code: \S+": f"repository-code: {url}",
                r"^version: \S+": f"version: {__version__}",
            },
        ),
        root / "README.md": replaced(root / "README.md", {"<!-- chapters -->.*<!-- /chapters -->": block}),
    }


def stale_twins(root: Path = ROOT) -> list[Path]:
    """Return the twins whose derived cells are out of step."""
    project = read_project(root)
    return [
        twin
        for twin in find_twins(root / "notebooks")
        if contents(read_twin(twin)) != contents(with_derived_cells(read_twin(twin), twin.stem, project))
    ]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    texts = {
        p: text for p, text in derived().items() if not p.exists() or p.read_text(encoding="utf-8") != text
    }
    twins = stale_twins()
    for path in (*texts, *twins):
        print(f"{path.relative_to(ROOT)} {'is out of step: run `make publish`' if check else 'written'}")
    if check:
        return bool(texts or twins)
    project = read_project()
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    for twin in twins:
        write_twin(with_derived_cells(read_twin(twin), twin.stem, project), twin)
    sync(ROOT / "notebooks", "text")
    return 0


if __name__ == "__main__":
    sys.exit(main())
