"""Both halves of a chapter hold the same cells, whatever the time stamps say."""

import nbformat
import pair
import pytest
import torch
from chapters import contents, read_notebook, read_twin, tidy, write_notebook, write_twin

from wsolbook.show import explorer
from wsolbook.show.explorer import explore

TWIN = """\
# %% [markdown]
# # Title
#
# Prose with $x^2$.

# %% tags=["hide-input"]
x = 1


def double(y):
    return 2 * y


# %% mystnb={"image": {"alt": "A picture"}}
double(x)

# %%
double(x)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "02_cam.py").write_text(TWIN)
    return tmp_path


@pytest.fixture
def executed(folder):
    """A pair whose notebook has outputs."""
    pair.sync(folder, "text")
    notebook = read_notebook(folder / "02_cam.ipynb")
    for count, cell in enumerate([c for c in notebook.cells if c.cell_type == "code"], start=1):
        cell.execution_count = count
        cell.outputs = [nbformat.v4.new_output("stream", text=f"output {count}\n")]
    write_notebook(notebook, folder / "02_cam.ipynb")
    return folder


def outputs(folder):
    cells = read_notebook(folder / "02_cam.ipynb").cells
    return [c.outputs[0].text if c.outputs else None for c in cells if c.cell_type == "code"]


def test_a_twin_alone_gets_its_notebook(folder):
    assert pair.check(folder) == ["text/02_cam.py has no notebook 02_cam.ipynb"]
    assert pair.sync(folder, "text") == [folder / "02_cam.ipynb"]
    assert pair.check(folder) == []
    assert contents(read_notebook(folder / "02_cam.ipynb")) == [
        ("markdown", "# Title\n\nProse with $x^2$.", {}),
        ("code", "x = 1\n\n\ndef double(y):\n    return 2 * y", {"tags": ["hide-input"]}),
        ("code", "double(x)", {"mystnb": {"image": {"alt": "A picture"}}}),
        ("code", "double(x)", {}),
    ]


def test_a_notebook_alone_gets_its_twin(folder):
    pair.sync(folder, "text")
    (folder / "text" / "02_cam.py").unlink()
    assert pair.check(folder) == ["02_cam.ipynb has no twin text/02_cam.py"]
    assert pair.sync(folder, "text") == [folder / "text" / "02_cam.py"]
    assert (folder / "text" / "02_cam.py").read_text() == TWIN


def test_equal_halves_are_left_alone(executed):
    assert pair.sync(executed, "text") == []
    assert pair.sync(executed, "notebooks") == []


def test_an_interactive_figure_keeps_what_it_shows_and_gets_the_code_of_the_package(executed):
    figure = explore(torch.rand(3, 4, 4), torch.eye(4), threshold=0.5).html()
    assert figure.count(explorer.MODULE) == 1
    path = executed / "02_cam.ipynb"
    notebook = read_notebook(path)
    cell = notebook.cells[2]
    old = figure.replace(explorer.MODULE, "const old = 1;")
    cell.outputs = [nbformat.v4.new_output("display_data", {"text/html": old, "text/plain": "x"})]
    write_notebook(notebook, path)
    assert pair.check(executed) == ["02_cam.ipynb has 1 interactive figures with old code"]
    assert pair.sync(executed, "text") == [path]
    assert pair.check(executed) == []
    assert read_notebook(path).cells[2].outputs[0].data == {"text/html": figure, "text/plain": "x"}
    assert pair.sync(executed, "text") == []


def test_an_edit_in_the_twin_reaches_the_notebook_and_costs_one_output(executed):
    (executed / "text" / "02_cam.py").write_text(TWIN.replace("x = 1", "x = 3").replace("Prose", "Words"))
    (message,) = pair.check(executed)
    assert "-x = 3" in message
    assert "+x = 1" in message
    pair.sync(executed, "text")
    assert pair.check(executed) == []
    assert outputs(executed) == [None, "output 2\n", "output 3\n"]


def test_an_edit_in_jupyter_reaches_the_twin(executed):
    notebook = read_notebook(executed / "02_cam.ipynb")
    notebook.cells[1].source = "x = 5"
    write_notebook(notebook, executed / "02_cam.ipynb")
    assert pair.sync(executed, "notebooks") == [executed / "text" / "02_cam.py"]
    assert pair.check(executed) == []
    assert "x = 5" in (executed / "text" / "02_cam.py").read_text()
    assert outputs(executed) == ["output 1\n", "output 2\n", "output 3\n"]


def test_a_changed_tag_or_alt_text_is_a_difference(executed):
    twin = executed / "text" / "02_cam.py"
    twin.write_text(TWIN.replace("A picture", "Another picture"))
    assert len(pair.check(executed)) == 1
    twin.write_text(TWIN.replace("hide-input", "hide-cell"))
    assert len(pair.check(executed)) == 1


def test_what_jupyter_adds_is_not_a_difference_and_is_not_stored(executed):
    notebook = read_notebook(executed / "02_cam.ipynb")
    notebook.metadata["widgets"] = {"state": 1}
    notebook.cells[1].metadata.update(collapsed=True, jupyter={"source_hidden": True})
    nbformat.write(notebook, executed / "02_cam.ipynb")
    assert pair.check(executed) == []
    stored = tidy(read_notebook(executed / "02_cam.ipynb"))
    assert set(stored.metadata) == {"kernelspec", "language_info"}
    assert stored.cells[1].metadata == {"tags": ["hide-input"]}


def test_cell_ids_follow_from_content_and_are_unique(folder):
    before = [c.id for c in read_twin(folder / "text" / "02_cam.py").cells]
    (folder / "text" / "02_cam.py").write_text(TWIN.replace("# %% tags", "# %%\nnew = 0\n\n# %% tags"))
    after = [c.id for c in read_twin(folder / "text" / "02_cam.py").cells]
    assert len(set(after)) == len(after) == 5
    assert [i for i in after if i in before] == before


def test_writing_a_twin_and_reading_it_changes_nothing(folder, tmp_path):
    notebook = read_twin(folder / "text" / "02_cam.py")
    write_twin(notebook, tmp_path / "again" / "text" / "02_cam.py")
    assert (tmp_path / "again" / "text" / "02_cam.py").read_text() == TWIN


def test_a_broken_notebook_is_named(folder):
    (folder / "02_cam.ipynb").write_text("{")
    with pytest.raises(ValueError, match=r"^02_cam\.ipynb is not a notebook"):
        pair.check(folder)
