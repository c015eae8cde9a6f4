"""Pre-trained parameters: reading them, downloading them, fitting them into a network."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor
from torchvision.models import get_model_weights

from wsolbook.backbones.classifier import Classifier
from wsolbook.files import atomic


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
        try:
            with safe_open(path, "pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"weights file {path} is not a whole safetensors file ({error})") from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"weights file {path} is not a PyTorch state dict ({reason})") from None
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
    front = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    front += b" " * (-len(front) % 8)
    with atomic(path) as temporary:
        temporary.write_bytes(len(front).to_bytes(8, "little") + front + content[end:])


def whole_network(header: Mapping[str, str]) -> bool:
    """Tell by its metadata whether `wsolbook.methods.save`, now or in an earlier version, wrote a file."""
    return header.get("format", "").startswith("wsolbook ")


def imagenet_state(name: str) -> dict[str, Tensor]:
    """Return torchvision's ImageNet parameters of a network, downloaded unless they are cached.

    Raises:
        OSError: without a connection, saying what to pass instead.
    """
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


def rename(state: Mapping[str, Tensor], keys: Mapping[str, str | None]) -> dict[str, Tensor]:
    """Return parameters under the names of a `Classifier`, as `Trunk.keys` tells; other names stay."""
    renamed = {}
    for key, value in state.items():
        prefix = next((p for p in keys if key.startswith(p)), "")
        target = keys.get(prefix, "")
        if target is not None:
            renamed[target + key.removeprefix(prefix)] = value
    return renamed


def transfer(model: Classifier, state: Mapping[str, Tensor], source: str, new: tuple[str, ...] = ()) -> None:
    """Copy parameters into a network and note which of its own stay as initialized.

    The linear layer is taken over when it is there with the same number of classes. Everything else must
    be there and fit.

    Args:
        model: changed in place.
        state: parameters under the names of `model`.
        source: what to call them in an error.
        new: prefixes of parameters that may be missing, besides `"linear."`.

    Raises:
        ValueError: naming the source and the first missing, unknown or misshapen parameter.
    """
    own, name = model.state_dict(), model.settings["backbone"]
    head = [key for key in ("linear.weight", "linear.bias") if key in state]
    if any(state[key].shape[0] != own[key].shape[0] for key in head):
        state = {key: value for key, value in state.items() if key not in head}
    optional = ("linear.", *new)
    missing = [
        key
        for key in own.keys() - state.keys()
        if not key.startswith(optional) and not key.endswith("num_batches_tracked")
    ]
    unknown = list(state.keys() - own.keys())
    for problem, keys in (("lacks", missing), ("has the unknown", unknown)):
        if keys:
            others = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise ValueError(f"{source} does not fit {name}: it {problem} parameter {min(keys)}{others}")
    for key, value in state.items():
        if own[key].shape != value.shape:
            shapes = f"{tuple(value.shape)}, expected {tuple(own[key].shape)}"
            raise ValueError(f"{source} does not fit {name}: {key} has shape {shapes}")
    model.load_state_dict(dict(state), strict=False)
    model.fresh = frozenset(own) - frozenset(state)
