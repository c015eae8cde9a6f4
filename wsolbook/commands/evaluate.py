"""`wsolbook evaluate`: localization maps scored with the metrics of the field, and runs compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wsolbook.commands.samples import SamplesOptions
from wsolbook.distributed import joined, rank_and_world
from wsolbook.evaluation import loop
from wsolbook.evaluation.bootstrap import Interval, paired_bootstrap
from wsolbook.evaluation.report import Report, Result, markdown, write
from wsolbook.evaluation.saved import file_names, find_file
from wsolbook.evaluation.sources import Center, FromFolder, FromNetwork, Source
from wsolbook.evaluation.tasks import Boxes, Curve, LabelMaps, Localization, Pixels, Seeds, Task
from wsolbook.precision import Precision
from wsolbook.training.config import plain
from wsolbook.types import Samples

TASKS: dict[str, type[Task[Any]]] = {"box": Boxes, "pxap": Pixels, "miou": Seeds, "loc": Localization}


@dataclass(frozen=True, kw_only=True)
class Evaluate(SamplesOptions):
    """Score localization maps, from a folder or straight from a network, and compare runs.

    A folder holds one file a picture, named after it (critters: 000000, 000001, ...): .npy with one raw map
    or one for each label, .png with a gray or a label map, .npz with `maps` and `classes`, best guess first.
    Box and pixel metrics scale maps by min-max at 224x224; the center Gaussian stands beside them as a row.

    Attributes:
        maps: folder of maps.
        weights: instead of `maps`, a network file, whose own maps are scored.
        model: the architecture, where the network file does not say.
        metric: MaxBoxAccV2, PxAP, mIoU (seeds, or label maps where the files are .png), localization error.
        against: folders of other runs on the same pictures, each with a paired bootstrap interval.
        few: folder of maps of a small labeled split; thresholds chosen there give one more row.
        few_split: which list that is.
        precision: number format of the network with `weights`, as for training.
        contours: `largest` gives MaxBoxAcc, the first version.
        thresholds: length of the grid of box and pixel metrics.
        share: of the maximum, above which the metric loc boxes the largest region.
        seed: of the critters and of the bootstrap.
        resamples: of the bootstrap.
        out: folder for report.json, report.md and curve.png.
    """

    maps: Path | None = None
    weights: Path | None = None
    model: str | None = None
    metric: Literal["box", "pxap", "miou", "loc"] = "box"
    against: tuple[Path, ...] = ()
    few: Path | None = None
    few_split: str = "train"
    precision: Precision = "fp32"
    contours: Literal["all", "largest"] = "all"
    thresholds: int = 1000
    share: float = 0.2
    seed: int = 0
    resamples: int = 1000
    out: Path | None = None

    def task(self, classes: int, label_maps: bool) -> Task[Any]:
        """Return the metric; `label_maps` says that the files hold the class of each pixel."""
        if self.metric == "box":
            return Boxes(self.thresholds, self.contours)
        if self.metric == "pxap":
            return Pixels(self.thresholds)
        if self.metric == "miou":
            return LabelMaps(classes) if label_maps else Seeds(classes)
        return Localization(self.share)


def evaluate(options: Evaluate) -> int:
    """Run `wsolbook evaluate`.

    Raises:
        ValueError: on a wrong option, a map that fits neither picture nor labels, or an empty data set.
        OSError: when a file is missing or cannot be read or written.
    """
    main = options.maps or options.weights
    if main is None or (options.maps and options.weights):
        raise ValueError("give either --maps FOLDER or --weights FILE")
    if options.maps and options.match:
        raise ValueError("the classes of saved maps were matched when they were written; leave out --match")
    with joined():
        report, curves = run(options, main)
        if rank_and_world()[0] == 0:
            print(markdown(report))
            for path in write(options.out, report, curves) if options.out is not None else ():
                print(path)
    return 0


def run(options: Evaluate, main: Path) -> tuple[Report, dict[str, Curve]]:
    """Score the main run, the others beside it, and the center; return the report and what to draw."""
    view = TASKS[options.metric].view
    samples = options.open(options.split, view=view)
    names = file_names(samples)
    source: Source
    if options.weights is None:
        source = FromFolder(main, names)
    else:
        model, order = options.network(samples, options.model, options.weights)
        guesses, name = TASKS[options.metric].guesses, str(options.weights)
        source = FromNetwork(model, guesses, name=name, order=order, precision=options.precision)
    files = names[:1] if options.metric == "miou" and options.weights is None else []
    task = options.task(len(samples.classes), any(find_file(main, n).suffix == ".png" for n in files))

    def tally(source: Source, samples: Samples = samples) -> loop.Tally[Any]:
        size = options.at_once(32, view)
        return loop.evaluate(source, samples, [task], batch_size=size, keep=bool(options.against))[0]

    ours = tally(source)
    tallies = {main.stem: ours}
    results = [_result(main.stem, ours, samples)]
    if options.few is not None:
        few = options.open(options.few_split, view=view)
        chosen = tally(FromFolder(options.few, file_names(few)), few)
        values = task.held_out(chosen.total, ours.total)
        results.append(Result(f"{main.stem}, threshold from {options.few_split}", values))
    for folder in options.against:
        other = tallies[folder.stem] = tally(FromFolder(folder, names))
        interval = paired_bootstrap(ours.each, other.each, task.score, options.resamples, options.seed)
        results.append(_result(folder.stem, other, samples, interval))
    if task.blind:
        center = tallies["center Gaussian"] = tally(FromNetwork(Center(len(samples.classes))))
        results.append(_result("center Gaussian", center, samples))
    errors = ", an error: lower is better" if task.lower_is_better else ""
    title = f"{options.metric} on {options.data}, {options.split}{errors}"
    curves = {name: curve for name, t in tallies.items() if (curve := task.curve(t.total)) is not None}
    return Report(title, len(samples), results, plain(options)), curves


def _result(name: str, tally: loop.Tally[Any], samples: Samples, against: Interval | None = None) -> Result:
    task = tally.task
    per_class = task.class_values(tally.by_class, tally.total)
    named = {"background" if c < 0 else samples.classes[c]: v for c, v in sorted(per_class.items())}
    return Result(name, task.values(tally.total), named, against)
