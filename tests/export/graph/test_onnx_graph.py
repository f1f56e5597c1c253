"""The ONNX model: rounding, float16 storage and arithmetic, no trace of its origin."""

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto

from dcgan.core import noise
from dcgan.core.onnx_session import CPU
from dcgan.export.formats.onnx_file import write_onnx
from dcgan.export.graph.fold import fold, round_to_float16
from dcgan.export.graph.onnx_graph import METADATA_KEY, build_onnx
from dcgan.export.graph.postprocess import PixelGenerator
from tests.export.onnx_files import write_float16


def test_the_graph_in_onnx_runtime_rounds_as_pytorch_does(generator, tmp_path):
    write_onnx(build_onnx(fold(generator)), tmp_path / "g.onnx")
    session = ort.InferenceSession(tmp_path / "g.onnx", providers=["CPUExecutionProvider"])
    z = noise.latents(3, 0, 16, 10)
    (images,) = session.run(None, {"z": z})
    with torch.inference_mode():
        expected = PixelGenerator(generator)(torch.from_numpy(z)).numpy()
    assert images.dtype == np.uint8
    assert images.shape == expected.shape == (16, 32, 32, 3)
    assert (images == expected).mean() > 0.999


def test_half_weights_halve_the_file_and_not_the_function(generator, tmp_path):
    rounded = round_to_float16(fold(generator))
    z, images, sizes = noise.latents(3, 0, 16, 10), [], []
    for half in (False, True):
        write_onnx(build_onnx(rounded, float16_weights=half), tmp_path / "g.onnx")
        session = ort.InferenceSession(tmp_path / "g.onnx", providers=["CPUExecutionProvider"])
        images.append(session.run(None, {"z": z})[0])
        sizes.append((tmp_path / "g.onnx").stat().st_size)
    assert np.array_equal(*images)
    assert sizes[1] < 0.6 * sizes[0]


def test_the_graph_has_no_doc_strings_metadata_or_second_file(release):
    model = onnx.load(release.folder / "generator.onnx", load_external_data=False)
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert {prop.key for prop in model.metadata_props} == {METADATA_KEY}


def test_everything_from_z_to_the_last_convolution_is_float16_and_the_tail_float32(
    generator, tmp_path
):
    model = onnx.shape_inference.infer_shapes(
        onnx.load(write_float16(fold(generator), tmp_path / "g.onnx"))
    )
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    for node in model.graph.node:
        if node.op_type in ("ConvTranspose", "Relu"):
            assert kinds[node.output[0]] == TensorProto.FLOAT16, node.name
        if node.op_type in ("Tanh", "Add", "Mul", "Round"):
            assert kinds[node.output[0]] == TensorProto.FLOAT, node.name

    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.UINT8


def test_the_cpu_has_no_float16_kernel_for_a_transposed_convolution(generator, tmp_path):
    """The reason given in the tolerances; when this fails, they need a second look."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    ort.InferenceSession(
        write_float16(fold(generator), tmp_path / "g.onnx"), options, providers=[CPU]
    )
    model = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "optimized.onnx"))
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    convolutions = [node for node in model.graph.node if node.op_type == "ConvTranspose"]
    assert convolutions
    assert {kinds[node.output[0]] for node in convolutions} == {TensorProto.FLOAT}
