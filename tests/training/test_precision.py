"""Number formats: which one a device gets, and what is put back."""

from __future__ import annotations

import os

import pytest
import torch
from toys import ToyNet, ToySamples

from wsolbook.precision import fastest, products
from wsolbook.training import TrainConfig, train
from wsolbook.training.faults import kept_random_state


def flags() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


def test_a_card_gets_the_half_sized_format_that_it_has(monkeypatch):
    card = torch.device("cuda", 0)
    for capability, wanted in (((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")):
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda *_, c=capability: c)
        assert fastest(card) == wanted
    assert fastest(torch.device("cpu")) == "fp32"


@pytest.mark.parametrize(("precision", "rounded"), [("fp32", False), ("tf32", True), ("bf16", False)])
def test_products_are_rounded_under_tf32_alone(precision, rounded):
    before = flags()
    with products(precision):
        assert flags() == (rounded, rounded)
    assert flags() == before


def test_auto_and_tf32_are_fp32_on_a_processor():
    nets = [ToyNet(), ToyNet(), ToyNet()]
    losses = [
        train(net, ToySamples(), TrainConfig(steps=3, batch_size=5, device="cpu", precision=p)).losses
        for net, p in zip(nets, ("fp32", "tf32", "auto"), strict=True)
    ]
    assert losses[0] == losses[1] == losses[2]


def test_kernels_are_tuned_while_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    seen = []

    class Watched(ToyNet):
        def loss(self, batch):
            seen.append(torch.backends.cudnn.benchmark)
            return super().loss(batch)

    for tuned in (True, False):
        train(Watched(), ToySamples(), TrainConfig(steps=1, device="cpu", tune_kernels=tuned))
    assert seen == [True, False]
    assert not torch.backends.cudnn.benchmark


@pytest.mark.parametrize("warn_only", [False, True])
def test_the_caller_keeps_the_choice_of_kernels(warn_only):
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    try:
        with kept_random_state(True):
            assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled() is warn_only
    finally:
        torch.use_deterministic_algorithms(False)


def test_cublas_is_told_before_the_network_reaches_a_device_and_a_choice_is_kept(monkeypatch):
    variable, told = "CUBLAS_WORKSPACE_CONFIG", []

    class Watched(ToyNet):
        def to(self, *args, **kwargs):
            told.append(os.environ.get(variable))
            return super().to(*args, **kwargs)

    monkeypatch.delenv(variable, raising=False)
    for chosen in (None, ":16:8"):
        if chosen:
            monkeypatch.setenv(variable, chosen)
        train(Watched(), ToySamples(), TrainConfig(steps=1, device="cpu", deterministic=True))
    assert set(told[:2]) == {":4096:8"}
    assert set(told[2:]) == {":16:8"}
