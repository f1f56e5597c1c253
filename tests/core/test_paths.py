"""The cache folder: where it lies, and that nobody else can plant files in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dcgan.core.errors import CacheError
from dcgan.core.paths import cache_dir, private_folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DCGAN_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_first_variable_that_is_set_decides(home: Path, monkeypatch: pytest.MonkeyPatch):
    assert cache_dir() == home / ".cache" / "dcgan-zoo"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert cache_dir() == home / "xdg" / "dcgan-zoo"
    monkeypatch.setenv("DCGAN_HOME", "~/mine")
    assert cache_dir() == home / "mine"
    assert list(home.iterdir()) == []


@pytest.mark.hostile(
    "Other users of the machine look into the cache",
    "its folders have the rights 0700",
)
def test_folders_of_the_cache_are_private(home: Path):
    folder = private_folder("downloads")
    assert folder == cache_dir() / "downloads"
    for created in (folder, cache_dir()):
        assert stat.S_IMODE(created.stat().st_mode) == 0o700
    assert private_folder("downloads") == folder


@pytest.mark.hostile("A folder of the cache that others may write to", "made private")
def test_a_folder_that_others_can_write_to_becomes_private(home: Path):
    folder = private_folder("downloads")
    folder.chmod(0o777)
    private_folder("downloads")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.hostile("A link planted in the place of a folder of the cache", "refused")
def test_a_planted_link_is_refused(home: Path):
    (home / "target").mkdir()
    private_folder()
    (cache_dir() / "downloads").symlink_to(home / "target")
    with pytest.raises(
        CacheError, match="downloads is in the path of the cache and is not a folder"
    ):
        private_folder("downloads")


def test_the_cache_itself_may_be_a_link_to_another_disk(home: Path):
    (home / "disk").mkdir()
    cache_dir().parent.mkdir()
    cache_dir().symlink_to(home / "disk")
    private_folder("downloads")
    assert (home / "disk" / "downloads").is_dir()


@pytest.mark.hostile("A folder of the cache that belongs to another user", "refused")
def test_a_folder_of_another_user_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch):
    private_folder("downloads")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(CacheError, match="belongs to another user; .*set DCGAN_HOME"):
        private_folder("downloads")


def test_a_file_in_the_way_is_named(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / "file").write_text("")
    monkeypatch.setenv("DCGAN_HOME", str(home / "file" / "cache"))
    with pytest.raises(CacheError, match="cannot write to the cache .*set DCGAN_HOME"):
        private_folder("downloads")
