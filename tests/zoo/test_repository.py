"""Model folders: whole or not at all, and nothing damaged passes."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dcgan.core.errors import DcganError
from dcgan.zoo.manifest import FILE_NAME, ManifestError
from dcgan.zoo.onnx_model import UnsafeGraphError
from dcgan.zoo.publishing import publish
from dcgan.zoo.release import CorruptModelError, RepositoryError, read_release, sha256
from dcgan.zoo.repository import find_release, list_releases, versions_of

from .conftest import build_toy_graph, publish_toy

FAILED_VERDICT = {
    "path": "generator.onnx",
    "provider": "CPUExecutionProvider",
    "passed": False,
    "max_levels": 9,
    "pixels_changed": 0.5,
}


def edit(folder: Path, **changes: object) -> None:
    path = folder / FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_file_entry(folder: Path, **changes: object) -> None:
    files = json.loads((folder / FILE_NAME).read_text())["files"]
    edit(folder, files=[files[0] | changes, *files[1:]])


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


@pytest.mark.parametrize("version", [0, -1, 2**31])
def test_absurd_versions_are_refused(tmp_path: Path, version: int):
    with pytest.raises(ManifestError, match="is not 1 to"), publish(tmp_path, "toy", version):
        pass


def test_what_is_not_there_is_named_with_what_is(tmp_path: Path):
    publish_toy(tmp_path, "toy", 3)
    with pytest.raises(RepositoryError, match="no model 'boy'.*it has toy"):
        find_release(tmp_path, "boy")
    with pytest.raises(RepositoryError, match="no version 4; it has 3"):
        find_release(tmp_path, "toy", 4)


def test_one_flipped_byte_is_found(toy: Path):
    path = toy / "generator.onnx"
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)
    release = read_release(toy)  # the size is right
    with pytest.raises(RepositoryError, match="generator.onnx is damaged"):
        release.verify()


@pytest.mark.hostile(
    "A weight file beside a model that its manifest does not list",
    "the model is refused",
)
@pytest.mark.parametrize("name", ["w.bin", ".hidden", "manifest.json.bak"])
def test_a_file_that_the_manifest_does_not_list_is_found(toy: Path, name: str):
    (toy / name).write_bytes(b"")
    release = read_release(toy)
    with pytest.raises(CorruptModelError, match=f"holds '{name}', which its manifest does not"):
        release.verify()


def test_a_folder_that_the_manifest_does_not_list_is_found(toy: Path):
    (toy / "weights").mkdir()
    with pytest.raises(CorruptModelError, match="holds 'weights', which its manifest does not"):
        read_release(toy).verify()


def test_an_unsafe_graph_is_found_though_its_digest_is_right(toy: Path):
    path = toy / "generator.onnx"
    path.write_bytes(build_toy_graph(activation="Sin"))
    edit_file_entry(toy, bytes=path.stat().st_size, sha256=sha256(path))
    with pytest.raises(UnsafeGraphError, match="is not loaded: it uses the operator 'Sin'"):
        read_release(toy).verify()


def test_a_truncated_file_is_found_at_once(toy: Path):
    path = toy / "generator.onnx"
    size = path.stat().st_size
    path.write_bytes(b"not")
    with pytest.raises(RepositoryError, match=f"has 3 bytes, not {size}"):
        read_release(toy)


def test_a_missing_file_and_a_missing_manifest_are_named(toy: Path):
    (toy / "golden.png").unlink()
    with pytest.raises(RepositoryError, match="lacks the file golden.png"):
        read_release(toy)
    (toy / FILE_NAME).unlink()
    with pytest.raises(RepositoryError, match="is not a model folder: it has no manifest.json"):
        read_release(toy)


@pytest.mark.hostile("A link out of a model folder", "refused")
def test_a_link_out_of_the_folder_is_refused(toy: Path, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_bytes((toy / "generator.onnx").read_bytes())
    (toy / "generator.onnx").unlink()
    (toy / "generator.onnx").symlink_to(secret)
    with pytest.raises(RepositoryError, match="generator.onnx is a link that leads out of the"):
        read_release(toy)


@pytest.mark.hostile("A manifest that is a link out of the model folder", "refused")
def test_a_manifest_that_is_a_link_out_of_the_folder_is_refused(toy: Path, tmp_path: Path):
    (toy / FILE_NAME).rename(tmp_path / "secret")
    (toy / FILE_NAME).symlink_to(tmp_path / "secret")
    with pytest.raises(RepositoryError, match="manifest.json is a link that leads out of the"):
        read_release(toy)


@pytest.mark.parametrize("name", [FILE_NAME, "golden.png"])
def test_a_folder_in_place_of_a_file_is_named(toy: Path, name: str):
    (toy / name).unlink()
    (toy / name).mkdir()
    with pytest.raises(RepositoryError, match=f"{name} is not a regular file"):
        read_release(toy)


def test_links_inside_a_folder_are_followed_as_volumes_of_kubernetes_have_them(toy: Path):
    stamped = toy / "..2026_11_26"
    stamped.mkdir()
    (toy / "..data").symlink_to(stamped.name)
    for path in [path for path in toy.iterdir() if not path.name.startswith("..")]:
        path.rename(stamped / path.name)
        path.symlink_to(Path("..data") / path.name)
    read_release(toy).verify_listing()


def test_a_folder_in_the_wrong_place_is_refused(toy: Path):
    toy.rename(toy.parent / "7")
    with pytest.raises(RepositoryError, match="holds version 1 of 'toy'"):
        find_release(toy.parent.parent, "toy")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"schema_version": 2, "new_key": 1},
            "schema version 2, not 1: it was written by another release",
        ),
        ({"noise_scheme": "mt19937"}, "noise scheme 'mt19937' is not 'philox"),
        ({"image_size": 10**6}, "the image size is 1000000, not 1 to 4096"),
        ({"latent_size": 0}, "the latent size is 0, not 1 to 65536"),
        ({"channels": 4}, "4 channels, not 1 or 3"),
        ({"latent_size": 17}, "the inputs are not those"),
        ({"image_size": 64}, "the outputs are not those"),
        ({"files": []}, "which it does not list"),
        ({"classes": 2, "class_names": ["a"]}, "1 class names for 2 classes"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"parity": [FAILED_VERDICT]}, "failed its parity gate"),
        ({"name": "Toy"}, "is not a model name"),
        (
            {"golden": {"images": [{"seed": 0, "index": 0, "label": 3}], "digests": []}},
            "has none of its 0 classes",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    toy: Path, changes: dict[str, object], message: str
):
    edit(toy, **changes)
    with pytest.raises(RepositoryError, match=message):
        read_release(toy)


@pytest.mark.hostile("Manifest entries with paths, absurd sizes and unknown roles", "refused")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "../../../etc/passwd"}, "is not a plain name inside the folder"),
        ({"path": "/etc/passwd"}, "is not a plain name inside the folder"),
        ({"path": ".hidden"}, "is not a plain name inside the folder"),
        ({"path": "golden.png"}, "lists a file twice"),
        ({"path": FILE_NAME}, "lists itself"),
        ({"bytes": 2**40}, "has a size of 1099511627776 bytes, not 1 to"),
        ({"bytes": 0}, "has a size of 0 bytes, not 1 to"),
        ({"sha256": "abc"}, "no valid SHA-256"),
        ({"role": "virus"}, "has the role 'virus'"),
        ({"precision": "fp7"}, "has the precision 'fp7'"),
    ],
)
def test_a_hostile_file_entry_is_refused(toy: Path, changes: dict[str, object], message: str):
    edit_file_entry(toy, **changes)
    with pytest.raises(RepositoryError, match=message):
        read_release(toy)


def test_a_huge_manifest_is_not_read(toy: Path):
    (toy / FILE_NAME).write_bytes(b" " * (2**20 + 1))
    with pytest.raises(RepositoryError, match="over 1 MiB"):
        read_release(toy)


def test_a_manifest_that_is_no_text_is_refused(toy: Path):
    (toy / FILE_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DcganError, match="cannot read"):
        read_release(toy)


@pytest.mark.hostile("A sparse ONNX file of 2 GB that a manifest lists", "refused unread")
def test_a_graph_of_gigabytes_is_not_read(toy: Path):
    release = read_release(toy)
    file = replace(release.manifest.files[0], bytes=2**31 - 1)
    with pytest.raises(RepositoryError, match="has over 512 MiB"):
        release.read_file(file)


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
