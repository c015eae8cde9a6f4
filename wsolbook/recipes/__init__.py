"""Recipes: a paper's network and schedule on a data set, with the constants and where they are from."""

from wsolbook.recipes.acol import ACOL
from wsolbook.recipes.affinity import AFFINITY
from wsolbook.recipes.bias import OnBiased
from wsolbook.recipes.cam import CAM
from wsolbook.recipes.erasing import ERASING
from wsolbook.recipes.gain import GAIN
from wsolbook.recipes.on import On, OnCritters, OnCub, OnIlsvrc, OnVoc
from wsolbook.recipes.recipe import Recipe
from wsolbook.recipes.seenet import SEENET
from wsolbook.recipes.segmentation import SEGMENTATION
from wsolbook.recipes.spg import SPG
from wsolbook.training.config import ConfigError

RECIPES: dict[str, Recipe] = {
    **CAM, **GAIN, **ERASING, **ACOL, **SPG, **SEENET, **AFFINITY, **SEGMENTATION
}  # fmt: skip

__all__ = ["RECIPES", "On", "OnBiased", "OnCritters", "OnCub", "OnIlsvrc", "OnVoc", "Recipe", "named"]


def named(name: str) -> Recipe:
    """Return a recipe by its name.

    Raises:
        ConfigError: when there is none, naming those that there are.
    """
    if name not in RECIPES:
        raise ConfigError([f"recipe must be one of {', '.join(RECIPES)}, got {name!r}"])
    return RECIPES[name]
