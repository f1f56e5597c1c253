"""Each written file: what it holds, what it computes, and that its bytes depend on the network alone."""

import json
import zipfile

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from safetensors import safe_open

from dcgan.core import noise
from dcgan.export.formats.torchscript import read_torchscript, write_torchscript
from dcgan.export.formats.weights import write_weights
from dcgan.export.graph.fold import fold, round_to_half
from dcgan.export.graph.onnx_graph import FACTS, build_graph, write_graph
from dcgan.export.graph.postprocess import Served
from dcgan.training.models.pixels import to_pixels


def test_pixels_are_rounded_and_clamped():
    edges = torch.tensor([-1.0, -1.1, 1.0, 1.1, 0.0, 0.001, -0.001])
    assert to_pixels(edges.view(1, 1, 1, -1)).flatten().tolist() == [0, 0, 255, 255, 128, 128, 127]


def test_pixels_have_their_channels_last():
    images = torch.tensor([[[[-1.0]], [[0.0]], [[1.0]]]])  # one pixel, [1, 3, 1, 1]
    assert to_pixels(images).tolist() == [[[[0, 128, 255]]]]


def test_the_graph_in_onnx_runtime_rounds_as_pytorch_does(generator, tmp_path):
    write_graph(build_graph(fold(generator), facts="{}", half_weights=False), tmp_path / "g.onnx")
    session = ort.InferenceSession(tmp_path / "g.onnx", providers=["CPUExecutionProvider"])
    z = noise.latents(3, 0, 16, 10)
    (images,) = session.run(None, {"z": z})
    with torch.inference_mode():
        expected = Served(generator)(torch.from_numpy(z)).numpy()
    assert images.dtype == np.uint8
    assert images.shape == expected.shape == (16, 32, 32, 3)
    assert (images == expected).mean() > 0.999


def test_half_weights_halve_the_file_and_not_the_function(generator, tmp_path):
    rounded = round_to_half(fold(generator))
    z, images, sizes = noise.latents(3, 0, 16, 10), [], []
    for half in (False, True):
        write_graph(build_graph(rounded, facts="{}", half_weights=half), tmp_path / "g.onnx")
        session = ort.InferenceSession(tmp_path / "g.onnx", providers=["CPUExecutionProvider"])
        images.append(session.run(None, {"z": z})[0])
        sizes.append((tmp_path / "g.onnx").stat().st_size)
    assert np.array_equal(*images)
    assert sizes[1] < 0.6 * sizes[0]


def test_no_file_knows_where_or_how_often_it_was_written(make_generator, tmp_path):
    digests = []
    for place in ("here", "there"):
        folder = tmp_path / place
        folder.mkdir()
        network = fold(make_generator())
        write_graph(build_graph(network, facts="{}", half_weights=False), folder / "a.onnx")
        write_torchscript(Served(network), folder / "a.ts", latent_size=10, facts="{}")
        write_weights(network, folder / "a.safetensors", facts="{}", half=False)
        digests.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert digests[0] == digests[1]
    for data in digests[0]:
        assert str(tmp_path).encode() not in data
        assert b".py\x00" not in data
        assert b"/torch/nn" not in data


def test_the_graph_has_no_doc_strings_metadata_or_second_file(release):
    model = onnx.load(release.folder / "generator.onnx", load_external_data=False)
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert {prop.key for prop in model.metadata_props} == {FACTS}


@pytest.mark.parametrize("file", ["generator.onnx", "generator.ts", "generator.safetensors"])
def test_each_file_says_what_it_is(release, file):
    path = release.folder / file
    if file.endswith(".onnx"):
        text = onnx.load(path).metadata_props[0].value
    elif file.endswith(".ts"):
        text = zipfile.ZipFile(path).read("generator/extra/dcgan.json").decode()
    else:
        with safe_open(path, "pt") as weights:
            text = weights.metadata()["dcgan"]
    facts = json.loads(text)
    assert (facts["name"], facts["version"], facts["noise_scheme"]) == ("small", 1, noise.SCHEME)
    assert facts["training"]["recipe"] == "digits"


def test_torchscript_has_both_methods_and_takes_any_batch(release):
    module = read_torchscript(release.folder / "generator.ts")
    for n in (1, 5):
        z = torch.zeros(n, 10)
        assert module.float_images(z).shape == (n, 3, 32, 32)
        assert module(z).shape == (n, 32, 32, 3)
        assert module(z).dtype == torch.uint8
