"""`wsolbook pseudo-labels`: the class of each pixel of a data set, for a segmentation network to learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from wsolbook.commands.samples import WriteOptions, shard
from wsolbook.evaluation.labels import Label, PseudoLabels, Segmented, write_label_maps
from wsolbook.evaluation.saved import file_names
from wsolbook.evaluation.sources import FromFolder, Source
from wsolbook.refine.crf import PRESETS, Constants
from wsolbook.refine.pseudo_labels import Cues, Labeling
from wsolbook.segmentation.deeplab import DeepLab
from wsolbook.training.config import ConfigError
from wsolbook.types import Samples


@dataclass(frozen=True, kw_only=True)
class WriteLabels(WriteOptions):
    """Write the class of each pixel of a data set, one PNG a picture in the colors of VOC.

    A number is 0 for background, class + 1, or 255 where it is not known. Maps become labels with the help of
    the labels of the pictures; those of an AffinityNet walk first, and with two alphas the labels are what it
    learns from itself. A DeepLab or a SEC says the class of each pixel by itself. Processes of one launcher
    share the pictures, and so do machines with `--shard 3/8`. A picture whose file is there is left out, so
    the same command goes on where it was stopped. `wsolbook evaluate --metric miou` scores the folder.

    Attributes:
        maps: folder of maps of the same pictures, as `wsolbook maps` writes it, instead of the network's.
        alphas: power of the background score; 4 and 32 for the labels of AffinityNet.
        cues: instead of alphas, two shares of the maximum: above the first a class, up to the second
            background, as SEC learns from: 0.2 and 0.05.
        power: of the maps; 0.5 for VGG-16 in the code of AffinityNet.
        walk: let the maps of an AffinityNet walk.
        beta: of the walk; None as the network says.
        steps: of the walk; None as the network says.
        crf: constants of a dense CRF, last.
        crf_scale: size of the pictures, as a multiple of the 500 pixels for which the constants are.
    """

    weights: Path | None = None
    maps: Path | None = None
    alphas: tuple[float, ...] = (16.0,)
    cues: tuple[float, ...] = ()
    power: float = 1.0
    walk: bool = True
    beta: float | None = None
    steps: int | None = None
    crf: Literal["none", "psa", "sec", "irn", "deeplab-v1", "deeplab-v2"] = "none"
    crf_scale: float = 1.0
    batch_size: int = 16

    def problems(self) -> list[str]:
        """Return one sentence for each value that cannot be."""
        found = super().problems()
        if self.weights is None and self.maps is None:
            found.append("give --weights FILE, --maps FOLDER, or both")
        if len(self.cues) not in (0, 2):
            found.append(f"cues must be two shares, got {self.cues}")
        checks: tuple[Callable[[], object], ...] = (
            self.constants,
            lambda: Labeling(self.alphas, power=self.power),
            lambda: Cues(*self.cues) if len(self.cues) == 2 else None,
        )
        for check in checks:
            try:
                check()
            except ValueError as error:
                found.append(str(error))
        return found

    def constants(self) -> Constants | None:
        """Return those of the CRF."""
        return None if self.crf == "none" else PRESETS[self.crf].scaled(self.crf_scale)

    def label(self, network: nn.Module | None = None) -> Label:
        """Return how maps become labels; the walk of an AffinityNet is its own unless told."""
        if len(self.cues) == 2:
            return Cues(*self.cues)
        own = getattr(network, "settings", {})
        return Labeling(
            self.alphas,
            self.constants(),
            self.power,
            own.get("beta", 8.0) if self.beta is None else self.beta,
            own.get("steps", 256) if self.steps is None else self.steps,
            own.get("radius", 5),
        )


def pseudo_labels(options: WriteLabels) -> int:
    """Write the label maps that are missing and say how many there were.

    Raises:
        ConfigError: listing all that is wrong with the options, before anything is created.
        ValueError: when a file or a map does not fit.
        OSError: when something cannot be read or written; what is there is whole.
    """
    if problems := options.problems():
        raise ConfigError(problems)
    data = options.open(options.split, view="original")
    files = [options.out / f"{name}.png" for name in file_names(data)]
    wanted = source(options, data)
    options.claim("labels")
    size = options.at_once(options.batch_size, "original")
    done = write_label_maps(wanted, data, files, shard(options.shard), size, options.workers)
    print(f"{done} of {len(data)} pictures written to {options.out}")
    return 0


def source(options: WriteLabels, data: Samples) -> Source:
    """Return what gives the label maps.

    Raises:
        ValueError: when the network does not fit the data set.
        OSError: when a file is missing.
    """
    saved = FromFolder(options.maps, file_names(data)) if options.maps is not None else None
    if options.weights is None:
        return PseudoLabels(options.label(), maps=saved)
    network, order = options.network(data, options.model, options.weights)
    network.eval()
    if not isinstance(network, DeepLab):
        return PseudoLabels(
            options.label(network), network, options.walk, options.scales, options.flip, order, saved
        )
    if list(order) != list(range(network.settings["classes"])):
        raise ValueError(f"the classes of {options.weights} are not those of the data set, in their order")
    return Segmented(network, options.scales, options.flip, options.constants())
