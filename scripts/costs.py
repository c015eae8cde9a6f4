"""What the cheat sheet says of costs, from the stored results: ratios that were measured in one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from results_page import Record, is_recipe, label

EXPLAINED = ("CAM", "Grad-CAM", "Guided Grad-CAM", "occlusion")
PLAIN = ("CAM", "Grad-CAM")  # columns that are a plain classifier, trained beside a recipe


def markdown(records: Mapping[str, Record]) -> str:
    """Return the table of costs."""
    rows = "\n".join(
        f"| {method} | {cost} | `{name}` |"
        for found in (maps, steps, trainings)
        for method, cost, name in found(records)
    )
    return f"| method | cost | file in `results/` |\n|---|---|---|\n{rows}\n"


def maps(records: Mapping[str, Record]) -> Iterator[tuple[str, str, str]]:
    """Yield what a map of a trained network costs, in plain forward passes."""
    name = "own-mobilenet_v2"
    methods = records.get(name, {}).get("methods", {})
    for method in filter(methods.__contains__, EXPLAINED):
        yield method, f"a map: {methods[method]['time']:.2f} forward passes (MobileNetV2)", name


def steps(records: Mapping[str, Record]) -> Iterator[tuple[str, str, str]]:
    """Yield what a training step costs, against one of a plain classifier or its own convolutions."""
    for network, found in records.get("gain-step", {}).get("networks", {}).items():
        memory = found["MiB"] / found["plain MiB"]
        words = f"{found['plain steps']:.2f} plain steps, {memory:.1f} times the memory"
        yield "GAIN", f"a training step: {words} (`{network}`)", "gain-step"
    for network, found in records.get("seenet-step", {}).get("networks", {}).items():
        ms = found["ms a picture"]
        words = f"{ms['step'] / ms['trunk']:.2f} times a step of its trunk alone (`{network}`)"
        yield "SeeNet", f"a training step: {words}", "seenet-step"
    if spg := records.get("spg-step"):
        words = f"{spg['step / convolutions']:.2f} times its convolutions (`{spg['backbone']}`)"
        yield "SPG", f"a training step: {words}", "spg-step"


def trainings(records: Mapping[str, Record]) -> Iterator[tuple[str, str, str]]:
    """Yield what a training of each method took, against the plain classifier that was trained beside it."""
    seen: set[str] = set()
    for name, record in records.items():
        plain = [column for column in PLAIN if is_recipe(record) and column in record.get("columns", {})]
        for column in plain if label(name) not in seen else ():
            both = zip(record["provenance"]["seconds"], record["columns"][column]["seconds"], strict=True)
            if ratios := [ours / plain for ours, plain in both if ours and plain]:
                words = f"{median(ratios):.1f} times a plain one on the clock, measuring included"
                seen.add(label(name))
                yield label(name), f"a training: {words}", name
                break
