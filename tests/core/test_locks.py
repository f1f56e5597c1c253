"""Locks between processes, and file systems that have none."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcgan.core import locks
from dcgan.core.errors import CacheError
from dcgan.core.locks import LockUnsupportedError, folder_lock, try_lock, wait_for_lock

HOLD = """
import sys
from pathlib import Path
from dcgan.core.locks import try_lock
with try_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock `tmp_path / "lock"` until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process

        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that refuses to lock, as network disks do."""

    def refuse(file: object, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)
    locks._warn_once.cache_clear()


def test_a_lock_that_another_process_holds_is_not_waited_for(tmp_path: Path, held: object):
    with pytest.raises(BlockingIOError):
        try_lock(tmp_path / "lock")


def test_a_lock_is_free_after_its_process_was_killed(tmp_path: Path, held: subprocess.Popen[str]):
    held.kill()
    held.wait()
    try_lock(tmp_path / "lock").close()


@pytest.mark.hostile(
    "Another process holds a lock of the cache",
    "the wait is announced, with its reason",
)
def test_a_wait_says_what_it_waits_for_and_ends(
    tmp_path: Path, held: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
):
    said = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: said.set()  # type: ignore[method-assign]
    logging.getLogger("dcgan.core.locks").addHandler(handler)

    taken = threading.Event()

    def wait() -> None:
        with wait_for_lock(tmp_path / "lock", "download the same index"):
            taken.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert said.wait(10)
    assert not taken.is_set()
    assert held.stdin is not None
    held.stdin.close()
    thread.join(10)
    logging.getLogger("dcgan.core.locks").removeHandler(handler)

    assert taken.is_set()
    assert "waiting for another process to download the same index" in caplog.text
    assert str(tmp_path / "lock") in caplog.text


def test_a_free_lock_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with wait_for_lock(tmp_path / "new" / "lock", "do anything"), pytest.raises(BlockingIOError):
        try_lock(tmp_path / "new" / "lock")
    assert caplog.text == ""


def test_a_folder_is_locked_once(tmp_path: Path):
    with folder_lock(tmp_path), pytest.raises(BlockingIOError), folder_lock(tmp_path):
        pass
    with folder_lock(tmp_path):
        assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_locks")
def test_a_cache_without_locks_works_and_warns_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    for _ in range(3):
        with wait_for_lock(tmp_path / "lock", "do anything"):
            pass
    (record,) = caplog.records
    assert record.getMessage() == (
        f"the file system of {tmp_path} has no file locks; going on without a lock"
    )


@pytest.mark.usefixtures("no_locks")
def test_a_lock_that_is_needed_names_the_file_system(tmp_path: Path):
    with pytest.raises(LockUnsupportedError, match=f"the file system of {tmp_path} has no"):
        try_lock(tmp_path / "lock")
    with (
        pytest.raises(LockUnsupportedError, match="has no file locks"),
        folder_lock(tmp_path),
    ):
        pass


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CacheError, match="cannot write to the cache .*set DCGAN_HOME"),
        wait_for_lock(tmp_path / "file" / "lock", "do anything"),
    ):
        pass
