"""The gate of a float16 file."""

import dataclasses

import pytest

from dcgan.core.onnx_session import CPU, CUDA
from dcgan.export.errors import FloatMismatchError, QualityError
from dcgan.export.formats.onnx_file import write_onnx
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import PLAIN, build_onnx
from dcgan.export.verify.backends import EagerBackend, OnnxBackend
from dcgan.export.verify.distance import measure
from dcgan.export.verify.probes import run_probes
from dcgan.export.verify.quality import measure_quality
from dcgan.export.verify.tolerances import TOLERANCES
from dcgan.export.verify.verdict import judge
from tests.export.onnx_files import write_float16

pytestmark = pytest.mark.slow


def verdict(backend, network):
    source = EagerBackend(network, "released network")
    limits = TOLERANCES["fp16", backend.provider]
    distance = measure(backend, run_probes(backend, 10), run_probes(source, 10), limits)
    (quality,) = measure_quality([backend], source, 10)
    return {type(e) for e in judge(dataclasses.replace(distance, quality=quality))}


def test_a_float16_graph_is_half_the_size_and_passes_its_gate(generator, tmp_path):
    network = fold(generator)
    path = write_float16(network, tmp_path / "g.onnx")
    write_onnx(build_onnx(network, form=PLAIN), tmp_path / "whole.onnx")
    assert path.stat().st_size < 0.6 * (tmp_path / "whole.onnx").stat().st_size
    assert verdict(OnnxBackend(path, "fp16", CPU), network) == set()


def test_a_float16_graph_of_another_network_fails_its_gate(generator, make_generator, tmp_path):
    other = make_generator()
    other.head.weight.data.mul_(1.2)
    backend = OnnxBackend(write_float16(fold(generator), tmp_path / "g.onnx"), "fp16", CPU)
    assert {FloatMismatchError, QualityError} <= verdict(backend, fold(other))


@pytest.mark.gpu
def test_a_float16_graph_passes_its_gate_on_cuda(generator, tmp_path):
    network = fold(generator)
    assert (
        verdict(OnnxBackend(write_float16(network, tmp_path / "g.onnx"), "fp16", CUDA), network)
        == set()
    )
