"""Signals, and several processes."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from launching import launch
from toys import ToyNet, ToySamples

from wsolbook import cli, distributed
from wsolbook.data import critters
from wsolbook.training import ConfigError, Optim, TrainConfig, step, train
from wsolbook.training.run import read_log

SMALL = ["--data.n", "24", "--data.held-out", "8", "--data.size", "16", "--batch-size", "8", "--epochs", "2"]


def test_sigterm_finishes_the_step_saves_and_exits_with_its_own_code(tmp_path, monkeypatch, capsys):
    real, calls = critters.Critters.batch, []

    def batch(self, index, epoch=None):
        calls.append(epoch)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(self, index, epoch)

    monkeypatch.setattr(critters.Critters, "batch", batch)
    arguments = [
        "train",
        "--recipe",
        "cam-critters",
        "--run",
        str(tmp_path / "run"),
        "--device",
        "cpu",
        *SMALL,
    ]
    handler = signal.getsignal(signal.SIGTERM)
    assert cli.main(arguments) == 75
    assert "stopped after step 2 of 6; go on with --resume auto" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is handler
    assert cli.main([*arguments, "--resume", "auto"]) == 0
    assert "6 steps; top-1" in capsys.readouterr().out
    events = [r["event"] for r in read_log(tmp_path / "run")]
    assert [e for e in events if e != "evaluation"] == ["start", "stopped", "start", "step", "end"]
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_ctrl_c_twice_stops_at_once(tmp_path):
    class Impatient(ToySamples):
        def batch(self, index, epoch=None):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            return super().batch(index, epoch)

    with pytest.raises(KeyboardInterrupt):
        train(ToyNet(), Impatient(), TrainConfig(batch_size=8, device="cpu"), run=tmp_path / "run")


@pytest.fixture
def heed_interrupts():
    """Undo what a shell does to its background jobs: they start with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heed_interrupts")
def test_without_a_run_folder_ctrl_c_is_an_ordinary_interrupt():
    class Impatient(ToySamples):
        def batch(self, index, epoch=None):
            os.kill(os.getpid(), signal.SIGINT)
            return super().batch(index, epoch)

    with pytest.raises(KeyboardInterrupt):
        train(ToyNet(), Impatient(), TrainConfig(batch_size=8, device="cpu"))


