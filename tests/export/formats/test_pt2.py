"""The exported program: the same function as the other files, for any batch."""

import zipfile

import numpy as np
import pytest
import torch

from dcgan.export.errors import FailedRunError, WeightMismatchError
from dcgan.export.formats.pt2 import read_pt2_weights, write_pt2
from dcgan.export.graph.fold import fold
from dcgan.export.graph.postprocess import PixelGenerator
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export
from dcgan.export.verify.backends import EagerBackend, Pt2Backend
from dcgan.export.verify.distance import measure
from dcgan.export.verify.probes import run_probes
from dcgan.export.verify.tolerances import TOLERANCES
from dcgan.export.verify.verdict import judge
from dcgan.export.verify.weight_check import check_same_weights

pytestmark = pytest.mark.slow


def written(network, path):
    write_pt2(PixelGenerator(network), path, latent_size=10, metadata='{"name": "small"}')
    return path


def test_an_exported_program_passes_the_gate(generator, tmp_path):
    backend = Pt2Backend(written(fold(generator), tmp_path / "g.pt2"))
    reference = run_probes(EagerBackend(generator, "trained network", double=True), 10)
    assert (
        judge(
            measure(backend, run_probes(backend, 10), reference, TOLERANCES["fp32", "torch.export"])
        )
        == []
    )


def test_an_exported_program_of_another_network_fails_it(generator, tmp_path):
    network = fold(generator)
    network.head.weight.mul_(1.01)
    backend = Pt2Backend(written(network, tmp_path / "g.pt2"))
    reference = run_probes(EagerBackend(generator, "trained network", double=True), 10)
    assert judge(
        measure(backend, run_probes(backend, 10), reference, TOLERANCES["fp32", "torch.export"])
    )


def test_its_weights_are_read_back_bit_for_bit(generator, tmp_path):
    network = fold(generator)
    path = written(network, tmp_path / "g.pt2")
    check_same_weights("g.pt2", read_pt2_weights(path), network)
    network.hidden[2].bias[3] = torch.nextafter(network.hidden[2].bias[3], torch.tensor(9.0))
    with pytest.raises(WeightMismatchError, match=r"hidden\.2\.bias"):
        check_same_weights("g.pt2", read_pt2_weights(path), network)


def test_it_says_what_it_is_and_not_where_it_was_made(generator, tmp_path):
    path = written(fold(generator), tmp_path / "g.pt2")
    with zipfile.ZipFile(path) as archive:
        assert archive.read("archive/extra/dcgan.json") == b'{"name": "small"}'
        for name in archive.namelist():
            data = archive.read(name)
            assert b".py" not in data, name
            assert str(tmp_path).encode() not in data, name


@pytest.mark.parametrize("data", [b"", b"nothing" * 100])
def test_a_file_that_is_none_is_refused(tmp_path, data):
    (tmp_path / "g.pt2").write_bytes(data)
    with pytest.raises(FailedRunError, match=r"g\.pt2 cannot be loaded"):
        Pt2Backend(tmp_path / "g.pt2")


def test_a_release_has_one_only_on_request(run, release, folder):
    assert release.manifest.file("pt2") is None
    asked = export(
        run, folder, ExportOptions(name="small", version=1, formats=("onnx", "pt2")), lambda _: None
    )

    assert {verdict.path for verdict in asked.manifest.parity} == {
        "generator.onnx",
        "generator.pt2",
    }
    program = torch.export.load(asked.folder / "generator.pt2").module()
    images, floats = program(torch.zeros(5, 10))
    assert images.shape == (5, 32, 32, 3)
    assert images.dtype == torch.uint8
    assert np.abs(floats.numpy()).max() <= 1
