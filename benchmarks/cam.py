"""Time and memory of class activation maps, as ratios to the plain forward pass measured in the same rounds.

    python benchmarks/cam.py                              # ResNet-18, ResNet-50, VGG-16, batches 1, 8, 32
    python benchmarks/cam.py --networks resnet18 --batches 8 --rounds 5 --out cam.json

Contenders take turns in one process, each round starting with another one, so that a busy machine disturbs
all alike; a ratio is the median over rounds of (contender / forward of that round). Memory is the peak of one
call above the resting process, each in a process of its own. grad-cam, torchcam and captum take part when
installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
import torchvision
from timing import times  # of this folder
from torch import Tensor, nn

from wsolbook.cam import cam, grad_cam

PEERS = {"grad-cam": "pytorch_grad_cam", "torchcam": "torchcam", "captum": "captum"}
LAYERS = {"resnet18": "layer4", "resnet50": "layer4", "vgg16": "features.29"}
Call = Callable[[], object]


def ours(net: nn.Module, layer: str, x: Tensor, classes: Tensor) -> dict[str, Call]:
    many = torch.arange(20, device=x.device).expand(len(x), 20)
    calls: dict[str, Call] = {"grad_cam": lambda: grad_cam(net, x, classes, layer)}
    calls["grad_cam, 20 classes"] = lambda: grad_cam(net, x, many, layer)
    if not layer.startswith("features"):
        calls["cam"] = lambda: cam(net, x, classes)
        calls["cam, 20 classes"] = lambda: cam(net, x, many)
    return calls


def peers(net: nn.Module, layer: str, x: Tensor, classes: Tensor) -> dict[str, Call]:
    calls: dict[str, Call] = {}
    module = net.get_submodule(layer)
    if importlib.util.find_spec("pytorch_grad_cam"):
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        def by_grad_cam() -> object:
            with GradCAM(model=net, target_layers=[module]) as extractor:
                result = extractor(x, targets=[ClassifierOutputTarget(int(c)) for c in classes])
            net.zero_grad(set_to_none=True)
            return result

        calls["pytorch-grad-cam"] = by_grad_cam
    if importlib.util.find_spec("torchcam"):
        from torchcam.methods import GradCAM as TorchcamGradCAM

        def by_torchcam() -> object:
            with TorchcamGradCAM(net, layer) as extractor:
                return extractor(classes.tolist(), net(x), normalized=False)

        calls["torchcam"] = by_torchcam
    if importlib.util.find_spec("captum"):
        from captum.attr import LayerGradCam

        calls["captum"] = lambda: LayerGradCam(net, module).attribute(x, classes).detach()
    return calls


def contenders(name: str, batch: int, size: int, device: str) -> dict[str, Call]:
    """Return the calls to compare on a network with random weights, the plain forward pass first."""
    torch.manual_seed(0)
    net = torchvision.models.get_model(name, weights=None).eval().to(device)
    x = torch.randn(batch, 3, size, size, device=device)
    classes = torch.arange(batch, device=device)

    def forward() -> object:
        with torch.inference_mode():
            return net(x)

    layer = LAYERS[name]
    return {"forward": forward, **ours(net, layer, x, classes), **peers(net, layer, x, classes)}


def resident(field: str) -> int:
    """Return a field of the process's memory status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def peak(call: Call, device: str) -> int:
    """Return the bytes that one call needs above the resting process."""
    if device == "cuda":
        torch.cuda.synchronize()
        rest = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - rest
    Path("/proc/self/clear_refs").write_text("5")  # set the peak to the present
    rest = resident("VmRSS")
    call()
    return resident("VmHWM") - rest


def memory(name: str, batch: int, contender: str, options: argparse.Namespace) -> int | None:
    """Return the peak of a contender measured in a fresh process, or None where that is impossible."""
    command = [sys.executable, __file__, "--networks", name, "--batches", str(batch), "--peak-of", contender]
    command += ["--size", str(options.size), "--device", options.device, "--threads", str(options.threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    return int(done.stdout) if done.returncode == 0 else None


def measure_peak(name: str, batch: int, contender: str, options: argparse.Namespace) -> int:
    # A call on one small image loads what is loaded once: kernels, imports, thread pools.
    contenders(name, 1, 64, options.device)[contender]()
    return peak(contenders(name, batch, options.size, options.device)[contender], options.device)


def table(rows: list[dict]) -> str:
    lines = [
        "| network | batch | what | ms an image | forwards | spread | MiB | memory, forwards |",
        "|" + "---|" * 8,
    ]
    for row in rows:
        mib = "" if row["bytes"] is None else f"{row['bytes'] / 2**20:.0f}"
        share = "" if row["memory_ratio"] is None else f"{row['memory_ratio']:.2f}"
        low, high = row["quartiles"]
        lines.append(
            f"| {row['network']} | {row['batch']} | {row['what']} | {row['ms']:.1f} | {row['ratio']:.2f} | "
            f"{low:.2f} to {high:.2f} | {mib} | {share} |"
        )
    return "\n".join(lines)


def rows_of(name: str, batch: int, options: argparse.Namespace) -> list[dict]:
    calls = contenders(name, batch, options.size, options.device)
    found = times(calls, options.rounds, options.device, time.perf_counter)
    used = {what: memory(name, batch, what, options) for what in calls} if options.memory else {}
    rows = []
    for what, elapsed in found.items():
        ratios = [a / b for a, b in zip(elapsed, found["forward"], strict=True)]
        quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        own, plain = used.get(what), used.get("forward")
        rows.append(
            {
                "network": name,
                "batch": batch,
                "what": what,
                "ms": 1000 * statistics.median(elapsed) / batch,
                "ratio": statistics.median(ratios),
                "quartiles": [quartiles[0], quartiles[2]],
                "bytes": own,
                "memory_ratio": own / plain if own is not None and plain else None,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=list(LAYERS), choices=list(LAYERS))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--out", type=Path, help="write the rows and the setting as JSON")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak_of:
        print(measure_peak(options.networks[0], options.batches[0], options.peak_of, options))
        return
    rows = [
        row for name in options.networks for batch in options.batches for row in rows_of(name, batch, options)
    ]
    setting = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name() if options.device == "cuda" else platform.processor() or "cpu",
        "threads": options.threads,
        "size": options.size,
        "rounds": options.rounds,
        **{name: version(name) for name, module in PEERS.items() if importlib.util.find_spec(module)},
    }
    print(", ".join(f"{key} {value}" for key, value in setting.items()) + "\n")
    print(table(rows))
    if options.out:
        options.out.write_text(json.dumps({"setting": setting, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
