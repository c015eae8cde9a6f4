from __future__ import annotations

import pytest
import torch
from toys import ToyNet, ToySamples

from wsolbook.training import Optim, train
from wsolbook.training.optim import Average, build_optimizer, parameter_groups


def test_groups_carry_the_papers_factors():
    optim = Optim(lr=0.001, new_layers=10.0, biases=2.0, decay_biases=False, weight_decay=5e-4)
    groups = {g["group"]: g for g in parameter_groups(ToyNet(), optim)}
    assert {name: (g["scale"], g["weight_decay"], g["names"]) for name, g in groups.items()} == {
        "weights": (1, 5e-4, ["features.weight"]),
        "biases": (2, 0, ["features.bias"]),
        "new weights": (10, 5e-4, ["linear.weight"]),
        "new biases": (20, 0, ["linear.bias"]),
    }
    rates = [g["lr"] for g in build_optimizer(list(groups.values()), optim).param_groups]
    assert rates == pytest.approx([0.001, 0.002, 0.01, 0.02])


def test_frozen_parameters_are_in_no_group():
    net = ToyNet()
    net.features.requires_grad_(False)
    assert sorted(n for g in parameter_groups(net, Optim()) for n in g["names"]) == [
        "linear.bias",
        "linear.weight",
    ]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_one_step_equals_torch_written_out(name, config):
    from dataclasses import replace

    config = replace(config, steps=1, optim=Optim(name=name, lr=0.02, weight_decay=0.1))
    ours, theirs = ToyNet(dropout=0), ToyNet(dropout=0)
    data = ToySamples(8)
    train(ours, data, config)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    # Adam and AdamW are built with torch's default decay only if none is given.
    extra = {"momentum": 0.9} if name == "sgd" else {}
    optimizer = kinds[name](theirs.parameters(), 0.02, weight_decay=0.1, **extra)
    theirs.loss(data.batch(range(8), 0))["classification"].backward()
    optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_average_follows_the_closed_form():
    net = torch.nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(1.0)
    average = Average(net, 0.75)
    for value in (3.0, 5.0):
        net.weight.data.fill_(value)
        average.update()
    # 1 -> 0.75 + 0.25 * 3 = 1.5 -> 0.75 * 1.5 + 0.25 * 5
    assert average.values[0].item() == pytest.approx(2.375)
    with average.applied():
        assert net.weight.item() == pytest.approx(2.375)
    assert net.weight.item() == 5
    assert average.values[0].item() == pytest.approx(2.375)


def test_training_returns_and_evaluates_the_average(config):
    from dataclasses import replace

    seen = []
    net = ToyNet()
    train(
        net,
        ToySamples(),
        replace(config, ema=0.9),
        evaluate=lambda m: seen.append(m.linear.weight.detach().clone()) or {"accuracy": 0.0},
    )
    plain = ToyNet()
    train(plain, ToySamples(), config)
    assert torch.equal(seen[-1], net.linear.weight)
    assert not torch.equal(plain.linear.weight, net.linear.weight)
