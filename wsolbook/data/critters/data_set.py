"""The world of critters: animals whose head tells who they are, and the truth about every pixel."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from wsolbook.data.counters import keys, uniform
from wsolbook.data.critters.rendering import Scenes, render
from wsolbook.data.critters.scenes import Scene, draw_scenes, known, world
from wsolbook.data.made import read_labels
from wsolbook.data.transforms import IGNORE
from wsolbook.maps import size_of
from wsolbook.types import Batch

# The first counter of each split; 2**40 pictures fit between them.
SPLITS = {"train": 0, "val": 1 << 40, "test": 2 << 40}


def scenes(n: int, preset: str = "single", seed: int = 0, start: int = 0, **knobs: Any) -> list[Scene]:
    """Describe `n` scenes without drawing them. See `sample`."""
    return list(draw_scenes(world(preset, **knobs), n, seed, start))


def sample(
    n: int = 64,
    preset: str = "single",
    size: int = 64,
    seed: int = 0,
    start: int = 0,
    device: torch.device | str = "cpu",
    **knobs: Any,
) -> Scenes:
    """Draw `n` pictures of a world.

    Args:
        n: how many.
        preset: a name of `PRESETS`.
        size: side of the pictures in pixels, at least 16.
        seed: pictures of different seeds have nothing in common.
        start: counter of the first picture; picture `i` is a function of (world, seed, `start + i`).
        device: where to draw.
        knobs: attributes of `World` that differ from the preset.

    Raises:
        ValueError: on an unknown preset or a value out of range, naming it.
        TypeError: on an unknown knob.
    """
    return render(scenes(n, preset, seed, start, **knobs), size, device)


class Critters:
    """A data set of critters, drawn once and held in memory as bytes.

    Args:
        n: how many pictures.
        preset: a name of `PRESETS`.
        size: side of the pictures in pixels.
        seed: of the scenes and of the augmentation.
        split: `"train"`, `"val"` or `"test"`, which share no scene. Only training animals may lack a part.
        flip: mirror each training picture with probability one half, anew in each epoch.
        knobs: attributes of `World` that differ from the preset.

    Attributes:
        label_files: what the training view shows in place of the masks (see `wsolbook.data.made`).

    Raises:
        ValueError: on an unknown preset or split, or a value out of range, naming it.
    """

    label_files: tuple[Path, ...] = ()

    def __init__(
        self,
        n: int = 1000,
        preset: str = "single",
        size: int = 64,
        seed: int = 0,
        split: str = "train",
        flip: bool = True,
        **knobs: Any,
    ) -> None:
        start = SPLITS[known("split", split, SPLITS)]
        self.seed, self.flip = seed, flip
        self._show(draw_scenes(world(preset, **knobs), n, seed, start, training=split == "train"), size)

    @classmethod
    def of(cls, scenes: Iterable[Scene], size: int = 64) -> Critters:
        """Return the data set of some scenes, for example of changed ones."""
        found = cls.__new__(cls)
        found.seed, found.flip = 0, True
        found._show(scenes, size)
        return found

    def _show(self, scenes: Iterable[Scene], size: int) -> None:
        self.scenes = tuple(scenes)
        drawn = render(self.scenes, size)
        self.classes = drawn.classes
        self.images = (drawn.images * 255).round().to(torch.uint8)
        self.labels, self.masks, self.parts = drawn.labels, drawn.masks, drawn.parts
        self.boxes, self.box_classes = drawn.boxes, drawn.box_classes

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Sequence[int], epoch: int | None = None, masks: Container[int] = ()) -> Batch:
        """Return the samples `index`: with `epoch` the training view, without it the evaluation view.

        A training batch carries the masks of the pictures that `masks` names (see `wsolbook.types.Samples`).
        """
        places = torch.as_tensor(index, dtype=torch.int64).reshape(-1)
        pictures = self.images[places]
        if epoch is None:
            return Batch(
                pictures, self.labels[places], places,
                [self.boxes[i] for i in places.tolist()], self.masks[places],
            )  # fmt: skip
        truth = self._taught(places, masks) if masks else None
        if self.flip:
            mirror = uniform(keys(self.seed, places, 100 + epoch), 1)[:, 0, None, None] < 0.5
            pictures = torch.where(mirror[:, None], pictures.flip(-1), pictures)
            truth = torch.where(mirror, truth.flip(-1), truth) if truth is not None else None
        return Batch(pictures, self.labels[places], places, masks=truth)

    def _taught(self, places: Int[Tensor, " n"], shown: Container[int]) -> UInt8[Tensor, "n h w"]:
        """Return the masks, or what stands in their place, of those pictures that `shown` names."""
        taught = torch.full_like(self.masks[places], IGNORE)
        for row, i in zip(taught, places.tolist(), strict=True):
            if i in shown and self.label_files:
                row.copy_(read_labels(self.label_files[i], len(self.classes), size_of(row)))
            elif i in shown:
                row.copy_(self.masks[i])
        return taught
