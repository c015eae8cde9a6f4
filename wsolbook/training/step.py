"""One optimizer step: forward, backward, update; on one device or many, in one piece or in several."""

from __future__ import annotations

import math
from contextlib import nullcontext
from operator import mul
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from torch import Tensor, distributed, nn

from wsolbook.backbones.freeze import share_statistics
from wsolbook.data.counters import seed_of
from wsolbook.distributed import add_up, launched, own_device
from wsolbook.doubts import later
from wsolbook.memory import free_memory, out_of_memory
from wsolbook.precision import chosen
from wsolbook.training import faults
from wsolbook.training.config import ConfigError, TrainConfig
from wsolbook.training.optim import Average, build_optimizer, parameter_groups
from wsolbook.types import Batch, Trainable


def build_accelerator(config: TrainConfig) -> Accelerator:
    """Return the accelerator of this process; device and precision may differ from an earlier training's.

    Raises:
        ConfigError: when it would not work together with all processes that were started.
    """
    # accelerate keeps one state a process, and a notebook trains more than once.
    AcceleratorState._reset_state(reset_partial_state=not distributed.is_initialized())
    device = torch.device("cpu") if config.device == "cpu" else own_device()
    precision = chosen(config.precision, device)
    # Told nothing, accelerate takes a process without an accelerator to be alone.
    accelerator = Accelerator(
        mixed_precision="no" if precision in ("fp32", "tf32") else precision,
        cpu=device.type == "cpu",
        # Gradients lie where they are exchanged, once and not twice.
        kwargs_handlers=[
            DistributedDataParallelKwargs(gradient_as_bucket_view=True, static_graph=config.static_graph)
        ],
    )
    joined, started = accelerator.num_processes, launched()[1]
    if joined != started:
        raise ConfigError([f"{started} processes were started, but only {joined} work together here"])
    return accelerator


class Stepper:
    """A network, its optimizer, and what they need to take a step.

    Attributes:
        micro_batch: images held at once; halved when memory does not suffice.
        average: moving average of the weights, where the config asks for one.
    """

    def __init__(self, model: Trainable, config: TrainConfig, accelerator: Accelerator) -> None:
        assert isinstance(model, nn.Module)
        self.model, self.config, self.accelerator = model, config, accelerator
        self.rank, self.world = accelerator.process_index, accelerator.num_processes
        self.micro_batch = config.micro_batch or config.batch_size
        model.to(accelerator.device)
        if config.channels_last:
            model.to(memory_format=torch.channels_last)
        if config.sync_norms and self.world > 1:
            share_statistics(model)
        groups = parameter_groups(model, config.optim)
        if not groups:
            raise ValueError("the model has no parameters to train")
        self.average = Average(model, config.ema) if config.ema else None
        if config.compile:
            model.compile()
        self.loss, self.optimizer = accelerator.prepare(_Loss(model), build_optimizer(groups, config.optim))

    def do(
        self, batch: Batch, step: int, everyone: int, share_of_rate: float, stop: bool
    ) -> tuple[dict[str, float], bool]:
        """Take a step.

        Args:
            batch: this process's share of the images.
            step: number of the step, which seeds what the network draws.
            everyone: images of this step over all processes.
            share_of_rate: factor of the schedule on the learning rates.
            stop: whether this process was asked to stop.

        Returns:
            The mean of each loss term over everyone's images, and whether any process was asked to stop.

        Raises:
            faults.NonFiniteLossError: when a term is NaN or infinite in any process; no weight has changed.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.optim.lr * group["scale"] * share_of_rate
        terms = self._gradients_within_memory(batch, step, everyone)
        bad = not all(map(math.isfinite, terms.values()))
        anyone_bad, anyone_stops, *sums = add_up([bad, stop, *terms.values()])
        terms = dict(zip(terms, sums, strict=True))
        if anyone_bad:
            raise faults.NonFiniteLossError(step, terms, batch.index.tolist())
        if self.config.optim.clip:
            self.accelerator.clip_grad_norm_(self.loss.parameters(), self.config.optim.clip)
        self.optimizer.step()
        if self.average:
            self.average.update()
        return terms, bool(anyone_stops)

    def _gradients_within_memory(self, batch: Batch, step: int, everyone: int) -> dict[str, float]:
        """Halve the micro-batch until it fits: more parts, the same effective batch."""
        while True:
            size = min(self.micro_batch, len(batch))
            try:
                return self._gradients(batch, step, everyone)
            except RuntimeError as error:
                # One process cannot repeat a step while the others wait for its gradients.
                if not out_of_memory(error) or size == 1 or self.world > 1:
                    raise
            self.micro_batch = math.ceil(size / 2)
            free_memory()

    def _gradients(self, batch: Batch, step: int, everyone: int) -> dict[str, float]:
        """Accumulate the gradient of everyone's mean loss; return this process's share of each term."""
        # What the network draws (dropout) is a function of seed, step and process.
        torch.manual_seed(seed_of(self.config.seed, step, self.rank, 1))
        self.optimizer.zero_grad()
        done: list[tuple[float, dict[str, Tensor]]] = []
        with later() as marked:
            for start in range(0, len(batch), self.micro_batch):
                part = self._on_device(batch[start : start + self.micro_batch])
                share = len(part) / everyone if self.rank < everyone else 0.0
                # A static graph has to be exchanged each time, or torch fails at the first step.
                exchanged = self.config.static_graph or start + self.micro_batch >= len(batch)
                with nullcontext() if exchanged else self.accelerator.no_sync(self.loss):
                    terms: dict[str, Tensor] = {n: term.float() for n, term in self.loss(part).items()}
                    # Gradients are averaged over processes; times their number it is the sum we want.
                    self.accelerator.backward(torch.stack([*terms.values()]).sum() * (share * self.world))
                done.append((share, {name: term.detach() for name, term in terms.items()}))
        # Reading numbers waits for the device: once, when all work was given to it.
        values = marked(torch.stack([torch.stack([*terms.values()]) for _, terms in done])).tolist()
        shares = [share for share, _ in done]
        columns = zip(done[0][1], zip(*values, strict=True), strict=True)
        return {name: sum(map(mul, shares, column)) for name, column in columns}

    def _on_device(self, batch: Batch) -> Batch:
        layout = torch.channels_last if self.config.channels_last else torch.preserve_format
        return batch.to(self.accelerator.device, layout)

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on, besides its number."""
        scaler = self.accelerator.scaler
        return {
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.values if self.average else [],
            "scaler": scaler.state_dict() if scaler else {},
            "micro_batch": self.micro_batch,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        if state["micro_batch"] < 1:
            raise ValueError(f"micro_batch is {state['micro_batch']}")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            for value, saved in zip(self.average.values, state["average"], strict=True):
                value.copy_(saved)
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.micro_batch = state["micro_batch"]

    def learning_rate(self) -> float:
        """Return the current rate of a group with factor 1."""
        group: dict[str, Any] = self.optimizer.param_groups[0]
        return group["lr"] / group["scale"]


class _Loss(nn.Module):
    """The loss as a forward pass, which is what accelerate wraps for many devices and mixed precision."""

    def __init__(self, model: Trainable) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.model.loss(batch)
