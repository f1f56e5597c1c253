"""Zips of images."""

import gc
import json
import struct
import sys
import warnings
import zipfile

import pytest

from dcgan.training.data.decode import DecodeConfig, decode_to_memory
from dcgan.training.data.sources import open_source
from dcgan.training.errors import TrainingError
from tests.training.data.image_files import flat, load, make_zip, png


def test_a_zip_with_labels(tmp_path):
    labels = {"labels": [["00/b.png", 1], ["00/a.png", 0]], "class_names": ["dark", "light"]}
    files = {
        "00/b.png": png(flat(200)),
        "00/a.png": png(flat(10)),
        "dataset.json": json.dumps(labels).encode(),
    }
    data = load(make_zip(tmp_path / "it.zip", files))

    assert data.images[:, 0, 0, 0].tolist() == [10, 200]
    assert data.labels.tolist() == [0, 1]
    assert data.class_names == ("dark", "light")
    assert data.name == "it.zip"


@pytest.mark.parametrize(
    "extra", [{}, {"dataset.json": b'{"labels": null}'}, {"dataset.json": b"[]"}]
)
def test_a_zip_without_labels_is_fine(tmp_path, extra):
    assert load(make_zip(tmp_path / "it.zip", {"a.png": png(flat(9))} | extra)).labels is None


def test_an_entry_whose_checksum_is_wrong_is_named(tmp_path):
    data = png(flat(7))
    path = make_zip(tmp_path / "it.zip", {"a.png": data})
    path.write_bytes(path.read_bytes().replace(data, data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]))
    with pytest.raises(TrainingError, match="a.png in it.zip cannot be decoded"):
        load(path)


@pytest.mark.hostile("A zip entry that unfolds to gigabytes", "refused before it is unpacked")
@pytest.mark.slow
def test_an_archive_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.png", "w") as entry,
    ):
        for _ in range(17):
            entry.write(bytes(2**24))
    with pytest.raises(TrainingError, match="a.png in .* over 256 MiB"):
        load(path)


@pytest.mark.hostile("A zip with two files of one name", "refused")
def test_a_zip_with_two_files_of_one_name_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(tmp_path / "it.zip", "w") as archive:
            for level in (1, 2):
                archive.writestr("a.png", png(flat(level)))
    with pytest.raises(TrainingError, match="two files of one name"):
        load(tmp_path / "it.zip")


@pytest.mark.hostile("An encrypted zip entry", "named, or left out with `--skip-corrupt`")
def test_an_encrypted_entry_is_named(tmp_path):
    path = make_zip(tmp_path / "it.zip", {"a.png": png(flat(7))})
    data = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + place] |= 1  # the flag that says so, in both headers
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="a.png in it.zip cannot be decoded .*encrypted"):
        load(path)


def test_a_damaged_deflate_stream_is_named(tmp_path):
    path = tmp_path / "it.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", png(flat(7)))
    data = bytearray(path.read_bytes())
    start = data.index(b"a.png") + 5
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="a.png in it.zip cannot be decoded"):
        load(path)


def test_class_folders_are_labels(tmp_path):
    files = {f"photos/{name}.png": png(flat(9)) for name in ("cats/1", "cats/2", "dogs/3")}
    source = open_source(str(make_zip(tmp_path / "it.zip", files)))
    assert source.labels == (0, 0, 1)
    assert source.class_names == ("cats", "dogs")


@pytest.mark.hostile("A zip entry over 256 MiB", "left out with `--skip-corrupt`")
@pytest.mark.slow
def test_a_large_entry_can_be_left_out(tmp_path):
    path = make_zip(tmp_path / "it.zip", {"a.png": png(flat(9))})
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("b.png", "w") as entry,
    ):
        for _ in range(17):
            entry.write(bytes(2**24))
    config = DecodeConfig(image_size=32, channels=3, skip_corrupt=True)
    data = decode_to_memory(open_source(str(path)), config, iter)

    assert len(data.images) == 1
    assert "b.png in" in data.corrupt[0]


@pytest.mark.hostile(
    "A 0.18 MB zip whose dataset.json unfolds to 60 million lists",
    "its labels are not read; the reason is named",
)
def test_labels_that_unfold_to_millions_of_lists_are_not_read(tmp_path):
    path = tmp_path / "it.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", png(flat(9)))
        archive.writestr("dataset.json", b'{"labels": [' + b"[]," * 2**22 + b"[]]}")
    source = open_source(str(path))
    assert "too much for the labels of 1 images" in source.labels_problem


