"""The TorchScript file: its methods and batch sizes."""

import pytest
import torch

from dcgan.export.errors import FailedRunError
from dcgan.export.formats.torchscript import read_torchscript, write_torchscript
from dcgan.export.graph.fold import fold
from dcgan.export.graph.postprocess import PixelGenerator


def test_torchscript_has_both_methods_and_takes_any_batch(release):
    module = read_torchscript(release.folder / "generator.ts")
    for n in (1, 5):
        z = torch.zeros(n, 10)
        assert module.float_images(z).shape == (n, 3, 32, 32)
        assert module(z).shape == (n, 32, 32, 3)
        assert module(z).dtype == torch.uint8


def test_parameters_are_parameters_and_take_another_type(release, run):
    module = read_torchscript(release.folder / "generator.ts")
    names = {name.removeprefix("network.") for name, _ in module.named_parameters()}
    assert names == set(fold(run.generator).state_dict())
    assert module.double().float_images(torch.zeros(2, 10).double()).dtype == torch.float64


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_how_many_files_were_written_before(generator, tmp_path):
    network = PixelGenerator(fold(generator))
    for i in range(12):
        write_torchscript(network, tmp_path / f"{i}.ts", latent_size=10, metadata="{}")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "g.ts").write_bytes(b"nothing" * 100)
    with pytest.raises(FailedRunError, match=r"g\.ts cannot be loaded"):
        read_torchscript(tmp_path / "g.ts")
