"""Bugs that only a device shows, put into the package one by one: the simulated one shows each."""

from __future__ import annotations

import importlib
import inspect
import textwrap

import pytest
import torch

from wsolbook import types
from wsolbook.backbones import build
from wsolbook.data import critters, transforms
from wsolbook.evaluation import FromNetwork, evaluate
from wsolbook.evaluation.tasks import Seeds
from wsolbook.methods import METHODS
from wsolbook.refine import crf, lattice, random_walk
from wsolbook.refine.affinity import affinities
from wsolbook.segmentation import sec
from wsolbook.training import TrainConfig, step, train

cams = importlib.import_module("wsolbook.cam.cam")  # whose name in the package is that of its function
DATA = critters.Critters(8, size=32)


def trains(gpu):
    net = METHODS["cam"](backbone="tiny", classes=8)
    gpu.waits.clear()
    train(net, DATA, TrainConfig(steps=1, batch_size=8, micro_batch=2, device="cuda"))
    assert not [place for what, place in gpu.waits if "training/step" in place and what == "to cpu"], "waits"


def expands(gpu):
    probabilities = torch.rand(2, 9, 4, 4).softmax(1).to("cuda")
    sec.expand_loss(probabilities, torch.eye(8)[:2].to("cuda"))


def refines(gpu):
    soft = torch.rand(1, 3, 8, 8).to("cuda")
    crf.dense_crf(soft, torch.randint(256, (1, 3, 8, 8), dtype=torch.uint8).to("cuda"))


def walks(gpu):
    random_walk.random_walk(torch.rand(1, 3, 8, 8).to("cuda"), affinities(torch.rand(1, 4, 8, 8).to("cuda")))


def measures(gpu):
    net = build("tiny", classes=8).eval().to("cuda")
    gpu.waits.clear()
    evaluate(FromNetwork(net), DATA, [Seeds(8)])
    assert sum(gpu.waits.values()) <= 1, "waits"


BUGS = {
    "labels stay behind": (
        types.Batch, "to", "self.labels.to(device, non_blocking=goes)", "self.labels", trains,
    ),
    "channels of the processor": (
        transforms, "channels", "like.new_full((1, 1), value)", "torch.full((1, 1), value)", trains,
    ),
    "each part of a batch is read": (
        step.Stepper, "_gradients", "term.detach()", "term.detach().cpu()", trains,
    ),
    "weights of ranks stay behind": (
        sec, "expand_loss", ".to(p.device, p.dtype, non_blocking=True)", ".to(p.dtype)", expands,
    ),
    "numbers of pictures": (
        crf, "_kernels", "torch.arange(n, device=images.device)", "torch.arange(n)", refines,
    ),
    "ranks in a simplex": (lattice, "_simplex", ", device=features.device", "", refines),
    "cells of the walk": (random_walk, "transition", ", device=affinities.device", "", walks),
    "a check asks at once": (cams, "require_finite", "wrong(bad.any())", "bool(bad.any())", measures),
}  # fmt: skip


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts waits, which only the simulator does")
@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_the_package_is_found(bug, gpu, monkeypatch):
    place, name, good, bad, run = BUGS[bug]
    run(gpu)
    function = inspect.unwrap(getattr(place, name))
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(good) == 1
    names = dict(function.__globals__)
    exec("from __future__ import annotations\n" + source.replace(good, bad), names)
    monkeypatch.setattr(place, name, names[name])
    with pytest.raises((RuntimeError, AssertionError), match=r"same device|waits"):
        run(gpu)
