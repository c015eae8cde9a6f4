"""A CUDA device simulated on the CPU: storages carry a tag, and operations that would mix devices raise.

Everything computes on the CPU, so backward passes, `nonzero` and `item` work. Inside `simulated()`

- `tensor.device`, `.to`, `.cuda`, `.cpu`, `.is_cuda`, `.pin_memory` and the factories know a device `cuda:0`,
- `torch.cuda.is_available()` and `torch.accelerator` say that it is there,
- an operation on tensors of both devices raises `DeviceMismatchError`, with CUDA's own exceptions to that
  rule (0-dimensional CPU tensors, CPU indices, `copy_`), and `.numpy()` of a CUDA tensor a `TypeError`,
- every wait of the processor for the device is counted by the line of code that caused it: reading what is
  there, shapes that depend on it, and copies that nobody asked to be made later, or not from pinned memory.

Tags belong to storages, held by weak references that keep their addresses from being used again: views,
`detach`, `.data` and what autograd saves have the device of their storage.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import wsolbook

GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")
ASIDE = 2**16  # bytes that a driver takes aside at once, to copy them to the device later
FACTORIES = (
    "arange", "empty", "empty_like", "empty_strided", "eye", "full", "full_like", "hann_window", "linspace",
    "logspace", "ones", "ones_like", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like",
    "randperm", "scalar_tensor", "tensor", "tril_indices", "triu_indices", "zeros", "zeros_like",
)  # fmt: skip
METHODS = ("new_empty", "new_full", "new_ones", "new_tensor", "new_zeros", "new_empty_strided")
CROSSING = {
    "copy_", "_to_copy", "_foreach_copy_", "set_", "_has_compatible_shallow_copy_type", "is_same_size",
}  # fmt: skip
INDEXING = {"index", "index_put_", "index_put", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
WAITING = {
    "_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive",
    "equal", "is_nonzero", "bincount", "allclose",
}  # fmt: skip
SCALARS_TOO = {"cat", "stack", "gather", "scatter", "index_select", "mm", "bmm", "addmm", "embedding"}


class DeviceMismatchError(RuntimeError):
    """Tensors of two devices met in one operation."""


class Simulator(TorchDispatchMode):
    """Propagates tags through operations and checks them.

    Attributes:
        waits: how often the processor waited for the device, by (operation, place in the code).
        launched: operations on the device.
        doubles: where float64 is made on the device: slow on most cards, and an error on MPS.
    """

    def __init__(self, ours: str) -> None:
        super().__init__()
        self.ours = ours
        self.tags: dict[int, StorageWeakRef] = {}
        self.pinned: dict[int, StorageWeakRef] = {}  # memory that a device reads by itself
        # Made inside torch, with the device of some tensor, which we cannot know.
        self.either: dict[int, StorageWeakRef] = {}
        self.calling = threading.local()  # a factory that was called from Python decides the device itself
        self.waits: Counter[tuple[str, str]] = Counter()
        self.launched = 0
        self.doubles: Counter[str] = Counter()

    def on_gpu(self, tensor: Tensor) -> bool:
        try:
            return tensor.untyped_storage()._cdata in self.tags
        except (NotImplementedError, RuntimeError):
            return False

    def put(self, tensor: Tensor) -> Tensor:
        if tensor.is_meta:
            return tensor
        storage = tensor.untyped_storage()
        self.tags[storage._cdata] = StorageWeakRef(storage)
        for known in (self.tags, self.either):
            if len(known) % 4096 == 4095:
                for key in [k for k, ref in known.items() if ref.expired()]:
                    del known[key]
        return tensor

    def anywhere(self, tensor: Tensor) -> bool:
        return not tensor.is_meta and tensor.untyped_storage()._cdata in self.either

    def wait(self, what: str) -> None:
        self.waits[what, self.place()] += 1

    def place(self) -> str:
        frame = sys._getframe(1)
        while frame is not None and not frame.f_code.co_filename.startswith(self.ours):
            frame = frame.f_back  # type: ignore[assignment]
        return (
            f"{os.path.relpath(frame.f_code.co_filename, self.ours)}:{frame.f_lineno}"
            if frame
            else "elsewhere"
        )

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        here = [self.on_gpu(t) for t in tensors]
        name = func._schema.name.partition("::")[2]
        if any(here):
            self.launched += 1
            checked = tensors
            if name in INDEXING and here[0]:  # CUDA takes indices from the CPU, and waits for none
                indices = {id(t) for t in tree_leaves(args[1]) if isinstance(t, Tensor)}
                if any(id(t) in indices and not on for t, on in zip(tensors, here, strict=True)):
                    self.wait(f"{name} by CPU index")
                checked = [t for t in tensors if id(t) not in indices]
            if name in INDEXING and any(
                isinstance(t, Tensor) and t.dtype in (torch.bool, torch.uint8) for t in tree_leaves(args[1])
            ):
                self.wait(f"{name} by mask")
            strangers = [
                t
                for t in checked
                if not (self.on_gpu(t) or self.anywhere(t) or t.is_meta)
                and (t.ndim > 0 or name in SCALARS_TOO)
            ]
            if strangers and name not in CROSSING:
                devices = zip(("cuda" if on else "cpu" for on in here), tensors, strict=True)
                shapes = ", ".join(f"{device}{tuple(t.shape)}" for device, t in devices)
                raise DeviceMismatchError(
                    f"Expected all tensors to be on the same device: {func} of {shapes} at {self.place()}"
                )
            if name in WAITING:
                self.wait(name)
            if name == "copy_" and here[0] != here[1] and not (here[0] and tensors[1].numel() <= 1):
                self.wait("copy_ between devices")
        result = func(*args, **kwargs)
        if (
            not tensors
            and not hasattr(self.calling, "factory")
            and isinstance(result, Tensor)
            and not result.is_meta
        ):
            self.either[result.untyped_storage()._cdata] = StorageWeakRef(result.untyped_storage())
        if any(here) and not (name in CROSSING and name != "_to_copy"):
            known = {t.untyped_storage()._cdata for t in tensors if t.layout is torch.strided}
            for made in tree_leaves(result):
                if isinstance(made, Tensor) and made.untyped_storage()._cdata not in known:
                    self.put(made)
                    if made.dtype == torch.float64:
                        self.doubles[self.place()] += 1
        return result


class _Move(torch.autograd.Function):
    """A copy on the other device whose gradient goes back to the first."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, simulator: Simulator, gpu: bool) -> Tensor:
        ctx.simulator, ctx.gpu = simulator, gpu
        return _copy(x, simulator, gpu)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _copy(gradient, ctx.simulator, not ctx.gpu), None, None


