"""Every data set of the recipes in miniature: few pictures, small ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trees

from wsolbook.recipes import On, OnCritters, OnCub, OnIlsvrc, OnVoc

TREES = {OnVoc: trees.voc, OnCub: trees.cub, OnIlsvrc: trees.ilsvrc}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Draw the pictures of an interval 40 times: with shapes checked, a thousand take half a minute."""
    monkeypatch.setattr("wsolbook.recipes.on.RESAMPLES", 40)


@pytest.fixture
def miniature(tmp_path):
    """Return a function that cuts a data set down and writes its pictures."""

    def cut(data: On) -> On:
        if isinstance(data, OnCritters):
            return replace(data, n=8, held_out=4, size=16)
        return replace(data, root=str(TREES[type(data)](tmp_path / "data")), size=64)

    return cut
