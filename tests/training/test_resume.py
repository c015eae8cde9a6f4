"""Stop anywhere, go on, and end with the same bits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from toys import ToyNet, ToySamples, accuracy

from wsolbook.training import ConfigError, Optim, Schedule, Stopped, TrainConfig, train
from wsolbook.training.checkpoint import checkpoint_path, load_checkpoint, load_newest, save_checkpoint
from wsolbook.training.run import read_log


class Stopping(ToySamples):
    """Asks for a stop while a given step is read, as a signal would."""

    def __init__(self, stop: int) -> None:
        super().__init__()
        self.stop, self.calls = stop, 0

    def batch(self, index, epoch=None):
        self.calls += epoch is not None
        if self.calls == self.stop:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)
        return super().batch(index, epoch)


def state(net):
    return {k: v.clone() for k, v in net.state_dict().items()}


@pytest.mark.parametrize(
    "changes",
    [{}, {"ema": 0.9, "optim": Optim("adamw", lr=0.01), "schedule": Schedule("cosine", warmup=1.0)}],
    ids=["sgd", "adamw-ema-cosine"],
)
def test_stop_and_resume_at_every_step_is_bit_exact(config: TrainConfig, tmp_path, changes):
    config = replace(config, **changes)
    net = ToyNet()
    whole = train(net, ToySamples(), config, evaluate=accuracy)
    for stop in range(1, 12):
        run = tmp_path / str(stop)
        with pytest.raises(Stopped, match=f"after step {stop} of 12"):
            train(ToyNet(), Stopping(stop), config, evaluate=accuracy, run=run)
        again = ToyNet(seed=99)
        workers = 2 if stop % 4 == 1 and not changes else 0
        rest = train(
            again, ToySamples(), replace(config, workers=workers), evaluate=accuracy, run=run, resume="auto"
        )
        assert rest.losses == whole.losses[stop:]
        assert rest.evaluations == whole.evaluations
        assert all(torch.equal(a, b) for a, b in zip(state(net).values(), state(again).values(), strict=True))


def test_two_workers_change_nothing(config):
    nets = ToyNet(), ToyNet()
    losses = [
        train(net, ToySamples(), replace(config, workers=w)).losses
        for net, w in zip(nets, (0, 2), strict=True)
    ]
    assert losses[0] == losses[1]
    assert all(torch.equal(a, b) for a, b in zip(*(state(n).values() for n in nets), strict=True))


def test_a_damaged_newest_checkpoint_is_passed_over_said_and_replaced(config, tmp_path, capsys):
    """Also where only one is kept: it is not the damaged one."""
    config = replace(config, keep=2)
    train(ToyNet(), ToySamples(), config, run=tmp_path)
    newest = checkpoint_path(tmp_path / "checkpoints", 12)
    whole = newest.read_bytes()
    newest.write_bytes(whole[: len(whole) // 2])
    once = replace(config, keep=1, checkpoint_every=1)
    with pytest.raises(Stopped, match="after step 10 of 12"):
        train(ToyNet(), Stopping(2), once, run=tmp_path, resume="auto")
    said = capsys.readouterr().err
    assert f"wsolbook: passed over: {newest} is not a whole checkpoint; --resume auto takes" in said
    (start,) = [r for r in read_log(tmp_path) if r["event"] == "start" and r["step"] == 8]
    assert "step-00000012.pt" in start["passed_over"][0]
    assert len(train(ToyNet(), ToySamples(), once, run=tmp_path, resume="auto").losses) == 2
    assert load_checkpoint(newest)["step"] == 12
    capsys.readouterr()
    assert train(ToyNet(), ToySamples(), once, run=tmp_path, resume="auto").losses == []
    assert "passed over" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 13}, "the checkpoint is of step 13, this training has 12"),
        ({"step": -1}, "the checkpoint is of step -1, this training has 12"),
        ({"pictures": 24}, "the checkpoint was made on 24 pictures, these are 25"),
        ({"model": {}}, "the checkpoint of step 12 is not a whole state of this network"),
        ({"optimizer": {"state": {}}}, "the checkpoint of step 12 is not a whole state of this network"),
    ],
)
def test_a_state_that_does_not_belong_to_this_training_is_refused(config, tmp_path, changes, message):
    train(ToyNet(), ToySamples(), config, run=tmp_path)
    path = checkpoint_path(tmp_path / "checkpoints", 12)
    save_checkpoint(path, load_checkpoint(path) | changes)
    with pytest.raises(ValueError, match=message):
        train(ToyNet(), ToySamples(), config, run=tmp_path, resume="auto")


def test_resume_of_a_finished_run_does_nothing(config, tmp_path):
    first, second = ToyNet(), ToyNet(seed=5)
    a = train(first, ToySamples(), config, run=tmp_path, evaluate=accuracy)
    b = train(second, ToySamples(), config, run=tmp_path, evaluate=accuracy, resume="auto")
    assert b.losses == []
    assert b.evaluations == a.evaluations
    assert torch.equal(first.linear.weight, second.linear.weight)


def test_resume_auto_starts_anew_where_there_is_nothing(config, tmp_path):
    assert len(train(ToyNet(), ToySamples(), config, run=tmp_path / "new", resume="auto").losses) == 12


def test_resume_refuses_another_config_and_names_the_difference(config, tmp_path):
    train(ToyNet(), ToySamples(), config, run=tmp_path)
    other = replace(config, optim=replace(config.optim, lr=0.1), log_every=7)
    with pytest.raises(ValueError, match=r"another config: optim\.lr was 0\.05, is 0\.1$"):
        train(ToyNet(), ToySamples(), other, run=tmp_path, resume="auto")


def test_resume_from_a_named_file(config, tmp_path):
    config = replace(config, keep=3)
    whole = train(ToyNet(), ToySamples(), config, run=tmp_path)
    path = tmp_path / "checkpoints" / "step-00000004.pt"
    rest = train(ToyNet(), ToySamples(), config, resume=path)
    assert rest.losses == whole.losses[4:]


def test_resume_needs_a_folder(config):
    with pytest.raises(ValueError, match="resume auto needs a run folder"):
        train(ToyNet(), ToySamples(), config, resume="auto")


def test_an_evaluation_cut_off_is_made_up_for(config, tmp_path):
    """A run stopped at the end of an epoch, before its evaluation, evaluates when it goes on."""
    with pytest.raises(Stopped):
        train(ToyNet(), Stopping(4), config, evaluate=accuracy, run=tmp_path)
    assert load_newest(tmp_path / "checkpoints")[0]["evaluations"] == []
    history = train(ToyNet(), ToySamples(), config, evaluate=accuracy, run=tmp_path, resume="auto")
    assert [e["step"] for e in history.evaluations] == [4, 8, 12]


def test_a_wrong_config_reports_all_faults_at_once_and_creates_nothing(tmp_path):
    wrong = TrainConfig(
        epochs=0,
        batch_size=0,
        ema=1.0,
        device="cpu",
        sync_norms=True,
        tune_kernels=True,
        deterministic=True,
        optim=Optim(lr=-1.0, momentum=1.5, clip=-2.0),
        schedule=Schedule("step", gamma=0.0),
    )
    with pytest.raises(ConfigError) as caught:
        train(ToyNet(), ToySamples(), wrong, run=tmp_path / "run")
    assert caught.value.problems == [
        "epochs must be at least 1, got 0",
        "batch_size must be at least 1, got 0",
        "ema must be in [0, 1), got 1.0",
        "sync_norms needs CUDA devices",
        "tune_kernels takes whatever is fastest, deterministic what is the same every time",
        "optim.lr must be positive, got -1.0",
        "optim.clip must not be negative, got -2.0",
        "optim.momentum must be in [0, 1), got 1.5",
        'schedule.milestones is empty, but schedule.kind is "step"',
        "schedule.gamma must be positive, got 0.0",
    ]
    assert str(caught.value).startswith("10 problems in the config: epochs must")
    assert not (tmp_path / "run").exists()
