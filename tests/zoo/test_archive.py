"""Archives: the same bytes for the same model, and nothing but a model comes out of one."""

import io
import json
import tarfile

import pytest

from dcgan.core.errors import DcganError
from dcgan.zoo.archive import extract_archive, write_archive
from dcgan.zoo.repository import RepositoryError, read_release


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
    "a manifest that is no text": lambda m: m.update(
        {"manifest.json": entry("manifest.json", b"\xff\xfe")}
    ),
    "a manifest of lies": lambda m: m.update({"manifest.json": entry("manifest.json", b"{}")}),
    "an endless manifest": lambda m: m.update(
        {"manifest.json": entry("manifest.json", b" " * (2**20 + 1))}
    ),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_is_refused_and_leaves_nothing(archive, tmp_path, change):
    rewritten(archive, change)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(DcganError, match=r"toy\.tar|damaged"):
        extract_archive(archive, tmp_path / "elsewhere", "toy.tar")
    after = set(tmp_path.rglob("*")) - before
    assert {path for path in after if path.is_file()} == set()
    assert not (tmp_path / "escaped").exists()


def test_a_name_in_the_manifest_cannot_climb_out_either(archive, tmp_path):
    def climb(members):
        manifest = json.loads(members["manifest.json"][1])
        manifest["name"] = "../../escaped"
        members["manifest.json"] = entry("manifest.json", json.dumps(manifest).encode())

    rewritten(archive, climb)
    with pytest.raises(DcganError, match="no model name"):
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


@pytest.mark.parametrize("version", ["0.1", "1.0", "nonsense"])
def test_a_sparse_member_cannot_claim_what_the_archive_does_not_hold(archive, tmp_path, version):
    def bloat(members):
        member, data = members["generator.onnx"]
        claims = {"0.1": {"GNU.sparse.map": "0,1,499999999,1", "GNU.sparse.size": "500000000"}}
        headers = claims.get(
            version, {"GNU.sparse.major": version[0], "GNU.sparse.minor": version[-1]}
        )
        member.pax_headers = {
            **headers,
            "GNU.sparse.realsize": "500000000",
            "GNU.sparse.name": "generator.onnx",
        }
        members["generator.onnx"] = member, data

    rewritten(archive, bloat)
    with pytest.raises(DcganError, match=r"toy\.tar"):
        extract_archive(archive, tmp_path / "elsewhere", "toy.tar")
    assert not list((tmp_path / "elsewhere").rglob("generator.onnx"))
