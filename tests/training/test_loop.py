from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from toys import ToyNet, ToySamples, accuracy

from wsolbook.training import NonFiniteLossError, Optim, Schedule, train
from wsolbook.training.run import Run, read_log


def weights(net):
    return [p.detach().clone() for p in net.parameters()]


def test_training_learns_and_says_what_happened(config):
    net = ToyNet()
    history = train(net, ToySamples(60), replace(config, epochs=12), evaluate=accuracy)
    assert history.step == len(history.losses) == 12 * 8
    assert history.losses == history.terms["classification"]
    assert history.final["accuracy"] > 95
    assert [e["step"] for e in history.evaluations] == [8 * k for k in range(1, 13)]
    assert not net.training


def test_seed_decides_everything_and_the_callers_random_state_stays(config):
    torch.manual_seed(11)
    before = torch.get_rng_state()
    a, b, c = ToyNet(), ToyNet(), ToyNet()
    losses = [train(net, ToySamples(), config, seed=s).losses for net, s in ((a, 0), (b, 0), (c, 1))]
    assert losses[0] == losses[1] != losses[2]
    assert all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))
    assert torch.equal(before, torch.get_rng_state())


def test_micro_batches_give_the_gradient_of_the_whole_batch(config):
    whole, parts = ToyNet(dropout=0), ToyNet(dropout=0)
    a = train(whole, ToySamples(), config)
    b = train(parts, ToySamples(), replace(config, micro_batch=3))
    assert a.losses == pytest.approx(b.losses, rel=1e-5)
    for x, y in zip(weights(whole), weights(parts), strict=True):
        torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB, max allowed: 18.1 GB)"),
    ],
    ids=["torch", "cuBLAS", "cuDNN", "MPS"],
)
def test_out_of_memory_halves_the_micro_batch_and_keeps_the_result(error, config, tmp_path):
    class Greedy(ToyNet):
        def loss(self, batch):
            if len(batch) > 3:
                raise error
            return super().loss(batch)

    greedy, easy = Greedy(dropout=0), ToyNet(dropout=0)
    a = train(greedy, ToySamples(), config, run=tmp_path / "run")
    b = train(easy, ToySamples(), replace(config, micro_batch=2))
    assert a.losses == b.losses
    logged = [r["micro_batch"] for r in read_log(tmp_path / "run") if r["event"] == "out of memory"]
    assert logged == [2]


def test_out_of_memory_with_one_image_is_an_error(config):
    class Hopeless(ToyNet):
        def loss(self, batch):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        train(Hopeless(), ToySamples(), config)


def test_an_update_that_does_not_fit_is_not_done_again(config, monkeypatch):
    """Some of its weights may have moved; less at once would not make it smaller."""
    asked = []

    def greedy(self, closure=None):
        asked.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.optim.SGD, "step", greedy)
    with pytest.raises(torch.OutOfMemoryError):
        train(ToyNet(), ToySamples(), config)
    assert len(asked) == 1


def test_a_loss_that_is_not_finite_stops_with_its_samples_and_the_state_before(config, tmp_path):
    data = ToySamples(poisoned=7)
    clean = train(ToyNet(), ToySamples(), config)
    with pytest.raises(NonFiniteLossError, match="not finite at step") as caught:
        train(ToyNet(), data, config, run=tmp_path / "run")
    step, samples = caught.value.step, caught.value.samples
    assert 7 in samples
    saved = torch.load(tmp_path / "run" / "checkpoints" / f"step-{step:08d}.pt", weights_only=True)
    assert all(torch.isfinite(t).all() for t in saved["model"].values())
    assert saved["step"] == step
    losses = [r["loss"] for r in read_log(tmp_path / "run") if r["event"] == "step"]
    assert losses == clean.losses[:step]


def test_the_run_folder_says_all(config, tmp_path):
    config = replace(config, images_every=5, schedule=Schedule("poly"))
    train(ToyNet(), ToySamples(), config, run=tmp_path / "run", evaluate=accuracy)
    about = json.loads((tmp_path / "run" / "config.json").read_text())
    assert about["config"]["optim"]["lr"] == 0.05
    assert set(about) >= {"digest", "versions", "device", "commit"}
    log = read_log(tmp_path / "run")
    assert [r["event"] for r in log].count("evaluation") == 3
    assert [r["step"] for r in log if r["event"] == "step"] == list(range(1, 13))
    rates = [r["lr"] for r in log if r["event"] == "step"]
    assert rates == pytest.approx([0.05 * (1 - s / 12) ** 0.9 for s in range(12)])
    assert sorted(p.name for p in (tmp_path / "run" / "maps").iterdir()) == [
        "step-00000005.png",
        "step-00000010.png",
    ]


def test_newest_and_best_checkpoints_stay(config, tmp_path):
    scores = iter([1.0, 9.0, 3.0, 4.0, 9.0])
    config = replace(config, epochs=5, keep=1, best="accuracy")
    train(ToyNet(), ToySamples(), config, run=tmp_path / "r", evaluate=lambda m: {"accuracy": next(scores)})
    kept = sorted(p.name for p in (tmp_path / "r" / "checkpoints").iterdir())
    assert kept == ["step-00000008.pt", "step-00000020.pt"]


def test_two_runs_cannot_share_a_folder(config, tmp_path):
    with (
        Run(tmp_path / "run").open({}),
        pytest.raises(OSError, match="run is in use by another process"),
    ):
        train(ToyNet(), ToySamples(), config, run=tmp_path / "run", resume="auto")


def test_a_finished_run_is_not_overwritten(config, tmp_path):
    train(ToyNet(), ToySamples(), config, run=tmp_path / "run")
    with pytest.raises(ValueError, match="holds a run already"):
        train(ToyNet(), ToySamples(), config, run=tmp_path / "run")


def test_skipped_pictures_are_logged(config, tmp_path):
    class Skipping(ToySamples):
        def batch(self, index, epoch=None):
            return super().batch([i for i in index if i != 3], epoch)

    train(ToyNet(), Skipping(), config, run=tmp_path / "run")
    skipped = [r["samples"] for r in read_log(tmp_path / "run") if r["event"] == "skipped"]
    assert skipped == [[3], [3], [3]]


def test_bfloat16_and_channels_last_train(config):
    config = replace(config, precision="bf16", channels_last=True)
    history = train(ToyNet(), ToySamples(), config)
    assert history.losses[0] == pytest.approx(train(ToyNet(), ToySamples(), config).losses[0])
    fp32 = train(ToyNet(), ToySamples(), replace(config, precision="fp32"))
    assert history.losses == pytest.approx(fp32.losses, rel=0.05)
    assert history.losses != fp32.losses


def test_gradients_are_clipped(config):
    config = replace(config, steps=1, optim=Optim(lr=1.0, momentum=0.0, weight_decay=0.0, clip=0.01))
    net = ToyNet()
    before = weights(net)
    train(net, ToySamples(), config)
    moved = torch.cat([(b - a).flatten() for a, b in zip(before, weights(net), strict=True)])
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)


def test_the_best_metric_must_exist(config):
    with pytest.raises(ValueError, match="best is 'mAP', but the metrics are accuracy"):
        train(ToyNet(), ToySamples(), replace(config, best="mAP"), evaluate=accuracy)


def test_nothing_to_train_on_or_with(config):
    with pytest.raises(ValueError, match="data set is empty"):
        train(ToyNet(), ToySamples(0), config)
    frozen = ToyNet()
    frozen.requires_grad_(False)
    with pytest.raises(ValueError, match="no parameters to train"):
        train(frozen, ToySamples(), config)
