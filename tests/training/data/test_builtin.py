"""CIFAR-10 from a local server that has a few images in the original format."""

import hashlib
import io
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from dcgan.training.data.sources import open_source
from dcgan.training.errors import TrainingError

NAMES = ["airplane", "automobile", "bird"]


TRAIN = [f"data_batch_{i}" for i in range(1, 6)]


def batch(first: int) -> bytes:
    """Four images of one level each; a row is an image, channels first, as in the original."""
    levels = np.arange(first, first + 4, dtype=np.uint8)
    return pickle.dumps(
        {"data": np.repeat(levels[:, None], 3 * 32 * 32, axis=1), "labels": (levels % 3).tolist()}
    )


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Where the server's archive lies; torchvision is told its address and its checksums."""
    files = {name: batch(4 * i) for i, name in enumerate([*TRAIN, "test_batch"])}
    files["batches.meta"] = pickle.dumps({"label_names": NAMES})
    buffer = io.BytesIO()

    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    path = tmp_path / "served" / CIFAR10.filename
    path.parent.mkdir()
    path.write_bytes(buffer.getvalue())
    sums = {name: md5(data) for name, data in files.items()}
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(buffer.getvalue()))
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in TRAIN])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "home"))
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=path.parent)
    ) as server:
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{path.name}")
        Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()


def test_it_is_fetched_once_and_kept(archive):
    for _ in range(2):
        source = open_source("cifar10")
        assert (source.name, len(source.items), source.class_names) == (
            "CIFAR-10",
            20,
            tuple(NAMES),
        )
        assert source.labels == tuple(i % 3 for i in range(20))
        assert [source.open(i).getpixel((31, 31)) for i in (0, 19)] == [(0, 0, 0), (19, 19, 19)]
        archive.unlink(missing_ok=True)  # the second time there is nothing to fetch


def test_of_two_at_once_one_fetches_it(archive, monkeypatch):
    answer, gone, asked = SimpleHTTPRequestHandler.do_GET, Event(), []

    def answer_late(handler: SimpleHTTPRequestHandler) -> None:
        asked.append(handler.path)
        if len(asked) == 1:
            gone.wait(0.5)  # leaves the other one the time to ask, too
        else:
            gone.set()
        answer(handler)

    monkeypatch.setattr(SimpleHTTPRequestHandler, "do_GET", answer_late)
    with ThreadPoolExecutor(2) as pool:
        sources = list(pool.map(open_source, ["cifar10"] * 2))
    assert [len(source.items) for source in sources] == [20, 20]
    assert len(asked) == 2  # torchvision asks where it lies, and then for it


def test_a_full_disk_is_named_with_its_cure(archive, tmp_path):
    (tmp_path / "home" / "data" / "cifar10").mkdir(parents=True)
    (tmp_path / "home" / "data" / "cifar10" / archive.name).symlink_to("/dev/full")
    with pytest.raises(
        TrainingError,
        match=r"cannot keep CIFAR-10 in .*: No space left .*; free some space or set DCGAN_HOME",
    ):
        open_source("cifar10")


@pytest.mark.parametrize("served", [b"no archive", None])
def test_what_is_damaged_or_absent_is_not_taken(archive, tmp_path, served):
    archive.unlink()
    if served is not None:
        archive.write_bytes(served)
    with pytest.raises(
        TrainingError, match=r"cannot download CIFAR-10 .*put cifar-10-python.tar.gz into"
    ):
        open_source("cifar10")
    assert not list((tmp_path / "home").rglob("data_batch_*"))
