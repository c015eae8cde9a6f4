"""The bits that every stored result depends on."""

import torch

from wsolbook.data.counters import generator, keys, seed_of, uniform


def test_bits_are_those_of_every_recorded_result():
    assert seed_of(1, 2, 3) == 2904650318439132554
    assert generator(1, 2, 3).initial_seed() == 13041116711478803063
    assert generator(0, -1, 7).initial_seed() == 12220641339231269694
    assert keys(3, torch.tensor([0, 1, 2**40]), 2).tolist() == [4155601237, 3373418352, 2822163643]
    assert (uniform(keys(3, torch.tensor([5])), 3) * 2**24).tolist() == [[8860641, 8703802, 9372255]]


def test_distinct_counters_give_distinct_seeds():
    seeds = {seed_of(a, b) for a in range(50) for b in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= s < 2**63 for s in seeds)
    assert seed_of(1, 23) != seed_of(12, 3)
