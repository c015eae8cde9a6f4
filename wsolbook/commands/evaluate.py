"""`wsolbook evaluate`: localization maps scored with the metrics of the field, and runs compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from wsolbook.distributed import joined, rank_and_world, shard
from wsolbook.evaluation.bootstrap import Interval, PerImage, paired_bootstrap
from wsolbook.evaluation.report import Report, Result, markdown, write
from wsolbook.evaluation.saved import SavedMaps, file_names, find_file, read_maps
from wsolbook.evaluation.tasks import (
    Picture,
    Task,
    box_task,
    label_task,
    localization_task,
    picture,
    pixel_task,
    seed_task,
)
from wsolbook.metrics.accuracy import BoxAccuracy
from wsolbook.metrics.counts import Counts, reduce
from wsolbook.metrics.segmentation import SeedIoU
from wsolbook.profiles import progress
from wsolbook.types import Samples


@dataclass(frozen=True)
class Evaluate:
    """Score localization maps, from a folder or straight from a network, and compare runs.

    A folder holds one file a picture, named after it (critters: 000000, 000001, ...): .npy with one raw map
    or one for each label, .png with a gray or a label map, .npz with `maps` and `classes`, best guess first.
    Box and pixel metrics scale maps by min-max at 224x224; the center Gaussian stands beside them as a row.

    Attributes:
        maps: folder of maps.
        weights: instead of `maps`, a network file, whose class activation maps are scored.
        model: the architecture, where the network file does not say.
        metric: MaxBoxAccV2, PxAP, mIoU (seeds, or label maps where the files are .png), localization error.
        data: which data set.
        root: its folder.
        split: which list.
        against: folders of other runs on the same pictures, each with a paired bootstrap interval.
        few: folder of maps of a small labeled split; thresholds chosen there give one more row.
        few_split: which list that is.
        contours: `largest` gives MaxBoxAcc, the first version.
        thresholds: length of the grid of box and pixel metrics.
        share: of the maximum, above which the metric loc boxes the largest region.
        number: how many critters.
        preset: which world of critters.
        seed: of the critters and of the bootstrap.
        resamples: of the bootstrap.
        out: folder for report.json, report.md and curve.png.
    """

    maps: Path | None = None
    weights: Path | None = None
    model: str | None = None
    metric: Literal["box", "pxap", "miou", "loc"] = "box"
    data: Literal["critters", "voc2012", "cub", "ilsvrc2012", "folder"] = "critters"
    root: Path = Path("data")
    split: str = "val"
    against: tuple[Path, ...] = ()
    few: Path | None = None
    few_split: str = "train"
    contours: Literal["all", "largest"] = "all"
    thresholds: int = 1000
    share: float = 0.2
    number: int = 1000
    preset: str = "single"
    seed: int = 0
    resamples: int = 1000
    out: Path | None = None


Source = Callable[[Picture, Tensor], SavedMaps]


def evaluate(options: Evaluate) -> int:
    """Run `wsolbook evaluate`.

    Raises:
        ValueError: on a wrong option, a map that fits neither picture nor labels, or an empty data set.
        OSError: when a file is missing or cannot be read or written.
    """
    main = options.maps or options.weights
    if main is None or (options.maps and options.weights):
        raise ValueError("give either --maps FOLDER or --weights FILE")
    with joined():
        return _evaluate_together(options, main)


def _evaluate_together(options: Evaluate, main: Path) -> int:
    if options.against and rank_and_world()[1] > 1:
        raise ValueError("--against keeps the counts of each image, and runs in one process")
    report, metrics = _evaluate(options, main)
    if rank_and_world()[0] == 0:
        print(markdown(report))
        if options.out is not None:
            for path in write(options.out, report, metrics):
                print(path)
    return 0


def score(
    task: Task, samples: Samples, source: Source | None, keep: bool = False
) -> tuple[Counts, dict[int, Counts], PerImage[Counts]]:
    """Count a whole data set, shared by the processes of `torch.distributed`.

    Args:
        task: the metric.
        samples: the data set, in its evaluation view.
        source: gives the maps of a picture; None for the center Gaussian.
        keep: also keep the counts of each image, for a paired bootstrap.

    Returns:
        The metric over all images, that of each class, and the counts of each image.

    Raises:
        ValueError: when a map does not fit its picture, naming the file; when the data set is empty.
    """
    total, each = task.make(), PerImage(task.make)
    by_class: dict[int, Counts] = {}
    mine = shard(len(samples))
    for index in progress(mine, "evaluate", len(mine)):
        one = task.make()
        for label, metric in _counted(task, source, *picture(samples, index)):
            one.merge(metric)
            if label is not None:
                by_class.setdefault(label, task.make()).merge(metric)
        total.merge(one)
        if keep:
            each.add(one)
    if rank_and_world()[1] > 1:  # every process takes part in every sum
        by_class = {c: by_class.get(c, task.make()) for c in range(len(samples.classes))}
        by_class = {c: metric for c, metric in by_class.items() if reduce(metric).images}
    reduce(total).require_images()
    return total, by_class, each


def _counted(
    task: Task, source: Source | None, seen: Picture, images: Tensor
) -> list[tuple[int | None, Counts]]:
    if source is None:
        return list(task.center(seen)) if task.center else []
    maps = source(seen, images)
    try:
        return list(task.count(seen, maps))
    except ValueError as error:
        raise ValueError(f"{maps.origin}: {error}") from error


def _evaluate(options: Evaluate, main: Path) -> tuple[Report, dict[str, Counts]]:
    samples = _open(options, options.split)
    names = file_names(samples)
    source = folder_source(main, names) if options.weights is None else network_source(options, main)
    labels = options.weights is None and len(names) > 0 and find_file(main, names[0]).suffix == ".png"
    task = _task(options, samples, labels)
    total, by_class, each = score(task, samples, source, keep=bool(options.against))
    results = [_result(main.stem, task, total, by_class, samples)]
    metrics: dict[str, Counts] = {main.stem: total}
    if options.few is not None:
        few = _open(options, options.few_split)
        chosen = score(task, few, folder_source(options.few, file_names(few)))[0]
        results.append(_held_out(f"{main.stem}, threshold from {options.few_split}", task, chosen, total))
    for folder in options.against:
        other, other_classes, other_each = score(task, samples, folder_source(folder, names), keep=True)
        interval = paired_bootstrap(each, other_each, task.score, options.resamples, options.seed)
        results.append(_result(folder.stem, task, other, other_classes, samples, interval))
        metrics[folder.stem] = other
    if task.center is not None:
        center, center_classes, _ = score(task, samples, None)
        results.append(_result("center Gaussian", task, center, center_classes, samples))
        metrics["center Gaussian"] = center
    title = f"{options.metric} on {options.data}, {options.split}"
    settings = {name: _plain(value) for name, value in asdict(options).items()}
    return Report(title, len(samples), results, settings), metrics


def _plain(value: Any) -> Any:
    """Return what JSON can hold: paths as text."""
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def _result(
    name: str,
    task: Task,
    total: Any,
    by_class: dict[int, Any],
    samples: Samples,
    against: Interval | None = None,
) -> Result:
    per_class = task.class_values(by_class, total)
    named = {"background" if c < 0 else samples.classes[c]: v for c, v in sorted(per_class.items())}
    return Result(name, task.values(total), named, against)


def _held_out(name: str, task: Task, few: Counts, test: Counts) -> Result:
    """Return the row of thresholds chosen on the small labeled split."""
    if isinstance(test, BoxAccuracy) and isinstance(few, BoxAccuracy):
        thresholds = few.compute()["thresholds"]
        at = test.at(thresholds)
        headline = {next(iter(task.values(test))): at["v2"]}
        overlaps = {f"IoU {o}": v for o, v in at["acc"].items()} if len(at["acc"]) > 1 else {}
        return Result(name, headline | overlaps | {f"threshold {o}": t for o, t in thresholds.items()})
    if isinstance(test, SeedIoU) and isinstance(few, SeedIoU):
        background = few.compute()["score"]
        return Result(name, {"mIoU": test.at(background), "background score": background})
    raise ValueError("only boxes and seeds have a threshold to choose on --few")


def folder_source(folder: Path, names: list[str]) -> Source:
    """Return what reads the maps of a picture from a folder.

    Raises:
        FileNotFoundError: when there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder of maps")
    return lambda seen, _: read_maps(find_file(folder, names[seen.index]))


