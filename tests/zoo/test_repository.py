"""Finding models in a repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcgan.zoo.manifest import FILE_NAME, ManifestError
from dcgan.zoo.publishing import publish
from dcgan.zoo.release import RepositoryError
from dcgan.zoo.repository import find_release, list_releases, versions_of

from .conftest import publish_toy


def test_a_published_model_is_found_and_whole(tmp_path: Path):
    publish_toy(tmp_path, "toy", 1)
    publish_toy(tmp_path, "toy", 2)
    publish_toy(tmp_path, "another", 10)

    assert [(r.manifest.name, r.manifest.version) for r in list_releases(tmp_path)] == [
        ("another", 10),
        ("toy", 2),
        ("toy", 1),
    ]
    assert find_release(tmp_path, "toy").manifest.version == 2
    assert find_release(tmp_path, "toy", 1).folder == tmp_path / "toy" / "1"
    for release in list_releases(tmp_path):
        release.verify()


@pytest.mark.hostile(
    "Model names with paths, escapes and absurd lengths",
    "refused before the disk is touched",
)
@pytest.mark.parametrize("name", ["", "..", "a/b", "../a", "A", "a" * 65, "-a", "a\0", "a..b", "é"])
def test_hostile_names_are_refused_before_the_disk_is_touched(tmp_path: Path, name: str):
    with pytest.raises(ManifestError, match="is not a model name"), publish(tmp_path, name, 1):
        pass
    with pytest.raises(ManifestError, match="is not a model name"):
        find_release(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_named_with_what_is(tmp_path: Path):
    publish_toy(tmp_path, "toy", 3)
    with pytest.raises(RepositoryError, match="no model 'boy'.*it has toy"):
        find_release(tmp_path, "boy")
    with pytest.raises(RepositoryError, match="no version 4; it has 3"):
        find_release(tmp_path, "toy", 4)


def test_a_folder_in_the_wrong_place_is_refused(toy: Path):
    toy.rename(toy.parent / "7")
    with pytest.raises(RepositoryError, match="holds version 1 of 'toy'"):
        find_release(toy.parent.parent, "toy")


@pytest.mark.hostile(
    "Version folders named 007, with digits of other scripts or of 200 digits", "left out"
)
@pytest.mark.parametrize("name", ["007", "\u0662", "9" * 200, "0"])
def test_a_folder_that_is_no_version_is_left_out(toy: Path, name: str):
    (toy.parent / name).mkdir()
    (toy.parent / name / FILE_NAME).write_text("{}")
    assert versions_of(toy.parents[1], "toy") == [1]
    assert find_release(toy.parents[1], "toy").manifest.version == 1
    assert len(list_releases(toy.parents[1])) == 1
