"""Archives: the same bytes for the same model, and nothing but a model comes out of one."""

import io
import json
import tarfile
import tempfile
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcgan.core.errors import DcganError
from dcgan.zoo.archive import extract_archive, write_archive
from dcgan.zoo.release import RepositoryError, read_release


@pytest.fixture
def archive(toy, tmp_path):
    write_archive(read_release(toy), tmp_path / "toy.tar")
    return tmp_path / "toy.tar"


def rewritten(archive, change):
    """The archive with its members, a dict of name to TarInfo and bytes, changed."""
    with tarfile.open(archive) as tar:
        members = {member.name: (member, tar.extractfile(member).read()) for member in tar}
    change(members)
    with tarfile.open(archive, "w") as tar:
        for member, data in members.values():
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return archive


def entry(name, data=b"x", kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member, data


def test_a_model_comes_out_as_it_went_in(toy, archive, tmp_path):
    release = extract_archive(archive, tmp_path / "elsewhere", "toy.tar")
    assert release.folder == tmp_path / "elsewhere" / "toy" / "1"
    for path in toy.iterdir():
        assert (release.folder / path.name).read_bytes() == path.read_bytes()


def test_the_same_model_gives_the_same_archive(toy, archive, tmp_path):
    for path in toy.iterdir():
        path.touch()
    write_archive(read_release(toy), tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == archive.read_bytes()


def test_a_damaged_model_is_not_packed(toy, tmp_path):
    data = bytearray((toy / "generator.onnx").read_bytes())
    data[0] ^= 1
    (toy / "generator.onnx").write_bytes(data)
    with pytest.raises(RepositoryError, match="damaged"):
        write_archive(read_release(toy), tmp_path / "toy.tar")


HOSTILE = {
    "a path that climbs out": lambda m: m.update(x=entry("../escaped")),
    "an absolute path": lambda m: m.update(x=entry("/tmp/escaped")),
    "a file too many": lambda m: m.update(x=entry("extra.txt")),
    "a symbolic link": lambda m: m.update(
        x=entry("golden.png2", b"", tarfile.SYMTYPE, "/etc/passwd")
    ),
    "a hard link": lambda m: m.update(x=entry("link", b"", tarfile.LNKTYPE, "manifest.json")),
    "a device": lambda m: m.update(x=entry("null", b"", tarfile.CHRTYPE)),
    "a folder": lambda m: m.update(x=entry("folder", b"", tarfile.DIRTYPE)),
    "a name twice": lambda m: m.update(x=entry("generator.onnx", m["generator.onnx"][1])),
    "a missing file": lambda m: m.pop("golden.png"),
    "a missing manifest": lambda m: m.pop("manifest.json"),
    "another size": lambda m: m.update({"generator.onnx": entry("generator.onnx", b"short")}),
    "other bytes": lambda m: m.update(
        {"generator.onnx": entry("generator.onnx", m["generator.onnx"][1][::-1])}
    ),
    "a manifest that is not text": lambda m: m.update(
        {"manifest.json": entry("manifest.json", b"\xff\xfe")}
    ),
    "a manifest of lies": lambda m: m.update({"manifest.json": entry("manifest.json", b"{}")}),
    "an endless manifest": lambda m: m.update(
        {"manifest.json": entry("manifest.json", b" " * (2**20 + 1))}
    ),
}


@pytest.mark.hostile(
    "Archives with `..`, absolute paths, links, devices, extra, missing or repeated files",
    "refused; nothing is left",
)
@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_is_refused_and_leaves_nothing(archive, tmp_path, change):
    rewritten(archive, change)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(DcganError, match=r"toy\.tar|damaged"):
        extract_archive(archive, tmp_path / "elsewhere", "toy.tar")
    after = set(tmp_path.rglob("*")) - before
    assert {path for path in after if path.is_file()} == set()
    assert not (tmp_path / "escaped").exists()


@pytest.mark.hostile("A model called `../../escaped`", "refused")
def test_a_name_in_the_manifest_cannot_climb_out_either(archive, tmp_path):
    def climb(members):
        manifest = json.loads(members["manifest.json"][1])
        manifest["name"] = "../../escaped"
        members["manifest.json"] = entry("manifest.json", json.dumps(manifest).encode())

    rewritten(archive, climb)
    with pytest.raises(DcganError, match="not a model name"):
        extract_archive(archive, tmp_path / "elsewhere", "toy.tar")


@pytest.mark.parametrize("data", [b"", b"not a tar archive" * 100, b"\x1f\x8b" + bytes(1000)])
def test_what_is_no_archive_is_refused(tmp_path, data):
    (tmp_path / "toy.tar").write_bytes(data)
    with pytest.raises(RepositoryError, match=r"toy\.tar"):
        extract_archive(tmp_path / "toy.tar", tmp_path / "elsewhere", "toy.tar")


def test_a_truncated_archive_is_refused(archive, tmp_path):
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(RepositoryError, match=r"toy\.tar"):
        extract_archive(archive, tmp_path / "elsewhere", "toy.tar")


def header(name=b"x", *, size=b"00000000001", kind=b"0", magic=b"ustar\x0000", prefix=b""):
    """A header of one entry with a right checksum, whatever else it says."""
    fields = [
        name.ljust(100, b"\0"),
        b"0000644\0" + b"0000000\0" * 2,
        size.ljust(12, b"\0"),
        b"00000000000\0",
        b" " * 8,
        kind,
        bytes(100),
        magic,
        bytes(80),
        prefix.ljust(155, b"\0"),
        bytes(12),
    ]
    block = b"".join(fields)

    assert len(block) == 512
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(data):
    return data + bytes(-len(data) % 512)


PAX = b"".join(b"%d %s=%s\n" % (len(k) + len(v) + 5, k, v) for k, v in [(b"size", b"9" * 20)])
EXTENSIONS = {
    "a pax header with a huge size": header(kind=b"x", size=b"%011o" % len(PAX)) + padded(PAX),
    "a global pax header": header(kind=b"g", size=b"%011o" % len(PAX)) + padded(PAX),
    "a chain of pax headers": (header(kind=b"x", size=b"%011o" % len(PAX)) + padded(PAX)) * 3000,
    "a pax header of 200,000 digits": header(kind=b"x", size=b"%011o" % 200_020)
    + padded(b"200020 size=" + b"9" * 200_007 + b"\n"),
    "a GNU long name": header(b"././@LongLink", kind=b"L", size=b"00000000020") + padded(b"a" * 16),
    "a GNU long name of 1.5 GB": header(b"././@LongLink", kind=b"L", size=b"%011o" % (3 << 29)),
    "a GNU sparse file": header(kind=b"S"),
    "a GNU magic": header(magic=b"ustar  \0"),
    "an old header without magic": header(magic=bytes(8)),
    "a size of 2^40 in base 256": header(size=b"\x80" + (2**40).to_bytes(11, "big")),
    "a size of 2^63 in base 256": header(size=b"\x80" + (2**63).to_bytes(11, "big")),
    "a negative size": header(size=b"\xff" * 12),
    "a signed size": header(size=b"-0000000001"),
    "a size that is not a number": header(size=b"0x1f"),
    "a size beyond the end": header(size=b"77777777777"),
    "a folder in the prefix": header(prefix=b"../.."),
    "a name with a folder": header(b"a/b"),
    "a name with a terminal escape": header(b"\x1b[2Ja"),
    "a name with a line break": header(b"a\nb"),
    "a hidden name": header(b".bashrc"),
    "an empty name": header(b""),
    "a name that is not ASCII": header("ä".encode()),
    "text after the name": header(b"a\0b"),
}


@pytest.mark.hostile(
    "Tar extension headers: sizes of 2^40 and 2^63, negative ones, chains of 3,000, pax of "
    "200,000 digits, GNU names of 1.5 GB",
    "refused before they are read, within seconds and 4 MiB",
)
@pytest.mark.parametrize("hostile", EXTENSIONS.values(), ids=EXTENSIONS.keys())
@pytest.mark.parametrize("place", ["first", "last"])
def test_anything_but_a_plain_entry_is_refused_before_it_is_read(archive, tmp_path, hostile, place):
    data = archive.read_bytes()
    end = data.index(bytes(1024), 512) // 512 * 512 + 512 if place == "last" else 0
    while place == "last" and any(data[end:]):
        end += 512
    archive.write_bytes(data[:end] + hostile + bytes(512) + data[end:])

    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(RepositoryError, match=r"toy\.tar") as caught:
        extract_archive(archive, tmp_path / "elsewhere", "toy.tar")
    assert time.monotonic() - began < 5
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()

    assert str(caught.value).isprintable()
    assert not (tmp_path / "elsewhere").exists()


def test_a_header_with_a_wrong_checksum_is_damage(archive, tmp_path):
    data = bytearray(archive.read_bytes())
    data[0] ^= 1
    archive.write_bytes(data)
    with pytest.raises(RepositoryError, match="not an archive of a model, or it is damaged"):
        extract_archive(archive, tmp_path / "elsewhere", "toy.tar")


@given(st.binary(max_size=2048))
def test_random_bytes_are_refused(data):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x.tar").write_bytes(data)
        with pytest.raises(DcganError):
            extract_archive(Path(folder) / "x.tar", Path(folder) / "models", "x.tar")


@pytest.mark.hostile("A changed byte anywhere in an archive", "refused, or the same model")
@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_an_archive_with_a_changed_byte_is_refused_or_gives_the_same_model(archive, data):
    original = archive.read_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    value = data.draw(st.integers(0, 255))

    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder) / "x.tar"
        changed.write_bytes(original[:place] + bytes([value]) + original[place + 1 :])
        try:
            release = extract_archive(changed, Path(folder) / "models", "x.tar")
        except DcganError:
            return
        release.verify()
