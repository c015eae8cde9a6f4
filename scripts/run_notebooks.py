"""Execute chapters from their percent twins and store them with outputs.

Each chapter runs in a fresh kernel, in its own folder, in the `book` profile: the way
`pytest --nbval notebooks/` will run it again. Stored are outputs without anything that changes
from run to run on its own.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from chapters import CHAPTERS, find_twins, notebook_of, read_twin, write_notebook
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

VOLATILE = ("execution", "collapsed", "scrolled")
WIDGET = "application/vnd.jupyter.widget-view+json"  # names a model that is gone; its HTML is not


def execute(twin: Path, timeout: int) -> NotebookNode:
    """Return the executed notebook of a percent script.

    Raises:
        CellExecutionError: when a cell raises; the notebook on disk stays as it was.
    """
    notebook = read_twin(twin)
    NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(notebook_of(twin).parent)}},
    ).execute()
    for cell in notebook.cells:
        for key in VOLATILE:
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = merge_streams(cell.outputs)
            for output in cell.outputs:
                output.get("data", {}).pop(WIDGET, None)
    return notebook


def merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighboring pieces of the same stream: where a kernel cuts them depends on timing."""
    merged: list[NotebookNode] = []
    for output in outputs:
        before = merged[-1] if merged else None
        if output.output_type == "stream" and before is not None and before.get("name") == output.name:
            before.text += output.text
        else:
            merged.append(output)
    return merged


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "chapter", nargs="*", help="beginnings of names, for example 02; all if none is given"
    )
    parser.add_argument("--timeout", type=int, default=600, help="seconds a cell may take")
    options = parser.parse_args()
    os.environ.setdefault("WSOLBOOK_PROFILE", "book")
    chosen = [t for t in find_twins() if not options.chapter or t.name.startswith(tuple(options.chapter))]
    failed = 0
    for twin in chosen:
        start = time.perf_counter()
        try:
            write_notebook(execute(twin, options.timeout), notebook_of(twin))
        except CellExecutionError as error:
            print(f"{twin.stem}: failed\n{error}")
            failed += 1
        else:
            print(f"{twin.stem}: {time.perf_counter() - start:.0f} s", flush=True)
    if not chosen:
        print(f"no chapter in {CHAPTERS.name}/text matches")
    return failed


if __name__ == "__main__":
    sys.exit(main())
