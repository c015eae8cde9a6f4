"""Attacks on everything that comes from outside: each case is right, refused clearly, or a finding.

The tests run a few seconds of each attack, `python scripts/attack.py` as many cases as it is told.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from explaining import picture
from nets import lively
from toys import ToyNet, ToySamples

from wsolbook import cli, methods
from wsolbook.backbones import build, read_state
from wsolbook.evaluation.saved import read_maps, write_maps
from wsolbook.training import Optim, Schedule, TrainConfig, load_checkpoint, save_checkpoint, train
from wsolbook.training.checkpoint import checkpoint_path

ADVICE = ("weights_only", "allow_pickle", "unexpected pos", "Traceback")
WILD: tuple[Any, ...] = (
    0, -1, 1, 3, 2**40, 2**70, 0.5, float("nan"), float("inf"), "", "²", None, True, [], {},
)  # fmt: skip
WORDS = (
    "0", "-1", "3", "9" * 30, "nan", "inf", "-inf", "1e400", "²", "", " ", ".", "/dev/null", "-",
    "--", "True", "None", "top0", "top3", "a.png", "none.png", "http://x.org/a.png", "cuda", "cpu:9", "\x00",
    "a\nb", "💥",
)  # fmt: skip
# What a verb is always given, so that the attack gets past the first question; and what is attacked.
USUAL = {
    "train": "--dry-run --data.n 8 --data.held-out 2 --data.size 16 --weights None",
    "explain": "a.png --weights own.safetensors --workers 1",
    "maps": "--weights own.safetensors --out maps --number 2",
    "pseudo-labels": "--weights own.safetensors --out labels --number 2",
    "evaluate": "--weights own.safetensors --number 2",
    "reproduce": "--help",
    "recipes": "",
    "doctor": "",
    "data": "verify cub",
}
OPTIONS = {
    "train": "--recipe --optim.lr --epochs --seed --best --data.preset --data.size --backbone --device "
    "--frozen --schedule.milestones --resume --weights --batch-size",
    "explain": "a.png --model --weights --classes -o --names --output-stride --device --method --layer "
    "--batch-size",
    "maps": "--weights --out --shard --scales --size --top --data --root --split --preset --dtype "
    "--batch-size",
    "pseudo-labels": "--weights --out --maps --alphas --cues --crf --crf-scale --scales --power --shard "
    "--data --preset --batch-size --beta --steps",
    "evaluate": "--maps --weights --metric --thresholds --share --resamples --seed --data --split "
    "--contours --preset --against --few --out",
    "doctor": "--data",
    "data": "--root --split --processes --subset",
}


def outcome(names: str, right: Callable[[], bool]) -> str:
    """Say how a case ended; a refusal must name what was wrong in one line, without advice that harms."""
    try:
        return "right" if right() else "wrong in silence"
    except (ValueError, OSError) as error:
        said = str(error)
        clear = names in said and not any(bad in said for bad in (*ADVICE, "\n"))
        return "refused" if clear else f"riddle: {type(error).__name__}: {said}"[:200]
    except Exception as error:
        return f"traceback: {type(error).__name__}: {error}"[:200]


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return a file that was cut, flipped, overwritten, stretched, or is another one altogether."""
    place, length = chance.randrange(len(content)), chance.randrange(1, 64)
    before, after = content[:place], content[place + length :]
    return chance.choice([
        before,
        content[place:],
        before + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :],
        before + chance.randbytes(length) + after,
        before + bytes(length) + after,
        before + chance.randbytes(length) + content[place:],
        chance.choice([b"", b"\x80\x04.", b"<html>log in</html>", b"PK\x05\x06" + bytes(18)]),
    ])  # fmt: skip


def files(path: Path, right: Callable[[], bool], cases: int, seed: int) -> Counter[str]:
    """Damage a file again and again; `right` reads it and compares."""
    content, chance, found = path.read_bytes(), random.Random(seed), Counter[str]()
    for _ in range(cases):
        path.write_bytes(damaged(content, chance))
        found[outcome(path.name, right)] += 1
    path.write_bytes(content)
    return found


