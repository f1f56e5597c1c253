"""The form of a graph is the one that was measured to be the fastest."""

import json
from pathlib import Path

import pytest

from dcgan.core.onnx_session import DEFAULT_CUDA_BATCH_SIZE, cuda_options
from dcgan.export.formats.graph_form import FLOAT16_FORM, float32_form
from dcgan.export.graph.onnx_graph import PLAIN, SUBPIXEL

MEASURED = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "cuda-graph-forms.json"


def fastest(precision: str, batch_size: int) -> dict:
    """The fastest row of a form that is exported, among those that a restart cannot change."""
    rows = [
        row
        for row in json.loads(MEASURED.read_text())["rows"]
        if row["precision"] == precision
        and row["form"] in (PLAIN, SUBPIXEL)
        and row["cudnn_conv_algo_search"] == cuda_options(precision)["cudnn_conv_algo_search"]
    ]
    return max(rows, key=lambda row: row["images_per_s"][str(batch_size)]["with_copies"])


@pytest.mark.parametrize("batch_size", [64, 256, 1024])
def test_float32_on_cuda_has_the_form_that_was_fastest(batch_size):
    assert float32_form("cuda", batch_size) == fastest("fp32", batch_size)["form"]


def test_float16_has_the_form_and_the_layout_that_were_fastest_in_batches_of_the_default_size():
    row = fastest("fp16", DEFAULT_CUDA_BATCH_SIZE)
    assert row["form"] == FLOAT16_FORM
    assert row["prefer_nhwc"] == (cuda_options("fp16").get("prefer_nhwc") == "1")


def test_without_a_batch_size_it_is_the_default_one():
    assert float32_form("cuda") == float32_form("cuda", DEFAULT_CUDA_BATCH_SIZE)
    assert float32_form("cpu") == SUBPIXEL
