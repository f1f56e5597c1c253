"""From a run to a model folder: completely or not at all, and the same bytes each time."""

import dataclasses
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dcgan.core.onnx_session import CPU
from dcgan.export import pipeline
from dcgan.export.errors import (
    ParityError,
    WeightMismatchError,
)
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export
from dcgan.export.verify.backends import OnnxBackend
from dcgan.export.verify.inputs import ModelInputs
from dcgan.training.run_folder import read_run
from dcgan.zoo.release import RepositoryError, read_release
from dcgan.zoo.repository import find_release

OPTIONS = ExportOptions(name="small", version=1)


def silent(_):
    pass


def test_a_release_has_every_file_and_verifies(release):
    release.verify()
    names = {path.name for path in release.folder.iterdir()}
    assert names == {file.path for file in release.manifest.files} | {"manifest.json"}
    roles = {file.role for file in release.manifest.files}
    assert roles == {"onnx", "torchscript", "safetensors", "golden", "samples", "parity", "card"}


def test_two_exports_of_one_run_give_the_same_bytes(run, release, folder):
    again = export(run, folder, OPTIONS, silent)
    assert_same_files(again.folder, release.folder)


ELSEWHERE = """
import sys, time
time.time = lambda: 2e9  # a day in the year 2033
time.localtime = time.gmtime = lambda *_: time.struct_time((2033, 5, 18, 3, 33, 20, 2, 138, 0))
from pathlib import Path
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export
from dcgan.training.run_folder import read_run
formats = ("onnx", "torchscript", "pt2", "safetensors")
options = ExportOptions(name="small", version=1, formats=formats, int8=True, fp16=True)
export(read_run(Path(sys.argv[1])), Path(sys.argv[2]), options, print)
"""


@pytest.mark.slow
def test_another_process_day_folder_and_number_of_threads_give_the_same_bytes(
    run_folder, tmp_path, folder
):
    for place, threads in (("here", "1"), ("there", "2")):
        (tmp_path / place).mkdir()
        environment = os.environ | {"PYTHONHASHSEED": threads, "OMP_NUM_THREADS": threads}
        command = [
            sys.executable,
            "-c",
            ELSEWHERE if place == "there" else ELSEWHERE.replace("2e9", "1e9"),
            run_folder,
        ]
        subprocess.run(
            [*command, tmp_path / place / "models"],
            cwd=tmp_path / place,
            env=environment,
            check=True,
        )

    assert_same_files(
        tmp_path / "here" / "models" / "small" / "1", tmp_path / "there" / "models" / "small" / "1"
    )


def assert_same_files(folder, other):
    assert {path.name for path in folder.iterdir()} == {path.name for path in other.iterdir()}
    for path in folder.iterdir():
        assert path.read_bytes() == (other / path.name).read_bytes(), path.name


def test_weights_that_are_not_those_of_the_network_are_not_published(run, folder, monkeypatch):
    """The disk gives back something else than was written to it."""
    write_as_it_is = pipeline.write_files

    def write_zeros(released, where, options, **rest):
        files = write_as_it_is(released, where, options, **rest)
        weights = {
            name: torch.zeros_like(tensor)
            for name, tensor in load_file(where / "generator.safetensors").items()
        }
        save_file(weights, where / "generator.safetensors")
        return files

    monkeypatch.setattr(pipeline, "write_files", write_zeros)
    with pytest.raises(WeightMismatchError, match=r"generator\.safetensors"):
        export(run, folder, dataclasses.replace(OPTIONS, formats=("safetensors",)), silent)
    assert list(folder.rglob("*")) == []


def test_no_file_holds_a_path_or_a_date(release):
    dates = re.compile(rb"20\d\d-\d\d-\d\d|\d\d:\d\d:\d\d")
    for path in release.folder.iterdir():
        data = path.read_bytes()
        assert str(release.folder.parent.parent).encode() not in data, path.name
        if path.suffix in (".json", ".md"):
            assert dates.search(data) is None, path.name


@pytest.mark.slow
def test_the_table_names_each_file_and_its_verdict(run, folder):
    lines = []
    export(run, folder, OPTIONS, lines.append)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()]
    assert [(row[0], row[-1]) for row in rows[2:]] == [
        ("trained network", "reported"),
        ("folded network", "passed"),
        ("generator.onnx", "passed"),
        ("generator.ts", "passed"),
        ("generator.safetensors", "passed"),
    ]


@pytest.mark.slow
def test_rounded_weights_become_the_released_model(run, folder):
    release = export(run, folder, dataclasses.replace(OPTIONS, weights="fp16"), silent)
    report = json.loads((release.folder / "parity.json").read_text())
    files = {distance["file"]: distance for distance in report["distances"]}
    assert "float16" in report["reference"]
    assert files["rounded network"]["max_abs_error"] > 1e-5
    assert "limits" not in files["rounded network"]
    assert files["generator.onnx"]["max_abs_error"] < 1e-5
    assert release.manifest.file("safetensors").precision == "fp16"


