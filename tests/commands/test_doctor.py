"""`wsolbook doctor` says what is there, what is missing, and how to get it."""

from __future__ import annotations

import platform
from importlib import metadata
from types import SimpleNamespace

import pytest
import torch

from wsolbook.cli import main
from wsolbook.commands import doctor


@pytest.fixture
def outside(monkeypatch, tmp_path):
    """Hide what this machine happens to have."""
    monkeypatch.delenv("WSOLBOOK_REAL", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("shutil.which", lambda name: None)
    return tmp_path


def report(capsys, *arguments, code=0) -> list[str]:
    assert main(["doctor", *arguments]) == code
    return capsys.readouterr().out.splitlines()


def entry(lines: list[str], what: str) -> tuple[str, str, str]:
    """Return mark and detail of an entry, and the remedy below it."""
    place = next(i for i, line in enumerate(lines) if line[4:].startswith(what + " "))
    below = lines[place + 1] if place + 1 < len(lines) else ""
    return lines[place][2], lines[place][4 + len(what) :].strip(), below.strip() if "→" in below else ""


def test_versions_and_threads(outside, capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    lines = report(capsys)
    assert entry(lines, "Python")[1].startswith(platform.python_version())
    for name in ("torch", "torchvision", "numpy", "safetensors", "tyro"):
        assert entry(lines, name) == ("✓", metadata.version(name), "")
    assert f"torch uses {torch.get_num_threads()} threads" in entry(lines, "threads")[1]
    assert "OMP_NUM_THREADS=3" in entry(lines, "threads")[1]
    assert lines[-1] == "ready"


def test_what_is_missing_comes_with_a_remedy(outside, capsys):
    lines = report(capsys)
    assert entry(lines, "browser")[0] == "✗"
    assert "apt install chromium" in entry(lines, "browser")[2]
    mark, detail, remedy = entry(lines, "ImageNet weights")
    assert (mark, detail) == ("✗", f"none in {outside}/torch/hub/checkpoints")
    assert "--weights" in remedy
    mark, detail, remedy = entry(lines, "folder")
    assert (mark, detail) == ("✗", "not set")
    assert "WSOLBOOK_REAL" in remedy
    for place, line in enumerate(lines):
        assert ("✗" in line) == (place + 1 < len(lines) and "→" in lines[place + 1])


def test_old_and_absent_packages(outside, capsys, monkeypatch):
    real = metadata.version
    versions = {"torch": "1.13.0"}

    def version(name):
        if name in ("numba", "anywidget"):
            raise metadata.PackageNotFoundError(name)
        return versions.get(name) or real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    lines = report(capsys, code=1)
    mark, detail, remedy = entry(lines, "torch")
    assert mark == "✗"
    assert detail.startswith("1.13.0, needs >=2.")
    assert remedy.startswith('→ pip install "torch>=2.')
    assert entry(lines, "numba")[1].startswith("not installed")
    mark, detail, remedy = entry(lines, "extra book")
    assert (mark, remedy) == ("✗", '→ pip install "wsolbook[book]"')
    assert detail.startswith("lacks anywidget>=")
    assert lines[-1] == "cannot work without numba, torch"


def test_real_data(outside, capsys, monkeypatch):
    folder = outside / "real"
    lines = report(capsys, "--data", str(folder))
    assert entry(lines, "folder")[:2] == ("✗", f"{folder} does not exist")
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "a.safetensors").write_bytes(b"x")
    (folder / "weights" / "b.safetensors").write_bytes(b"x")
    monkeypatch.setenv("WSOLBOOK_REAL", str(folder))
    lines = report(capsys)
    assert entry(lines, "folder") == ("✓", str(folder), "")
    assert entry(lines, "weights")[0] == "✓"
    assert entry(lines, "weights")[1].endswith("2 files")
    assert entry(lines, "data/VOC2012")[0] == "✗"
    assert str(folder / "data/VOC2012") in entry(lines, "data/VOC2012")[2]


def test_a_card_says_its_number_format(monkeypatch):
    about = SimpleNamespace(name="Tesla T4", total_memory=15 * 2**30)
    monkeypatch.setattr(doctor, "best_device", lambda: torch.device("cuda"))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: about)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: (7, 5))
    found = {f.what: f.detail for f in doctor.machine()}
    assert found["cuda:0"] == "Tesla T4, 15 GiB"
    assert found["--precision auto"] == "fp16: cuda:0 only emulates bf16, is fast in fp16"


def test_accelerators(monkeypatch):
    monkeypatch.setattr(doctor, "best_device", lambda: torch.device("mps"))
    assert [f.detail for f in doctor.machine() if f.what == "accelerator"] == ["mps"]
    monkeypatch.setattr(doctor, "best_device", lambda: torch.device("cpu"))
    (found,) = [f for f in doctor.machine() if f.what == "accelerator"]
    assert not found.there
    assert not found.needed
