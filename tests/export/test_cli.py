"""The command: exit codes, one sentence for each error, nothing published in part."""

import json
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dcgan.export import pipeline
from dcgan.export.cli import main
from dcgan.export.errors import ExportError, ParityError
from dcgan.training.run_folder import RunFolder
from dcgan.zoo.release import read_release


def rewrite(path, name, tensor):
    """Changes one tensor of a safetensors file."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file({**load_file(path), name: tensor}, path, metadata)


def dcgan_export(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def assert_refused(result, *pieces, code=2):
    """One sentence on standard error that names the thing, the exit code, no traceback."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    lines = result.stderr.strip().splitlines()
    assert lines[-1].startswith("Error: ")
    assert "Traceback" not in result.output
    for piece in pieces:
        assert piece in lines[-1]


def test_a_run_becomes_a_model(run_folder, folder):
    result = dcgan_export(
        run_folder, "--out", folder, "--name", "tiny", "--license", "MIT", "--description", "Digits"
    )

    assert result.exit_code == 0, result.output
    assert "| generator.onnx " in result.stdout
    assert result.stdout.splitlines()[-1] == f"published {folder / 'tiny' / '1'}"
    manifest = read_release(folder / "tiny" / "1").manifest
    assert (manifest.license, manifest.description, manifest.training.images_seen) == (
        "MIT",
        "Digits",
        640,
    )


def test_facts_that_only_the_user_knows_are_asked_for(run_folder, folder):
    options = [run_folder, "--out", folder, "--name", "tiny", "--safetensors"]
    license_asked = "give --license, an SPDX identifier"
    description_asked = "--description, a sentence"

    for given, asked in (
        ((), (license_asked, description_asked)),
        (("--license", "MIT"), (description_asked,)),
        (("--license", "MIT", "--description", "Digits"), ()),
    ):
        result = dcgan_export(*options, *given)
        assert result.exit_code == 0, result.output
        for text in (license_asked, description_asked):
            assert (text in result.stderr) == (text in asked)


def test_without_a_version_the_next_one_is_taken_and_named(run_folder, folder):
    for version in (1, 2):
        result = dcgan_export(run_folder, "--out", folder, "--name", "tiny", "--onnx")
        assert result.exit_code == 0
        note = f"{folder / 'tiny'} exists; the export becomes version 2"
        assert (result.stdout.splitlines()[0] == note) == (version == 2)
        assert (folder / "tiny" / str(version) / "generator.onnx").is_file()
        assert not (folder / "tiny" / str(version) / "generator.ts").exists()


def test_a_dry_run_prints_the_options_and_writes_nothing(run_folder, folder):
    result = dcgan_export(
        run_folder, "--out", folder, "--name", "tiny", "--torchscript", "--dry-run"
    )
    options = json.loads(result.stdout)
    assert (options["formats"], options["version"]) == (["torchscript"], 1)
    assert not folder.exists()


def test_a_version_that_exists_is_refused(run_folder, folder):
    arguments = (run_folder, "--out", folder, "--name", "tiny", "--version", 3, "--torchscript")
    assert dcgan_export(*arguments).exit_code == 0
    assert_refused(dcgan_export(*arguments), "exists", "choose another name, version")


@pytest.mark.parametrize("name", ["Tiny", "../tiny", "", "a/b", "-x", "a" * 65])
def test_a_bad_name_is_refused(run_folder, folder, name):
    assert_refused(dcgan_export(run_folder, "--out", folder, f"--name={name}"), "not a model name")
    assert not folder.exists()


@pytest.mark.parametrize("version", ["0", "-1", "one", str(2**31)])
def test_a_bad_version_is_refused(run_folder, folder, version):
    result = dcgan_export(run_folder, "--out", folder, "--name", "tiny", f"--version={version}")
    assert_refused(result, "--version")


def test_a_folder_that_is_no_run_is_refused(tmp_path, folder):
    assert_refused(dcgan_export(tmp_path / "none", "--out", folder, "--name", "tiny"), "none")
    assert not folder.exists()


@pytest.mark.parametrize("damage", ["missing", "truncated", "nan", "inf", "another shape"])
def test_damaged_weights_are_refused(run_folder, folder, damage):
    path = run_folder / "generator.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        head = load_file(path)["head.weight"]
        rewrite(
            path,
            "head.weight",
            head[:4].clone() if damage == "another shape" else head.fill_(float(damage)),
        )

    assert_refused(
        dcgan_export(run_folder, "--out", folder, "--name", "tiny"), "generator.safetensors"
    )
    assert not folder.exists()


def test_a_repository_that_is_a_file_is_refused(run_folder, folder):
    folder.write_text("not a folder")
    assert_refused(dcgan_export(run_folder, "--out", folder, "--name", "tiny"), str(folder))


def test_a_failed_gate_has_exit_code_1_shows_the_table_and_publishes_nothing(
    run_folder, folder, make_generator
):
    generator = make_generator(channels=1)
    generator.hidden[1].norm.running_var.fill_(-1.0)  # finite, but it has no square root
    RunFolder(run_folder).write_weights(
        "generator.safetensors", generator, step=10, images_seen=640
    )
    result = dcgan_export(run_folder, "--out", folder, "--name", "tiny")

    assert_refused(result, "folded network", code=1)
    assert "FAILED" in result.stdout
    assert list(folder.rglob("*")) == []