def _copy(x: Tensor, simulator: Simulator, gpu: bool) -> Tensor:
    from torch.utils._python_dispatch import _disable_current_modes

    with _disable_current_modes():
        made = x.detach().clone()
    if gpu:
        simulator.put(made)
    return made


def _device(value: Any) -> torch.device | None:
    if value is None:
        return None
    if isinstance(value, int):
        return torch.device("cuda", value)
    return torch.device(value)


@contextmanager
def simulated(ours: str = os.path.dirname(wsolbook.__file__), count: int = 1) -> Iterator[Simulator]:
    """Simulate a CUDA device for the length of a block.

    Args:
        ours: folder of the files whose lines are named in errors and waits.
        count: number of devices that `torch.cuda.device_count()` returns; all are `cuda:0`.
    """
    simulator = Simulator(ours)
    real = {n: getattr(torch, n) for n in FACTORIES} | {n: getattr(Tensor, n) for n in METHODS}
    to, tolist, numpy, as_tensor = Tensor.to, Tensor.tolist, Tensor.numpy, torch.as_tensor
    deepcopy = Tensor.__deepcopy__
    device_of = torch._C.TensorBase.device.__get__

    def moved(x: Tensor, gpu: bool, later: bool = False) -> Tensor:
        if simulator.on_gpu(x) == gpu or device_of(x).type == "meta":
            return x
        aside = x.untyped_storage()._cdata in simulator.pinned or x.numel() * x.element_size() <= ASIDE
        if not (gpu and later and aside):
            simulator.wait(f"to {'cuda' if gpu else 'cpu'}")
        return _Move.apply(x, simulator, gpu)

    def fake_to(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args and isinstance(args[0], Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        where = kwargs.pop("device", None)
        if args and isinstance(args[0], (str, int, torch.device)):
            where, args = args[0], args[1:]
        elif args and args[0] is None:
            args = args[1:]
        where = _device(where)
        later = kwargs.pop("non_blocking", False)
        if where is not None and where.type == "meta":
            return to(x, where, *args, **kwargs)
        if len(args) > 1 and isinstance(args[1], bool):  # (dtype, non_blocking)
            args = args[:1]
        args = tuple(a for a in args if not isinstance(a, bool))
        result = to(x, *args, **kwargs) if args or kwargs else x
        return result if where is None else moved(result, where.type == "cuda", later)

    def fake_pin_memory(x: Tensor, *args: Any) -> Tensor:
        made = x.clone()
        simulator.pinned[made.untyped_storage()._cdata] = StorageWeakRef(made.untyped_storage())
        return made

    def fake_numpy(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        if simulator.on_gpu(x):
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        return numpy(x, *args, **kwargs)

    def fake_deepcopy(x: Tensor, memo: Any) -> Tensor:
        made = deepcopy(x, memo)  # copies the storage, which no operation shows
        return simulator.put(made) if simulator.on_gpu(x) else made

    def fake_tolist(x: Tensor) -> Any:
        if simulator.on_gpu(x):
            simulator.wait("tolist")
        return tolist(x)

    def factory(name: str) -> Any:
        call, like = real[name], name.endswith("_like") or name in METHODS

        def made(*args: Any, **kwargs: Any) -> Tensor:
            where = _device(kwargs.pop("device", None))
            if where is not None and where.type == "meta":
                return call(*args, device=where, **kwargs)
            source = args[0] if args and isinstance(args[0], Tensor) else None
            gpu = where.type == "cuda" if where else like and source is not None and simulator.on_gpu(source)
            generator = kwargs.get("generator")
            if generator is not None and gpu:
                raise DeviceMismatchError("Expected a 'cuda' device type for generator but found 'cpu'")
            outer = hasattr(simulator.calling, "factory")
            simulator.calling.factory = name
            try:
                result = call(*args, **kwargs)
            finally:
                if not outer:
                    del simulator.calling.factory
            if gpu:
                if name in ("tensor", "new_tensor"):
                    simulator.wait("numbers to cuda")
                return simulator.put(result)
            if where is not None and simulator.on_gpu(result):
                return _copy(result, simulator, False)
            return result

        return made

    def fake_as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
        result = as_tensor(data, dtype=dtype)
        return result if device is None else fake_to(result, device)

    fork = torch.random.fork_rng
    autocast = torch.autocast.__init__

    def fake_autocast(self: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
        if device_type == "cuda" and kwargs.get("dtype") is None and not args:
            kwargs["dtype"] = torch.float16
        autocast(self, "cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    optimizer = sys.modules["torch.optim.optimizer"]  # torch.optim deletes its name
    group = optimizer._group_tensors_by_device_and_dtype

    def fake_group(lists: Any, with_indices: bool = False) -> Any:
        found = group(lists, with_indices)  # in C++, which knows the true device alone
        return {(values[0][0].device, kind): (values, at) for (_, kind), (values, at) in found.items()}

    patches: list[tuple[Any, str, Any]] = [
        (Tensor, "device", property(lambda x: GPU if simulator.on_gpu(x) else device_of(x))),
        (Tensor, "is_cuda", property(simulator.on_gpu)),
        (Tensor, "is_cpu", property(lambda x: not simulator.on_gpu(x) and device_of(x).type == "cpu")),
        (Tensor, "to", fake_to),
        (Tensor, "cuda", lambda x, *a, **k: moved(x, True)),
        (Tensor, "cpu", lambda x, *a, **k: moved(x, False)),
        (Tensor, "pin_memory", fake_pin_memory),
        (Tensor, "numpy", fake_numpy),
        (Tensor, "tolist", fake_tolist),
        (Tensor, "__deepcopy__", fake_deepcopy),
        (torch, "as_tensor", fake_as_tensor),
        (torch.cuda, "is_available", lambda: True),
        (torch.cuda, "device_count", lambda: count),
        (torch.cuda, "current_device", lambda: 0),
        (torch.cuda, "set_device", lambda *_: None),
        (torch.cuda, "empty_cache", lambda: None),
        (torch.cuda, "synchronize", lambda *_: None),
        (torch.cuda, "is_bf16_supported", lambda *_, **__: True),
        (torch.cuda, "get_device_name", lambda *_: "simulated CUDA device"),
        (torch.cuda, "get_device_capability", lambda *_: (7, 5)),
        (torch.cuda, "get_device_properties", lambda *_: mock.Mock(name="T4", total_memory=2**34)),
        (torch.cuda, "get_rng_state", lambda *_: torch.get_rng_state()),
        (torch.cuda, "set_rng_state", lambda *_: None),
        (torch.cuda, "reset_peak_memory_stats", lambda *_: None),
        (torch.cuda, "max_memory_allocated", lambda *_: 0),
        (torch.cuda, "manual_seed_all", lambda *_: None),
        (torch.random, "fork_rng", lambda devices=None, **k: fork(devices=[])),
        (torch.accelerator, "is_available", lambda: True),
        (torch.accelerator, "current_accelerator", lambda *_, **__: torch.device("cuda")),
        (torch.accelerator, "current_device_index", lambda: 0),
        (torch.accelerator, "set_device_index", lambda *_: None),
        (torch.accelerator, "current_stream", lambda *_: mock.Mock(is_capturing=lambda: False)),
        (torch.cuda, "is_current_stream_capturing", lambda: False),
        (torch.autocast, "__init__", fake_autocast),
        (optimizer, "_group_tensors_by_device_and_dtype", fake_group),
        (torch.nn.utils.clip_grad, "_group_tensors_by_device_and_dtype", fake_group),
        *((torch, name, factory(name)) for name in FACTORIES),
        *((Tensor, name, factory(name)) for name in METHODS),
    ]
    with ExitStack() as stack:
        for owner, name, value in patches:
            stack.enter_context(mock.patch.object(owner, name, value))
        stack.enter_context(simulator)
        yield simulator
