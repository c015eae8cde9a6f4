"""Seven images over one, two and three processes: the same numbers, each image counted once."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest
import torch

from wsolbook.evaluation import over_processes
from wsolbook.metrics import BoxAccuracy, PixelAP

WORK = """
import json, sys
import torch
from torch import distributed
from wsolbook.evaluation import PerImage, over_processes
from wsolbook.metrics import AveragePrecision, BoxAccuracy, ConfusionMatrix, PixelAP
from wsolbook.distributed import rank_and_world

rank, world, port = map(int, sys.argv[1:])
if world > 1:
    store = distributed.TCPStore("127.0.0.1", port, world, rank == 0)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
assert rank_and_world() == (rank, world)
generator = torch.Generator().manual_seed(0)
maps = torch.rand(7, 12, 12, generator=generator)
masks = torch.randint(0, 3, (7, 12, 12), generator=generator, dtype=torch.uint8)
boxes = torch.tensor([[i, 1, i + 4, 9] for i in range(7)])
box, pixel, matrix, ranks = BoxAccuracy(20), PixelAP(20), ConfusionMatrix(3), AveragePrecision(4)
scores = torch.rand(7, 4, generator=generator).round(decimals=1)  # with ties
labels = (torch.rand(7, 4, generator=generator) < 0.4).float()
mine = list(range(rank, 7, world))
box.update(maps[mine], boxes[mine])
pixel.update(maps[mine], masks[mine])
matrix.update(masks[mine].flip(1), masks[mine])
ranks.update(scores[mine], labels[mine])
each = PerImage(lambda: BoxAccuracy(20))
for i in mine:
    one = BoxAccuracy(20)
    one.update(maps[i : i + 1], boxes[i : i + 1])
    each.add(one)
each.over_processes()
for metric in (box, pixel, matrix, ranks):
    over_processes(metric)
assert ranks.images == len(ranks.state["scores"]) == 7
numbers = [metric.compute() for metric in (pixel, matrix, ranks)]
rows = sorted(each.rows().tolist())  # in whatever order the processes come
assert (each.total.state["correct"] == box.state["correct"]).all() and each.total.images == 7
print(json.dumps([box.images, rows, box.state["correct"].tolist(), *numbers]))
if world > 1:
    distributed.destroy_process_group()
"""


def run(world: int) -> list:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(rank), str(world), str(port)], stdout=subprocess.PIPE, text=True
        )
        for rank in range(world)
    ]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * world
    results = [json.loads(output.splitlines()[-1]) for output in outputs]
    assert all(result == results[0] for result in results)
    return results[0]


@pytest.mark.slow
def test_the_number_of_processes_changes_nothing():
    alone = run(1)
    assert alone[0] == 7
    assert run(2) == alone
    assert run(3) == alone


def test_alone_nothing_is_added():
    metric = PixelAP(10)
    metric.update(torch.rand(1, 4, 4), torch.ones(1, 4, 4, dtype=torch.uint8))
    before = metric.state["scores"].clone()
    assert over_processes(metric) is metric
    assert (metric.state["scores"] == before).all()
    assert over_processes(BoxAccuracy(10)).images == 0
