"""Ducks on water: the probes show what they say, and the rows count what the network says."""

from __future__ import annotations

import pytest
import torch

from wsolbook.data.critters import MAIN, scenes
from wsolbook.data.sampling import with_masks
from wsolbook.metrics import AREAS
from wsolbook.recipes.bias import ELSEWHERE, OnBiased, probes
from wsolbook.recipes.on import scores

DUCK = MAIN.index("duck")


def test_the_same_ducks_on_water_and_off_it_and_others_on_water():
    like, flipped = probes(16, 32, 1.0, "test")
    moved, others = flipped.scenes[:16], flipped.scenes[16:]
    assert len(others) == 16
    for before, after in zip(like.scenes, moved, strict=True):
        assert before.critters[0].species == "duck"
        assert before.background == "water"
        assert after.background != "water"
        assert after.on("water") == before
    assert {scene.background for scene in moved} == set(ELSEWHERE)
    assert len(ELSEWHERE) == 7
    assert all(scene.background == "water" for scene in others)
    assert all(scene.critters[0].species != "duck" for scene in others)
    assert len({scene.noise for scene in (*like.scenes, *others)}) == 32  # no picture comes twice
    assert torch.equal(flipped.labels[:, DUCK], torch.tensor([1.0, 0.0]).repeat_interleave(16))
    # To the pixel, nothing but the background has changed; at the border both are mixed.
    assert torch.equal(like.parts, flipped.parts[:16])
    inside = -torch.nn.functional.max_pool2d(-like.masks.float()[:, None], 3, 1, 1) > 0
    inside &= like.parts[:, :1]  # the head casts no shadow on the ground
    assert torch.equal(like.images * inside, flipped.images[:16] * inside)
    assert not torch.equal(like.images, flipped.images[:16])


def test_held_out_ducks_keep_to_the_context_as_those_of_training_do():
    like, flipped = probes(200, 16, 0.5, "test")
    on_water = sum(scene.background == "water" for scene in like.scenes)
    assert abs(on_water / 200 - (0.5 + 0.5 / 8)) < 0.15
    assert all(scene.background != "water" for scene in flipped.scenes[:200])
    # Neither training nor the choice of settings has seen them.
    seen = [*OnBiased(n=500).training(0).scenes, *probes(200, 16, 0.5, "val")[0].scenes]
    assert {s.noise for s in like.scenes}.isdisjoint(s.noise for s in seen)


class Knows:
    """Says "duck" and points at some pixels, picture by picture, as it was told."""

    def __init__(self, data: OnBiased, says: list[bool], points: torch.Tensor) -> None:
        self.pictures = torch.cat([part.batch(range(len(part))).images for part in self.sets(data)])
        self.says, self.points = says, points

    @staticmethod
    def sets(data: OnBiased) -> tuple:
        return probes(data.held_out, data.size, data.context_bias, data.probes)

    def find(self, images):
        same = (self.pictures[None] == images[:, None]).flatten(2).all(2)
        return [int(row.nonzero()[0]) if row.any() else None for row in same]

    def __call__(self, images):
        logits = torch.zeros(len(images), len(MAIN))
        for row, place in enumerate(self.find(images)):
            logits[row, DUCK] = 1.0 if place is not None and self.says[place] else -1.0
        return logits

    def maps(self, images, classes):
        found = torch.zeros(len(images), classes.shape[1], *images.shape[-2:])
        for row, place in enumerate(self.find(images)):
            if place is not None and place < len(self.points):
                found[row] = self.points[place]
        return found


def test_the_rows_are_those_of_a_count_by_hand():
    data = OnBiased(n=8, held_out=4, size=16)
    like, _ = probes(4, 16, 1.0, "test")
    points = like.parts[:, 0].float()  # at the head,
    points[1] = (~like.parts[1].any(0)).float()  # at the background,
    points[2] = 0  # nowhere,
    points[3] = 0
    head, body = like.parts[3, 0].nonzero()[0], like.parts[3, 1].nonzero()[0]
    points[3, head[0], head[1]], points[3, body[0], body[1]] = 3, 1  # or three to one at head and body
    #        like training             without water               water without duck
    says = [True, True, True, False, True, False, False, False, False, True, False, True]
    found = scores(data.each(Knows(data, says, points)))
    assert list(found) == list(data.metrics)
    del found["mAP"]
    assert found == {
        "duck like training": 75.0,
        "attention on head": pytest.approx(175 / 4, abs=1e-3),
        "attention on body": pytest.approx(25 / 4, abs=1e-3),
        "attention on limbs": 0.0,
        "attention on background": pytest.approx(100 / 4, abs=1e-3),
        "duck without water": 25.0,
        "water without duck": 50.0,
        "overall": 37.5,
    }
    assert list(scores(data.center())) == [f"attention on {area}" for area in AREAS]


def test_masks_are_drawn_over_all_species_until_so_many_are_of_ducks():
    data = OnBiased(n=200)
    species = [scene.critters[0].species for scene in scenes(200, "biased", seed=5)]
    counts = [data.masks_for(ducks, seed=5) for ducks in (0, 3, 9)]
    for ducks, masks in zip((0, 3, 9), counts, strict=True):
        assert sum(species[i] == "duck" for i in range(200) if i in with_masks(200, masks, 5)) == ducks
        assert (
            masks == 0 or sum(species[i] == "duck" for i in with_masks(200, masks - 1, 5) or ()) == ducks - 1
        )
    assert counts[0] == 0
    with pytest.raises(ValueError, match=r"ducks must be between 0 and .*, got 100"):
        data.masks_for(100, seed=5)


def test_what_cannot_be_is_named():
    assert OnBiased(context_bias=1.5, preset="multi").problems() == [
        "data.context_bias must be between 0 and 1, got 1.5",
        "data.preset must be biased, got 'multi'",
    ]
    assert OnBiased().problems() == []
