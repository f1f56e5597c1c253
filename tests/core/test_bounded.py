"""Files of strangers are read up to a size, and only if they are regular files."""

import errno
import fcntl
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dcgan.core.bounded import read_bounded


def test_a_file_is_read_up_to_the_size(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(OSError, match="it has over 4 bytes") as caught:
        read_bounded(path, 4)
    assert caught.value.errno == errno.EFBIG


@pytest.mark.hostile(
    "A manifest, card, run configuration or ONNX file of a terabyte",
    "refused after its limit",
)
def test_a_sparse_file_of_a_terabyte_is_not_read(tmp_path: Path):
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(OSError, match="it has over 1 MiB"):
        read_bounded(path, 2**20)


@pytest.mark.hostile(
    "A FIFO or a device in the place of such a file",
    "refused; nothing waits for a writer",
)
@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_special_files_are_refused_and_never_waited_for(tmp_path: Path, kind: str):
    path = Path("/dev/zero") if kind == "device" else tmp_path
    if kind == "fifo":
        path = tmp_path / "fifo"
        os.mkfifo(path)
    with pytest.raises(OSError, match="it is not a regular file"):
        read_bounded(path, 10)


def test_a_file_with_a_lease_is_waited_for(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # says that somebody waits
    with path.open() as holder, ThreadPoolExecutor(1) as pool:
        try:
            fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            reading = pool.submit(read_bounded, path, 100)
            while fcntl.fcntl(holder, fcntl.F_GETLEASE) == fcntl.F_WRLCK:
                time.sleep(0.001)
            fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            assert reading.result(60) == b"content"
        except OSError as error:
            pytest.skip(f"the file system of {path.parent} has no leases ({error.strerror})")
        finally:
            signal.signal(signal.SIGIO, before)
