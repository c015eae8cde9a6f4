"""Executing a chapter stores what does not change from run to run."""

import nbformat
import pytest
from chapters import notebook_of, read_notebook
from nbclient.exceptions import CellExecutionError
from run_notebooks import execute, merge_streams, write_notebook


@pytest.fixture
def twin(tmp_path):
    (tmp_path / "text").mkdir()
    return tmp_path / "text" / "02_cam.py"


# The kernel writes its own connection file and warns about it on some systems; neither concerns the chapter.
@pytest.mark.filterwarnings("default::Warning")
def test_two_runs_store_the_same_bytes_and_a_failure_stores_nothing(twin):
    twin.write_text(
        "# %% [markdown]\n# # Title\n\n# %%\nimport os\nprint(os.path.basename(os.getcwd()))\n\n"
        "# %%\nprint(1, flush=True)\nprint(2)\n{1: 2}\n"
    )
    notebook = notebook_of(twin)
    write_notebook(execute(twin, 60), notebook)
    first = notebook.read_bytes()
    _, where, numbers = read_notebook(notebook).cells
    assert where.outputs[0].text == f"{notebook.parent.name}\n", "chapters run in their own folder"
    assert [o.get("text") or o.data["text/plain"] for o in numbers.outputs] == ["1\n2\n", "{1: 2}"]
    assert [where.execution_count, numbers.execution_count] == [1, 2]
    write_notebook(execute(twin, 60), notebook)
    assert notebook.read_bytes() == first
    twin.write_text("# %%\n1 / 0\n")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(twin, 60)
    assert notebook.read_bytes() == first


def test_streams_are_joined_where_they_touch():
    pieces = [("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")]
    outputs = [nbformat.v4.new_output("stream", name=name, text=text) for name, text in pieces]
    joined = merge_streams(outputs)
    assert [(o.name, o.text) for o in joined] == [("stdout", "ab"), ("stderr", "c"), ("stdout", "d")]
