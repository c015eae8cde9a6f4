"""The table of papers' numbers and the index of concepts follow recipes, results and chapters."""

import concepts_page
import reproduction_page
from bs4 import BeautifulSoup
from chapters import find_notebooks, read_notebook
from results_page import is_ours

from wsolbook.recipes import RECIPES

FOUND = {
    "gain-biased": {"metrics": {"overall": [50.0, 60.0]}},
    "cam-cub": {"metrics": {"other": [1.0]}},
}


def test_every_number_of_a_paper_has_a_row_with_ours_or_the_reason_why_not():
    page = reproduction_page.markdown(FOUND)
    rows = BeautifulSoup(page, "html.parser").tbody.find_all("tr")
    wanted = [
        (name, metric, value)
        for name, recipe in RECIPES.items()
        if not is_ours(recipe.source)
        for metric, value in recipe.target.items()
    ]
    assert len(rows) == len(wanted) > 20
    texts = [[cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])] for row in rows]
    for cells, (name, metric, value) in zip(texts, wanted, strict=True):
        assert cells[0].endswith(name)
        assert cells[1].startswith(metric)
        assert cells[2] == f"{value:.1f}"
        assert cells[4] == RECIPES[name].source
    of = {(name, metric): cells[3] for cells, (name, metric, _) in zip(texts, wanted, strict=True)}
    assert of["gain-biased", "overall"] == "55.0 ± 7.1 2 seeds"
    assert of["gain-biased", "duck without water"] == "measured otherwise"
    assert of["cam-cub", "MaxBoxAccV2"] == "measured otherwise"
    assert of["cam-voc", "seed mIoU"] == "not run here: needs VOC 2012"
    assert of["gain-biased-95", "overall"] == "not run yet"


def test_the_index_has_every_term_and_leads_where_the_text_does():
    page = concepts_page.markdown()
    lines = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("- ")}
    assert set(lines) == set(concepts_page.terms())
    assert len(lines) > 80
    for path in find_notebooks():
        text = "".join(cell.source for cell in read_notebook(path).cells if cell.cell_type == "markdown")
        for words, target in concepts_page.TERM.findall(text):
            term = " ".join((target or words).lower().split())
            (line,) = (line for name, line in lines.items() if name.lower() == term)
            assert path.stem in line