WORKER = """
import json, sys
import torch
from toys import ToyNet, ToySamples
from wsolbook.training import Optim, TrainConfig, train
from wsolbook.data.sampling import evaluation_batches
from wsolbook.distributed import gather, rank_and_world

torch.set_num_threads(1)
config = TrainConfig(**json.loads(sys.argv[2]), optim=Optim(lr=0.05), device="cpu", log_every=1)
net = ToyNet(dropout=0.0)
history = train(net, ToySamples(), config, run=sys.argv[1] + "/run")
rank, world = rank_and_world()
logits = []
with torch.no_grad():
    for batch in evaluation_batches(ToySamples(7), 2, rank=rank, world=world):
        logits.append(net(batch.images))
logits = gather(torch.cat(logits))

normed, seen = ToyNet(dropout=0.0), []
normed.features = torch.nn.Sequential(normed.features, torch.nn.BatchNorm2d(8))
def statistics(model):
    seen.append(model.features[1].running_mean.clone())
    return {"x": 0.0}
train(normed, ToySamples(24), config, evaluate=statistics)
statistics_of_all = gather(torch.stack(seen)[None])
if rank == 0:
    weights = [p.detach() for p in net.parameters()]
    found = {"losses": history.losses, "weights": weights, "images": len(logits)}
    found["statistics"] = statistics_of_all
    torch.save(found, sys.argv[1] + "/found.pt")
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("static", [False, True])
def test_two_processes_train_and_evaluate_as_one_does(static, tmp_path):
    """Same global batch, 3 epochs with a last batch of one image: equal within 1e-5, relative."""
    config = TrainConfig(epochs=3, batch_size=8, micro_batch=2, optim=Optim(lr=0.05), device="cpu")
    net = ToyNet(dropout=0.0)
    alone = train(net, ToySamples(), replace(config, micro_batch=0))
    settings = {"epochs": 3, "batch_size": 8, "micro_batch": 2, "static_graph": static}
    launch(WORKER, 2, str(tmp_path), json.dumps(settings))
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    assert found["losses"] == pytest.approx(alone.losses, rel=1e-5)
    for ours, theirs in zip(net.parameters(), found["weights"], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert found["images"] == 7
    assert torch.equal(
        found["statistics"][0], found["statistics"][1]
    )  # of both processes, at each evaluation
    assert found["statistics"].std(1).max() > 0
    logged = [r["loss"] for r in read_log(tmp_path / "run") if r["event"] == "step"]
    assert logged == found["losses"]


METHODS = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
import torch
from taught import as_declared
from wsolbook.data import critters
from wsolbook.distributed import gather
from wsolbook.methods import METHODS
from wsolbook.recipes import named
from wsolbook.training import Optim, TrainConfig, train

torch.set_num_threads(1)
home = Path(sys.argv[1], os.environ["RANK"])
data, found = critters.Critters(8, size=32), {}
config = TrainConfig(
    steps=2, batch_size=8, micro_batch=2, static_graph=True, device="cpu", optim=Optim(lr=0.05)
)

def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters() if p.requires_grad])

def note(name, before, net):
    now = weights(net)
    found[name] = [float((other - now).abs().max()) for other in (*gather(now[None]), before)]

for name in METHODS:
    torch.manual_seed(0)
    net = METHODS[name](backbone="tiny", classes=8)
    folder = home / name
    folder.mkdir(parents=True)
    before = weights(net)
    train(net, as_declared(data, net.supervision, folder), config)
    note(name, before, net)

cut = {"steps": 2, "rounds": 2, "batch_size": 4, "weights": None, "device": "cpu"}
recipe = named("erasing-critters")
recipe = replace(recipe, data=replace(recipe.data, n=8, held_out=4, size=32), **cut)
net = recipe.model()
before = weights(net)
recipe.fit(net, recipe.training_data(), run=Path(sys.argv[1], "run"), evaluate=lambda net: {})
note("recipe of erasing", before, net)
(home / "found.json").write_text(json.dumps(found))
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_every_method_trains_in_two_processes(tmp_path):
    """Also where some of its parameters go unused; the weights of both stay the same."""
    launch(METHODS, 2, str(tmp_path))
    for name, (own, others, moved) in json.loads((tmp_path / "0" / "found.json").read_text()).items():
        assert own == others == 0, name
        assert moved > 0, name


COMMAND = "import sys; from wsolbook.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.slow
def test_two_processes_of_a_launcher_train_together_without_being_told_the_device(tmp_path):
    """Without accelerator and with the default device: one training, one log, one loss a step."""
    arguments = ["train", *SMALL, "--frozen-norms", "--log-every", "1"]
    alone, together = tmp_path / "alone", tmp_path / "together"
    launch(COMMAND, 1, *arguments, "--run", str(alone))
    launch(COMMAND, 2, *arguments, "--run", str(together))
    expected, found = ([r for r in read_log(run) if r["event"] == "step"] for run in (alone, together))
    assert [r["step"] for r in found] == [1, 2, 3, 4, 5, 6]
    assert [r["loss"] for r in found] == pytest.approx([r["loss"] for r in expected], rel=1e-4)
    assert (together / "model.safetensors").is_file()


def test_processes_that_would_each_train_alone_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # without LOCAL_RANK, accelerate takes this process to be alone
    monkeypatch.setattr(step, "own_device", lambda: torch.device("mps"))
    with pytest.raises(ConfigError, match="2 processes were started, but only 1 work together"):
        train(ToyNet(), ToySamples(), TrainConfig())


def test_more_processes_than_accelerators_are_refused(monkeypatch):
    monkeypatch.setattr(distributed, "best_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(ValueError, match="process 2 has no CUDA device of its own: this machine has 1"):
        distributed.own_device()
