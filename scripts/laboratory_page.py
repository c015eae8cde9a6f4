"""The figure of the page book/laboratory, which is made when the book is built and not kept in git."""

from __future__ import annotations

from wsolbook.data.critters import Scene, scenes
from wsolbook.show.laboratory import laboratory, script

# Titles of the scenes to start from: a species and a landscape to look for among near animals.
STARTS = {
    "fox": ("fox", "meadow"),
    "duck": ("duck", "water"),
    "panda": ("panda", "forest"),
    "rabbit": ("rabbit", "sand"),
    "deer": ("deer", "snow"),
}
NETWORKS = {
    "CAM": "cam",
    "GAIN": "gain",
    "ACoL": "acol",
    "SPG": "spg",
    "SeeNet": "seenet",
    "CAM, ducks always on water": "biased",
}


def starts() -> dict[str, Scene]:
    """Return the scenes to start from, each the first of its kind in a fixed order."""
    near = scenes(400, seed=7, object_scale=(0.6, 0.72))
    return {
        title: next(s for s in near if (s.critters[0].species, s.background) == kind)
        for title, kind in STARTS.items()
    }


def figure() -> str:
    """Return the figure, which has the first network in it."""
    return laboratory(starts(), NETWORKS, shared="../networks").html()


def scripts() -> dict[str, str]:
    """Return the files that the page loads when another network is asked."""
    return {f"networks/{name}.js": script(name) for name in list(NETWORKS.values())[1:]}
