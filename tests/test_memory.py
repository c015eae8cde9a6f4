"""Less at once where memory does not hold all; other errors stay what they are."""

from __future__ import annotations

import pytest
import torch

from wsolbook import cli
from wsolbook.memory import out_of_memory, within_memory
from wsolbook.types import Batch

BATCH = Batch(torch.zeros(5, 3, 2, 2), torch.ones(5, 1), torch.arange(5))


def asked(most, error):
    """Return a question that fails for more than `most` pictures, and the sizes it was asked with."""
    sizes = []

    def ask(batch):
        sizes.append(len(batch))
        if len(batch) > most:
            raise error
        return batch.index.tolist()

    return ask, sizes


def test_halves_are_asked_in_order():
    ask, sizes = asked(2, RuntimeError("MPS backend out of memory (MPS allocated: 17.9 GB)"))
    assert within_memory(ask, BATCH) == [0, 1, 2, 3, 4]
    assert sizes == [5, 2, 3, 1, 2]


def test_one_picture_that_does_not_fit_is_an_error():
    ask, sizes = asked(0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        within_memory(ask, BATCH)
    assert sizes == [5, 2, 1]


def test_another_error_is_not_tried_again():
    ask, sizes = asked(0, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes"):
        within_memory(ask, BATCH)
    assert sizes == [5]
    assert not out_of_memory(RuntimeError("shapes do not fit"))


def test_a_command_that_runs_out_of_memory_says_so(monkeypatch, capsys):
    def greedy(_verb, _arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee the manual.")

    monkeypatch.setattr(cli, "_run", greedy)
    assert cli.main(["train"]) == 1
    assert capsys.readouterr().err == (
        "wsolbook: not enough memory: CUDA out of memory. Tried to allocate 2 GiB.\n"
    )
    monkeypatch.setenv("WSOLBOOK_DEBUG", "1")
    with pytest.raises(torch.OutOfMemoryError):
        cli.main(["train"])
