"""Atomic writes: the old content or the new one, whatever happens in between."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dcgan.core import atomic
from dcgan.core.atomic import is_disk_full, new_folder, remove_leftovers, replacing, write_file

KILL_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from dcgan.core.atomic import new_folder, replacing
with {writer}(Path(sys.argv[1])) as temporary:
    {fill}
    os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def small_disk(most_bytes: int) -> Iterator[None]:
    """Files of this process may not grow beyond a size; the system then reports EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def kill_while_writing(path: Path, writer: str, fill: str) -> None:
    program = KILL_WHILE_WRITING.format(writer=writer, fill=fill)
    process = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert process.returncode == -signal.SIGKILL


def test_a_file_is_written_into_a_folder_that_does_not_exist_yet(tmp_path: Path):
    write_file(tmp_path / "a" / "b" / "file", b"new")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"new"


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"old")
    kill_while_writing(tmp_path / "file", "replacing", 'temporary.write_bytes(b"half")')
    assert (tmp_path / "file").read_bytes() == b"old"

    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["file"]


def test_a_killed_writer_leaves_no_folder(tmp_path: Path):
    fill = '(temporary / "part").write_bytes(b"half")'
    kill_while_writing(tmp_path / "folder", "new_folder", fill)
    assert not (tmp_path / "folder").exists()

    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.hostile(
    "The disk fills while a file is written",
    "the old file stays, nothing half-written",
)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"old")
    with small_disk(1000), pytest.raises(OSError, match="too large"):
        write_file(tmp_path / "file", bytes(2000))
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_leaves_no_folder(tmp_path: Path):
    with (
        small_disk(1000),
        pytest.raises(OSError, match="too large"),
        new_folder(tmp_path / "folder") as folder,
    ):
        (folder / "file").write_bytes(bytes(2000))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_at_the_flush_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
):
    def fail(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        write_file(tmp_path / "file", b"new")
    assert is_disk_full(caught.value) == (code == errno.ENOSPC)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_content_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps: list[str] = []
    monkeypatch.setattr(atomic, "flush", lambda *paths: steps.append("flush"))
    replace = Path.replace

    def rename(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", rename)
    write_file(tmp_path / "file", b"new")
    assert steps == ["flush", "rename"]


@pytest.mark.hostile("`--out` is a link", "its target is replaced atomically; the link stays")
def test_a_link_is_followed_and_stays_a_link(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "file"
    target.write_bytes(b"old")
    (tmp_path / "link").symlink_to(target)

    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == b"new"


def test_a_link_to_nothing_creates_its_target(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.hostile("`--out` is a FIFO", "written into, never replaced")
def test_a_fifo_is_written_into_and_never_replaced(tmp_path: Path):
    fifo, received = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()))
    reader.start()
    write_file(fifo, b"through the pipe")
    reader.join()
    assert received == [b"through the pipe"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.hostile("`--out /dev/full`", "one sentence with the reason; the device stays")
def test_a_device_reports_its_error_and_is_never_replaced():
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_file(Path("/dev/full"), b"new")
    assert is_disk_full(caught.value)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_standard_output_is_written_into_when_it_is_a_pipe():
    program = (
        "from pathlib import Path\n"
        "from dcgan.core.atomic import write_file\n"
        "write_file(Path('/dev/stdout'), b'content')\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout == b"content"


def test_a_folder_in_the_way_of_a_file_is_refused(tmp_path: Path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError):
        write_file(tmp_path / "taken", b"new")
    assert os.listdir(tmp_path) == ["taken"]


def test_a_folder_with_something_in_it_is_refused_and_kept(tmp_path: Path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("mine")
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "taken") as folder:
        (folder / "theirs").write_text("theirs")
    assert os.listdir(tmp_path) == ["taken"]
    assert os.listdir(tmp_path / "taken") == ["mine"]


def test_a_new_folder_appears_whole_with_the_usual_rights(tmp_path: Path):
    (tmp_path / "usual").mkdir()
    with new_folder(tmp_path / "folder") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_bytes(b"content")
        assert not (tmp_path / "folder").exists()
    assert (tmp_path / "folder" / "inner" / "file").read_bytes() == b"content"
    assert (tmp_path / "folder").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_an_error_in_the_block_leaves_nothing(tmp_path: Path):
    for writer in (replacing, new_folder):
        with pytest.raises(KeyError), writer(tmp_path / "target") as temporary:
            assert temporary.parent == tmp_path
            raise KeyError
        assert os.listdir(tmp_path) == []


def test_of_two_writers_at_once_one_wins_and_neither_sees_the_other(tmp_path: Path):
    barrier = threading.Barrier(2)
    contents = [bytes([letter]) * 100_000 for letter in b"ab"]

    def write(content: bytes) -> None:
        with replacing(tmp_path / "file") as temporary:
            temporary.write_bytes(content[:50_000])
            barrier.wait()
            with temporary.open("ab") as file:
                file.write(content[50_000:])

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.hostile("Temporary names that could be guessed and planted", "64 random bits in each")
def test_temporary_names_are_never_used_twice(tmp_path: Path):
    names = set()
    for _ in range(100):
        with replacing(tmp_path / "file") as temporary:
            names.add(temporary.name)
            temporary.write_bytes(b"")
    assert len(names) == 100


def test_only_leftovers_are_removed(tmp_path: Path):
    leftovers = [".a.0123456789abcdef.part", "deep/.b.png.0123456789abcdef.part"]
    kept = ["a", "b.part", ".c.part", ".c.0123.part", "deep/mine"]
    (tmp_path / "deep").mkdir()
    for name in (*leftovers, *kept):
        (tmp_path / name).write_bytes(b"")

    remove_leftovers(tmp_path, "a")
    assert not (tmp_path / leftovers[0]).exists()
    assert (tmp_path / leftovers[1]).exists()

    remove_leftovers(tmp_path)
    assert not (tmp_path / leftovers[1]).exists()
    assert all((tmp_path / name).exists() for name in kept)


def test_a_folder_that_is_still_being_filled_is_no_leftover(tmp_path: Path):
    with new_folder(tmp_path / "folder") as temporary:
        (temporary / "file").write_bytes(b"content")
        remove_leftovers(tmp_path)
    assert (tmp_path / "folder" / "file").read_bytes() == b"content"


def test_a_folder_that_is_removed_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real_mkdir = Path.mkdir
    taken: list[Path] = []

    def mkdir(folder: Path, *arguments: int, **options: bool) -> None:
        real_mkdir(folder, *arguments, **options)
        if folder.suffix == ".part" and not taken:
            taken.append(folder)
            remove_leftovers(tmp_path)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with new_folder(tmp_path / "folder") as temporary:
        assert [temporary] != taken
    assert os.listdir(tmp_path) == ["folder"]


def test_names_as_long_as_the_file_system_allows_are_written(tmp_path: Path):
    for name in ("x" * 255, "ü" * 127):
        write_file(tmp_path / name, b"content")
        assert (tmp_path / name).read_bytes() == b"content"
