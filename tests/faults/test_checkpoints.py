"""A checkpoint is the old one or the new one, whole, and never a program."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import zipfile

import pytest
import torch

from wsolbook.training import CheckpointError, load_checkpoint, save_checkpoint
from wsolbook.training.checkpoint import checkpoint_path, load_newest, prune


def state(step: int = 3) -> dict:
    """Return a state as `train` saves it, of one parameter."""
    return {
        "config": {}, "digest": "", "step": step, "evaluations": [], "model": {"w": torch.arange(6.0)},
        "optimizer": {}, "average": [], "scaler": {}, "micro_batch": 1,
    }  # fmt: skip


def test_what_is_saved_is_loaded(tmp_path):
    save_checkpoint(tmp_path / "a.pt", state())
    found = load_checkpoint(tmp_path / "a.pt")
    assert found["step"] == 3
    assert torch.equal(found["model"]["w"], torch.arange(6.0))
    assert found["format"] == 1
    assert found["versions"]["torch"] == str(torch.__version__)


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_pickled_code_is_refused_and_not_run(tmp_path):
    bait = str(tmp_path / "pwned")
    torch.save(state() | {"model": Evil(bait)}, tmp_path / "new.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Evil(bait)))
    with pytest.raises(CheckpointError, match=r"new\.pt is not a whole checkpoint, or holds Python obj"):
        load_checkpoint(tmp_path / "new.pt")
    with pytest.raises(CheckpointError, match=r"old\.pt is not a whole checkpoint"):
        load_checkpoint(tmp_path / "old.pt")
    assert not os.path.exists(bait)


def test_a_refused_pickle_is_not_followed_by_advice_to_load_it_all_the_same(tmp_path):
    torch.save(state() | {"model": Evil("pwned")}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path / "a.pt")
    assert str(caught.value).endswith("and are never loaded; --resume auto takes the newest whole one")
    assert "weights_only" not in str(caught.value)


def test_a_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "a.pt"
    save_checkpoint(path, state() | {"model": {"w": torch.full((1000,), 7.0)}})
    content = bytearray(path.read_bytes())
    place = content.find(torch.full((1000,), 7.0).numpy().tobytes())
    content[place + 1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.pt is not a whole checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_named(tmp_path, share):
    path = tmp_path / "a.pt"
    save_checkpoint(path, state())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match=r"a\.pt is not a whole checkpoint"):
        load_checkpoint(path)


def test_other_files_are_named(tmp_path):
    torch.save({"w": torch.ones(1)}, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=r"weights\.pt is not a checkpoint of a training run"):
        load_checkpoint(tmp_path / "weights.pt")
    torch.save(state() | {"format": 99, "versions": {}}, tmp_path / "later.pt")
    with pytest.raises(CheckpointError, match="has format 99, this version reads 1"):
        load_checkpoint(tmp_path / "later.pt")
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "absent.pt")


def test_the_newest_is_by_number_and_the_rest_are_said(tmp_path):
    for step in (200, 1000, 99_999_999, 100_000_000):
        save_checkpoint(checkpoint_path(tmp_path, step), state(step))
    checkpoint_path(tmp_path, 100_000_000).write_bytes(b"torn")
    found, skipped = load_newest(tmp_path)
    assert found["step"] == 99_999_999
    assert len(skipped) == 1
    assert "step-100000000.pt" in skipped[0]
    (tmp_path / ".step-00000300-5ca1ab1e.pt").write_bytes(b"left by a kill")
    (tmp_path / "step-best.pt").write_bytes(b"somebody's own")
    (tmp_path / "step-00000300 (copy).pt").write_bytes(b"somebody's own")
    checkpoint_path(tmp_path, 300).mkdir()
    save_checkpoint(checkpoint_path(tmp_path, 900), state(900))
    prune(tmp_path, 99_999_999, keep=2, best=200)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-00000200.pt",
        "step-00000300 (copy).pt",
        "step-00000300.pt",
        "step-00001000.pt",
        "step-100000000.pt",
        "step-99999999.pt",
        "step-best.pt",
    ]


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    save_checkpoint(path, state(1))
    real = torch.save

    def full(value, file):
        real(value, file)
        with open(file, "r+b") as handle:
            handle.truncate(100)
        raise RuntimeError("PytorchStreamWriter failed writing file: No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"No space left on device.*a\.pt"):
        save_checkpoint(path, state(2))
    assert load_checkpoint(path)["step"] == 1
    monkeypatch.setattr(torch, "save", real)

    def no_space(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, state(2))
    assert load_checkpoint(path)["step"] == 1
    assert os.listdir(tmp_path) == ["a.pt"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a process")
def test_a_file_that_does_not_fit_onto_the_disk_is_named_with_the_reason(tmp_path):
    """A limit on the size of files stops torch's writer as a full disk does: by "unexpected pos"."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match=r"No space left on device.*a\.pt") as caught:
            save_checkpoint(tmp_path / "a.pt", state() | {"model": {"w": torch.ones(5000)}})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "unexpected pos" not in str(caught.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": "3"}, "a.pt holds no valid step"),
        ({"step": True, "model": []}, "a.pt holds no valid step and model"),
        ({"micro_batch": 0.5}, "a.pt holds no valid micro_batch"),
    ],
)
def test_values_of_a_wrong_kind_are_named(tmp_path, changes, message):
    save_checkpoint(tmp_path / "a.pt", state() | changes)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / "a.pt")


KILLED = """
import os, random, signal, sys, time
import torch
from wsolbook.training import load_checkpoint, save_checkpoint

torch.set_num_threads(1)
path = sys.argv[1]
def state(step):
    return {"config": {}, "digest": "", "step": step, "evaluations": [], "optimizer": {}, "average": [],
            "model": {"w": torch.full((50_000,), float(step))}, "scaler": {}, "micro_batch": 1}
save_checkpoint(path, state(0))
chance = random.Random(0)
for trial in range(15):
    child = os.fork()
    if child == 0:
        step = load_checkpoint(path)["step"]
        while True:
            step += 1
            save_checkpoint(path, state(step))
    time.sleep(0.005 + 0.03 * chance.random())
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = load_checkpoint(path)
    assert (found["model"]["w"] == found["step"]).all(), trial
print(found["step"])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and kill")
def test_killed_at_random_moments_of_saving_there_is_always_a_whole_file(tmp_path):
    """15 processes that do nothing but save die by kill -9; the file is readable after each."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "a.pt")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_the_zip_of_a_checkpoint_holds_nothing_but_data(tmp_path):
    save_checkpoint(tmp_path / "a.pt", state())
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert not [n for n in archive.namelist() if n.endswith((".py", ".so"))]
