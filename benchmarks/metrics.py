"""Time of the metrics against the algorithms they replace, interleaved in one run.

    python benchmarks/metrics.py [--maps 200] [--whole 5000] [--threads 2]

Maps are 224x224: noise, the worst case, and 14x14 grids resized, as networks make them. The official box
search is OpenCV's contour search at each threshold; it is timed on fewer maps because of what it takes.
Times are processor time of one thread, so that a busy machine does not lengthen them; the last part also
gives wall time.
"""

from __future__ import annotations

import argparse
import resource
import time

import cv2
import numpy as np
import torch
from timing import milliseconds  # of this folder
from torch.nn.functional import interpolate
from torchmetrics.functional.classification import multiclass_confusion_matrix

from wsolbook.maps import normalize
from wsolbook.metrics import BoxAccuracy, ConfusionMatrix, PixelAP, SeedIoU

SIDE = 224


def report(title: str, times: dict[str, float]) -> None:
    base = list(times.values())[-1]
    print(title)
    for name, value in times.items():
        print(f"  {name:<42}{value:9.3f} ms  {value / base:7.4f}")


def noise(n: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(n, SIDE, SIDE, generator=generator, dtype=torch.float64)


def network_like(n: int, generator: torch.Generator) -> torch.Tensor:
    grids = torch.rand(n, 1, 14, 14, generator=generator)
    return normalize(interpolate(grids, (SIDE, SIDE), mode="bicubic")[:, 0]).double()


def official(score: np.ndarray, truth: np.ndarray, thresholds: np.ndarray, largest: bool) -> np.ndarray:
    """The published algorithm: best IoU of each threshold."""
    gray = (score * 255).astype(np.uint8)
    best = np.zeros(len(thresholds))
    for t, threshold in enumerate(thresholds):
        _, binary = cv2.threshold(gray, int(threshold * np.max(gray)), 255, cv2.THRESH_BINARY)
        found = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
        if largest and found:
            found = [max(found, key=cv2.contourArea)]
        boxes = np.array([cv2.boundingRect(c) for c in found] or [(0, 0, 0, 0)], np.float64)
        boxes[:, 2:] = np.minimum(boxes[:, :2] + boxes[:, 2:], SIDE - 1)
        sides = (
            np.minimum(boxes[:, None, 2:], truth[:, 2:]) - np.maximum(boxes[:, None, :2], truth[:, :2]) + 1
        )
        shared = np.maximum(sides, 0).prod(-1)
        areas = [(b[:, 2:] - b[:, :2] + 1).prod(-1) for b in (boxes, truth)]
        best[t] = (shared / (areas[0][:, None] + areas[1] - shared)).max()
    return best


def boxes(count: int, generator: torch.Generator) -> None:
    truth = torch.tensor([[40, 30, 180, 200]])
    for kind, make in (("network-like", network_like), ("noise", noise)):
        maps = make(count, generator)
        for contours in ("all", "largest"):
            for thresholds in (100, 1000):
                metric = BoxAccuracy(thresholds, contours)
                few = 1 if kind == "noise" else 3
                turn = {"i": 0}

                def ours(maps=maps, metric=metric, turn=turn) -> None:
                    i = turn["i"] = (turn["i"] + 1) % count
                    metric.update(maps[i : i + 1], truth)

                def theirs(maps=maps, metric=metric, contours=contours, turn=turn) -> None:
                    i = turn["i"]
                    official(
                        maps[i].numpy(), truth.double().numpy(), metric.thresholds, contours == "largest"
                    )

                single = milliseconds({"one pass": ours}, count)
                pair = milliseconds({"one pass": ours, "official, OpenCV": theirs}, few)
                report(
                    f"box, {contours}, {thresholds} thresholds, {kind} ({count} maps, official {few})",
                    {"one pass": single["one pass"], "official, OpenCV": pair["official, OpenCV"]},
                )


def pixels(count: int, generator: torch.Generator) -> None:
    maps = noise(1, generator)
    masks = (torch.rand(1, SIDE, SIDE, generator=generator) < 0.3).to(torch.uint8)
    metric, edges = PixelAP(), np.append(np.arange(0, 1, 0.001), [1.0, 2.0, 3.0])

    def official_histograms() -> None:
        for value in (0, 1):
            np.histogram(maps[masks == value].numpy(), edges)

    single = maps.float()
    contenders = {
        "float64": lambda: metric.update(maps, masks),
        "float32": lambda: metric.update(single, masks),
        "official histograms": official_histograms,
    }
    report("PxAP, 1000 thresholds", milliseconds(contenders, count))


def segmentation(count: int, generator: torch.Generator) -> None:
    mask = torch.zeros(375, 500, dtype=torch.uint8)
    mask[80:300, 120:400], mask[200:260, 300:480] = 15, 8
    prediction = mask.roll((9, 14), (0, 1))
    wide, deep = prediction.long()[None], mask.long()[None]
    metric, seeds = ConfusionMatrix(), SeedIoU()
    maps = interpolate(torch.rand(1, 2, 24, 32, generator=generator), (375, 500), mode="bilinear")[0]
    contenders = {
        "confusion matrix": lambda: metric.update(prediction, mask),
        "seeds, 60 background scores": lambda: seeds.update(maps, torch.tensor([8, 15]), mask),
        "torchmetrics": lambda: multiclass_confusion_matrix(wide, deep, 21, ignore_index=255),
    }
    report("mIoU, 375x500, 21 classes", milliseconds(contenders, count))


def whole_set(count: int, threads: int, generator: torch.Generator) -> None:
    torch.set_num_threads(threads)
    metric, batch = BoxAccuracy(1000), 50
    truth = torch.tensor([[40, 30, 180, 200]]).expand(batch, 4)
    metric.update(noise(batch, generator), truth)
    before = peak()
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(count // batch):
        metric.update(noise(batch, generator), truth)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{count} random maps, 1000 thresholds, {threads} threads, making the maps included:")
    print(f"  {wall:.1f} s, of which the processors worked {processor:.1f} s")
    print(f"  peak memory {before:.0f} MiB after the first batch, {peak():.0f} MiB after the last")


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maps", type=int, default=200)
    parser.add_argument("--whole", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    generator = torch.Generator().manual_seed(0)
    print("median processor time, and ratio to the last line of each group")
    boxes(options.maps, generator)
    pixels(options.maps, generator)
    segmentation(options.maps, generator)
    whole_set(options.whole, options.threads, generator)


if __name__ == "__main__":
    main()
