"""The world of critters: its truth about every pixel, its interventions, its knobs and its counters."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import max_pool2d

from wsolbook.data import critters
from wsolbook.data.critters import (
    BACKGROUNDS,
    MAIN,
    OTHERS,
    PARTS,
    PRESETS,
    SPECIES,
    Critters,
    render,
    sample,
    scenes,
)
from wsolbook.data.critters.bodies import PLANS
from wsolbook.data.transforms import from_network
from wsolbook.types import Samples

LARGE = (0.6, 0.75)  # at 128 pixels, the tip of the thinnest horn covers half a pixel


def same(a, b) -> bool:
    return (
        torch.equal(a.images, b.images)
        and torch.equal(a.masks, b.masks)
        and torch.equal(a.parts, b.parts)
        and torch.equal(a.labels, b.labels)
        and all(map(torch.equal, a.boxes, b.boxes))
        and all(map(torch.equal, a.box_classes, b.box_classes))
    )


def within(count: int, n: int, share: float) -> bool:
    """Whether a binomial count lies within five standard deviations of its mean."""
    return abs(count - n * share) <= 5 * math.sqrt(n * share * (1 - share)) + 1e-9


# --- a picture is a function of (world, seed, index) --------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_batch_size_and_order_change_nothing(preset):
    whole = sample(40, preset, seed=5)
    apart = [sample(1, preset, seed=5, start=k) for k in (0, 7, 39)]
    for k, one in zip((0, 7, 39), apart, strict=True):
        assert whole.scenes[k] == one.scenes[0]
        assert torch.equal(whole.images[k], one.images[0])
        assert torch.equal(whole.masks[k], one.masks[0])
        assert torch.equal(whole.parts[k], one.parts[0])
    turned = render(whole.scenes[::-1])
    assert torch.equal(turned.images.flip(0), whole.images)
    assert torch.equal(turned.masks.flip(0), whole.masks)


def test_other_sizes_show_the_same_scene_and_do_not_depend_on_the_batch():
    small, large = sample(6, size=50, seed=1), sample(6, size=100, seed=1)
    halved = torch.nn.functional.avg_pool2d(large.images, 2)
    assert (halved - small.images).abs().mean() < 0.02
    assert torch.equal(sample(1, size=50, seed=1, start=3).images[0], small.images[3])


@pytest.mark.slow
def test_another_process_draws_the_same_bits():
    code = (
        "import torch; from wsolbook.data.critters import sample; torch.set_num_threads(1);"
        "s = sample(5, 'multi', seed=9); print(s.images.double().sum().item(), s.images[3, 1, 20].tolist())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = sample(5, "multi", seed=9)
    assert out.strip() == f"{here.images.double().sum().item()} {here.images[3, 1, 20].tolist()}"


def test_threads_change_nothing():
    before, threads = sample(33, seed=2), torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert same(before, sample(33, seed=2))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_devices_agree():
    there, here = sample(64, "multi", device="cuda"), sample(64, "multi")
    assert there.images.is_cuda
    assert there.scenes == here.scenes
    assert torch.equal(there.images.cpu(), here.images)
    assert torch.equal(there.masks.cpu(), here.masks)


def test_every_machine_draws_these_two_pictures():
    drawn = torch.cat([sample(1, seed=5, size=48).images, sample(1, "multi", seed=6, size=48).images])
    stored = np.asarray(Image.open(Path(__file__).with_name("reference.png"))).reshape(2, 48, 48, 3)
    here = (drawn * 255).round().permute(0, 2, 3, 1).numpy()
    assert np.abs(here - stored).max() <= 1


def test_seeds_and_counters_differ_and_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    pictures = torch.cat([sample(8, seed=0).images, sample(8, seed=1).images, sample(8, start=8).images])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.pdist(pictures.flatten(1)).min() > 1


# --- truth --------------------


@pytest.mark.parametrize("preset", ["single", "multi"])
def test_parts_partition_the_object(preset):
    drawn = sample(64, preset, seed=3)
    assert torch.equal(drawn.parts.sum(1), (drawn.masks > 0).long())


def test_every_single_animal_shows_every_part_and_the_body_is_the_larger():
    drawn = sample(128, seed=3)
    areas = drawn.parts.flatten(2).sum(2).float()
    assert (areas > 0).all()
    head, body, limbs = areas.sum(0).tolist()
    assert body + limbs > 1.6 * head
    share = (drawn.masks > 0).float().mean()
    assert 0.1 < share < 0.25


@pytest.mark.parametrize("preset", ["single", "multi"])
def test_boxes_are_the_extent_of_the_visible_pixels(preset):
    drawn = sample(48, preset, seed=4)
    for scene, mask, boxes, kinds in zip(
        drawn.scenes, drawn.masks, drawn.boxes, drawn.box_classes, strict=True
    ):
        assert len(boxes) == len(kinds) == len(scene.critters)
        assert [drawn.classes[k] for k in kinds] == [c.species for c in scene.critters]
        rows, columns = (mask > 0).nonzero(as_tuple=True)
        union = [boxes[:, 0].min(), boxes[:, 1].min(), boxes[:, 2].max(), boxes[:, 3].max()]
        assert [int(v) for v in union] == [
            int(v) for v in (columns.min(), rows.min(), columns.max(), rows.max())
        ]
        for kind in kinds.unique():
            rows, columns = (mask == kind + 1).nonzero(as_tuple=True)
            mine = boxes[kinds == kind]
            assert int(mine[:, 0].min()) == int(columns.min())
            assert int(mine[:, 3].max()) == int(rows.max())


def test_labels_and_masks_tell_the_same():
    drawn = sample(64, "multi", seed=6)
    for scene, label, mask in zip(drawn.scenes, drawn.labels, drawn.masks, strict=True):
        names = {drawn.classes[k] for k in label.nonzero()[:, 0]}
        assert names == {critter.species for critter in scene.critters}
        assert names == {drawn.classes[k - 1] for k in mask.unique().tolist() if k}


def test_the_mask_is_where_the_animal_changed_the_picture():
    for scene in scenes(8, seed=7):
        drawn, empty = render([scene]), render([scene.without(*PARTS)])
        changed = (drawn.images != empty.images).any(1)
        inside = drawn.masks > 0
        assert (changed & inside).sum() / inside.sum() > 0.995  # a coat may have the color of the ground
        assert not (changed & ~grown(inside, 2)).any()
        assert not empty.masks.any()
        assert empty.boxes[0].shape == (0, 4)


def test_a_hidden_animal_has_no_box():
    scene = scenes(1, "multi", seed=0, objects=(2, 2))[0]
    back, front = scene.critters
    hidden = replace(
        scene, critters=(replace(front, scale=front.scale * 0.3, swell=0.8), replace(front, scale=1.2))
    )
    drawn = render([hidden])
    assert len(drawn.boxes[0]) == len(drawn.box_classes[0])
    assert back.y <= front.y


@pytest.mark.parametrize("preset", ["single", "multi"])
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_feet_stand_on_the_ground_and_on_their_shadow(preset, background):
    some = [s.on(background) for s in scenes(16, preset, seed=8)]
    alone = [replace(s, critters=(c,)) for s in some for c in s.critters]
    limbs = render([s.without("head", "body") for s in alone], 96).parts[:, PARTS.index("limbs")]
    highest = BACKGROUNDS[background].horizon[1] + 0.08  # of the hills, anywhere
    for scene, mine in zip(alone, limbs, strict=True):
        rows, columns = mine.nonzero(as_tuple=True)
        lowest = int(rows.max())
        x, y, width = scene.critters[0].ground
        assert (lowest + 1) / 96 > highest
        assert abs((lowest + 1) / 96 - y) < 0.22 * width + 1 / 96
        assert ((columns[rows == lowest] / 96 - x).abs() < width).all()
        assert scene.critters[0].y <= 0.97


def test_what_is_near_is_larger_and_in_front():
    several = scenes(200, "multi", seed=9, objects=(3, 3))
    assert all(a.y <= b.y for s in several for a, b in pairwise(s.critters))
    values = torch.tensor([[c.y, c.scale] for s in scenes(400, seed=9) for c in s.critters])
    assert (values[:, 0] >= 0.5 + 0.48 * values[:, 1]).all()
    assert torch.corrcoef(values.T)[0, 1] > 0.3


def test_things_stand_behind_the_animals():
    for scene in scenes(100, "multi", seed=10, clutter=1.0):
        back = min(c.y for c in scene.critters)
        assert len(scene.things) == 3
        assert all(0.5 <= thing.y + 0.35 * thing.scale < back for thing in scene.things)


def test_swapped_bodies_stand_on_the_same_ground():
    some = scenes(16, seed=14, object_scale=LARGE)
    for name in ("fox", "owl", "walrus", "hedgehog"):
        for before, after in zip(some, (s.with_body_of(name) for s in some), strict=True):
            assert after.critters[0].y == pytest.approx(before.critters[0].y, abs=0.02)
            assert after.critters[0].ground == before.critters[0].ground


# --- interventions --------------------


def grown(mask: torch.Tensor, by: int) -> torch.Tensor:
    return max_pool2d(mask[:, None].float(), 2 * by + 1, 1, by)[:, 0] > 0


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("preset", ["single", "multi"])
def test_removing_a_part_changes_no_pixel_outside_its_support(preset, part):
    some = scenes(16, preset, seed=11)
    others = [p for p in PARTS if p != part]
    whole, without = render(some), render([s.without(part) for s in some])
    alone, empty = render([s.without(*others) for s in some]), render([s.without(*PARTS) for s in some])
    changed, support = (whole.images != without.images).any(1), (alone.images != empty.images).any(1)
    assert changed.flatten(1).any(1).all()
    assert not (changed & ~support).any()
    assert not without.parts[:, PARTS.index(part)].any()


def test_the_support_of_a_part_ends_within_a_pixel_of_it():
    for part in PARTS:
        some = [s.without(*(p for p in PARTS if p != part)) for s in scenes(6, seed=11, object_scale=LARGE)]
        alone, empty = render(some, 128), render([s.without(*PARTS) for s in some], 128)
        support = (alone.images != empty.images).any(1)
        assert not (support & ~grown(alone.masks > 0, 1)).any()


def test_a_background_changes_nothing_on_the_animal():
    some = scenes(8, seed=12)
    before, ground = render(some), render([s.without(*PARTS) for s in some])
    for name in BACKGROUNDS:
        there = [s.on(name) for s in some]
        assert all(s.background == name for s in there)
        after, behind = render(there), render([s.without(*PARTS) for s in there])
        assert torch.equal(before.masks, after.masks)
        assert torch.equal(before.parts, after.parts)
        # Of a pixel that an animal covers to one half or more, at most one half shows the background.
        change, most = (after.images - before.images).abs(), (behind.images - ground.images).abs() / 2
        inside = (before.masks > 0)[:, None].expand_as(change)
        assert (change <= most + 1e-6)[inside].all()


def test_the_background_does_not_depend_on_the_animal():
    empty = [s.without(*PARTS) for s in scenes(12, seed=13)]
    other = [s.with_head_of("lion").with_body_of("frog") for s in empty]
    assert torch.equal(render(empty).images, render(other).images)


@pytest.mark.parametrize("name", ["fox", "owl", "panda", "walrus"])
def test_swapping_a_body_keeps_the_head_to_the_pixel(name):
    some = scenes(16, seed=14, object_scale=LARGE)
    swapped = [s.with_body_of(name) for s in some]
    for before, after in zip(some, swapped, strict=True):
        assert after.critters[0].species == before.critters[0].species
        assert after.critters[0].body.plan == SPECIES[name].plan
    a, b = render(some, 128), render(swapped, 128)
    head = ~grown(~a.parts[:, 0], 1)
    assert head.flatten(1).any(1).all()
    assert (a.images - b.images).abs().amax(1)[head].max() < 1e-4
    changed = (a.images - b.images).abs().amax(1) > 1e-4
    bodies = grown((a.masks > 0) | (b.masks > 0), 1)
    assert not (changed & ~bodies)[:, 1:-1, 1:-1].any()  # at the edge the nearest pixel may lie outside


def test_swapping_a_head_changes_class_and_nothing_but_the_head():
    some = scenes(16, seed=15, object_scale=LARGE)
    swapped = [s.with_head_of("rabbit") for s in some]
    a, b = render(some, 128), render(swapped, 128)
    assert (b.labels[:, MAIN.index("rabbit")] == 1).all()
    assert torch.equal(b.labels.sum(1), torch.ones(16))
    headless = render([s.without("head") for s in some], 128)
    assert torch.equal(headless.images, render([s.without("head") for s in swapped], 128).images)
    heads = grown(a.parts[:, 0] | b.parts[:, 0], 1)
    assert not ((a.images != b.images).any(1) & ~heads).any()


def test_interventions_compose_and_undo():
    scene = scenes(1, seed=16)[0]
    assert scene.on("sky").on(scene.background) == scene
    assert scene.without("head", "limbs") == scene.without("limbs").without("head")
    assert scene.without("head").without("head") == scene.without("head")
    assert scene.without() == scene


# --- knobs --------------------


def test_classes_are_balanced():
    drawn = scenes(1500, seed=20)
    for name in MAIN:
        assert within(sum(s.critters[0].species == name for s in drawn), 1500, 1 / 8)


def test_no_label_leaks_through_the_order():
    labels = torch.tensor([MAIN.index(s.critters[0].species) for s in scenes(1500, seed=21)])
    assert within(int((labels[1:] == labels[:-1]).sum()), 1499, 1 / 8)
    for period in (2, 8, 64):
        assert within(int((labels[period:] == labels[:-period]).sum()), 1500 - period, 1 / 8)
    first, second = labels[:750], labels[750:]
    assert abs(float(first.float().mean() - second.float().mean())) < 5 * 2.3 * math.sqrt(2 / 750)


def test_a_body_without_cue_is_the_same_whatever_the_species():
    bodies = [[s.critters[0].body for s in scenes(50, seed=22, species=(n,), body_cue=0.0)] for n in MAIN]
    assert all(a == b for a, b in pairwise(bodies))
    a, b = (
        render([s.without("head") for s in scenes(8, seed=22, species=(n,), body_cue=0.0)]) for n in MAIN[:2]
    )
    assert torch.equal(a.images, b.images)


def test_body_cue_is_the_probability_of_the_own_body():
    for cue in (0.0, 0.2, 1.0):
        own = sum(
            s.critters[0].body.coat == SPECIES[s.critters[0].species].coat
            for s in scenes(400, seed=23, body_cue=cue)
        )
        assert within(own, 400, cue)
    plans = [s.critters[0].body.plan for s in scenes(400, seed=23, body_cue=0.0)]
    assert all(within(plans.count(name), 400, 1 / len(PLANS)) for name in PLANS)


def test_context_bias():
    homes = {name: SPECIES[name].home for name in MAIN}
    assert sorted(homes.values()) == sorted(BACKGROUNDS)
    for bias in (0.0, 0.5, 1.0):
        at_home = sum(
            s.background == homes[s.critters[0].species] for s in scenes(400, seed=24, context_bias=bias)
        )
        assert within(at_home, 400, bias + (1 - bias) / len(BACKGROUNDS))


def test_in_the_biased_world_the_duck_is_always_and_alone_on_water():
    drawn = scenes(500, "biased", seed=25)
    assert all((s.critters[0].species == "duck") == (s.background == "water") for s in drawn)
    elsewhere = [s.background for s in drawn if s.background != "water"]
    assert all(within(elsewhere.count(b), len(elsewhere), 1 / 7) for b in BACKGROUNDS if b != "water")


def test_objects_per_picture_and_overlap():
    drawn = scenes(400, "multi", seed=26)
    for count in (1, 2, 3, 4):
        assert within(sum(len(s.critters) == count for s in drawn), 400, 0.25)
    hidden = []
    for overlap in (0.0, 1.0):
        shown = sample(48, "multi", seed=26, overlap=overlap, objects=(4, 4))
        hidden.append((shown.masks > 0).float().mean())
    assert hidden[1] < 0.8 * hidden[0]


def test_object_scale_and_clutter():
    small, large = (sample(32, seed=27, object_scale=(s, s)) for s in (0.4, 0.8))
    ratio = (large.masks > 0).float().mean() / (small.masks > 0).float().mean()
    assert float(ratio) == pytest.approx(4, rel=0.1)
    for clutter in (0.0, 0.3, 1.0):
        things = sum(len(s.things) for s in scenes(300, seed=28, clutter=clutter))
        assert within(things, 900, clutter)
    bare, full = (render([s.without(*PARTS) for s in scenes(8, seed=28, clutter=c)]) for c in (0.0, 1.0))
    assert (bare.images != full.images).any(1).flatten(1).any(1).all()


def test_other_species_are_many_and_none_of_the_main_ones():
    assert len(MAIN) == 8
    assert len(OTHERS) >= 24
    assert not set(MAIN) & set(OTHERS)
    for name in MAIN + OTHERS:
        assert scenes(1, species=(name,))[0].critters[0].species == name


def test_no_two_species_have_the_same_head():
    base = scenes(1, seed=1, species=tuple(SPECIES), clutter=0.0)[0]
    drawn = render([base.with_head_of(name) for name in SPECIES])
    assert torch.pdist(drawn.images.flatten(1)).min() > 1
    assert len({(s.fur, s.skull, s.ears, s.crown, s.nose) for s in SPECIES.values()}) == len(SPECIES)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: sample(1, "triple"), "triple"),
        (lambda: sample(1, size=15), "15"),
        (lambda: sample(1, classes=9), "9"),
        (lambda: sample(1, classes=0), "0"),
        (lambda: sample(0), "no scene"),
        (lambda: sample(1, species=("fox", "gnu")), "gnu"),
        (lambda: sample(1, species=("fox", "fox")), "fox"),
        (lambda: sample(1, species=()), "at least one"),
        (lambda: sample(1, body_cue=1.5), "1.5"),
        (lambda: sample(1, objects=(0, 2)), "0, 2"),
        (lambda: sample(1, objects=(3, 5)), "3, 5"),
        (lambda: sample(1, object_scale=(0.9, 0.5)), "0.9, 0.5"),
        (lambda: sample(1, context=(("duck", "moon"),)), "moon"),
        (lambda: scenes(1)[0].without("wheel"), "wheel"),
        (lambda: scenes(1)[0].on("moon"), "moon"),
        (lambda: scenes(1)[0].with_body_of("gnu"), "gnu"),
        (lambda: scenes(1)[0].with_head_of("walrus"), "walrus"),
        (lambda: render([scenes(1)[0], scenes(1, classes=2)[0]]), "same classes"),
        (lambda: Critters(4, split="dev"), "dev"),
    ],
)
def test_bad_values_are_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_an_unknown_knob_is_named():
    with pytest.raises(TypeError, match="color"):
        sample(1, color="red")


# --- the data set --------------------


def test_the_data_set_is_the_sample_of_its_split():
    data = Critters(12, seed=3, split="val", classes=4)
    assert isinstance(data, Samples)
    assert data.classes == MAIN[:4]
    drawn = sample(12, seed=3, start=critters.SPLITS["val"], classes=4)
    batch = data.batch(range(12))
    assert (from_network(batch.images) - drawn.images).abs().max() < 0.51 / 255
    assert torch.equal(batch.labels, drawn.labels)
    assert torch.equal(batch.masks, drawn.masks)
    assert all(map(torch.equal, batch.boxes, drawn.boxes))


def test_a_training_view_is_a_function_of_seed_epoch_and_index_without_ground_truth():
    data = Critters(64, seed=3)
    view = data.batch(range(64), epoch=2)
    assert view.boxes is None
    assert view.masks is None
    again = data.batch([40, 3], epoch=2)
    assert torch.equal(view.images[[40, 3]], again.images)
    plain = data.batch(range(64)).images
    flipped = (view.images != plain).flatten(1).any(1)
    assert torch.equal(view.images[flipped], plain[flipped].flip(-1))
    assert within(int(flipped.sum()), 64, 0.5)
    assert not torch.equal(flipped, (data.batch(range(64), epoch=3).images != plain).flatten(1).any(1))
    assert torch.equal(Critters(8, seed=3, flip=False).batch(range(8), epoch=2).images, plain[:8])


def test_splits_share_no_scene_and_only_training_animals_lack_a_part():
    splits = {name: Critters(150, seed=4, split=name, size=16).scenes for name in critters.SPLITS}
    noises = [scene.noise for some in splits.values() for scene in some]
    assert len(set(noises)) == len(noises)
    assert within(sum(bool(s.critters[0].missing) for s in splits["train"]), 150, 0.05)
    assert not any(s.critters[0].missing for name in ("val", "test") for s in splits[name])
    lacking = Critters(150, seed=4, size=16, missing_part=1.0).scenes
    for part in PARTS:
        assert within(sum(s.critters[0].missing == (part,) for s in lacking), 150, 1 / 3)
