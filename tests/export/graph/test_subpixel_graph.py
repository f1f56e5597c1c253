"""The int8 form of the graph: which convolutions ONNX Runtime computes in 8 bits."""

import dataclasses

import onnx
import onnxruntime as ort
import pytest

from dcgan.core.onnx_session import CPU
from dcgan.export.graph.fold import fold
from dcgan.export.int8.calibration import calibrate
from dcgan.export.verify.backends import EagerBackend
from dcgan.export.verify.quality import measure_quality
from tests.export.onnx_files import int8_backend


def optimised(path):
    """The operators that ONNX Runtime makes of a file."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(path.with_name("optimized.onnx"))
    options.log_severity_level = 3  # it warns that an optimised file belongs to one machine
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(path, options, providers=[CPU])
    return [node.op_type for node in onnx.load(path.with_name("optimized.onnx")).graph.node]


def test_onnx_runtime_computes_the_convolutions_in_int8(calm, tmp_path):
    int8_backend(calm, calibrate(calm), tmp_path / "g.onnx")
    operators = optimised(tmp_path / "g.onnx")
    assert operators.count("QLinearConv") == 4 * (len(calm.hidden) - 1) + 1
    assert operators.count("Conv") + operators.count("FusedConv") == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "floats", [{"head"}, {"hidden.1"}, {"hidden.2"}, {"hidden.1", "head"}, {"hidden.1", "hidden.2"}]
)
@pytest.mark.parametrize("classes", [0, 3])
def test_any_layer_can_stay_in_float(make_generator, tmp_path, floats, classes):
    network = fold(make_generator(width=4, classes=classes))
    plan = dataclasses.replace(calibrate(network), floats=frozenset(floats))
    backend = int8_backend(network, plan, tmp_path / "g.onnx")
    (quality,) = measure_quality([backend], EagerBackend(network, "released network"), 10, classes)
    assert 38 < quality.psnr < 100
    operators = optimised(tmp_path / "g.onnx")
    assert operators.count("QLinearConv") == 4 * (2 - len(floats - {"head"})) + (
        "head" not in floats
    )
