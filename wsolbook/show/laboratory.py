"""The laboratory: take a scene apart and watch a small network answer, in the page, without a kernel.

In a live notebook it is a widget (anywidget) whose scene, brush and scores are traits in both directions. Its
output also carries a self-contained HTML twin, as that of the threshold explorer does.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from jaxtyping import Bool
from torch import nn

from wsolbook.data.critters.animals import ATLAS, BODIES, HEAD_RADIUS, HEADS, OBJECTS
from wsolbook.data.critters.bodies import PATTERNS, PLANS
from wsolbook.data.critters.drawing import COAT, LAYER, OWN, PALE, PATTERN
from wsolbook.data.critters.scenery import BACKGROUNDS, PALETTE, STRENGTHS
from wsolbook.data.critters.scenes import Body, Critter, Scene, Thing, draw_scenes, known, world
from wsolbook.data.critters.species import MAIN, SPECIES
from wsolbook.show.portable import SHIPPED, portable
from wsolbook.show.widget import Figure, as_base64, joined

SIZE = 64  # side of the picture that the networks see


def _figure(row: int) -> list[dict[str, Any]]:
    """Return the layers of a figure of the atlas, back to front."""
    dyes = {OWN: "own", COAT: "coat", PATTERN: "pattern", PALE: "pale"}
    fields = [name for name in LAYER.names or () if name not in ("first", "last", "dye")]
    return [
        {name: layer[name].item() for name in fields}
        | {
            "dye": dyes[int(layer["dye"])],
            "capsules": ATLAS.capsules[layer["first"] : layer["last"]].tolist(),
        }
        for layer in ATLAS.layers[slice(*ATLAS.figures[row])]
    ]


@cache
def painting() -> dict[str, Any]:
    """Return all that the page needs to draw the eight species of the main world."""
    return {
        "headRadius": HEAD_RADIUS,
        "backgrounds": {
            name: {
                "colors": colors,
                "strengths": strengths,
                "horizon": scenery.horizon,
                "shadow": scenery.shadow,
            }
            for (name, scenery), colors, strengths in zip(
                BACKGROUNDS.items(), PALETTE.tolist(), STRENGTHS[:, :-1].tolist(), strict=True
            )
        },
        "species": {
            name: {
                "head": _figure(HEADS[name]),
                **{key: getattr(SPECIES[name], key) for key in ("plan", "pattern", "coat", "home")},
            }
            for name in MAIN
        },
        "bodies": {
            name: {"layers": _figure(BODIES[name]), "neck": plan.neck} for name, plan in PLANS.items()
        },
        "things": {name: _figure(row) for name, row in OBJECTS.items()},
        "patterns": dict(zip(PATTERNS, ATLAS.waves.tolist(), strict=True)),
    }


MODULE = joined("common", "critters", "network", "laboratory")


class Laboratory(Figure):
    """Widget that `laboratory` returns.

    Attributes:
        content: what the page draws with, the networks, and the scenes to start from.
        scene: the scene as it is, a `wsolbook.data.critters.Scene` as plain values, which `now` and `show`
            translate; follows the page and changes it.
        gray: where the brush was, 64 x 64 bits, row by row, as base64; empty for nowhere.
        label: the species whose map is shown; empty for the one that each network names.
        answers: of each network: `scores` of all species, and `map` of the species `label` that it shows.
    """

    kind = "laboratory"
    shown = ("content", "scene", "gray", "label")
    _esm = MODULE
    content = traitlets.Dict().tag(sync=True)
    scene = traitlets.Dict().tag(sync=True)
    gray = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)

    def __repr__(self) -> str:
        """Say what is on show, without a memory address."""
        animals = [critter["species"] for critter in self.scene["critters"]]
        networks = [network["title"] for network in self.content["networks"]]
        return f"Laboratory(networks={networks}, animals={animals}, on {self.scene['background']!r})"

    @property
    def now(self) -> Scene:
        """The scene as it is now, to be drawn by `wsolbook.data.critters.render`."""
        return described(self.scene)

    def show(self, scene: Scene) -> None:
        """Put another scene on the table."""
        self.scene = plain(scene)

    @property
    def painted(self) -> Bool[np.ndarray, "64 64"]:
        """Where the brush was."""
        bits = np.frombuffer(base64.b64decode(self.gray) or bytes(SIZE * SIZE // 8), np.uint8)
        return np.unpackbits(bits, bitorder="little").reshape(SIZE, SIZE).astype(bool)


def laboratory(
    scenes: Scene | Mapping[str, Scene] | None = None,
    networks: Sequence[str] | Mapping[str, str | nn.Module] = ("cam",),
    *,
    shared: str | None = None,
) -> Laboratory:
    """Take scenes apart and watch small networks answer.

    Args:
        scenes: one to begin with, or several by title; None for a fox in a meadow.
        networks: `"cam"`, `"gain"`, `"acol"`, `"spg"`, `"seenet"` or `"biased"`, which ship with the book, or
            by title such names and networks of your own: classifiers, ACoL, SPG or SeeNet on the trunk `tiny`
            for the eight species. Each adds 450 kB to the page.
        shared: address of a folder with what `script` returns for those that ship, as the page sees it: all
            after the first are then loaded from there when they are first asked.

    Raises:
        ValueError: on an unknown name, a scene of other classes, or no network.
        TypeError: on a network of another kind.
    """
    named = networks if isinstance(networks, Mapping) else {name: name for name in networks}
    if not named:
        raise ValueError("the laboratory needs at least one network")
    titled: Mapping[str, Scene] = scenes if isinstance(scenes, Mapping) else {"": scenes or _first()}
    for scene in titled.values():
        if tuple(scene.classes) != MAIN:
            raise ValueError(
                f"the laboratory draws the classes {', '.join(MAIN)}, got {', '.join(scene.classes)}"
            )
    files: list[dict[str, str]] = []
    for title, network in named.items():
        if files and shared and isinstance(network, str):
            files.append({"title": title, "name": network, "script": f"{shared}/{_shipped(network).stem}.js"})
        else:
            files.append({"title": title, "file": as_base64(_file(network))})
    content: dict[str, Any] = {
        "world": painting(),
        "networks": files,
        "scenes": [{"title": k, "scene": plain(v)} for k, v in titled.items()],
    }
    return Laboratory(content=content, scene=content["scenes"][0]["scene"])


def script(name: str) -> str:
    """Return a network that ships with the book as a script: pages opened from disk may load no other file.

    Raises:
        ValueError: on an unknown name.
    """
    return f'(globalThis.wsolNetworks ??= {{}}).{name} = "{as_base64(_file(name))}";\n'


def plain(scene: Scene) -> dict[str, Any]:
    """Return a scene as values that JSON has."""
    return dict(json.loads(json.dumps(asdict(scene))))


def described(values: Mapping[str, Any]) -> Scene:
    """Return the scene of such values: `described(plain(scene)) == scene`."""

    def build(kind: Any, fields: Mapping[str, Any], **parts: Any) -> Any:
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()} | parts)

    animals = tuple(build(Critter, c, body=build(Body, c["body"])) for c in values["critters"])
    return build(Scene, values, critters=animals, things=tuple(build(Thing, t) for t in values["things"]))


def _shipped(name: str) -> Path:
    paths = {path.stem: path for path in sorted(SHIPPED.glob("*.safetensors"))}
    return paths[known("network", name, paths)]


def _file(network: str | nn.Module) -> bytes:
    return portable(network, MAIN) if isinstance(network, nn.Module) else _shipped(network).read_bytes()


def _first() -> Scene:
    near = draw_scenes(world(object_scale=(0.6, 0.72)), 400, seed=7)
    return next(s for s in near if (s.critters[0].species, s.background) == ("fox", "meadow"))
