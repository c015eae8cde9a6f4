"""Recipes: one frozen dataclass a paper and data set, with the paper's constants and where they are from."""

from wsolbook.recipes.cam_critters import CamCritters, CamCrittersCoarse, CamCrittersFine, CamCrittersGmp
from wsolbook.recipes.cam_cub import CamCub, CamCub10
from wsolbook.recipes.cam_ilsvrc import CamIlsvrc
from wsolbook.recipes.cam_voc import CamVoc, CamVoc632
from wsolbook.recipes.recipe import Recipe

RECIPES: dict[str, type[Recipe]] = {
    "cam-critters": CamCritters,
    "cam-critters-gmp": CamCrittersGmp,
    "cam-critters-fine": CamCrittersFine,
    "cam-critters-coarse": CamCrittersCoarse,
    "cam-voc": CamVoc,
    "cam-voc632": CamVoc632,
    "cam-cub": CamCub,
    "cam-cub10": CamCub10,
    "cam-ilsvrc": CamIlsvrc,
}

__all__ = ["RECIPES", "Recipe"]
