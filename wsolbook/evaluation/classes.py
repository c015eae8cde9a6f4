"""Which class of a network is which class of a data set: names decide, never the order alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wsolbook.cam.classes import find_class
from wsolbook.data.formats import read_lines


def match_classes(
    data: Sequence[str], network: Sequence[str], named: bool = True, pairs: Mapping[str, str] | None = None
) -> tuple[int, ...]:
    """Return the network's class that is each class of a data set, and behind these the network's others.

    The others stay in the game: a network that takes a bird for a class that the data set lacks is wrong.
    Where one side has no names, the data set's classes being called 0, 1, 2, ..., their numbers must agree.

    Args:
        data: names of the data set's classes.
        network: names of the network's classes.
        named: whether the network itself tells these names, instead of somebody guessing them.
        pairs: what the network calls classes of the data set: by name or number, where names differ.

    Raises:
        ValueError: when a class of the data set is no class of the network, or two are the same one.
    """
    pairs = pairs or {}
    if strangers := pairs.keys() - set(data):
        raise ValueError(f"{min(strangers)!r} is not a class of the data set: {_some(data)}")
    lacking = [name for name in data if name not in network and name not in pairs]
    nameless = not named or list(data) == [str(i) for i in range(len(data))]
    if lacking and nameless and not pairs and len(data) == len(network):
        return tuple(range(len(network)))
    if lacking:
        raise ValueError(
            f"{len(lacking)} of the data set's {len(data)} classes are none of the network's {len(network)}, "
            f"the first is {lacking[0]!r}; say what the network calls them: --match {lacking[0]!r}=NAME"
        )
    wanted = [pairs.get(name, name) for name in data]
    found = [network.index(w) if network.count(w) == 1 else find_class(w, network) for w in wanted]
    if twice := [wanted[i] for i, place in enumerate(found) if place in found[:i]]:
        raise ValueError(f"two classes of the data set are the network's {twice[0]!r}; it can be only one")
    return (*found, *(i for i in range(len(network)) if i not in set(found)))


def read_pairs(texts: Sequence[str]) -> dict[str, str]:
    """Return what the network calls classes of the data set, from `NAME=NAME` and from files of such lines.

    Raises:
        ValueError: on anything else, or a class named twice.
        OSError: when a file cannot be read.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        lines = [text] if "=" in text else read_lines(Path(text))
        for line in lines:
            name, equals, other = (part.strip() for part in line.partition("="))
            if not (name and equals and other):
                raise ValueError(f"{line!r} is no pair of classes, such as cat=tabby")
            if pairs.setdefault(name, other) != other:
                raise ValueError(f"{name!r} is matched with both {pairs[name]!r} and {other!r}")
    return pairs


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + ", ..." * (len(names) > 5)
