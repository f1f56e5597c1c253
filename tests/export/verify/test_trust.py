"""Files of a model that can hold code are loaded on request only: real ones that would run it."""

import dataclasses
import io
import json
import shutil
import zipfile

import pytest
import torch
from click.testing import CliRunner

from dcgan.core.schema import dump_json
from dcgan.export import cli as export_cli
from dcgan.zoo import cli as zoo_cli
from dcgan.zoo.release import describe_file, read_release


class WriteMarker:
    """Unpickling it writes a file, as a hostile pickle runs a command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (exec, (f"open({str(self.marker)!r}, 'w').close()",))


@pytest.fixture
def marker(tmp_path):
    """The file that exists once hostile code has run."""
    return tmp_path / "code-has-run"


@pytest.fixture
def models(labelled, tmp_path):
    """A repository with a copy of the release in every format."""
    shutil.copytree(labelled.folder, tmp_path / "models" / "labelled" / "1")
    return tmp_path / "models"


@pytest.fixture
def hostile_pt2(models, marker):
    """The repository, whose exported program has a hostile pickle."""
    folder = models / "labelled" / "1"
    hostile = io.BytesIO()
    torch.save(WriteMarker(marker), hostile)
    output = io.BytesIO()

    with (
        zipfile.ZipFile(folder / "generator.pt2") as source,
        zipfile.ZipFile(output, "w") as target,
    ):
        for entry in source.infolist():
            is_pickle = entry.filename.endswith("sample_inputs/model.pt")
            target.writestr(entry, hostile.getvalue() if is_pickle else source.read(entry))
    replace_file(folder, "pt2", output.getvalue())
    return models


@pytest.fixture
def hostile_torchscript(models, marker):
    """The repository, whose TorchScript file writes a file while it is loaded."""

    class Hostile(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.marker = str(marker)

        @torch.jit.export
        def __getstate__(self):
            return (self.marker, self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[str, bool]):
            self.marker = state[0]
            self.training = state[1]
            torch.save(torch.zeros(1), self.marker)

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return z

    data = io.BytesIO()
    with pytest.warns(Warning, match="torch.jit"):
        torch.jit.save(torch.jit.script(Hostile()), data)
    replace_file(models / "labelled" / "1", "torchscript", data.getvalue())
    return models


def replace_file(folder, role, data):
    """Replaces a file of a model, and the manifest to match it."""
    manifest = read_release(folder).manifest
    path = folder / manifest.file(role).path
    path.write_bytes(data)
    files = [
        describe_file(path, role, file.precision) if file.role == role else file
        for file in manifest.files
    ]
    manifest = dataclasses.replace(manifest, files=tuple(files))
    (folder / "manifest.json").write_text(dump_json(manifest))


def check(models, *arguments):
    folder = str(models / "labelled" / "1")
    return CliRunner().invoke(export_cli.main, ["--check", folder, *arguments])


@pytest.mark.hostile(
    "A `.pt2` file with a pickle that runs code, checked with `dcgan-export --check`",
    "not loaded; named as skipped",
)
@pytest.mark.slow
def test_a_check_does_not_run_a_pickle_inside_an_exported_program(hostile_pt2, marker):
    result = check(hostile_pt2)
    assert not marker.exists()
    assert result.exit_code == 0, result.output
    assert "skipped generator.pt2" in result.stdout
    assert "generator.pt2 " not in result.stdout.partition("| file")[2]


def test_the_pickle_of_this_test_does_run_when_code_is_trusted(hostile_pt2, marker):
    check(hostile_pt2, "--trust-code")
    assert marker.exists()


@pytest.mark.hostile("A TorchScript file of somebody else", "not loaded; named as skipped")
@pytest.mark.slow
def test_a_check_does_not_load_torchscript(hostile_torchscript, marker):
    result = check(hostile_torchscript)
    assert not marker.exists()
    assert result.exit_code == 0, result.output
    assert "skipped generator.ts" in result.stdout


@pytest.mark.slow
def test_the_torchscript_of_this_test_does_run_when_code_is_trusted(hostile_torchscript, marker):
    check(hostile_torchscript, "--trust-code")
    assert marker.exists()


@pytest.mark.hostile(
    "A fetched model with such files, verified with `--parity`",
    "no code runs; the files are named as skipped",
)
@pytest.mark.slow
def test_verify_of_a_fetched_model_runs_no_code_and_says_what_it_skipped(hostile_pt2, marker):
    arguments = ["--model-repository", str(hostile_pt2), "verify", "labelled", "--parity"]
    result = CliRunner().invoke(zoo_cli.main, arguments)
    assert not marker.exists()
    assert result.exit_code == 0, result.output
    for name in ("generator.ts", "generator.pt2"):
        assert f"skipped {name}" in result.stdout


def publish_again(models, *arguments):
    folder = models / "labelled" / "1"
    arguments = [str(folder), "--out", str(models / "again"), "--safetensors", *arguments]
    return CliRunner().invoke(export_cli.main, arguments)


@pytest.mark.hostile(
    "A model folder with such files, published again with `dcgan-export MODEL --safetensors`",
    "refused without `--trust-code`; no code runs",
)
def test_a_model_that_is_published_again_runs_no_code(hostile_pt2, marker):
    replace_file(hostile_pt2 / "labelled" / "1", "parity", b"{}")  # so that the gate runs again
    result = publish_again(hostile_pt2)
    assert not marker.exists()
    assert result.exit_code == 2, result.output
    assert "generator.ts would have to be verified again" in result.stderr
    assert not list((hostile_pt2 / "again").rglob("manifest.json"))

    publish_again(hostile_pt2, "--trust-code")
    assert marker.exists()


def test_trust_without_a_check_is_refused(tmp_path):
    arguments = ["run", "--out", str(tmp_path), "--name", "a", "--trust-code"]
    result = CliRunner().invoke(export_cli.main, arguments)
    assert result.exit_code == 2
    assert "--trust-code goes with --check, or with a model folder" in result.stderr
    result = CliRunner().invoke(zoo_cli.main, ["verify", "labelled", "--trust-code"])
    assert result.exit_code == 2
    assert "--trust-code goes with --parity" in result.stderr


@pytest.mark.hostile("Our own `.pt2` files, read by others", "they hold no pickle")
def test_our_own_exported_program_holds_no_pickle(labelled):
    with zipfile.ZipFile(labelled.folder / "generator.pt2") as archive:
        assert archive.read("archive/data/sample_inputs/model.pt") == b""
        weights = json.loads(archive.read("archive/data/weights/model_weights_config.json"))
        assert not any(weight["use_pickle"] for weight in weights["config"].values())
        assert not any(archive.read(name)[:2] == b"\x80\x02" for name in archive.namelist())
