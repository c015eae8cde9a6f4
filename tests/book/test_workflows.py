"""Files for a hosted repository: they load, and what they call exists."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from chapters import ROOT
from packaging.requirements import Requirement

HOSTED = ROOT / ".github"
WORKFLOWS = sorted(HOSTED.glob("workflows/*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(path):
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_targets_that_exist(path):
    called = [line for step in steps(path) for line in step.get("run", "").splitlines() if "make " in line]
    words = [word for line in called for word in line.split("make ", 1)[1].split()]
    targets = {word for word in words if "=" not in word}
    assert targets
    assert targets <= TARGETS
    assert {word for word in words if "=" in word} <= {"PYTHON=python", "EXTRAS=test"}
    assert "test" in EXTRAS
    assert all("@v" in step["uses"] for step in steps(path) if "uses" in step)


def test_the_matrix_covers_the_supported_pythons_on_both_systems():
    matrix = load(HOSTED / "workflows" / "tests.yml")["jobs"]["package"]["strategy"]["matrix"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    supported = [c.split(" :: ")[-1] for c in project["classifiers"] if re.search(r"Python :: 3\.\d+", c)]
    assert matrix["python"] == supported
    assert matrix["os"] == ["ubuntu-latest", "macos-latest"]
    assert {entry["torch"] for entry in matrix["include"]} == {"oldest"}


def constraints(name):
    lines = (HOSTED / "constraints" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return {
        r.name.lower(): r.specifier for r in map(Requirement, (x for x in lines if not x.startswith("#")))
    }


def test_the_oldest_torch_is_the_one_that_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    for name, pinned in constraints("oldest").items():
        (low,), (exact,) = asked[name], pinned
        assert exact.version.removesuffix(".0") == low.version


def test_what_colab_ships_fits_what_the_package_and_its_tests_ask_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    colab = constraints("colab")
    asked = [Requirement(r) for r in (*project["dependencies"], *EXTRAS["test"])]
    shipped = [r for r in asked if r.name.lower() in colab]
    assert {"torch", "numpy", "pillow", "matplotlib"} <= {r.name for r in shipped}
    for requirement in shipped:
        (exact,) = colab[requirement.name.lower()]
        assert exact.version in requirement.specifier, requirement


@pytest.mark.parametrize("name", ["wrong", "claim"])
def test_an_issue_form_asks_for_what_it_needs(name):
    form = load(HOSTED / "ISSUE_TEMPLATE" / f"{name}.yml")
    assert {"name", "description", "body"} <= form.keys()
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    assert all(field["attributes"]["label"] for field in form["body"])
    assert any(field["validations"]["required"] for field in form["body"])


def test_hooks_call_what_the_checks_call():
    hooks = [hook for repo in load(ROOT / ".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    entries = {hook["id"]: hook["entry"] for hook in hooks}
    assert entries["types"] == ".venv/bin/mypy"
    scripts = [word for entry in entries.values() for word in entry.split() if word.startswith("scripts/")]
    assert scripts
    assert all((ROOT / script).is_file() for script in scripts)
