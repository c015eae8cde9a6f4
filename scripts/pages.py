"""Write into `_build/pages` what pages show and nobody types, since it follows from code and results."""

from __future__ import annotations

from pathlib import Path

import laboratory_page
import results_page
from chapters import ROOT

FOLDER = ROOT / "_build" / "pages"


def texts() -> dict[str, str]:
    """Return each file's text."""
    records = results_page.read()
    return {
        "laboratory.html": laboratory_page.figure(),
        "results.md": results_page.markdown(records),
    }


def main(folder: Path = FOLDER) -> None:
    """Write all of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
