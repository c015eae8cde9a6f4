"""Pre-trained parameters: reading them, downloading them, fitting them into a network."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn
from torchvision.models import get_model_weights, list_models

from wsolbook.backbones.trunk import Trunk
from wsolbook.files import atomic, decoding, require_undamaged

SHIPPED = Path(__file__).parent.parent / "weights"


def read_state(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors by name, and the metadata of a safetensors file.

    Args:
        path: `.safetensors`, or a PyTorch file with a state dict, plain or under `"state_dict"` or `"model"`;
            only tensors and plain values are unpickled.

    Raises:
        OSError: when the file cannot be read, naming it.
        ValueError: when it holds something else, naming it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights file {path} does not exist")
    if path.suffix == ".safetensors":
        with (
            decoding(path, "safetensors file", "download it, or train it, again"),
            safe_open(path, "pt") as file,
        ):
            _require_unaltered(path)
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    with decoding(path, "PyTorch state dict", "download it again, or save model.state_dict() alone"):
        if zipfile.is_zipfile(path):
            require_undamaged(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        state = state.get(key, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"weights file {path} does not hold a state dict (names with tensors)")
    return {key.removeprefix("module."): value for key, value in state.items()}, {}


def write_state(path: str | os.PathLike[str], state: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and metadata as safetensors: the same content is always the same bytes.

    Raises:
        OSError: when the file cannot be written; an earlier one is then as it was.
    """
    own = {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in state.items()
    }
    content = serialize(own, dict(header))
    # The library writes metadata in random order; sorted, and padded so that tensors stay aligned to 8 bytes.
    end = 8 + int.from_bytes(content[:8], "little")
    entries = json.loads(content[8:end])
    entries["__metadata__"]["sha256"] = hashlib.sha256(_sorted(entries) + content[end:]).hexdigest()
    front = _sorted(entries)
    front += b" " * (-len(front) % 8)
    with atomic(path) as temporary:
        temporary.write_bytes(len(front).to_bytes(8, "little") + front + content[end:])


def _sorted(entries: dict[str, Any]) -> bytes:
    return json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()


def _require_unaltered(path: Path) -> None:
    """Compare the checksum that `write_state` adds, since the format has none; other files lack it."""
    with path.open("rb") as file:
        entries = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        if expected := entries.get("__metadata__", {}).pop("sha256", None):
            found = hashlib.sha256(_sorted(entries))
            if hashlib.file_digest(file, lambda: found).hexdigest() != expected:
                raise ValueError("altered")


def whole_network(header: Mapping[str, str]) -> bool:
    """Tell by its metadata whether `wsolbook.methods.save`, now or in an earlier version, wrote a file."""
    return header.get("format", "").startswith("wsolbook ")


def imagenet_state(name: str) -> dict[str, Tensor]:
    """Return torchvision's ImageNet parameters of a network, downloaded unless they are cached.

    Raises:
        ValueError: when torchvision does not have the network.
        OSError: without a connection, saying what to pass instead.
    """
    if name not in list_models():
        raise ValueError(f"{name} has no ImageNet weights to download; pass the path of a file or None")
    entries = get_model_weights(name)
    entry = getattr(entries, "IMAGENET1K_V1", entries.DEFAULT)
    try:
        return dict(entry.get_state_dict(progress=True, check_hash=True))
    except (OSError, RuntimeError) as error:
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise OSError(
            f"cannot download the ImageNet weights of {name} ({error}); pass the path of a .safetensors or "
            f".pth file with torchvision's parameter names instead, or put {entry.url} into {cache}"
        ) from None


