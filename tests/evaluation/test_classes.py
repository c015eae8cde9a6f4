"""Which class is which: by name, by number only where nobody has names, and never by luck."""

from __future__ import annotations

import pytest
import torch
from trees import write

from wsolbook.evaluation import FromNetwork
from wsolbook.evaluation.classes import match_classes, read_pairs
from wsolbook.types import Batch

BIRDS = ("ani", "auklet", "crow")


def test_names_decide_and_the_network_s_other_classes_come_last():
    assert match_classes(BIRDS, BIRDS) == (0, 1, 2)
    assert match_classes(BIRDS, ("crow", "ani", "auklet")) == (1, 2, 0)
    assert match_classes(("crow", "ani"), ("owl", "ani", "jay", "crow")) == (3, 1, 0, 2)
    # a network whose names are guessed, and they are the data set's
    assert match_classes(("crow", "ani"), ("ani", "crow"), named=False) == (1, 0)


def test_without_names_the_numbers_must_agree():
    numbers = ("0", "1", "2")
    assert match_classes(BIRDS, ("class 0", "class 1", "class 2"), named=False) == (0, 1, 2)
    assert match_classes(numbers, BIRDS) == (0, 1, 2)
    for data, network, named in ((BIRDS, numbers[:2], False), (numbers, BIRDS[:2], True)):
        with pytest.raises(ValueError, match="of the data set's 3 classes are none of the network's 2"):
            match_classes(data, network, named)
    # as many classes, but other names on both sides
    with pytest.raises(ValueError, match=r"3 of the data set's 3 .* first is 'ani'.*--match 'ani'=NAME"):
        match_classes(BIRDS, ("cat", "dog", "cow"))


def test_pairs_say_what_names_do_not():
    network = ("cat", "Ani!", "dog", "cat", "crow")
    pairs = {"ani": "ani!", "auklet": "3"}  # capitals aside, or by number
    assert match_classes(BIRDS, network, pairs=pairs) == (1, 3, 4, 0, 2)
    for wrong, said in (
        ({"owl": "cat"}, "'owl' is not a class of the data set: ani, auklet, crow"),
        ({"ani": "Ani!"}, "1 of the data set's 3 classes .*'auklet'"),
        ({"ani": "cat", "auklet": "dog"}, "several classes are called 'cat'; pass a number: 0 or 3"),
        ({"ani": "crow", "auklet": "dog"}, "two classes of the data set are the network's 'crow'"),
        ({"ani": "77", "auklet": "dog"}, "class 77 does not exist"),
    ):
        with pytest.raises(ValueError, match=said):
            match_classes(BIRDS, network, pairs=wrong)


def test_pairs_are_read_from_words_and_files(tmp_path):
    listed = write(tmp_path / "pairs.txt", "ani = groove-billed ani\n\nauklet=3\n")
    assert read_pairs([str(listed), "crow=a=b"]) == {"ani": "groove-billed ani", "auklet": "3", "crow": "a=b"}
    for wrong, said in (("crow=", "'crow=' is no pair"), ("=crow", "is no pair")):
        with pytest.raises(ValueError, match=said):
            read_pairs([wrong])
    with pytest.raises(ValueError, match="'ani' is matched with both '1' and '2'"):
        read_pairs(["ani=1", "ani=2"])
    with pytest.raises(ValueError, match="'crow' is no pair of classes, such as cat=tabby"):
        read_pairs([str(write(tmp_path / "bad.txt", "crow\n"))])
    with pytest.raises(FileNotFoundError):
        read_pairs([str(tmp_path / "none.txt")])


class Numbered:
    """Its logits and maps are the numbers of the classes."""

    def __call__(self, images):
        return torch.arange(4.0).expand(len(images), 4)

    def maps(self, images, classes):
        return classes[..., None, None].float().expand(*classes.shape, 2, 2)


def test_predictions_carry_the_numbers_of_the_data_set():
    labels = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    batch = Batch(torch.zeros(2, 3, 8, 8), labels, torch.tensor([0, 1]))
    first, second = FromNetwork(Numbered(), guesses=1, logits=True, order=(2, 0, 1, 3))(batch)
    assert first.logits.tolist() == [2, 0, 1, 3]
    assert first.classes.tolist() == [3, 0]  # the best guess is a class that the data set lacks
    assert first.values[:, 0, 0].tolist() == [3, 2]
    assert second.classes.tolist() == [3, 0, 1]
    assert second.values[:, 0, 0].tolist() == [3, 2, 0]
