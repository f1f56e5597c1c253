"""Publishing: a model folder appears whole or not at all."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dcgan.zoo.manifest import FILE_NAME, ManifestError
from dcgan.zoo.publishing import publish
from dcgan.zoo.release import RepositoryError
from dcgan.zoo.repository import list_releases

from .conftest import publish_toy


def test_a_failed_publication_leaves_nothing(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), publish(tmp_path, "toy", 1) as folder:
        (folder / "generator.onnx").write_bytes(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_nothing_can_be_seen_before_it_is_whole(tmp_path: Path):
    with publish(tmp_path, "toy", 1) as folder:
        (folder / FILE_NAME).write_text("{}")
        assert list_releases(tmp_path) == []


def test_a_released_version_is_never_overwritten(tmp_path: Path):
    before = (publish_toy(tmp_path) / "generator.onnx").stat().st_mtime_ns
    with pytest.raises(RepositoryError, match="exists and a released model is never changed"):
        publish_toy(tmp_path)
    assert (tmp_path / "toy" / "1" / "generator.onnx").stat().st_mtime_ns == before


def test_of_two_who_publish_one_version_one_wins(tmp_path: Path):
    barrier, losses = threading.Barrier(2), []

    def contend(mark: bytes) -> None:
        try:
            with publish(tmp_path, "toy", 1) as folder:
                (folder / "mark").write_bytes(mark)
                barrier.wait()
        except RepositoryError:
            losses.append(mark)

    threads = [threading.Thread(target=contend, args=(mark,)) for mark in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(losses) == 1
    assert (tmp_path / "toy" / "1" / "mark").read_bytes() not in losses
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["1"]


def test_a_repository_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "models").write_text("")
    with (
        pytest.raises(RepositoryError, match="cannot write to the repository"),
        publish(tmp_path / "models", "toy", 1),
    ):
        pass
    for repository in (tmp_path / "models", tmp_path / ("x" * 300)):
        with pytest.raises(RepositoryError, match="is not a folder"):
            list_releases(repository)


@pytest.mark.parametrize("version", [0, -1, 2**31])
def test_absurd_versions_are_refused(tmp_path: Path, version: int):
    with pytest.raises(ManifestError, match="is not 1 to"), publish(tmp_path, "toy", version):
        pass
