from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import ToySamples

from wsolbook.data.sampling import (
    batch_index,
    evaluation_batches,
    order,
    readers,
    steps_per_epoch,
    training_batches,
)


@given(n=st.integers(1, 40), batch=st.integers(1, 12), seed=st.integers(0, 5), epoch=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_an_epoch_serves_every_sample_once(n, batch, seed, epoch):
    per_epoch = steps_per_epoch(n, batch)
    served = []
    for step in range(epoch * per_epoch, (epoch + 1) * per_epoch):
        found, index = batch_index(n, batch, seed, step)
        assert found == epoch
        assert 1 <= len(index) <= batch
        served += index
    assert sorted(served) == list(range(n))
    assert tuple(served) == order(n, seed, epoch)


def test_order_changes_with_epoch_and_seed():
    assert order(30, 0, 0) != order(30, 0, 1)
    assert order(30, 0, 0) != order(30, 1, 0)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_share_each_training_batch(world):
    data = ToySamples(7)
    shares = [
        list(training_batches(data, 3, steps=range(6), seed=4, rank=rank, world=world))
        for rank in range(world)
    ]
    for step in range(6):
        whole = batch_index(7, 3, 4, step)[1]
        for rank in range(world):
            mine = shares[rank][step].index.tolist()
            assert mine == list(whole[rank::world] or whole[:1])


def test_later_steps_are_those_of_a_whole_run_with_any_number_of_workers():
    data = ToySamples(11)
    whole = list(training_batches(data, 4, steps=range(7), seed=1))
    for workers in (0, 2):
        tail = list(training_batches(data, 4, steps=range(3, 7), seed=1, workers=workers))
        for a, b in zip(whole[3:], tail, strict=True):
            assert torch.equal(a.images, b.images)
            assert torch.equal(a.labels, b.labels)
            assert a.index.tolist() == b.index.tolist()


@pytest.mark.parametrize("world", [1, 2, 3, 9])
def test_evaluation_counts_every_sample_exactly_once(world):
    data = ToySamples(7)
    seen = [
        i
        for rank in range(world)
        for batch in evaluation_batches(data, 2, rank=rank, world=world)
        for i in batch.index.tolist()
    ]
    assert sorted(seen) == list(range(7))


def test_evaluation_of_one_process_is_in_order():
    index = [b.index.tolist() for b in evaluation_batches(ToySamples(5), 2)]
    assert index == [[0, 1], [2, 3], [4]]


def test_an_unreadable_picture_names_itself():
    data = ToySamples(6, broken=(3,))
    with pytest.raises(OSError, match=r"picture-3\.jpg"):
        list(training_batches(data, 2, steps=range(3)))


def test_loading_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(training_batches(ToySamples(6), 2, steps=range(3), workers=1))
    assert torch.equal(before, torch.get_rng_state())


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="data set is empty"):
        next(iter(training_batches(ToySamples(0), 2, steps=range(1))))


def test_processes_read_ahead_where_a_device_would_wait_for_files(monkeypatch):
    card, cpu = torch.device("cuda", 0), torch.device("cpu")
    in_memory, in_files = ToySamples(4), ToySamples(4)
    in_files.path = lambda index: f"{index}.jpg"
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    assert [readers(data, where) for data in (in_memory, in_files) for where in (cpu, card)] == [0, 0, 0, 8]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert readers(in_files, card) == 4
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert readers(in_files, card) == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert readers(in_files, card) == 0
