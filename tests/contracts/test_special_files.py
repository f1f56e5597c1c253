"""An output that is no ordinary file is written into, or followed if a link; never replaced."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dcgan.core.errors import DcganError
from dcgan.core.output import check_writable, write_output
from dcgan.serving.cli.image_files import OutputPlan, write_images
from dcgan.serving.cli.selection import ImageRange, SeedSelection
from dcgan.serving.launch import launch_server
from dcgan.serving.ready_file import ReadyReport, write_ready_file
from dcgan.v1 import generator_pb2 as pb

COMMANDS = Path(sys.executable).parent
IMAGES = np.zeros((1, 8, 8, 3), np.uint8)
MODEL = pb.Model(name="toy", version=1, digest="0" * 64)
SELECTION = SeedSelection(parts=(ImageRange(model=MODEL, seed=7, first=0, n=1),))

Writer = Callable[[Path], object]
WRITERS: dict[str, Writer] = {
    "a grid": lambda out: write_images([IMAGES], OutputPlan(out=out, kind="grid"), SELECTION),
    "an array": lambda out: write_images([IMAGES], OutputPlan(out=out, kind="npy"), SELECTION),
    "a report": lambda out: write_output(out, "--json", b"{}"),
    "a ready file": lambda out: write_ready_file(out, ReadyReport(address="a:1", pid=1)),
}
each_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())


@each_writer
def test_a_fifo_gets_the_content(tmp_path: Path, write: Writer):
    write(tmp_path / "file")
    fifo, received = tmp_path / "fifo", []
    os.mkfifo(fifo)
    check_writable(fifo, "--out")
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()))
    reader.start()
    write(fifo)
    reader.join()
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert received == [(tmp_path / "file").read_bytes()]


@each_writer
def test_a_device_that_refuses_is_one_sentence(write: Writer):
    with pytest.raises(DcganError, match="cannot write '/dev/full': No space left on device"):
        write(Path("/dev/full"))
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@each_writer
def test_a_link_is_followed(tmp_path: Path, write: Writer):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for _ in range(2):  # to a file that does not exist yet, then to one that does
        write(tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert not (tmp_path / "file").is_symlink()
        assert (tmp_path / "file").stat().st_size > 0


@pytest.mark.hostile(
    "A full disk under `--out` of any command",
    "what was there stays; one sentence with the reason",
)
@each_writer
def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch
):
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DcganError, match="No space left on device"):
        write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server of the shipped model."""
    options = ("--port", "0", "--metrics-port", "0", "--device", "cpu")
    with launch_server([str(COMMANDS / "dcgan-serve"), *options]) as server:
        yield server.address


@pytest.mark.slow
def test_dcgan_generate_writes_into_special_files(address: str, tmp_path: Path):
    command = [str(COMMANDS / "dcgan-generate"), "--target", address, "--seed", "7", "--out"]
    subprocess.run([*command, str(tmp_path / "a.png")], check=True, timeout=60)
    expected = (tmp_path / "a.png").read_bytes()

    piped = subprocess.run(
        [*command, "/dev/stdout", "--format", "grid"],
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    assert piped.stdout.startswith(expected)

    full = subprocess.run(
        [*command, "/dev/full", "--format", "grid"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert full.returncode == 2
    assert "cannot write '/dev/full': No space left on device" in full.stderr
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
