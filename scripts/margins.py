"""How far each check of a chapter is from its bound, over processors, thread counts and seeds.

    python scripts/margins.py              # every chapter that changed since results/margins.json was written
    python scripts/margins.py 02 --jobs 2  # one chapter, two of its runs at a time

A chapter runs once for each line of `RUNS`, which change one thing at a time. Spread is the sample standard
deviation over those runs. A bound keeps its distance when the worst value of all runs is inside it by at
least 3 spreads and by at least a quarter of the bound itself. A share that is nearly 1 cannot be a quarter
above its bound; say what it lacks instead: an error of at most 0.05.

Two kinds need other rules. Where `check_close` allows a rounding error, errors of other machines differ by
factors: distance is counted in decades between bound and worst error, and must be half of one. And a value
that equals its bound in every run follows from a formula: it has no distance and needs none.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chapters import ROOT, find_twins, read_twin

LIST = ROOT / "results" / "margins.json"
PLAIN = Path(__file__).with_name("play.py")
SPREADS, SHARE, DECADES = 3, 0.25, 0.5

# torch's own kernels, oneDNN's convolutions and MKL's products choose their instructions one by one.
INSTRUCTIONS = {
    "default": ("default", "SSE41", "SSE4_2"),
    "avx2": ("avx2", "AVX2", "AVX2"),
    "avx512": ("avx512", "AVX512_CORE", "AVX512"),
}
CHOOSE = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
BASE = {"WSOLBOOK_PROFILE": "book", "WSOLBOOK_SEED": "0", "OMP_NUM_THREADS": "1"}
RUNS: dict[str, dict[str, str]] = {
    **{name: dict(zip(CHOOSE, values, strict=True)) for name, values in INSTRUCTIONS.items()},
    **{f"{n} threads": {"OMP_NUM_THREADS": str(n)} for n in (2, 4)},
    **{f"seed {n}": {"WSOLBOOK_SEED": str(n)} for n in range(1, 6)},
}


def possible() -> dict[str, dict[str, str]]:
    """Return the runs that this processor can do: all but those with instructions that it lacks."""
    import torch

    names = list(INSTRUCTIONS)
    best = names.index(torch.backends.cpu.get_cpu_capability().lower())
    return {name: run for name, run in RUNS.items() if name not in names[best + 1 :]}


def play(twin: Path, run: Mapping[str, str], how: Path = PLAIN) -> list[dict]:
    """Run a chapter in a process of its own; return its checks in order: claim, side, bound and value.

    Args:
        twin: the script of the chapter.
        run: environment variables.
        how: the program that runs it.

    Raises:
        RuntimeError: when a cell raises, with the end of what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        heard = Path(folder) / "checks.jsonl"
        heard.touch()
        done = subprocess.run(
            [sys.executable, str(how), str(twin)],
            env=os.environ | BASE | run | {"WSOLBOOK_CHECKS": str(heard)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{twin.stem}: {done.stderr.strip()[-2000:]}")
        return [json.loads(line) for line in heard.read_text(encoding="utf-8").splitlines()]


def measure(twin: Path, runs: Mapping[str, Mapping[str, str]], jobs: int = 1) -> list[dict]:
    """Run a chapter in each of the ways `runs` and weigh its checks."""
    with ThreadPoolExecutor(jobs) as pool:
        return weigh(list(pool.map(lambda run: play(twin, run), runs.values())))


def weigh(runs: Sequence[Sequence[dict]]) -> list[dict]:
    """Return for each check of a chapter bound, worst value, spread and distance over its runs.

    A claim that a chapter states more than once counts with the worst of its values.
    """
    found: dict[tuple[str, str, float], list[float]] = {}
    for run in runs:
        here: dict[tuple[str, str, float], float] = {}
        for c in run:
            key = (c["claim"], c["side"], c["bound"])
            here[key] = worst_of(c["side"], [c["value"], here.get(key, c["value"])])
        for key, value in here.items():
            found.setdefault(key, []).append(value)
    return [weigh_one(*key, values) for key, values in found.items()]


def weigh_one(claim: str, side: str, bound: float, values: Sequence[float]) -> dict:
    """Return one line of the list; `distance` is negative where a run broke the bound."""
    worst, count = worst_of(side, values), len(values)
    mean = sum(values) / count
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (count - 1)) if count > 1 else 0.0
    room = worst - bound if side == "at_least" else bound - worst
    if side == "within" and room >= 0:
        distance = math.log10(bound / worst) if worst > 0 else math.inf
        keeps = distance >= DECADES
    else:
        distance = room / spread if spread else math.copysign(math.inf, room) if room else 0.0
        keeps = room >= max(SPREADS * spread, SHARE * abs(bound)) or (room == 0 == spread)
    return {
        "claim": claim,
        "side": side,
        "bound": bound,
        "worst": rounded(worst),
        "spread": rounded(spread),
        "distance": rounded(distance),
        "unit": "decades" if side == "within" else "spreads",
        "runs": count,
        "keeps": keeps,
    }


def worst_of(side: str, values: Sequence[float]) -> float:
    """Return the value nearest to breaking the bound, or furthest beyond it."""
    if any(math.isnan(v) for v in values):
        return math.nan
    return min(values) if side == "at_least" else max(values)


def rounded(value: float) -> float | str:
    """Keep four digits; JSON has no infinity and no NaN, so those become words."""
    return float(f"{value:.4g}") if math.isfinite(value) else str(value)


def digest(twin: Path) -> str:
    """Hash all that a chapter's checks follow from: its code, the package, weights and stored results."""
    code = [cell.source for cell in read_twin(twin).cells if cell.cell_type == "code"]
    files = [*ROOT.glob("wsolbook/**/*.py"), *ROOT.glob("wsolbook/weights/*"), *ROOT.glob("results/*.json")]
    whole = hashlib.sha256("\n\n".join(code).encode())
    for path in sorted(set(files) - {LIST}):
        whole.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()[:16]


def report(chapter: str, checks: Sequence[dict]) -> str:
    """Return the checks of a chapter as lines, nearest bounds marked."""
    lines = [
        f"{' ' if c['keeps'] else '!'} {c['claim']}: {c['worst']}, {c['side']} {c['bound']:g}, "
        f"{c['distance']} {c['unit']} away, spread {c['spread']}"
        for c in checks
    ]
    near = sum(not c["keeps"] for c in checks)
    return "\n".join([f"{chapter}: {len(checks)} checks, {near} too near to their bounds", *lines])


def main() -> int:
    """Measure the chapters that changed, write the list, and fail if a bound is too near."""
    from wsolbook.files import write_json
    from wsolbook.results import provenance

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapter", nargs="*", help="beginnings of names; all if none is given")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--only", nargs="+", choices=RUNS, help="some of the runs; writes no list")
    options = parser.parse_args()
    runs = {name: run for name, run in possible().items() if not options.only or name in options.only}
    known = json.loads(LIST.read_text(encoding="utf-8"))["chapters"] if LIST.exists() else {}
    start, near = time.perf_counter(), 0
    for twin in find_twins():
        if options.chapter and not twin.name.startswith(tuple(options.chapter)):
            continue
        state = {"digest": digest(twin), "runs": list(runs)}
        if options.only or not state.items() <= known.get(twin.stem, {}).items():
            known[twin.stem] = state | {"checks": measure(twin, runs, options.jobs)}
        checks = known[twin.stem]["checks"]
        near += sum(not c["keeps"] for c in checks)
        print(report(twin.stem, checks), flush=True)
        if not options.only:
            about = {"command": "python scripts/margins.py", "seeds": list(range(6))}
            about |= {"seconds": round(time.perf_counter() - start, 1), **provenance()}
            about["date"] = time.strftime("%Y-%m-%d", time.gmtime())
            chapters = {t.stem: known[t.stem] for t in find_twins() if t.stem in known}
            write_json(LIST, {"provenance": about, "chapters": chapters})
    return near > 0


if __name__ == "__main__":
    sys.exit(main())
