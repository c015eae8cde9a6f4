"""Which numbers survive another processor: one recipe, run with the instructions of three kinds of them.

Each kind trains the same seed and is measured; and each measures the network that the first one trained.
Writes `results/processors.json`; `--table` prints what `book/reproduce.md` shows of it.

    python benchmarks/processors.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import tyro

from wsolbook import methods, results
from wsolbook.files import write_json
from wsolbook.recipes import named
from wsolbook.training import train

# torch's own kernels, MKL's products and oneDNN's convolutions choose their instructions one by one.
VARIABLES = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA")
KINDS = {
    "SSE4": ("default", "SSE4_2", "SSE41"),
    "AVX2": ("avx2", "AVX2", "AVX2"),
    "AVX-512": ("avx512", "AVX512", "AVX512_CORE"),
}


@dataclass(frozen=True)
class Processors:
    """Run a recipe on every kind of processor that this one can be.

    Attributes:
        recipe: its name.
        n, held_out, epochs: training and held-out pictures, and passes over the first.
        out: the file.
        table: print the table of an existing file instead.
        run: folder for the network and numbers of one kind; what the script calls itself with.
    """

    recipe: str = "cam-critters"
    n: int = 768
    held_out: int = 300
    epochs: int = 2
    out: Path = results.folder() / "processors.json"
    table: bool = False
    run: Path | None = None


def main(options: Processors) -> None:
    """Measure and write, or print the table."""
    if options.table:
        print(table(json.loads(options.out.read_text(encoding="utf-8"))))
    elif options.run:
        one(options, options.run)
    else:
        write_json(options.out, measured(options))


def measured(options: Processors) -> dict[str, Any]:
    """Run each kind in a process of its own and return what the file holds."""
    began, found = time.perf_counter(), {}
    about = results.provenance()
    with TemporaryDirectory() as folder:
        for kind, values in KINDS.items():
            run = Path(folder) / kind
            environment = os.environ | dict(zip(VARIABLES, values, strict=True)) | {"OMP_NUM_THREADS": "1"}
            words = [sys.executable, __file__, *sys.argv[1:], "--run", str(run)]
            subprocess.run(words, env=environment, check=True)
            found[kind] = json.loads((run / "found.json").read_text(encoding="utf-8"))
            print(kind, found[kind], flush=True)
    command = " ".join(["python", "benchmarks/processors.py", *sys.argv[1:]])
    seconds = round(time.perf_counter() - began)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return {
        "recipe": options.recipe,
        "pictures": {"training": options.n, "evaluated": options.held_out},
        "steps": found["SSE4"].pop("steps"),
        **{what: {kind: each[what] for kind, each in found.items()} for what in ("weights", "seed")},
        "provenance": {"command": command, "seeds": [0], "seconds": seconds, "date": today, **about},
    }


def one(options: Processors, run: Path) -> None:
    """Train and measure as one kind of processor; the network of the first kind lies beside."""
    wanted, has = os.environ[VARIABLES[0]].upper(), torch.backends.cpu.get_cpu_capability()
    if wanted != has:
        sys.exit(f"this processor has {has}, not {wanted}")
    recipe = named(options.recipe)
    data = replace(recipe.data, n=options.n, held_out=options.held_out)  # type: ignore[call-arg]
    recipe = replace(recipe, data=data, epochs=options.epochs, evaluate_every=0, device="cpu").resolved()
    torch.manual_seed(recipe.seed)
    model = recipe.model()
    history = train(model, recipe.training_data(), recipe)
    file = run.parent / "first.safetensors"
    if not file.is_file():
        methods.save(model, file)
    found = {
        "steps": history.step,
        "weights": recipe.evaluate(methods.load(file).eval()),
        "seed": recipe.evaluate(model),
    }
    write_json(run / "found.json", found)


def table(record: dict[str, Any]) -> str:
    """Return how far apart the kinds are in each metric, in Markdown."""
    lines = ["| metric | same weights | same seed, trained by each |", "|---|---|---|"]
    for metric in record["seed"]["SSE4"]:
        cells = [apart([kind[metric] for kind in record[what].values()]) for what in ("weights", "seed")]
        lines.append(f"| {metric} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def apart(values: list[float]) -> str:
    """Say how far numbers in percent are from each other."""
    distance = max(values) - min(values)
    if distance < 1e-4:
        return "less than 0.0001 points" if distance else "identical"
    return f"{distance:.1g} points" if distance < 1 else f"{distance:.1f} points"


if __name__ == "__main__":
    main(tyro.cli(Processors))