def test_thumbnails_are_ignored(tmp_path):
    files = {"a.png": png(flat(9)), "__MACOSX/._a.png": b"", "@eaDir/a.png/thumb.jpg": b""}
    source = open_source(str(make_zip(tmp_path / "it.zip", files)))
    assert (source.items, source.skipped, source.ignored) == (("a.png",), 2, 2)


def patched_zip(path, files, change):
    """A zip whose directory was changed after its entries had been written."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        change(archive)
    return path


@pytest.mark.hostile(
    "A zip whose entries share their data, so that it unfolds to terabytes", "refused"
)
def test_a_zip_with_overlapping_entries_is_refused(tmp_path):
    def share(archive):
        first, *others = archive.infolist()
        for other in others:
            other.header_offset = first.header_offset

    files = {f"{i}.png": png(flat(9)) for i in range(3)}
    with pytest.raises(TrainingError, match="has entries that overlap"):
        load(patched_zip(tmp_path / "bomb.zip", files, share))

    def reach_into_the_next(archive):
        archive.infolist()[0].compress_size += 40

    with pytest.raises(TrainingError, match="has entries that overlap"):
        load(patched_zip(tmp_path / "bomb.zip", files, reach_into_the_next))


@pytest.mark.hostile("A zip with an entry that has no name", "the entry is left out")
def test_an_entry_without_a_name_is_left_out(tmp_path):
    def forget(archive):
        archive.infolist()[0].filename = ""

    files = {"a.png": png(flat(1)), "b.png": png(flat(9))}
    source = open_source(str(patched_zip(tmp_path / "it.zip", files, forget)))
    assert source.items == ("b.png",)
    assert source.skipped == 1


@pytest.mark.hostile(
    "A zip with the names, sizes and forged checksums of another one",
    "does not take its place in the cache of decoded images",
)
def test_another_zip_with_the_same_checksums_has_another_key(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.png": png(flat(1))})
    key = open_source(str(path)).key
    assert open_source(str(path)).key == key
    other = tmp_path / "b.zip"
    other.write_bytes(path.read_bytes())
    assert open_source(str(other)).key != key


@pytest.mark.hostile("A zip entry by bzip2 or LZMA that unfolds to gigabytes", "refused unread")
@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_entries_by_other_methods_than_deflate_are_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "it.zip", "w", method) as archive:
        archive.writestr("a.png", png(flat(7)))
    with pytest.raises(TrainingError, match="a.png in .* by another method than deflate"):
        load(tmp_path / "it.zip")


@pytest.mark.hostile("A sparse zip whose directory has gigabytes", "refused unread")
def test_a_huge_directory_of_a_zip_is_refused_unread(tmp_path):
    size = 2**30
    end = b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 1, 1, size, 0, 0)
    with (tmp_path / "it.zip").open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(end)
    with pytest.raises(TrainingError, match="over 256 MiB; create it again"):
        load(tmp_path / "it.zip")


def test_a_zip_in_a_reference_cycle_is_closed_without_a_warning(tmp_path, monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    cycle: list[object] = [open_source(str(make_zip(tmp_path / "it.zip", {"a.png": png(flat(1))})))]
    cycle.append(cycle)
    del cycle
    gc.collect()

    assert unraisable == []


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["a/b/cats/1.png", "a/b/dogs/1.png"], ("cats", "dogs")),
        (["a/b/cats1/1.png", "a/b/cats2/1.png"], ("cats1", "cats2")),
        (["all/1.png", "all/2.png"], ()),
        (["all/sub/1.png"], ()),
        (["1.png", "2.png"], ()),
    ],
)
def test_the_folders_that_all_images_share_are_no_class(tmp_path, names, classes):
    source = open_source(str(make_zip(tmp_path / "it.zip", {name: png(flat(1)) for name in names})))
    assert source.items == tuple(names)
    assert source.class_names == classes


@pytest.mark.hostile(
    "A zip whose images lie 30,000 folders deep", "read; no time that grows with the square"
)
def test_a_zip_of_deep_folders_is_read(tmp_path):
    names = [f"{'d/' * 30_000}{folder}/{i}.png" for folder in "ab" for i in range(10)]
    source = open_source(str(make_zip(tmp_path / "it.zip", dict.fromkeys(names, png(flat(1))))))
    assert source.class_names == ("a", "b")