@pytest.mark.parametrize("kind", ParityError.__subclasses__())
def test_every_kind_of_parity_error_is_one_sentence_and_exit_code_1(
    run_folder, folder, monkeypatch, kind
):
    def fail(*_):
        raise kind("generator.onnx is not the trained function")

    monkeypatch.setattr(pipeline, "verify_files", fail)
    result = dcgan_export(run_folder, "--out", folder, "--name", "tiny", "--onnx")
    assert_refused(result, "generator.onnx is not the trained function", code=1)
    assert list(folder.rglob("*")) == []


def test_an_export_error_that_is_no_parity_error_has_exit_code_2(run_folder, folder, monkeypatch):
    def fail(*_):
        raise ExportError("the run cannot be released")

    monkeypatch.setattr(pipeline, "verify_files", fail)
    result = dcgan_export(run_folder, "--out", folder, "--name", "tiny", "--onnx")
    assert_refused(result, "the run cannot be released", code=2)


def test_an_export_without_its_arguments_is_refused(run_folder, folder):
    assert_refused(dcgan_export(run_folder, "--out", folder), "--name")
    assert_refused(dcgan_export("--out", folder, "--name", "tiny"), "RUN")


def test_int8_without_float32_beside_it_is_refused(run_folder, folder):
    result = dcgan_export(run_folder, "--out", folder, "--name", "tiny", "--torchscript", "--int8")
    assert_refused(result, "--onnx")


@pytest.mark.slow
def test_a_signal_to_stop_leaves_nothing_behind(run_folder, folder):
    command = [
        sys.executable,
        "-m",
        "dcgan.export",
        run_folder,
        "--out",
        folder,
        "--name",
        "tiny",
        "--int8",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(folder.glob("tiny/.*/generator.onnx")):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert list(folder.rglob("*")) == []


def test_help_needs_no_torch():
    program = (
        "import sys; from dcgan.export import cli; "
        "sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.slow
def test_a_disk_that_fills_while_writing_is_one_sentence_and_leaves_nothing(run_folder, folder):
    program = (
        "import resource, sys\n"
        "from dcgan.export.cli import main\n"
        "sys.dont_write_bytecode = True\n"  # cut off, it would break every later import
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "main(sys.argv[1:])\n"
    )
    command = [
        sys.executable,
        "-c",
        program,
        run_folder,
        "--out",
        folder,
        "--name",
        "tiny",
        "--onnx",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 2, result.stderr
    assert result.stderr.strip().splitlines()[-1].endswith("nothing was published")
    assert "Traceback" not in result.stderr
    assert list(folder.rglob("*")) == []


@pytest.mark.hostile("The disk fills during an export", "one sentence; nothing is published")
def test_a_file_system_that_is_full_is_one_sentence_and_leaves_nothing(run_folder, folder):
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("needs the right to mount a small tmpfs")

    try:
        assert_refused(
            dcgan_export(run_folder, "--out", folder, "--name", "tiny"), "nothing was published"
        )
        assert list(folder.rglob("*")) == []
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_repository_that_cannot_be_written_is_refused(run_folder):
    assert_refused(
        dcgan_export(run_folder, "--out", "/proc/models", "--name", "tiny"),
        "/proc/models",
        "cannot write",
    )


def test_a_model_folder_gets_safetensors_in_a_copy(run_folder, folder, tmp_path):
    made = dcgan_export(run_folder, "--out", folder, "--name", "tiny", "--onnx")
    assert made.exit_code == 0, made.output
    model = folder / "tiny" / "1"

    assert_refused(dcgan_export(model, "--out", tmp_path / "other"), "leave other options out")
    assert_refused(
        dcgan_export(model, "--out", tmp_path / "other", "--safetensors", "--int8"),
        "leave other options out",
    )
    result = dcgan_export(model, "--out", tmp_path / "other", "--safetensors")
    assert result.exit_code == 0, result.output
    copy = read_release(tmp_path / "other" / "tiny" / "1")
    assert copy.manifest.file("safetensors") is not None
    assert copy.manifest.file("onnx") == read_release(model).manifest.file("onnx")


def test_the_best_generator_of_a_run_is_exported_on_request(run_folder, folder, make_generator):
    arguments = (run_folder, "--out", folder, "--name", "tiny", "--onnx", "--checkpoint", "best")
    assert_refused(dcgan_export(*arguments), "has no best.safetensors", "--evaluate-every")
    RunFolder(run_folder).write_weights(
        "best.safetensors", make_generator(channels=1), step=4, images_seen=256
    )
    result = dcgan_export(*arguments)
    assert result.exit_code == 0, result.output
    training = read_release(folder / "tiny" / "1").manifest.training
    assert (training.steps, training.images_seen) == (4, 256)
    card = (folder / "tiny" / "1" / "README.md").read_text()
    assert "`checkpoint = the best of 10 steps by KD-Lite0, step 4` (recipe: `the last`)" in card
    assert "stopped early" not in card + result.output
