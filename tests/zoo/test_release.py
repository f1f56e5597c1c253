"""Reading and verifying model folders: nothing damaged passes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dcgan.core.errors import DcganError
from dcgan.zoo.manifest import FILE_NAME
from dcgan.zoo.onnx_model import UnsafeGraphError
from dcgan.zoo.release import CorruptModelError, RepositoryError, read_release, sha256

from .conftest import build_toy_graph

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
