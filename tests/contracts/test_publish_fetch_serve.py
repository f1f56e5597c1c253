"""From a packed model over an index to a server: nothing is fetched unless the user says so."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dcgan.serving.client import Client
from dcgan.serving.launch import launch_server
from dcgan.zoo.catalog import model_cache
from dcgan.zoo.index import write_index
from dcgan.zoo.release import read_release
from dcgan.zoo.repository import SHIPPED

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_home")]

COMMANDS = Path(sys.executable).parent
SERVE = (str(COMMANDS / "dcgan-serve"), "--port", "0", "--metrics-port", "0", "--device", "cpu")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """An index of the shipped model under another name."""
    folder = tmp_path / "elsewhere" / "borrowed" / "1"
    shutil.copytree(SHIPPED / "dcgan64-tiny" / "1", folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"name": "borrowed"}))
    write_index([read_release(folder)], tmp_path / "packed", lambda _: None)
    return tmp_path / "packed"


@contextmanager
def serving(*options: str) -> Iterator[str]:
    with launch_server([*SERVE, *options]) as server:
        yield server.address
    assert server.process.returncode == 0


def refused(*options: str) -> str:
    result = subprocess.run(
        [*SERVE, *options], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def test_a_server_fetches_only_when_told_to_and_then_serves_offline(
    packed: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DCGAN_ZOO_INDEX", str(packed))  # of dcgan-zoo, and no permission
    assert "there is no model 'borrowed'" in refused("--model", "borrowed")
    assert not model_cache().exists()
    with (
        serving("--model", "borrowed", "--fetch-from", str(packed)) as address,
        Client(address) as client,
    ):
        images = client.generate(seed=1, n=2)

    assert (model_cache() / "borrowed" / "1").is_dir()
    shutil.rmtree(packed)
    with serving("--model", "borrowed") as address, Client(address) as client:
        assert [model.name for model in client.models()] == ["borrowed"]
        assert (client.generate(seed=1, n=2) == images).all()


def test_an_index_without_the_name_of_a_model_is_refused(packed: Path):
    assert "--model" in refused("--fetch-from", str(packed))
    assert "--model-repository" in refused(
        "--fetch-from", str(packed), "--model", "borrowed", "--model-repository", "."
    )


@pytest.mark.parametrize(
    "arguments",
    [("--index", "{packed}", "fetch", "borrowed"), ("fetch", "{packed}/borrowed-1.tar")],
)
def test_a_fetch_on_a_terminal_shows_how_far_it_is(packed: Path, arguments: tuple[str, ...]):
    ours, theirs = pty.openpty()
    size = (packed / "borrowed-1.tar").stat().st_size
    command = [str(COMMANDS / "dcgan-zoo"), *(each.format(packed=packed) for each in arguments)]
    process = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=60, check=False
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)

    assert process.returncode == 0, shown
    assert process.stdout == f"{model_cache() / 'borrowed' / '1'}\n"
    assert "fetching" in shown
    assert (f"{size}/{size}" if arguments[0] == "--index" else f"{size / 2**20:.1f} MiB") in shown
