"""The example notebook: it runs, shows pictures, and is committed without outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "notebook.ipynb"
STEPS = "STEPS = 400"


@pytest.fixture
def notebook() -> dict:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def code_cells(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_it_is_committed_without_outputs(notebook):
    for cell in code_cells(notebook):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.slow
def test_it_runs_from_training_to_pictures(notebook, tmp_path):
    text = json.dumps(notebook)
    assert STEPS in text
    (tmp_path / "short.ipynb").write_text(text.replace(STEPS, "STEPS = 8"))
    command = "from nbclient.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", command, "short.ipynb", "--output", "done.ipynb"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert result.returncode == 0, result.stderr

    # Check what the cells show: curves, images, a comparison, a walk, and images again.
    outputs = [
        output
        for cell in code_cells(json.loads((tmp_path / "done.ipynb").read_text()))
        for output in cell["outputs"]
    ]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4
    shown = [
        "".join(output["data"].get("text/plain", "")) for output in outputs if "data" in output
    ]
    assert any(text.startswith("(True, (32, 32, 32, 1)") for text in shown), shown
    printed = "".join("".join(output.get("text", "")) for output in outputs)
    assert "done after 8 of 8 steps" in printed
    assert "published" in printed
