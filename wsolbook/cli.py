"""The `wsolbook` command: a list of verbs, each a function that takes one frozen dataclass of options."""

from __future__ import annotations

import errno
import importlib
import inspect
import os
import sys
import typing
from typing import Any

import wsolbook

# What each verb does. Its function has its name, in the module of that name in `wsolbook.commands`, which is
# imported when the verb is used, so that help is quick.
COMMANDS = {
    "train": "train a network by a recipe",
    "recipes": "list the recipes and the numbers of their papers",
    "reproduce": "train over several seeds, evaluate, compare with the paper",
    "maps": "write the localization maps of a whole data set",
    "pseudo-labels": "write the class of each pixel of a whole data set",
    "explain": "show what a network saw in photographs",
    "doctor": "versions, devices, and what is missing",
    "data": "download, prepare, verify and show data sets",
    "evaluate": "score saved maps, or those of a network, with the official metrics",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return the exit code: 0 if it worked, 1 on an error of the user, 2 on a wrong option.

    Errors that a user can mend (ValueError, TypeError, OSError, MemoryError) become one sentence on stderr;
    set `WSOLBOOK_DEBUG=1` to see where they come from. Where nobody reads on, as behind `| head`, it ends
    without a word, with 141 like other commands.
    """
    try:
        try:
            return _main(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # What is still to be printed must go somewhere, or Python itself complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        print(wsolbook.__version__)
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in COMMANDS:
        print(f"wsolbook: no command {verb!r}; choose one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    try:
        if address := next((word for word in rest if "://" in word), None):
            raise ValueError(f"{address} is an address; download it, and name the file")
        return _run(verb, rest)
    except BrokenPipeError:
        raise
    except (ValueError, TypeError, OSError, MemoryError) as error:
        if os.environ.get("WSOLBOOK_DEBUG"):
            raise
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "; make room, and run the same command again" * full
        print(f"wsolbook: {error or 'not enough memory'}{remedy}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        from wsolbook.memory import out_of_memory

        if os.environ.get("WSOLBOOK_DEBUG") or not out_of_memory(error):
            raise
        print(f"wsolbook: not enough memory: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def function_of(verb: str) -> Any:
    """Return the function of a verb, which takes its options and returns an exit code."""
    name = verb.replace("-", "_")
    return getattr(importlib.import_module(f"wsolbook.commands.{name}"), name)


def _run(verb: str, arguments: list[str]) -> int:
    function = function_of(verb)
    (parameter,) = inspect.signature(function).parameters
    kind = typing.get_type_hints(function)[parameter]
    if kind == list[str]:  # its options depend on its arguments, so it parses them itself
        return function(arguments) or 0
    import tyro

    return function(tyro.cli(kind, args=arguments, prog=f"wsolbook {verb}")) or 0


def _help() -> str:
    width = max(map(len, COMMANDS))
    verbs = "\n".join(f"  {verb:<{width}}  {what}" for verb, what in COMMANDS.items())
    return f"usage: wsolbook COMMAND [OPTIONS]\n\n{verbs}\n\nwsolbook COMMAND --help shows its options."


if __name__ == "__main__":
    sys.exit(main())
