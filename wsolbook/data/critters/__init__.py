"""The world of critters: animals whose head tells who they are, and the truth about every pixel."""

from wsolbook.data.critters.data_set import SPLITS, Critters, sample, scenes
from wsolbook.data.critters.rendering import Scenes, render
from wsolbook.data.critters.scenery import BACKGROUNDS
from wsolbook.data.critters.scenes import PARTS, PRESETS, Scene, World, world
from wsolbook.data.critters.species import MAIN, OTHERS, SPECIES

__all__ = [
    "BACKGROUNDS",
    "MAIN",
    "OTHERS",
    "PARTS",
    "PRESETS",
    "SPECIES",
    "SPLITS",
    "Critters",
    "Scene",
    "Scenes",
    "World",
    "render",
    "sample",
    "scenes",
    "world",
]
