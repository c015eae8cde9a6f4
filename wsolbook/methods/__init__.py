"""The methods of the book by name, and the files that keep a trained network of any of them.

A method is a function of a backbone, the number of classes, weights for the backbone, and settings of its
own, which builds a `wsolbook.types.Network`. A file holds its parameters, and in the header
the method and the settings that build the network again, so that every command reopens it by itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wsolbook.backbones import build, read_state
from wsolbook.backbones.weights import fill, whole_network, write_state
from wsolbook.data.transforms import MEAN, STD
from wsolbook.files import decoding
from wsolbook.methods import acol, affinity, erasing, gain, seenet, spg
from wsolbook.segmentation import deeplab, sec
from wsolbook.types import Network

FORMAT = "wsolbook network 1"
OLD_FORMAT = "wsolbook classifier 1"
REMEDY = "train it again, or take it from where it came from"

METHODS: dict[str, Callable[..., Network]] = {
    "cam": build,
    "gain": gain.build,
    "acol": acol.build,
    "spg": spg.build,
    "erasing": erasing.build,
    "seenet": seenet.build,
    "affinity": affinity.build,
    "deeplab": deeplab.build,
    "sec": sec.build,
}


def describe(model: nn.Module) -> dict[str, str]:
    """Return the header of a network's file.

    Raises:
        ValueError: when the network is of no method, or JSON cannot hold its settings.
    """
    method, settings = getattr(model, "method", None), getattr(model, "settings", None)
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise ValueError(
            f"{type(model).__name__} cannot be saved: its method is {method!r}, not one of {known}"
        )
    try:
        written = json.dumps(settings)
        with_names = json.dumps(getattr(model, "names", ()))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{method} cannot be saved: JSON cannot hold its settings ({error})") from None
    return {
        "format": FORMAT,
        "method": str(method),
        "settings": written,
        "names": with_names,
        "preprocessing": json.dumps({"range": [0, 1], "mean": MEAN, "std": STD}),
    }


def check(model: nn.Module) -> None:
    """Make sure, before a long training, that the network's file will build it again.

    Raises:
        ValueError: when it could not be saved, or its settings build another network.
    """
    header = describe(model)
    kind = type(model).__name__
    with torch.random.fork_rng(devices=[]):
        twin = _build(header["method"], json.loads(header["settings"]), kind)
    here, there = ({k: v.shape for k, v in each.state_dict().items()} for each in (model, twin))
    if here != there:
        raise ValueError(f"{kind} cannot be saved: its settings build a network of other parameters")


def save(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a network as safetensors whose header tells how to build it and how to prepare pictures.

    Raises:
        ValueError: when the network cannot be built again from such a file.
        OSError: when the file cannot be written; an earlier one is then as it was.
    """
    write_state(path, model.state_dict(), describe(model))


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that `save` wrote.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is not such a file, was damaged, or is of a method unknown here; naming it.
    """
    return rebuild(path, *read_state(path))


def rebuild(path: str | os.PathLike[str], state: Mapping[str, Tensor], header: Mapping[str, str]) -> Network:
    """Return the network of a file that `read_state` has read.

    Raises:
        ValueError: as `load`.
    """
    method, settings = _described(path, header)
    model = _build(method, settings, f"weights file {path}")
    fill(model, state, path, type(model).__name__)
    with decoding(path, "network file", REMEDY):
        model.names = tuple(map(str, json.loads(header["names"])))
    return model


def start(method: str, weights: str | os.PathLike[str] | None, **settings: Any) -> Network:
    """Build a network that goes on from a file of the same method and settings, whole.

    All other weights are left to the method's build function, which takes them for its backbone; so is the
    file of a CAM network of other settings.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it holds a network of another method, or of other settings; naming them.
    """
    if weights is not None and Path(weights).is_file():
        state, header = read_state(weights)
        if whole_network(header):
            kind, theirs = _described(weights, header)
            with torch.random.fork_rng(devices=[]):
                model = METHODS[method](**settings)
            changed = (
                [f"method was {kind}, is {method}"]
                if kind != method
                else [
                    f"{k} was {theirs.get(k)}, is {v}"
                    for k, v in model.settings.items()
                    if theirs.get(k) != v
                ]
            )
            if not changed:
                fill(model, state, weights, type(model).__name__)
                return model
            if kind != "cam":
                raise ValueError(f"weights file {weights} holds another network: {'; '.join(changed)}")
    return METHODS[method](weights=weights, **settings)


def _described(path: str | os.PathLike[str], header: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return method and settings of a file."""
    if header.get("format") not in (FORMAT, OLD_FORMAT):
        raise ValueError(
            f"weights file {path} does not say how to build its network; use build(name, weights=...)"
        )
    with decoding(path, "network file", REMEDY):
        settings, kind = dict(json.loads(header["settings"])), header.get("method")
    if header["format"] == OLD_FORMAT:
        return "cam", {"backbone": settings.pop("name", None)} | settings
    if kind not in METHODS:
        known = ", ".join(METHODS)
        raise ValueError(f"weights file {path} is of the method {kind!r}, not one of {known}")
    return kind, settings


def _build(method: str, settings: Mapping[str, Any], owner: str) -> Network:
    try:
        return METHODS[method](**settings)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{owner} has settings that {method} does not take ({error})") from None
