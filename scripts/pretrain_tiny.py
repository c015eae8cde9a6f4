"""Train the weights that ship with the tiny networks: `python scripts/pretrain_tiny.py`.

They stand in for ImageNet's: the networks learn to name thirty species of critters, none of them among
the eight of the default world, at many sizes and on all backgrounds. What lies before the pooling is kept:
`wsolbook.backbones.build("tiny", weights="critters")`. Weights of convolutions are stored in 16 bits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from safetensors.torch import save as serialize
from torch import Tensor

from wsolbook.backbones import SHIPPED, Classifier, build
from wsolbook.data.critters import Critters
from wsolbook.data.critters.species import MAIN, SPECIES
from wsolbook.files import atomic
from wsolbook.training import Optim, Schedule, TrainConfig, train

STRANGERS = tuple(name for name in SPECIES if name not in MAIN)


@dataclass(frozen=True)
class Pretrain:
    """Train trunks on species that the book does not use.

    Attributes:
        names: which networks.
        out: folder of the files.
        n: training pictures.
        held_out: pictures that the accuracy is measured on.
        epochs: passes over the training pictures.
        seed: decides scenes, initialization and order.
    """

    names: tuple[str, ...] = ("tiny", "tiny_resnet")
    out: Path = SHIPPED
    n: int = 8_000
    held_out: int = 2_000
    epochs: int = 8
    seed: int = 0


def main(options: Pretrain) -> dict[str, float]:
    """Train, write and measure; return the accuracy of each network in percent."""
    world = {"species": STRANGERS, "body_cue": 0.5, "object_scale": (0.25, 1.0)}
    data = Critters(options.n, seed=options.seed, split="train", **world)
    held_out = Critters(options.held_out, seed=options.seed, split="val", **world)
    config = TrainConfig(
        epochs=options.epochs,
        batch_size=64,
        seed=options.seed,
        evaluate_every=0,
        optim=Optim("sgd", lr=0.05, nesterov=True, weight_decay=5e-4, decay_biases=False),
        schedule=Schedule("cosine", warmup=0.5),
    )
    accuracies = {}
    for name in options.names:
        torch.manual_seed(options.seed)
        model = build(name, classes=len(STRANGERS))
        train(model, data, config)
        accuracies[name] = accuracy(model, held_out)
        path = options.out / f"{name}.safetensors"
        facts = {**asdict(options), "out": "", "species": STRANGERS, "accuracy": accuracies[name]}
        with atomic(path) as temporary:
            temporary.write_bytes(serialize(compact(model), {"pretraining": json.dumps(facts)}))
        print(
            f"{path}: {path.stat().st_size / 1e6:.2f} MB, {accuracies[name]:.1f} % of unseen pictures right"
        )
    return accuracies


def compact(model: Classifier) -> dict[str, Tensor]:
    """Return the parameters before the pooling, kernels in 16 bits, statistics and the rest in 32."""
    state = model.features.state_dict()
    return {
        key: value.half().contiguous() if value.ndim == 4 else value
        for key, value in state.items()
        if not key.endswith("num_batches_tracked")
    }


@torch.no_grad()
def accuracy(model: Classifier, data: Critters, batch: int = 250) -> float:
    """Return the share of pictures named right, in percent."""
    model.eval()
    right = sum(
        right_in(model, data, range(i, min(i + batch, len(data)))) for i in range(0, len(data), batch)
    )
    return 100 * right / len(data)


def right_in(model: Classifier, data: Critters, index: Sequence[int]) -> int:
    """Count the pictures of one batch that are named right."""
    batch = data.batch(index)
    return int((model(batch.images).argmax(1) == batch.labels.argmax(1)).sum())


if __name__ == "__main__":
    main(tyro.cli(Pretrain))
