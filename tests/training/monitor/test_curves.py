"""Curves of a run."""

import io
import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from dcgan.training.monitor.curves import draw_curves
from dcgan.training.monitor.step_metrics import STEP_METRICS

pytestmark = pytest.mark.slow


def test_curves_of_many_steps_are_drawn(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [{"images": 8 * step} | dict.fromkeys(STEP_METRICS, 0.5) for step in range(1, 1200)]
    del rows[0]["diversity"]  # which runs of old did not measure
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with Image.open(io.BytesIO(draw_curves(path))) as image:
        assert (image.format, image.size) == ("PNG", (800, 800))


def test_the_backend_of_a_notebook_does_not_matter():
    environment = os.environ | {"MPLBACKEND": "module://no_such_module.backend"}
    code = "import os, dcgan.training.monitor.curves; print(os.environ['MPLBACKEND'])"
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "module://no_such_module.backend\n"