def network_source(options: Evaluate, weights: Path) -> Source:
    """Return what computes class activation maps of a picture's labels; for loc, of its best classes too."""
    from wsolbook.backbones.pretrained import load_pretrained
    from wsolbook.cam import cam
    from wsolbook.profiles import best_device

    device = best_device()
    network = load_pretrained(options.model, weights).network.to(device)

    def compute(seen: Picture, images: Tensor) -> SavedMaps:
        wanted = seen.labels
        if options.metric == "loc":
            with torch.no_grad():
                guesses = network(images.to(device)).topk(5).indices[0].cpu()
            wanted = torch.cat([guesses, wanted[~torch.isin(wanted, guesses)]])
        maps = cam(network, images.to(device), wanted[None].to(device)).values[0].cpu()
        return SavedMaps(maps, wanted, f"{weights}, picture {seen.index}")

    return compute


def _task(options: Evaluate, samples: Samples, labels: bool) -> Task:
    """Return the metric; `labels` says that the files hold label maps."""
    classes = len(samples.classes) + 1
    tasks: dict[str, Callable[[], Task]] = {
        "box": lambda: box_task(options.thresholds, options.contours),
        "pxap": lambda: pixel_task(options.thresholds),
        "miou": lambda: label_task(classes) if labels else seed_task(classes),
        "loc": lambda: localization_task(options.share),
    }
    return tasks[options.metric]()


def _open(options: Evaluate, split: str) -> Samples:
    """Open a data set: at the protocol's 224x224 for boxes and pixels, at its own size for the rest."""
    if options.data == "critters":
        from wsolbook.data.critters import Critters

        return Critters(options.number, options.preset, seed=options.seed, split=split)
    from wsolbook.data.sets import open_split

    view = "warp" if options.metric in ("box", "pxap") else "original"
    return open_split(options.data, options.root, split, view=view)
