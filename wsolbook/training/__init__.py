"""Training: one readable loop, on one device or many, that a killed run continues exactly."""

from wsolbook.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from wsolbook.training.config import ConfigError, TrainConfig
from wsolbook.training.faults import NonFiniteLossError, Stopped
from wsolbook.training.loop import train
from wsolbook.training.optim import Optim
from wsolbook.training.run import History
from wsolbook.training.schedule import Schedule

__all__ = [
    "CheckpointError",
    "ConfigError",
    "History",
    "NonFiniteLossError",
    "Optim",
    "Schedule",
    "Stopped",
    "TrainConfig",
    "load_checkpoint",
    "save_checkpoint",
    "train",
]
