"""What the pages say holds: shell blocks are shell, links lead where their words say, words are words."""

import re
import subprocess
from pathlib import Path

import pytest
from chapters import ROOT, find_notebooks, read_notebook

MARKDOWN = [*sorted((ROOT / "book").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES = [*find_notebooks(), *MARKDOWN]
NAMES = [p.name for p in PAGES]
LINK = re.compile(r"\{(term|doc)\}`([^`<]+?)(?:\s*<([^>`]+)>)?`")
CHAPTERS = [p.stem for p in find_notebooks()]
# What no dictionary has.
OWN = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()
# What is no prose: blocks of code, front matter, options and fences of directives, formulas, code, roles,
# addresses, tags.
CODE = re.compile(r"^(`{3,}|~{3,})(?!\{).*?^\1\s*$|\A---\n.*?^---$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^[ \t]*([:`]{3,}\s*(\{[\w-]+\})?|:[\w-]+:.*)", re.MULTILINE)
BARE = re.compile(
    r"\$\$.*?\$\$|\$[^$]+\$|(\{[\w:-]+\})?(`+)[^`]+\2|\]\([^)]*\)|<[^>]+>|https?://\S+|\{[^}]*\}|[\w.+-]+@\S+|"
    r"\b[\w-]*(?:[_.\d/][\w-]+)+",
    re.DOTALL,
)


def prose(path: Path) -> str:
    """Return the Markdown of a page or of a chapter."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(c.source for c in read_notebook(path).cells if c.cell_type == "markdown")


def shell_blocks(text: str) -> list[str]:
    return re.findall(r"^```(?:bash|sh|shell)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def shell_problem(block: str) -> str:
    """Return what is wrong with a block, empty if nothing is."""
    if "#SBATCH" in block and not block.startswith("#!/"):
        return "a script for sbatch begins with #!/"
    if re.match(r"\s*!|\s*/bin/", block):
        return "the # of #! got lost"
    return subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_shell_blocks_are_shell(path):
    assert [problem for block in shell_blocks(prose(path)) if (problem := shell_problem(block))] == []


def test_a_block_that_is_no_shell_is_found():
    (block,) = shell_blocks("Text\n```bash\nif x; then\n```\nmore\n```python\n(\n```\n")
    assert "syntax error" in shell_problem(block)
    assert "got lost" in shell_problem("!/bin/bash\ntrain\n")
    assert "begins with #!" in shell_problem("# first\n#SBATCH --nodes=4\n")
    assert shell_problem("#!/bin/bash\n#SBATCH --nodes=4\necho $(hostname)  # here\n") == ""


def words(text: str) -> set[str]:
    """Return the words of a text in the singular, small letters and articles left out."""
    found = re.findall(r"[\w-]+", text.lower())
    return {re.sub(r"(?<=[^s])s$", "", w) for w in found} - {"the", "a", "an", "of"}


def link_problem(kind: str, text: str, target: str, page: Path, titles: dict[str, str]) -> str:
    """Return what is wrong with a link whose words and target are given apart, empty if nothing is.

    The words of a term's link are among those of the term. Those of a link to a page share one with its
    title or its name, or count chapters: "chapter 1", "the next chapter", "the chapter after next".
    """
    stem = Path(target).name
    if kind == "term":
        return "" if words(text) <= words(target) else f"{text!r} leads to the term {target!r}"
    ahead = {"next chapter": 1, "chapter after next": 2}
    for phrase, by in ahead.items():
        if phrase in text.lower() and page.stem in CHAPTERS and stem in CHAPTERS:
            right = CHAPTERS.index(stem) - CHAPTERS.index(page.stem) == by
            return "" if right else f"{text!r} leads to {stem}"
    if number := re.fullmatch(r"chapter (\d+)", text.lower()):
        return "" if stem.startswith(f"{int(number[1]):02}_") else f"{text!r} leads to {stem}"
    near = words(text) & (words(titles[stem]) | words(stem.replace("_", " ")))
    return "" if near else f"{text!r} leads to {stem}, {titles[stem]!r}"


def title(path: Path) -> str:
    return re.search(r"^# (.+)$", prose(path), re.MULTILINE)[1]


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_links_lead_where_their_words_say(path):
    titles = {p.stem: title(p) for p in PAGES}
    links = [m for m in LINK.findall(prose(path)) if m[2]]
    assert [problem for link in links if (problem := link_problem(*link, path, titles))] == []


@pytest.mark.parametrize(
    ("kind", "text", "target", "fine"),
    [
        ("term", "feature maps", "feature map", True),
        ("term", "localization error", "top-1 localization error", True),
        ("term", "dropout", "ablation", False),
        ("term", "training batch", "weak supervision", False),
        ("doc", "GAIN", "02_cam", False),
        ("doc", "CAM", "02_cam", True),
        ("doc", "The next chapter", "02_cam", True),
        ("doc", "The next chapter", "03_grad_cam", False),
        ("doc", "Chapter 2", "../notebooks/02_cam", True),
        ("doc", "Chapter 1", "../notebooks/02_cam", False),
    ],
)
def test_the_rule_for_links(kind, text, target, fine):
    titles = {"02_cam": "CAM: the classifier already knows where", "03_grad_cam": "Grad-CAM"}
    page = ROOT / "notebooks" / "01_measuring_a_map.ipynb"
    assert (link_problem(kind, text, target, page, titles) == "") is fine


def test_terms_are_in_the_glossary():
    page = prose(ROOT / "book" / "glossary.md")
    blocks = re.findall(r"^```\{glossary\}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    terms = {line.lower() for block in blocks for line in block.splitlines() if re.match(r"\S", line)}
    links = [link for path in PAGES for link in LINK.findall(prose(path)) if link[0] == "term"]
    assert {(target or text).lower() for _, text, target in links} - terms == set()


def captions(path):
    """Return the alt texts and captions of a chapter's figures."""
    cells = read_notebook(path).cells if path.suffix == ".ipynb" else []
    about = [cell.metadata.get("mystnb", {}) for cell in cells]
    return [part.get(key, "") for a in about for part in a.values() for key in ("alt", "caption")]


def spelled(text):
    """Return the words of prose, in small letters; those of two letters say little."""
    for pattern in (CODE, LINE, BARE):
        text = pattern.sub(" ", text)
    return {word.lower() for word in re.findall(r"[A-Za-z]+(?:'[a-z]+)?", text) if len(word) > 2}


@pytest.fixture(scope="module")
def dictionary():
    checker = pytest.importorskip("spellchecker", reason="pyspellchecker is not installed").SpellChecker()
    checker.word_frequency.load_words(OWN)
    return checker


def said(path):
    """Return the words of a page or a chapter without the ending of a genitive."""
    found = spelled("\n".join([prose(path), *captions(path)]))
    return {word.removesuffix("'s") for word in found}


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_words_are_spelled_right(path, dictionary):
    assert dictionary.unknown(said(path)) == set()


def test_a_wrong_word_is_found_and_code_is_none(dictionary):
    text = (
        "A clasifier's `wrng` $wrng$ {term}`wrng` ends.\n\n```python\nwrng\n```\n:::{wrng}\n:label: wrng\n:::"
    )
    assert dictionary.unknown(spelled(text)) == {"clasifier's"}


def test_the_list_is_in_order_and_holds_what_is_used():
    assert sorted(set(OWN)) == OWN
    assert set(OWN) - set().union(*map(said, PAGES)) == set()
