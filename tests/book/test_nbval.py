"""`pytest --nbval` compares outputs to the letter, apart from what the sanitize file and conftest name."""

import shutil
import subprocess
import sys

import nbformat
from chapters import ROOT


def stored(source, text):
    notebook = nbformat.v4.new_notebook()
    output = nbformat.v4.new_output("stream", name="stdout", text=text)
    notebook.cells = [nbformat.v4.new_code_cell(source, outputs=[output], execution_count=1)]
    return notebook


def test_strict_where_it_should_be(tmp_path):
    shutil.copy(ROOT / "conftest.py", tmp_path)
    noisy = "import sys\nprint('warning 2', file=sys.stderr)\nprint('took 5.1 s')"
    nbformat.write(stored(noisy, "took 3.2 s\n"), tmp_path / "a_same.ipynb")
    nbformat.write(stored("print(0.12346)", "0.12345\n"), tmp_path / "b_other.ipynb")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:jaxtyping"),
            *(
                "--nbval",
                "--nbval-current-env",
                f"--nbval-sanitize-with={ROOT / 'tests' / 'nbval_sanitize.cfg'}",
            ),
            *("-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "b_other.ipynb" in done.stdout.split("short test summary")[1]
