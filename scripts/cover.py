"""Draw the book's cover, `python scripts/cover.py`: a fox, what a trained network sees in it, and both boxes.

The network learns the species of 1,500 critters; it has never seen this fox, and it names it right.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import torch

from wsolbook.backbones import build
from wsolbook.data.critters import Critters, render, scenes
from wsolbook.data.transforms import to_network
from wsolbook.maps import normalize, resize
from wsolbook.metrics.contours import most_pixels
from wsolbook.show.figures import INK, overlay, show_images, use_style
from wsolbook.training import Optim, Schedule, TrainConfig, train

OUT = Path(__file__).parent.parent / "book" / "_static" / "hero.png"
SIZE, SHOWN = 64, 512  # pixels that the network sees, and that the reader sees


def main() -> None:
    """Train, look, draw and write."""
    torch.manual_seed(0)
    model = build("tiny", classes=8, weights="critters")
    config = TrainConfig(
        epochs=3, batch_size=64, evaluate_every=0, optim=Optim(lr=0.02), schedule=Schedule("cosine")
    )
    train(model, Critters(1500), config)
    scene = scenes(1, seed=7, species=("fox",), body_cue=1.0, object_scale=(0.72, 0.72), clutter=0.0)[0]
    fox = replace(
        scene.critters[0], x=0.47, y=0.9, facing=1, angle=0.0, tilt=3.0, look=0.22, ground=(0.47, 0.89, 0.38)
    )
    scene = replace(scene, critters=(fox,), background="meadow")
    seen, shown = render([scene], SIZE), render([scene], SHOWN)
    with torch.no_grad():
        images = to_network(seen.images)
        found = model.eval()(images).argmax(1)
        heat = model.maps(images, found[:, None])[0]
    names = Critters(1).classes
    if names[int(found)] != "fox":
        raise SystemExit(f"the network takes the fox for a {names[int(found)]}")
    use_style()
    mpl.rcParams.update({"font.size": 15, "axes.titlesize": 15})
    picture = shown.images[0]
    figure = show_images([picture, overlay(picture, heat[0], 0.75), picture], width=3.1)
    figure.set_size_inches(9.6, 3.75)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)
    words = ("all it was told: fox", "where it looks", "what it finds, and all there is")
    level = resize(normalize(heat), (SHOWN, SHOWN))[0].numpy()
    boxes = (most_pixels(level > 0.5), shown.boxes[0][0].numpy())
    for axis, line in zip(figure.axes, words, strict=True):
        axis.set_title(line, y=-0.13, fontsize=13, fontweight="bold", color="#2b2233")
    for box, color, style, line in zip(
        boxes, (INK["prediction"], INK["truth"]), ("--", "-"), ("found", "wanted"), strict=True
    ):
        x0, y0, x1, y1 = (int(v) for v in box)
        for width, edge in ((6.5, "white"), (3.2, color)):
            figure.axes[2].add_patch(
                mpl.patches.Rectangle(
                    (x0, y0), x1 - x0, y1 - y0, fill=False, lw=width, ec=edge,
                    ls=style if edge != "white" else "-",
                )
            )  # fmt: skip
        figure.axes[2].text(
            x0 + 8, y0 - 12, line, color="white", fontsize=12, fontweight="bold",
            bbox={"facecolor": color, "edgecolor": "none", "pad": 2},
        )  # fmt: skip
    figure.savefig(OUT, dpi=150)


if __name__ == "__main__":
    main()
