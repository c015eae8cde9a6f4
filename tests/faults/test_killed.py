"""Kill -9 at random moments of a training: in the end it is the training that nobody killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Processes are forked from one that has everything loaded, so that a kill costs seconds, not imports.
KILLED = """
import os, random, signal, sys, time
import torch
from wsolbook import cli

torch.set_num_threads(1)
folder, kills = sys.argv[1], int(sys.argv[2])
train = ["train", "--device", "cpu", "--data.n", "64", "--data.held-out", "8", "--data.size", "16",
         "--batch-size", "8", "--epochs", "6", "--checkpoint-every", "1", "--ema", "0.9",
         "--optim.name", "adamw"]
def start(name):
    child = os.fork()
    if child == 0:
        sys.stdout = sys.stderr = open(os.devnull, "w")
        os._exit(cli.main([*train, "--run", f"{folder}/{name}", "--resume", "auto"]))
    return child
began = time.perf_counter()
assert os.waitpid(start("whole"), 0)[1] == 0
whole = time.perf_counter() - began
chance, done, ended = random.Random(0), 0, 0
while done < kills:
    child = start("killed")
    time.sleep(whole * chance.uniform(0.02, 0.5))
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        done += 1
    else:  # it had come to its end: once more from the start
        assert status == 0
        os.rename(f"{folder}/killed", f"{folder}/ended-{ended}")
        ended += 1
assert os.waitpid(start("killed"), 0)[1] == 0
print(done)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and kill")
def test_killed_at_twenty_random_moments_a_training_ends_with_the_same_bits(tmp_path: Path):
    words = [sys.executable, "-c", KILLED, str(tmp_path), "20"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "20\n"
    whole = (tmp_path / "whole" / "model.safetensors").read_bytes()
    ended = [run for run in tmp_path.iterdir() if run.name != "whole"]
    assert all((run / "model.safetensors").read_bytes() == whole for run in ended)
