"""Write into `_build` what pages show and nobody types, since it follows from code, chapters and results."""

from __future__ import annotations

from pathlib import Path

import concepts_page
import contents_page
import costs
import laboratory_page
import papers_map
import reproduction_page
import results_page
import social_cards
from chapters import ROOT

FOLDER = ROOT / "_build"


def files() -> dict[str, str | bytes]:
    """Return what is written: text to be taken into pages, and in `extra` what the site has beside them."""
    records = results_page.read()
    pictures = {f"extra/chapters/{name}": picture for name, picture in contents_page.pictures().items()}
    cards = {f"extra/cards/{name}.jpg": picture for name, picture in social_cards.cards().items()}
    networks = {f"extra/{name}": text for name, text in laboratory_page.scripts().items()}
    return (
        pictures
        | cards
        | networks
        | {
            "pages/contents.html": contents_page.cards(),
            "pages/wsolbook.bib": contents_page.citation(),
            "pages/paths.md": contents_page.paths(),
            "pages/state.md": contents_page.state(records),
            "pages/papers.md": papers_map.markdown(),
            "pages/laboratory.html": laboratory_page.figure(),
            "pages/costs.md": costs.markdown(records),
            "pages/reproduction.md": reproduction_page.markdown(records),
            "pages/concepts.md": concepts_page.markdown(),
            "pages/results.md": results_page.markdown(records),
        }
    )


def main(folder: Path = FOLDER) -> None:
    """Write all of it."""
    for name, content in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


if __name__ == "__main__":
    main()