def same(a: Any, b: Any) -> bool:
    """Compare nested values with tensors in them, to the bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def weights(folder: Path, cases: int, seed: int = 0) -> Counter[str]:
    """Attack network files: ours as safetensors, and a state dict of PyTorch."""
    model = lively(build("tiny", classes=3))
    ours, theirs = folder / "ours.safetensors", folder / "theirs.pth"
    methods.save(model, ours)
    torch.save(model.linear.state_dict(), theirs)
    whole, linear = dict(model.state_dict()), dict(model.linear.state_dict())
    found = files(ours, lambda: same(dict(methods.load(ours).state_dict()), whole), cases // 2, seed)
    return found + files(theirs, lambda: same(read_state(theirs)[0], linear), cases - cases // 2, seed)


def maps(folder: Path, cases: int, seed: int = 0) -> Counter[str]:
    """Attack saved maps: archives with checksums, and the headers of arrays, whose numbers have none."""
    values, classes = torch.rand(2, 7, 7, generator=torch.Generator().manual_seed(seed)), torch.tensor([3, 1])
    archive, array = write_maps(folder, "a", values, classes), write_maps(folder, "b", values)

    def right() -> bool:
        found = read_maps(archive)
        return found.classes is not None and same([found.values, found.classes], [values, classes])

    found, content, chance = files(archive, right, cases // 2, seed), array.read_bytes(), random.Random(seed)
    for _ in range(cases - cases // 2):
        array.write_bytes(damaged(content[:128], chance)[:128] + content[128:])
        found[outcome(array.name, lambda: read_maps(array).values.numel() == values.numel())] += 1
    return found


def checkpoints(folder: Path, cases: int, seed: int = 0) -> Counter[str]:
    """Attack the checkpoint that a training goes on from: its bytes, then its values."""
    config = TrainConfig(steps=2, batch_size=8, device="cpu")
    train(ToyNet(), ToySamples(), config, run=folder / "run")
    path = checkpoint_path(folder / "run" / "checkpoints", 2)
    whole, chance = load_checkpoint(path), random.Random(seed)
    found = files(path, lambda: same(load_checkpoint(path), whole), cases // 2, seed)
    for _ in range(cases - cases // 2):
        key = chance.choice(sorted(whole.keys() - {"versions", "digest"}))
        save_checkpoint(path, whole | {key: chance.choice(WILD)})
        found[outcome("checkpoint", lambda: goes_on(path, config))] += 1
    return found


def goes_on(path: Path, config: TrainConfig) -> bool:
    """Train to the end from a checkpoint."""
    history = train(ToyNet(seed=5), ToySamples(), config, resume=path)
    return history.step == 2 and len(history.losses) <= 2


def configs(folder: Path, cases: int, seed: int = 0) -> Counter[str]:
    """Attack settings: what `problems` lets pass must train, and train to numbers."""
    chance, found = random.Random(seed), Counter[str]()
    places = {TrainConfig: "", Optim: "optim", Schedule: "schedule"}
    for _ in range(cases):
        kind = chance.choice(list(places))
        kinds = {name: type(value) for name, value in vars(kind()).items() if type(value) in (int, float)}
        field = chance.choice(list(kinds))
        part: Any = kind(**{field: chance.choice([value for value in WILD if type(value) is kinds[field]])})
        config = part if kind is TrainConfig else TrainConfig(**{places[kind]: part})
        found[outcome(field, lambda config=config: trains(config))] += 1
    return found


def trains(config: TrainConfig) -> bool:
    """Check a config, and take two steps by it unless it asks for other hardware or helpers."""
    config.check()
    history = train(ToyNet(), ToySamples(), replace(config, steps=2, workers=0, compile=False, device="cpu"))
    return all(torch.isfinite(torch.tensor(history.losses)))


def lines(folder: Path, cases: int, seed: int = 0) -> Counter[str]:
    """Attack the command line, in `folder`: every verb, with values that nobody would give."""
    methods.save(lively(build("tiny", classes=8)), folder / "own.safetensors")
    picture().save(folder / "a.png")
    chance, found, before = random.Random(seed), Counter[str](), Path.cwd()
    os.chdir(folder)
    for _ in range(cases):
        verb = chance.choice([*USUAL, "tarin", ""])
        words = [verb, *USUAL.get(verb, "").split()]
        for _ in range(chance.randrange(1, 4)):
            words += [chance.choice(OPTIONS.get(verb, "--help").split()), chance.choice(WORDS)]
        found[said(words)] += 1
    os.chdir(before)
    return found


def said(words: list[str]) -> str:
    """Say how a command line ended: 0, or a message on stderr that begins with ours or tyro's."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code: Any = cli.main(words)
    except SystemExit as error:
        code = error.code
    except Exception as error:
        return f"traceback: {words}: {type(error).__name__}: {error}"[:300]
    message = err.getvalue()
    if any(advice in message for advice in ADVICE):
        return f"riddle: {words}: {message}"[:300]
    if code == 0:
        return "right"
    clear = code == 2 or (message.count("\n") == 1 and message.startswith("wsolbook: "))
    riddle = f"riddle: {words}: {code} {message}"[:300]
    return "refused" if clear and message.strip() else riddle


ATTACKS: dict[str, Callable[[Path, int], Counter[str]]] = {
    "command lines": lines, "settings": configs, "weights": weights, "checkpoints": checkpoints,
    "saved maps": maps,
}  # fmt: skip