def test_a_failed_gate_leaves_nothing(run, folder, make_generator):
    generator = make_generator()
    generator.hidden[0].norm.running_var.fill_(float("nan"))
    with pytest.raises(ParityError):
        export(dataclasses.replace(run, generator=generator), folder, OPTIONS, silent)
    assert list(folder.rglob("*")) == []


@pytest.mark.slow
def test_a_version_that_exists_is_not_touched(run, folder):
    first = export(run, folder, OPTIONS, silent)
    before = (first.folder / "manifest.json").stat()
    with pytest.raises(RepositoryError, match="exists"):
        export(run, folder, OPTIONS, silent)
    assert (first.folder / "manifest.json").stat() == before
    second = export(run, folder, dataclasses.replace(OPTIONS, version=2), silent)
    assert find_release(folder, "small").manifest == second.manifest


@pytest.mark.slow
def test_grey_models_of_another_size(run, folder, make_generator):
    generator = make_generator(channels=1, image_size=64, width=4, latent_size=7)
    release = export(dataclasses.replace(run, generator=generator), folder, OPTIONS, silent)
    images = OnnxBackend(release.folder / "generator.onnx", "fp32", CPU)(
        ModelInputs(np.zeros((2, 7), np.float32))
    ).images
    assert images.shape == (2, 64, 64, 1)
    assert read_release(release.folder).manifest.channels == 1


@pytest.mark.slow
def test_a_release_with_int8_says_how_good_it_is(run, folder, make_generator):
    options = ExportOptions(name="small", version=1, formats=("onnx",), int8=True)
    lines: list[str] = []
    release = export(
        dataclasses.replace(run, generator=make_generator(width=4)), folder, options, lines.append
    )

    assert "images/s on this processor" in lines[-1]
    release.verify()
    file = release.manifest.file("onnx", "int8")
    assert file.path == "generator.int8.onnx"
    assert {digest.path for digest in release.manifest.golden.digests} == {
        "generator.onnx",
        "generator.int8.onnx",
    }
    report = json.loads((release.folder / "parity.json").read_text())
    (quality,) = [
        distance["quality"] for distance in report["distances"] if distance["file"] == file.path
    ]
    assert quality["images"] == 4096
    (verdict,) = [each for each in release.manifest.parity if each.path == file.path]
    assert (verdict.psnr, verdict.quality_levels) == (quality["psnr"], quality["max_levels"])
    assert (verdict.thresholds.psnr, verdict.thresholds.quality_levels) == (38.0, 64)
    assert 38 < quality["psnr"] < 100
    assert " dB" in (release.folder / "README.md").read_text()


@pytest.mark.slow
def test_a_release_with_float16_holds_its_verdict_and_thresholds(run, folder):
    release = export(
        run,
        folder,
        ExportOptions(name="small", version=1, formats=("onnx",), fp16=True),
        lambda _: None,
    )
    release.verify()

    assert release.manifest.file("onnx", "fp16").path == "generator.fp16.onnx"
    verdicts = {(each.path, each.provider): each for each in release.manifest.parity}
    verdict = verdicts["generator.fp16.onnx", CPU]
    assert verdict.psnr > verdict.thresholds.psnr == 50.0
    report = json.loads((release.folder / "parity.json").read_text())
    (distance,) = [
        each
        for each in report["distances"]
        if (each["precision"], each["provider"]) == ("fp16", CPU)
    ]
    assert "no float16 kernels" in distance["limits"]["reason"]


def test_a_run_that_was_stopped_early_is_released_with_a_warning(run_folder, folder):
    run = read_run(run_folder)
    assert (run.training.steps, run.training.planned_steps) == (10, 10)
    changed = {change.key: change.value for change in run.training.changes}
    assert changed["generator.width"] == "8"
    assert changed["steps"] == "10"

    training = dataclasses.replace(run.training, steps=4)
    lines = []
    options = dataclasses.replace(OPTIONS, formats=("onnx",))
    release = export(dataclasses.replace(run, training=training), folder, options, lines.append)
    assert lines[0].startswith("warning: the run was stopped early, after 4 of 10 steps")
    assert (release.manifest.training.steps, release.manifest.training.planned_steps) == (4, 10)
    assert "Trained for 4 of 10 steps" in (release.folder / "README.md").read_text()


def test_a_finished_run_is_released_without_a_warning(run_folder, folder):
    lines = []
    export(
        read_run(run_folder), folder, dataclasses.replace(OPTIONS, formats=("onnx",)), lines.append
    )
    assert not any("warning" in line for line in lines)
