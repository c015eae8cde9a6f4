"""One, two and three processes: what they exchange is right to the last digit, and alone nothing happens."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest
import torch

from wsolbook.distributed import add_up, gather, joined, rank_and_world, sum_over_processes

WORK = """
import json
import torch
from wsolbook.distributed import add_up, gather, joined, rank_and_world
from wsolbook.distributed import share_buffers, sum_over_processes

torch.set_num_threads(1)
with joined():
    rank, world = rank_and_world()
    mine = torch.tensor(list(range(rank, 2, world)), dtype=torch.int64)  # the third process has none
    net = torch.nn.BatchNorm1d(2)
    net.running_mean += rank + 1
    share_buffers(net)
    before = torch.full((2,), 2**40 + rank)
    found = {
        "ids": gather(mine).tolist(),
        "rows": list(gather(torch.zeros(rank, 3, dtype=torch.bool)).shape),
        "sum": sum_over_processes(before).tolist(),
        "numbers": add_up([0.5, rank, True]),
        "mean": net.running_mean.tolist(),
    }
    assert before.tolist() == [2**40 + rank] * 2
assert rank_and_world() == (0, 1)
print(json.dumps(found))
"""


def run(world: int) -> list[dict]:
    """Return what each of `world` gloo processes found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(world)}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORK], env=shared | {"RANK": str(r)}, stdout=subprocess.PIPE, text=True
        )
        for r in range(world)
    ]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * world
    return [json.loads(output) for output in outputs]


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2, 3])
def test_everyone_gets_the_same(world):
    total = world * (world - 1) // 2
    for found in run(world):
        assert sorted(found["ids"]) == [0, 1]
        assert found["rows"] == [total, 3]
        assert found["sum"] == [world * 2**40 + total] * 2
        assert found["numbers"] == [world / 2, total, world]
        assert found["mean"] == [1, 1]


def test_alone_nothing_happens(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    tensor = torch.arange(3)
    with joined():
        assert rank_and_world() == (0, 1)
        assert gather(tensor) is tensor
        assert sum_over_processes(tensor) is tensor
        assert add_up([1, True, 0.25]) == [1.0, 1.0, 0.25]