def fill(network: nn.Module, state: Mapping[str, Tensor], source: str | os.PathLike[str], name: str) -> None:
    """Give a network all its parameters.

    Raises:
        ValueError: when they do not fit, with the first reason; calling the file `source` and it `name`.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split("\n")[1:2]).strip()
        raise ValueError(f"weights file {source} does not fit {name}: {reason}") from None


def start(network: nn.Module, trunk: Trunk, weights: str | os.PathLike[str] | None) -> frozenset[str]:
    """Begin with parameters from pre-training and return the names of those that stay as initialized.

    Args:
        network: changed in place; its `features` is the trunk. Layers of its head are taken over as well
            where the weights have them, and in the same shape.
        trunk: says which parameters it needs and what they are called elsewhere.
        weights: `"imagenet"` downloads torchvision's; `"critters"` are those shipped for the tiny networks; a
            path to `.safetensors` or `.pth` has the names of the released parameters of this architecture,
            or was saved by this package, whatever the method. None leaves all as it is, and names nothing.

    Raises:
        ValueError: when there are no such weights or they do not fit; naming them.
        OSError: when they cannot be read or downloaded.
    """
    if weights is None:
        return frozenset()
    if weights == "imagenet":
        state = rename(imagenet_state(trunk.name), trunk.keys)
        return transfer(network, trunk, state, "the ImageNet file")
    path = SHIPPED / f"{trunk.name}.safetensors" if weights == "critters" else Path(weights)
    if weights == "critters" and not path.is_file():
        raise ValueError(f"{trunk.name} has no critters weights; pass the path of a file or None")
    state, header = read_state(path)
    if whole_network(header):
        own = network.state_dict()
        state = {key: value for key, value in state.items() if key in own}
    else:
        state = rename(state, trunk.keys)
    return transfer(network, trunk, state, f"weights file {path}")


def rename(state: Mapping[str, Tensor], keys: Mapping[str, str | None]) -> dict[str, Tensor]:
    """Return parameters under the names of this package, as `Trunk.keys` tells; other names stay."""
    renamed = {}
    for key, value in state.items():
        prefix = next((p for p in keys if key.startswith(p)), "")
        target = keys.get(prefix, "")
        if target is not None:
            renamed[target + key.removeprefix(prefix)] = value
    return renamed


def transfer(network: nn.Module, trunk: Trunk, state: Mapping[str, Tensor], source: str) -> frozenset[str]:
    """Copy parameters into a network and return the names of those that it had to keep.

    Every layer of the trunk that is not optional must be there and fit.

    Args:
        network: changed in place; its `features` is the trunk.
        trunk: says which layers are optional.
        state: parameters under the names of the network.
        source: what to call them in an error.

    Raises:
        ValueError: naming the source and the first missing, unknown or misshapen parameter.
    """
    own = network.state_dict()
    optional = tuple(f"features.{layer}." for layer in trunk.optional)
    places = ("linear.", *trunk.keys.values())
    head = tuple(place for place in places if place and not place.startswith("features."))
    left_out = {  # whole layers, a bias never without its weight
        key.rpartition(".")[0]
        for key, value in state.items()
        if (key.startswith(head) and (key not in own or own[key].shape != value.shape))
        or (key.startswith(optional) and key not in own)
    }
    state = {key: value for key, value in state.items() if key.rpartition(".")[0] not in left_out}
    needed = [key for key in own if key.startswith("features.") and not key.startswith(optional)]
    missing = [key for key in needed if key not in state and not key.endswith("num_batches_tracked")]
    unknown = list(state.keys() - own.keys())
    for problem, keys in (("lacks", missing), ("has the unknown", unknown)):
        if keys:
            first = f"{min(keys)} and {len(keys) - 1} more" if len(keys) > 1 else min(keys)
            raise ValueError(f"{source} does not fit {trunk.name}: it {problem} parameter {first}")
    for key, value in state.items():
        if own[key].shape != value.shape:
            shapes = f"{tuple(value.shape)}, expected {tuple(own[key].shape)}"
            raise ValueError(f"{source} does not fit {trunk.name}: {key} has shape {shapes}")
    network.load_state_dict(state, strict=False)
    return frozenset(own) - frozenset(state)
