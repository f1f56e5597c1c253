"""File systems without file locks, as some network disks: caches work, run folders are refused."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dcgan.training.cli import main as train
from dcgan.zoo.cli import main as dcgan_zoo
from dcgan.zoo.index import write_index
from dcgan.zoo.release import read_release
from dcgan.zoo.repository import SHIPPED


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP], autouse=True)
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the file system refuse locks."""

    def refuse(file: object, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


def test_a_model_is_fetched_without_a_lock(
    own_home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = tmp_path / "models" / "dcgan64-tiny" / "1"
    shutil.copytree(SHIPPED / "dcgan64-tiny" / "1", folder)
    write_index([read_release(folder)], tmp_path / "packed", lambda _: None)

    result = CliRunner().invoke(
        dcgan_zoo, ["fetch", str(tmp_path / "packed" / "dcgan64-tiny-1.tar")]
    )
    assert result.exit_code == 0, result.output
    assert (own_home / "models" / "dcgan64-tiny" / "1" / "generator.onnx").is_file()
    assert "has no file locks; going on without a lock" in caplog.text


def test_a_run_folder_without_a_lock_is_refused_in_one_sentence(own_home: Path, tmp_path: Path):
    out = tmp_path / "run"
    options = ["--data", "digits", "--recipe", "digits", "--steps", "1", "--out", str(out)]
    result = CliRunner().invoke(train, options)
    assert result.exit_code == 2, result.output
    assert result.stderr.splitlines()[-1] == (
        f"Error: the file system of {out} has no file locks; choose an --out on a local disk"
    )
    assert not (out / "config.json").exists()
