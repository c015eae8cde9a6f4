"""The figures of a GPU are measured, on a simulated one too, where they mean nothing."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import torch
from torch import nn

ROOT = Path(__file__).parents[2]


def test_what_a_gpu_does_is_measured_and_written(gpu, monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    benchmark = importlib.import_module("gpu")
    out = tmp_path / "gpu-test.json"
    benchmark.main(
        benchmark.Options(
            backbones=("tiny",), precisions=("fp32", "auto"), size=32, batch=4, steps=1, rounds=1, product=64,
            picture=(32, 40), chapters=(), out=out,
        )
    )  # fmt: skip
    found = json.loads(out.read_text())
    rows, old = found["training"]["tiny"], torch.cuda.get_device_capability() < (8, 0)
    assert list(rows) == ["fp32", "fp16" if old else "bf16"]
    assert all(row["images_per_second"] > 0 and row["of_bare_steps"] > 0 for row in rows.values())
    assert found["grad_cam_in_forwards"]["tiny"] > 0
    assert found["milliseconds"].keys() == {"walk", "crf"}
    assert found["provenance"]["command"].startswith("python benchmarks/")
    assert "images_per_second" in capsys.readouterr().out


def test_operations_of_a_step_are_counted(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")

    class Linear(nn.Linear):
        def loss(self, batch):
            return {"classification": self(batch.images.flatten(1)).sum()}

    # A product forward, and one backward: no gradient is asked of the pictures.
    assert importlib.import_module("gpu").operations(Linear(3 * 4 * 4, 20), 4) == 2 * 2 * 48 * 20
