"""Models that must not be served: damaged, foreign, or different from their golden images."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from dcgan.serving.client import Client
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.models import loader
from dcgan.serving.models.config import ModelConfig
from dcgan.serving.observability.metrics import Metrics
from dcgan.zoo import golden
from dcgan.zoo.golden import Agreement
from dcgan.zoo.release import describe_file, read_release
from tests.serving.support import refuse_to_start


@pytest.fixture
def copied_classy(repository, tmp_path):
    shutil.copytree(repository / "classy" / "2", tmp_path / "classy" / "2")
    return tmp_path


def test_a_damaged_model_is_not_served(copied):
    file = copied / "tiny" / "2" / "generator.onnx"
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.write_bytes(damaged)
    assert "is damaged" in refuse_to_start(copied)


def test_a_model_that_onnx_runtime_cannot_load_is_not_served(copied):
    path = copied / "tiny" / "2" / "generator.onnx"
    model = onnx.load(path)
    find_node(model, "Cast").attribute[0].i = onnx.TensorProto.INT64  # but its output is uint8
    onnx.save(model, path)
    change_manifest(path.parent, path.name)
    assert "ONNX Runtime cannot load" in refuse_to_start(copied)


def test_a_file_that_is_no_graph_is_not_served(copied):
    file = copied / "tiny" / "2" / "generator.onnx"
    file.write_bytes(b"\xff" * file.stat().st_size)
    change_manifest(file.parent, file.name)
    assert "is not a valid ONNX file" in refuse_to_start(copied)


def test_an_unsafe_graph_is_refused_before_onnx_runtime_sees_it(copied, monkeypatch):
    path = copied / "tiny" / "2" / "generator.onnx"
    model = onnx.load(path)
    find_node(model, "Round").op_type = "Floor"  # it would run, to other images
    onnx.save(model, path)
    change_manifest(path.parent, path.name)
    monkeypatch.setattr(loader, "open_engines", pytest.fail)
    assert "it uses the operator 'Floor'" in refuse_to_start(copied)


async def test_the_bytes_that_were_checked_are_those_that_run(copied, monkeypatch):
    """The file is read once; who replaces it after the check changes nothing."""
    check = loader.check_onnx_file

    def check_and_replace(path, manifest, content):
        check(path, manifest, content)
        path.write_bytes(b"another graph")

    monkeypatch.setattr(loader, "check_onnx_file", check_and_replace)
    release = read_release(copied / "tiny" / "2")
    config = EngineConfig(device="cpu", instances=1)
    model = await loader.load_model(release, config, ModelConfig(), Metrics())

    assert model.agreement is Agreement.EXACT
    await model.dispatcher.stop()


@pytest.mark.hostile("A model repository with a graph that loops without end", "not served")
def test_a_graph_that_may_loop_without_end_is_refused(endless):
    assert "is not loaded: an attribute has the field 6" in refuse_to_start(endless)


@pytest.mark.hostile("A model repository with weights in another file", "not served")
def test_external_weights_are_refused_and_their_file_is_found(copied):
    path = copied / "tiny" / "2" / "generator.onnx"
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    change_manifest(path.parent, path.name)
    assert "holds 'w.bin', which its manifest does not list" in refuse_to_start(copied)

    change_manifest(path.parent, "w.bin")
    assert "generator.onnx is not loaded: an initializer" in refuse_to_start(copied)


@pytest.mark.hostile("A model folder with a file that the manifest does not list", "not served")
@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "folder"])
def test_what_the_manifest_does_not_list_is_refused(copied, name):
    folder = copied / "tiny" / "2"
    if name == "folder":
        (folder / name).mkdir()
    else:
        (folder / name).write_text("")
    assert f"holds '{name}', which its manifest does not list" in refuse_to_start(copied)


@pytest.mark.hostile("A model whose images are not those that were published", "not served")
def test_a_model_whose_golden_images_differ_is_not_served(copied):
    change_golden(copied, levels=2)
    assert "golden images" in refuse_to_start(copied)


@pytest.mark.slow
def test_a_model_within_one_grey_level_is_served_and_said_to_be_close(copied, start_server):
    change_golden(copied, levels=1)
    with start_server(copied) as server, Client(server.target) as client:
        assert "golden images close" in server.ready_line
        assert client.model().agreement == 2


def find_node(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == operator)


def change_golden(repository: Path, levels: int) -> None:
    """Publishes golden images that are so many grey levels from those that the model makes."""
    folder = repository / "tiny" / "2"
    pixels = golden.read_golden(read_release(folder)).astype(int)
    pixels = np.where(pixels < 128, pixels + levels, pixels - levels).astype(np.uint8)
    (folder / "golden.png").write_bytes(golden.encode_golden(pixels))
    change_manifest(folder, "golden.png")


def change_manifest(folder: Path, name: str) -> None:
    """Makes the manifest agree with a changed or new file, and withdraws the golden digests."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    entry = next((file for file in manifest["files"] if file["path"] == name), None)

    if entry is None:
        entry = {"role": "samples", "path": name, "precision": None}
        manifest["files"].append(entry)
    described = describe_file(folder / name, entry["role"])
    entry |= {"bytes": described.bytes, "sha256": described.sha256}
    manifest["golden"]["digests"] = []
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("change", ["batch", "latent", "layout", "type"])
def test_a_model_that_is_not_what_its_manifest_says_is_not_served(copied, change):
    path = copied / "tiny" / "2" / "generator.onnx"
    model = onnx.load(path)
    z, images = model.graph.input[0].type.tensor_type, model.graph.output[0].type.tensor_type
    if change == "batch":
        z.shape.dim[0].dim_value = 1
    elif change == "latent":
        z.shape.dim[1].dim_param = "any"
    elif change == "layout":
        find_node(model, "Transpose").attribute[0].ints[:] = [0, 1, 2, 3]
        images.shape.dim[1].dim_value, images.shape.dim[3].dim_value = 3, 8
    else:
        z.elem_type = onnx.TensorProto.DOUBLE
        cast = onnx.helper.make_node("Cast", ["z"], ["single"], to=onnx.TensorProto.FLOAT)
        model.graph.node[0].input[0] = "single"
        model.graph.node.insert(0, cast)
    onnx.save(model, path)
    change_manifest(path.parent, path.name)

    assert "generator.onnx" in refuse_to_start(copied)


def test_a_golden_label_that_the_model_has_not_is_said(copied_classy):
    path = copied_classy / "classy" / "2" / "manifest.json"
    path.write_text(path.read_text().replace('"label": 0', '"label": 7'))
    refuse_to_start(copied_classy)
