"""Files that commands write: what cannot be written is said before the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcgan.core.output import OutputError, check_writable, write_output


def test_what_can_be_written_is_left_as_it_is(tmp_path: Path):
    (tmp_path / "old").write_bytes(b"old")
    for name in ("old", "new"):
        check_writable(tmp_path / name, "--json")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_bytes() == b"old"


def test_a_folder_is_refused(tmp_path: Path):
    with pytest.raises(OutputError, match="is a folder; name a file for --json"):
        check_writable(tmp_path, "--json")


@pytest.mark.parametrize("name", ["none/file", "file/file", "x" * 300])
def test_a_path_that_cannot_be_written_names_the_option(tmp_path: Path, name: str):
    (tmp_path / "file").write_bytes(b"")
    for call in (check_writable, lambda path, option: write_output(path, option, b"")):
        with pytest.raises(OutputError, match="cannot write .*; name another --json"):
            call(tmp_path / name, "--json")
