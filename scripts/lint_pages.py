"""Check the built pages without a browser: alt texts, links, and nothing fetched from elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

PAGES = Path(__file__).resolve().parents[1] / "_build" / "html"
GENERATED = {"genindex.html", "search.html", "py-modindex.html"}  # pages of Sphinx without text of ours
SOURCE = "_modules"  # the folder of the package's files, a page each
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
LINK_KINDS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "manifest"}


def find_pages(folder: Path = PAGES) -> list[Path]:
    """Return the pages of the book; not the index, which only forwards, nor what themes bring along."""
    inside = {p.relative_to(folder): p for p in folder.rglob("*.html") if p != folder / "index.html"}
    return sorted(p for name, p in inside.items() if not {"_static", "vendor"} & set(name.parts))


def written(folder: Path = PAGES) -> list[Path]:
    """Return the pages that somebody wrote: no index, no search, no file of the package."""
    pages = find_pages(folder)
    return [p for p in pages if p.name not in GENERATED and SOURCE not in p.relative_to(folder).parts]


def lint(folder: Path = PAGES) -> list[str]:
    """Return one sentence for each broken rule."""
    pages = {
        p.resolve(): BeautifulSoup(p.read_text(encoding="utf-8"), "html.parser") for p in find_pages(folder)
    }
    anchors = {p: {tag["id"] for tag in soup.find_all(id=True)} for p, soup in pages.items()}
    problems = []
    for path, soup in pages.items():
        found = [*image_problems(soup), *fetch_problems(soup)]
        if path.name not in GENERATED:
            found += link_problems(soup, path, anchors)
        problems += [f"{path.relative_to(folder.resolve())}: {problem}" for problem in found]
    return problems


def image_problems(soup: BeautifulSoup) -> list[str]:
    """Every picture says what it shows, in words and not as a file name."""
    problems = []
    for image in soup.find_all("img"):
        alt = image.get("alt")
        if alt is None or (not alt.strip() and "headerlink" not in image.get("class", [])):
            problems.append(f"picture {image.get('src', '')[:60]} has no alt text")
        elif unquote(alt) in unquote(image.get("src", "")) or alt.endswith((".png", ".svg", ".jpg")):
            problems.append(f"picture {image.get('src', '')[:60]} has a file name for an alt text")
    return problems


def fetch_problems(soup: BeautifulSoup) -> list[str]:
    """Nothing that a page loads by itself comes from another place."""
    tags: list[tuple[Tag, str]] = [(tag, key) for name, key in FETCHED.items() for tag in soup.find_all(name)]
    tags += [(tag, "href") for tag in soup.find_all("link") if LINK_KINDS & set(tag.get("rel", []))]
    sources = [str(tag.get(key, "")) for tag, key in tags]
    return [f"loads {s}" for s in sources if urlsplit(s).scheme not in ("", "data") or s.startswith("//")]


def link_problems(soup: BeautifulSoup, path: Path, anchors: dict[Path, set[str]]) -> list[str]:
    """Every link inside the book arrives, at the page and at the place on it."""
    problems = []
    for link in soup.find_all("a", href=True):
        url = urlsplit(link["href"])
        if url.scheme or url.netloc:
            continue
        target = (path.parent / unquote(url.path)).resolve() if url.path else path
        if not target.exists():
            problems.append(f"link to {link['href']}, which is not there")
        elif url.fragment and target in anchors and unquote(url.fragment) not in anchors[target]:
            problems.append(f"link to {link['href']}, where nothing has that name")
    return problems


def main() -> int:
    """Check the book in `_build/html`."""
    problems = lint()
    print(
        "\n".join(problems)
        or f"{len(find_pages())} pages: alt texts and links in order, nothing fetched from elsewhere"
    )
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
