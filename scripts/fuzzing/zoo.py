"""Archives, manifests, indexes and ONNX files."""

from __future__ import annotations

import json

from dcgan.core.errors import DcganError
from fuzzing.release import INT8_MODEL, MODEL, manifest_text, shipped_release
from fuzzing.target import Target, folder, refusing


def archive_seeds() -> list[bytes]:
    """Returns the archive of a model without its weights, and one with a damaged end."""
    release = shipped_release()
    manifest = json.loads((release.folder / "manifest.json").read_text())
    files = {"golden.png": (release.folder / "golden.png").read_bytes()}
    manifest["files"] = [file for file in manifest["files"] if file["path"] in files]
    manifest["golden"]["digests"] = []
    manifest["parity"] = []
    entries = {"manifest.json": json.dumps(manifest).encode(), **files}
    data = b"".join(_tar_entry(name.encode(), content) for name, content in entries.items())
    return [data + bytes(1024), data]


def run_archive(data: bytes) -> None:
    """Extracts an archive; the checksums of its headers are made right."""
    from dcgan.zoo.archive import extract_archive  # noqa: PLC0415

    with folder() as place:
        file = place / "x.tar"
        file.write_bytes(fix_tar(data))
        repository = place / "models"
        extracted = False
        with refusing(DcganError):
            extract_archive(file, repository, "x.tar").verify()
            extracted = True
        left = [path for path in place.rglob("*") if path.is_file() and path != file]
        assert extracted or not left, left


def _tar_entry(name: bytes, content: bytes) -> bytes:
    head = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % len(content)
    head += b"00000000000\0" + b" " * 8 + b"0" + bytes(100) + b"ustar\x0000" + bytes(247)
    return fix_tar(head) + content + bytes(-len(content) % 512)


def fix_tar(data: bytes) -> bytes:
    """Returns an archive with right checksums in the headers that can be found."""
    fixed = bytearray(data)
    position = 0
    while position + 512 <= len(fixed):
        block = fixed[position : position + 512]
        if any(block):
            total = sum(block[:148]) + sum(block[156:]) + 8 * ord(" ")
            fixed[position + 148 : position + 156] = b"%06o\0 " % total
        digits = bytes(block[124:135]).strip(b" \0")
        size = int(digits, 8) if digits and set(digits) <= set(b"01234567") else 0
        position += 512 + -(-size // 512) * 512
    return bytes(fixed)


def run_manifest(data: bytes) -> None:
    """Reads a manifest and everything that is computed from it."""
    from dcgan.zoo.release import read_release  # noqa: PLC0415

    with folder() as place, refusing(DcganError):
        (place / "manifest.json").write_bytes(data)
        read_release(place)


def index_seeds() -> list[bytes]:
    """Returns an index of one model."""
    manifest = json.loads(manifest_text())
    entry = {"url": "a.tar", "bytes": 10, "sha256": "0" * 64, "manifest": manifest}
    return [json.dumps({"schema_version": 1, "models": [entry]}).encode()]


def run_index(data: bytes) -> None:
    """Reads an index from a file, as one from the network."""
    from dcgan.zoo.index import read_index  # noqa: PLC0415

    with folder() as place, refusing(DcganError):
        (place / "index.json").write_bytes(data)
        read_index(str(place))


def onnx_seeds() -> list[bytes]:
    """Returns graphs without their weights, which would hide the rest."""
    import onnx  # noqa: PLC0415

    seeds = []
    for name, file in ((MODEL, "generator.onnx"), (INT8_MODEL, "generator.int8.onnx")):
        path = shipped_release(name).folder / file
        model = onnx.load(path)
        for tensor in model.graph.initializer:
            if len(tensor.raw_data) > 64:
                tensor.raw_data = b""
                tensor.dims[0] = 0
        seeds += [model.SerializeToString(), path.read_bytes()[:60000]]
    return seeds


def run_onnx(data: bytes) -> None:
    """Checks a graph, as one of each model."""
    from dcgan.zoo.onnx_check import check_onnx  # noqa: PLC0415
    from dcgan.zoo.onnx_model import UnsafeGraphError  # noqa: PLC0415

    for name in (MODEL, INT8_MODEL):
        with refusing(UnsafeGraphError):
            check_onnx(data, shipped_release(name).manifest)


TARGETS = {
    "archive": Target(archive_seeds, run_archive),
    "index": Target(index_seeds, run_index),
    "manifest": Target(lambda: [manifest_text()], run_manifest),
    "onnx": Target(onnx_seeds, run_onnx),
}
