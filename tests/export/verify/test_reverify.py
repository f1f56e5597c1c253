"""A released model verified again: each kind of tampering is found."""

import dataclasses
import shutil

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

from dcgan.core import onnx_session
from dcgan.core.schema import dump_json
from dcgan.export.cli import main
from dcgan.export.errors import (
    FloatMismatchError,
    LevelMismatchError,
    StaticBatchError,
    WeightMismatchError,
)
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export
from dcgan.export.verify.reverify import reverify
from dcgan.zoo.onnx_check import check_onnx_file
from dcgan.zoo.onnx_model import UnsafeGraphError
from dcgan.zoo.release import RepositoryError, describe_file, read_release


@pytest.fixture
def copy(release, folder):
    """A copy of the release, to be changed."""
    shutil.copytree(release.folder, folder / "small" / "1")
    return folder / "small" / "1"


def edit_graph(folder, edit):
    """Changes the ONNX file, and the manifest to match it."""
    manifest = read_release(folder).manifest
    path = folder / "generator.onnx"
    model = onnx.load(path)
    edit(model.graph)
    path.write_bytes(model.SerializeToString(deterministic=True))
    files = [
        describe_file(path, "onnx", "fp32") if file.role == "onnx" else file
        for file in manifest.files
    ]
    (folder / "manifest.json").write_text(
        dump_json(dataclasses.replace(manifest, files=tuple(files)))
    )


def scale_weight(name, factor):
    def edit(graph):
        (tensor,) = [tensor for tensor in graph.initializer if tensor.name == name]
        array = numpy_helper.to_array(tensor).copy()
        array.flat[np.abs(array).argmax()] *= factor
        tensor.CopyFrom(numpy_helper.from_array(array, name))

    return edit


@pytest.mark.slow
def test_a_release_passes_and_tells_what_was_checked(release, without_gpu):
    lines = []
    reverify(release.folder, lines.append, trust_code=True)
    assert lines[0] == "golden images of generator.onnx on CPUExecutionProvider: exact"
    assert lines[1].count("passed") == 3


@pytest.mark.slow
def test_a_model_without_safetensors_is_checked_by_the_weights_of_its_graph(run, folder):
    options = ExportOptions(name="small", version=1, formats=("onnx",))
    release = export(run, folder, options, lambda _: None)

    lines = []
    reverify(release.folder, lines.append)
    assert "the weights in generator.onnx are the reference" in lines[1]
    assert lines[-1].count("passed") == 1


@pytest.mark.slow
def test_a_graph_that_is_not_what_its_own_weights_make_is_found(run, folder, tmp_path):
    """Golden images that differ by one level pass; what the weights say does not."""
    release = export(
        run, folder, ExportOptions(name="small", version=1, formats=("onnx",)), lambda _: None
    )

    def shift(graph):
        (tanh,) = [node for node in graph.node if node.op_type == "Tanh"]
        graph.initializer.append(numpy_helper.from_array(np.array(2e-3, np.float32), "little"))
        place = list(graph.node).index(tanh)
        graph.node.insert(place, onnx.helper.make_node("Add", [tanh.input[0], "little"], ["moved"]))
        graph.node[place + 1].input[0] = "moved"

    edit_graph(release.folder, shift)
    with pytest.raises(FloatMismatchError, match=r"generator\.onnx"):
        reverify(release.folder, lambda _: None)


def test_a_graph_changed_with_its_manifest_does_not_make_its_golden_images(copy):
    edit_graph(copy, scale_weight("head.weight", 3.0))
    with pytest.raises(LevelMismatchError, match="golden images"):
        reverify(copy, print)


def test_a_graph_changed_too_little_for_a_picture_is_found_by_its_weights(copy):
    edit_graph(copy, scale_weight("head.weight", 1.001))
    with pytest.raises(WeightMismatchError, match=r"generator\.onnx has another head\.weight"):
        reverify(copy, print)


def test_a_graph_with_a_fixed_batch_is_found_by_its_structure(copy):
    def fix(graph):
        graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1

    edit_graph(copy, fix)
    with pytest.raises(StaticBatchError):
        reverify(copy, print)


def test_one_flipped_byte_is_damage(copy):
    data = bytearray((copy / "generator.ts").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "generator.ts").write_bytes(data)
    with pytest.raises(RepositoryError, match=r"generator\.ts is damaged"):
        reverify(copy, print)


def test_the_command_has_exit_code_1_for_a_failed_gate_and_2_for_damage(copy, tmp_path):
    assert CliRunner().invoke(main, ["--check", str(copy)]).exit_code == 0
    edit_graph(copy, scale_weight("head.weight", 3.0))
    failed = CliRunner().invoke(main, ["--check", str(copy)])
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: generator.onnx ")
    (copy / "generator.onnx").unlink()
    assert CliRunner().invoke(main, ["--check", str(copy)]).exit_code == 2
    assert CliRunner().invoke(main, ["--check", str(tmp_path / "none")]).exit_code == 2


@pytest.mark.slow
def test_a_release_passes_when_it_is_checked_again(labelled, without_gpu):
    lines = []
    reverify(labelled.folder, lines.append, trust_code=True)
    assert [line for line in lines if line.startswith("golden images")] == [
        f"golden images of {name} on CPUExecutionProvider: exact"
        for name in ("generator.onnx", "generator.int8.onnx", "generator.fp16.onnx")
    ]
    assert lines[-1].count("passed") == 6


def test_a_graph_with_a_loop_is_refused_before_it_is_loaded(copy, monkeypatch):
    def add_loop(graph):
        body = helper.make_graph([], "body", [], [])
        graph.node.append(helper.make_node("Loop", ["", ""], ["never"], body=body))

    edit_graph(copy, add_loop)
    monkeypatch.setattr(onnx_session, "open_session", None)  # would fail if it were called
    with pytest.raises(UnsafeGraphError, match=r"generator\.onnx is not loaded"):
        reverify(copy, print)


@pytest.mark.slow
def test_every_file_that_an_export_writes_passes_the_check_of_foreign_graphs(labelled, release):
    for model in (labelled, release):
        for file in model.manifest.files:
            if file.role == "onnx":
                check_onnx_file(model.path(file), model.manifest)
