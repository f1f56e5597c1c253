"""Which of int8 and float32 is faster on this processor."""

import numpy as np
import pytest

from dcgan.core.onnx_session import CPU
from dcgan.export.formats.onnx_file import write_onnx
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import build_onnx
from dcgan.export.verify.backends import OnnxBackend
from dcgan.export.verify.inputs import ModelInputs
from dcgan.export.verify.speed import compare_speed, describe_speed, images_per_second


def test_the_best_of_several_turns_counts():
    times = iter([0.0, 4.0, 10.0, 11.0] + [20.0, 22.0, 30.0, 38.0] * 4)
    turns = []
    functions = [lambda _: turns.append("a"), lambda _: turns.append("b")]
    inputs = ModelInputs(np.zeros((64, 10), np.float32))
    assert images_per_second(functions, inputs, lambda: next(times)) == [32.0, 64.0]
    assert turns == ["a", "b"] * 5


@pytest.mark.parametrize(
    ("fp32", "int8", "verdict"),
    [
        (363.0, 338.0, "float32 is faster here"),
        (820.0, 1650.0, "int8 is 2.0 times as fast here"),
        (400.0, 405.0, "equally fast"),
    ],
)
def test_the_faster_one_is_named_with_both_figures(fp32, int8, verdict):
    line = describe_speed(fp32, int8)
    assert verdict in line
    assert f"{fp32:,.0f}" in line
    assert f"{int8:,.0f}" in line


def test_both_files_are_measured_and_one_alone_is_not(generator, tmp_path):
    write_onnx(build_onnx(fold(generator)), tmp_path / "g.onnx")
    fp32 = OnnxBackend(tmp_path / "g.onnx", "fp32", CPU)
    int8 = OnnxBackend(tmp_path / "g.onnx", "int8", CPU)
    shape = {"latent_size": 10, "classes": 0}
    assert compare_speed([fp32], **shape) is None
    assert "images/s on this processor" in compare_speed([fp32, int8], **shape)
