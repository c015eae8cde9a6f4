"""Time of the CRF, the random walk and the affinities against what the field's code does, in one run.

    pip install pydensecrf2                             # C++, optional; Python below 3.13
    python benchmarks/refine.py [--photo PICTURE] [--rounds 3]

The picture is 500x375, a photograph or else a drawn scene; scores are random on a grid of 16x12, resized.
Times are processor time of one thread, so that a busy machine does not lengthen them, each the smallest of
its rounds; rounds take turns. Where squaring the matrix takes minutes, some of its rows are squared, and the
time is multiplied.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from PIL import Image
from timing import milliseconds  # of this folder

from wsolbook.data import critters
from wsolbook.maps import resize
from wsolbook.refine.affinity import affinities, offsets
from wsolbook.refine.crf import PRESETS, dense_crf
from wsolbook.refine.pamr import pamr
from wsolbook.refine.random_walk import random_walk, transition

HEIGHT, WIDTH = 375, 500


def report(title: str, times: dict[str, float]) -> None:
    base = list(times.values())[-1]
    print(title)
    for name, value in times.items():
        print(f"  {name:<46}{value:11.1f} ms  {value / base:8.4f}")


def picture(path: str | None) -> torch.Tensor:
    if path is None:
        drawn = critters.render(critters.scenes(1, "multi"), 512).images[..., :HEIGHT, :WIDTH]
        return (255 * drawn).round().byte()
    photo = Image.open(path).convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None]


def scores(labels: int, generator: torch.Generator) -> torch.Tensor:
    return resize(2 * torch.randn(1, labels, 12, 16, generator=generator), (HEIGHT, WIDTH)).softmax(1)


def crf(image: torch.Tensor, rounds: int, generator: torch.Generator) -> None:
    try:
        from pydensecrf.densecrf import DenseCRF2D
    except ImportError:
        DenseCRF2D = None
    colors = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    for preset, labels in (("psa", 21), ("psa", 3), *((name, 3) for name in PRESETS if name != "psa")):
        constants, p = PRESETS[preset], scores(labels, generator)

        def ours(p=p, constants=constants) -> torch.Tensor:
            return dense_crf(p, image, constants)

        def reference(p=p, constants=constants, labels=labels) -> torch.Tensor:
            model = DenseCRF2D(WIDTH, HEIGHT, labels)
            model.setUnaryEnergy(np.ascontiguousarray(-p[0].clamp(1e-5, 1).log().flatten(1).numpy()))
            model.addPairwiseGaussian(sxy=constants.near, compat=constants.near_weight)
            model.addPairwiseBilateral(
                sxy=constants.far, srgb=constants.color, rgbim=colors, compat=constants.far_weight
            )
            return torch.from_numpy(np.array(model.inference(constants.iterations))).view_as(p)

        contenders = {"lattice in torch": ours}
        if labels == 21:
            present = torch.zeros(1, labels, dtype=torch.bool)
            present[:, :3] = True
            contenders["lattice in torch, 3 labels present"] = lambda p=p, present=present: dense_crf(
                p, image, present=present
            )
        elif preset == "psa":
            contenders["PAMR"] = lambda p=p: pamr(p, image)
        if DenseCRF2D:
            contenders["C++ reference"] = reference
        report(f"dense CRF, {preset}, {labels} labels", milliseconds(contenders, rounds, min))
        if DenseCRF2D:
            a, b = ours(), reference()
            different = int((a.argmax(1) != b.argmax(1)).sum())
            far = int(((a - b).abs() > 2e-5).sum())
            print(
                f"  largest difference {(a - b).abs().max():.1e}, {far} of {a.numel()} above 2e-5, ", end=""
            )
            print(f"labels that differ {different}")
            exact = dense_crf(p.double(), image, constants)
            rounded = f"ours {(a - exact).abs().max():.1e}, the reference's {(b - exact).abs().max():.1e}"
            print(f"  largest difference from the lattice in double precision: {rounded}")


def walk(rounds: int, generator: torch.Generator) -> None:
    for stride, shares in ((8, 1), (4, 16)):
        height, width = -(-HEIGHT // stride), -(-WIDTH // stride)
        cells = height * width
        found = affinities(torch.randn(1, 8, height, width, generator=generator))
        neighbors, probabilities = transition(found)
        matrix = torch.zeros(cells, cells).scatter_add_(1, neighbors.long(), probabilities)
        rows = matrix[: cells // shares]
        maps = torch.rand(1, 3, height, width, generator=generator)
        contenders = {
            "ours": lambda maps=maps, found=found: random_walk(maps, found),
            "rows": lambda rows=rows, matrix=matrix: rows @ matrix,
        }
        times = milliseconds(contenders, rounds if shares == 1 else 2, min)
        squared = 8 * cells / len(rows) * times["rows"]
        report(
            f"random walk, stride {stride}, {height}x{width}, 3 maps",
            {"random_walk, whole call": times["ours"], "eight squarings": squared},
        )
        print(f"  {squared / times['ours']:.0f} times faster; float32 differs from float64 by ", end="")
        double = random_walk(maps.double(), found.double())
        print(f"{(random_walk(maps, found) - double).abs().max():.1e}")


def features(rounds: int, generator: torch.Generator) -> None:
    given = torch.randn(1, 448, 47, 63, generator=generator)
    steps = torch.tensor(offsets())
    y, x = torch.meshgrid(torch.arange(43), torch.arange(4, 59), indexing="ij")
    here = (y * 63 + x).flatten()
    there = (here + (steps @ torch.tensor([63, 1]))[:, None]).flatten()

    def official() -> torch.Tensor:
        """One gather of all partners, as in the code of PSA, on the 43x55 cells that have them all."""
        flat = given.flatten(2)
        to = flat.index_select(2, there).view(1, 448, 34, -1)
        return torch.exp(-(to - flat.index_select(2, here)[:, :, None]).abs().mean(1))

    contenders = {"affinities": lambda: affinities(given), "gather, as in PSA": official}
    report("affinities, 47x63, 34 pairs, 448 channels", milliseconds(contenders, rounds, min))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photo")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    print("smallest processor time, and ratio to the last line of each group")
    features(options.rounds, generator)
    walk(options.rounds, generator)
    crf(picture(options.photo), options.rounds, generator)


if __name__ == "__main__":
    main()
