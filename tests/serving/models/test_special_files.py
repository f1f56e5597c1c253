"""FIFOs, devices, sockets and links inside a model repository."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dcgan.core.errors import DcganError
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.models.config import ModelConfig
from dcgan.serving.models.loader import load_model
from dcgan.serving.models.releases import find_releases
from dcgan.serving.observability.metrics import Metrics


def put_fifo(path: Path) -> None:
    os.mkfifo(path)


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))  # the whole path may be too long


def put_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def put_link(path: Path) -> None:
    """Puts a link to a file outside of the repository, with the same content."""
    outside = path.parents[2].with_name("outside")
    outside.write_bytes(path.with_name(f"{path.name}.was").read_bytes())
    path.with_name(f"{path.name}.was").unlink()
    path.symlink_to(outside)


async def load(repository: Path) -> None:
    for release in find_releases(repository, None, None, None, precision="fp32"):
        model = await load_model(release, EngineConfig(device="cpu"), ModelConfig(), Metrics())
        await model.dispatcher.stop()


@pytest.mark.hostile(
    "A FIFO, a socket, a device or a link in place of a file of a model",
    "refused in one sentence; nothing is waited for",
)
@pytest.mark.parametrize("name", ["generator.onnx", "golden.png", "manifest.json", "unlisted"])
@pytest.mark.parametrize("put", [put_fifo, put_socket, put_device])
async def test_a_special_file_of_a_model_is_refused(copied, name, put: Callable[[Path], None]):
    path = copied / "tiny" / "2" / name
    path.unlink(missing_ok=True)
    put(path)
    with pytest.raises(DcganError) as caught:
        await load(copied)
    assert str(path.parent) in str(caught.value)
    assert name in str(caught.value)
    assert "lacks the file" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.hostile("A file of a model that is a link to outside", "refused")
@pytest.mark.parametrize("name", ["generator.onnx", "golden.png", "manifest.json"])
async def test_a_file_that_is_a_link_is_refused(copied, name):
    path = copied / "tiny" / "2" / name
    path.rename(path.with_name(f"{name}.was"))
    put_link(path)
    with pytest.raises(DcganError, match=f"{name} is a link that leads out of the model folder"):
        await load(copied)


@pytest.mark.hostile(
    "FIFOs, links in a circle and links to /dev and /proc beside the models", "ignored"
)
async def test_what_is_no_model_is_ignored(copied):
    os.mkfifo(copied / "fifo")
    os.mkfifo(copied / "tiny" / "3")
    (copied / "circle").symlink_to(copied / "circle")
    (copied / "tiny" / "4").symlink_to("4")
    (copied / "itself").symlink_to(".")
    for folder in ("/dev", "/proc", "/"):
        (copied / f"link{folder.strip('/')}").symlink_to(folder)
    await load(copied)


async def test_a_model_may_be_a_link_to_a_folder_elsewhere(copied, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "2"
    shutil.move(copied / "tiny" / "2", elsewhere)
    (copied / "tiny" / "2").symlink_to(elsewhere)
    await load(copied)
