"""The one switch of a notebook."""

from __future__ import annotations

import sys

import pytest
import torch

from wsolbook import profiles, results, setup
from wsolbook.backbones import build
from wsolbook.training import TrainConfig


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(profiles, "_quiet", False)
    for variable in ("WSOLBOOK_PROFILE", "WSOLBOOK_SEED", "WSOLBOOK_STEPS"):
        monkeypatch.delenv(variable, raising=False)
    yield
    torch.set_num_threads(threads)


def test_book_is_the_default_and_runs_on_the_cpu():
    here = setup(seed=3)
    assert (here.profile, here.device, here.seed) == ("book", torch.device("cpu"), 3)
    assert (here.size, here.backbone, here.seeds, here.steps) == (64, "tiny", (3,), None)


def test_full_is_larger_and_has_three_seeds_on_the_best_device(monkeypatch):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(profiles, "best_device", lambda: gpu)
    here = setup("full", seed=4)
    assert (here.size, here.backbone, here.seeds, here.device) == (128, "tiny_resnet", (4, 5, 6), gpu)
    many, few = (sum(p.numel() for p in build(s.backbone).parameters()) for s in (here, setup("book")))
    assert many > few
    real = setup("real")
    assert (real.size, real.backbone, real.seeds, real.device) == (64, "tiny", (0,), gpu)


def test_the_first_cell_says_where_it_runs_and_how_long(monkeypatch, capsys):
    setup()
    assert capsys.readouterr().out == ""  # what a notebook stores is the same everywhere
    monkeypatch.setattr(profiles, "best_device", lambda: torch.device("mps"))
    setup("full")
    said = capsys.readouterr().out
    assert "profile full on mps" in said
    assert "times 12 and more" in said
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    setup()
    said = capsys.readouterr().out
    assert said.startswith("wsolbook: profile book on cpu; a chapter takes a minute on two cores")
    assert "WSOLBOOK_PROFILE=full would use mps" in said


def test_products_of_fp32_are_not_rounded(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    setup()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_a_training_gets_device_seed_and_steps(monkeypatch):
    assert setup(seed=7).config(epochs=2) == TrainConfig(epochs=2, device="cpu", seed=7)
    monkeypatch.setenv("WSOLBOOK_STEPS", "3")
    assert setup().config(epochs=2, batch_size=8).total_steps(1000) == 3
    monkeypatch.setattr(profiles, "best_device", lambda: torch.device("mps"))
    assert setup("full").config().device == "auto"


def test_results_are_read_and_under_real_computed(monkeypatch):
    assert setup().result("cam-critters") == results.load("cam-critters")
    monkeypatch.setenv("WSOLBOOK_STEPS", "2")
    monkeypatch.setattr(profiles, "best_device", lambda: torch.device("cpu"))
    asked = []

    def reproduce(name, recipe, seeds, runs, command):
        asked.append((name, recipe.steps, seeds, command))
        return {"metrics": {"top-1": [50.0]}}

    monkeypatch.setattr("wsolbook.recipes.seeds.reproduce", reproduce)
    monkeypatch.setattr("wsolbook.recipes.recipe.Recipe.check", lambda recipe: None)
    assert setup("real", seed=5).result("cam-cub10") == {"metrics": {"top-1": [50.0]}}
    assert asked == [("cam-cub10", 2, (5,), ["wsolbook", "reproduce", "cam-cub10", "--seeds", "5"])]


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


def test_the_seed_may_come_from_the_environment_and_an_argument_overrules_it(monkeypatch):
    monkeypatch.setenv("WSOLBOOK_SEED", "8")
    assert (setup().seed, setup().seeds, setup(seed=1).seed) == (8, (8,), 1)
    monkeypatch.setenv("WSOLBOOK_SEED", "eight")
    with pytest.raises(ValueError, match="WSOLBOOK_SEED must be a whole number, got 'eight'"):
        setup()


def test_an_unknown_profile_in_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("WSOLBOOK_PROFILE", "laptop")
    with pytest.raises(ValueError, match="book, real, full, got 'laptop'"):
        setup()


def test_progress_is_silent_in_the_book_and_yields_everything(capsys):
    setup("book")
    assert list(profiles.progress(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.real
def test_real_trains_and_measures_on_photographs(monkeypatch):
    monkeypatch.setenv("WSOLBOOK_STEPS", "1")
    found, stored = setup("real").result("cam-cub10"), results.load("cam-cub10")
    assert found["metrics"].keys() == stored["metrics"].keys()
    assert found["center"] == pytest.approx(stored["center"])  # needs no network
    assert found["provenance"]["seeds"] == [0]
