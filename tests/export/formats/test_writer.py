"""Every written file: what it says of itself, what it computes, and reproducible bytes."""

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from safetensors import safe_open

from dcgan.core import noise
from dcgan.core.onnx_session import CPU
from dcgan.export.formats.onnx_file import write_onnx
from dcgan.export.formats.safetensors_file import write_safetensors
from dcgan.export.formats.torchscript import write_torchscript
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import build_onnx
from dcgan.export.graph.postprocess import PixelGenerator
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export


def test_no_file_knows_where_or_how_often_it_was_written(make_generator, tmp_path):
    digests = []
    for place in ("here", "there"):
        folder = tmp_path / place
        folder.mkdir()
        network = fold(make_generator())
        write_onnx(build_onnx(network), folder / "a.onnx")
        write_torchscript(PixelGenerator(network), folder / "a.ts", latent_size=10, metadata="{}")
        write_safetensors(network, folder / "a.safetensors", metadata="{}", float16=False)
        digests.append([path.read_bytes() for path in sorted(folder.iterdir())])

    assert digests[0] == digests[1]
    for data in digests[0]:
        assert str(tmp_path).encode() not in data
        assert b".py\x00" not in data
        assert b"site-packages" not in data
        assert str(Path(torch.__file__).parent).encode() not in data


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


def test_every_file_of_a_release_makes_the_same_images_of_a_class(labelled):
    folder = labelled.folder
    z, label = noise.latents(9, 0, 6, 10), np.array([2, 1, 0, 0, 1, 2])
    (expected,) = ort.InferenceSession(folder / "generator.onnx", providers=[CPU]).run(
        None, {"z": z, "label": label}
    )
    program = torch.export.load(folder / "generator.pt2").module()

    with pytest.warns(Warning, match="torch.jit"):
        script = torch.jit.load(folder / "generator.ts")
    for images in (
        script(torch.from_numpy(z), torch.from_numpy(label)).numpy(),
        program(torch.from_numpy(z), torch.from_numpy(label))[0].numpy(),
    ):
        assert np.abs(images.astype(int) - expected.astype(int)).max() <= 1
        assert (images != expected).mean() < 1e-3


OPTIONS = ExportOptions(name="small", version=1)


def silent(_):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("formats", [("onnx",), ("torchscript",), ("onnx", "safetensors")])
def test_only_the_formats_that_were_named(run, folder, formats):
    release = export(run, folder, dataclasses.replace(OPTIONS, formats=formats), silent)
    assert {file.role for file in release.manifest.files if file.precision} == set(formats)
    proven = {release.manifest.file(role).path for role in formats}
    assert {entry.path for entry in release.manifest.parity} == proven
