"""Atomic writes of the files of a run."""

import errno
from unittest.mock import Mock

import pytest

from dcgan.training.errors import TrainingError
from dcgan.training.run_folder import RunFolder


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.write("a.bin", b"old")
    monkeypatch.setattr("dcgan.core.atomic.flush", Mock(side_effect=OSError(errno.EIO, "broken")))
    with pytest.raises(TrainingError, match="cannot write .*a.bin"):
        folder.write("a.bin", b"new")
    assert (tmp_path / "a.bin").read_bytes() == b"old"
