"""`wsolbook recipes`: what can be trained, and the numbers to hold it against."""

from __future__ import annotations

from dataclasses import dataclass

from wsolbook.recipes import RECIPES
from wsolbook.results import table


@dataclass(frozen=True)
class Recipes:
    """List the recipes and the numbers of their papers."""


def recipes(options: Recipes) -> int:
    """Print one line a recipe."""
    rows = [
        (
            name,
            recipe.data.name,
            recipe.backbone,
            ", ".join(f"{metric} {value:g}" for metric, value in recipe.target.items()),
            recipe.source,
        )
        for name, recipe in RECIPES.items()
    ]
    print(table(("recipe", "data", "backbone", "target, percent", "source"), rows))
    return 0
