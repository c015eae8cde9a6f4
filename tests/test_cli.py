from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from wsolbook import cli
from wsolbook.files import atomic


def test_help_lists_every_verb_without_importing_torch():
    code = "import sys; from wsolbook import cli; cli.main(['--help']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert all(f"  {verb} " in done.stdout for verb in cli.COMMANDS)


def test_every_verb_leads_to_a_function():
    for verb in cli.COMMANDS:
        assert callable(cli.function_of(verb))


def test_an_unknown_verb_names_the_known_ones(capsys):
    assert cli.main(["tarin"]) == 2
    assert "no command 'tarin'; choose one of train, recipes" in capsys.readouterr().err


def test_errors_of_the_user_become_one_sentence(capsys, monkeypatch):
    assert cli.main(["train", "--recipe", "cam-dogs"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("wsolbook: 1 problem in the config: recipe must be one of cam-critters")
    monkeypatch.setenv("WSOLBOOK_DEBUG", "1")
    with pytest.raises(ValueError, match="cam-dogs"):
        cli.main(["train", "--recipe", "cam-dogs"])


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of Unix")
@pytest.mark.parametrize("arguments", [["recipes"], ["recipes", "--help"], ["--help"]])
def test_a_reader_that_has_seen_enough_is_no_error(arguments):
    """The reader is gone before the first word, which comes late because of what is imported."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "wsolbook.cli", *arguments], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_wrong_option_is_refused_by_name(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "--recipe", "cam-critters", "--optim.speed", "3"])
    assert caught.value.code == 2
    assert "--optim.speed" in capsys.readouterr().err


def test_all_faults_of_a_config_come_at_once_and_nothing_is_created(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WSOLBOOK_REAL", raising=False)
    arguments = [
        "train",
        "--recipe",
        "cam-voc632",
        "--optim.lr",
        "-1",
        "--epochs",
        "0",
        "--backbone",
        "vgg61",
    ]
    assert cli.main(arguments) == 1
    problems = capsys.readouterr().err
    for part in (
        "5 problems in the config",
        "epochs must be at least 1, got 0",
        "optim.lr must be positive, got -1.0",
        "backbone must be one of tiny",
        "weights file $WSOLBOOK_REAL/weights/mobilenet_v2_symmetric.safetensors does not exist",
        "data.root $WSOLBOOK_REAL/data/VOC2012 is not a folder",
    ):
        assert part in problems
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_what_would_happen_and_creates_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "--recipe", "cam-critters", "--dry-run", "--data.n", "20", "--data.size", "16"]
    arguments += ["--weights", "None", "--optim.lr", "0.05", "--optim.biases", "2.0"]
    assert cli.main([*arguments, "--batch-size", "8", "--epochs", "2"]) == 0
    said = capsys.readouterr().out
    assert "pictures: 20, classes: 8" in said
    assert "steps: 6 of 8 pictures" in said
    assert "biases: 472 numbers, lr 0.1, weight decay 0.0005" in said
    assert "memory: weights 1.1 MiB, gradients 1.1 MiB, optimizer 1.1 MiB, activations" in said
    assert list(tmp_path.iterdir()) == []


def test_recipes_come_with_their_targets(capsys):
    assert cli.main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("cam-cub ") and "MaxBoxAccV2 63.7" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optim.lr", "nan"], "optim.lr must be finite, got nan"),
        (["--schedule.warmup", "inf"], "schedule.warmup must be finite, got inf"),
        (["--schedule.milestones", "1", "nan"], "schedule.milestones must be finite, got nan"),
        (["--best", "MaxBoxAccV3"], "best must be one of top-1, MaxBoxAccV2"),
        (["--seed", str(2**64)], f"seed must be in 0 to 4294967295, got {2**64}"),
        (["--seed", "-1"], "seed must be in 0 to 4294967295, got -1"),
    ],
)
def test_values_that_would_go_wrong_later_are_refused_first(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_address_is_no_file(capsys):
    assert cli.main(["explain", "https://example.org/cat.jpg", "--model", "resnet18"]) == 1
    said = capsys.readouterr().err
    assert said == "wsolbook: https://example.org/cat.jpg is an address; download it, and name the file\n"


def test_a_full_disk_is_one_line_that_names_file_and_remedy(capsys, monkeypatch, tmp_path):
    where = tmp_path / "a.json"

    def save(_verb, _arguments):
        with atomic(where) as temporary:
            temporary.touch()
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cli, "_run", save)
    assert cli.main(["recipes"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"No space left on device: '{where}'; make room, and run the same command again")
    assert list(tmp_path.iterdir()) == []


def test_help_of_reproduce_works_without_a_recipe(capsys):
    assert cli.main(["reproduce", "--help"]) == 0
    assert "cam-critters" in capsys.readouterr().out
