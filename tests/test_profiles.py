"""The one switch of a notebook."""

from __future__ import annotations

import pytest
import torch

from wsolbook import profiles, setup


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(profiles, "_quiet", False)
    yield
    torch.set_num_threads(threads)


def test_book_is_the_default_and_runs_on_the_cpu(monkeypatch):
    monkeypatch.delenv("WSOLBOOK_PROFILE", raising=False)
    chosen = setup(seed=3)
    assert (chosen.profile, chosen.device, chosen.seed) == ("book", torch.device("cpu"), 3)


def test_the_environment_chooses_and_an_argument_overrules_it(monkeypatch):
    monkeypatch.setenv("WSOLBOOK_PROFILE", "real")
    assert setup().profile == "real"
    assert setup("book").profile == "book"


def test_threads_follow_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert setup("book").threads == 1 == torch.get_num_threads()


def test_the_seed_fixes_what_torch_draws():
    setup("book", seed=5)
    first = torch.rand(4)
    setup("book", seed=5)
    assert torch.equal(first, torch.rand(4))


def test_an_unknown_profile_in_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("WSOLBOOK_PROFILE", "laptop")
    with pytest.raises(ValueError, match="book, real, full, got 'laptop'"):
        setup()


def test_progress_is_silent_in_the_book_and_yields_everything(capsys):
    setup("book")
    assert list(profiles.progress(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
