"""Signed indexes: what the key did not sign is refused before it is parsed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dcgan.core.paths import cache_dir
from dcgan.serving.errors import ServingError
from dcgan.serving.models.releases import find_releases
from dcgan.zoo.cli import main
from dcgan.zoo.download import DownloadError, RetryPolicy
from dcgan.zoo.index import read_index
from dcgan.zoo.signature import SignatureError, read_public_key, verify_signature
from tests.zoo.misbehaving_server import Server

# Made with minisign 0.11.
PUBLIC_KEY = "RWQ+umK9C5dP+8UUjwwrZE74PTyzG7uGdH8Dls+0n+v/qNfXCWugHHVp"
SIGNED = b'{"schema_version": 1, "models": []}\n'
SIGNATURE = b"""\
untrusted comment: signature from minisign secret key
RUQ+umK9C5dP+20dzSkbBRydWM9/8yN4M56R1WyLVBtvBQpL8eZixF+3MIsLElf31pnOSEp0Eu4jDVN94M6qjQ7dtR/Sm10srQY=
trusted comment: timestamp:1764000000\tfile:index.json\thashed
NA5uM2xchUMY6PY1deMO7STWuRDDAP6gF6oq/YXaB3d6iI8ULM02ysSxbpvjmZ1N2qI8qctgeEBtEXhsq0zaBg==
"""
WITHOUT_HASH = b"""\
untrusted comment: signature from minisign secret key
RWQ+umK9C5dP+7TVvw0SbU9C+F4eakELQeDITN+mf3GOHZTCiRjBkTcvnMBi3H5QmgjJr9SLZasCmWtgeRK+rXRKYC8v2PoJZgk=
trusted comment: timestamp:1764000000
nRTJn2OmEd0ycZD2wHcKzM+lAEwW3L1EAU3k8OyzHPk6cvyxfBhYJUjnkq7PtRLbGepy6cIgquBdJUt+mEyTDA==
"""


@dataclass
class Signer:
    """A key pair that signs as minisign does."""

    key_id: bytes = b"12345678"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public_key(self) -> str:
        return base64.b64encode(
            b"Ed" + self.key_id + self.key.public_key().public_bytes_raw()
        ).decode()

    def sign(self, content: bytes, comment: bytes = b"timestamp:1000") -> bytes:
        signature = self.key.sign(hashlib.blake2b(content).digest())
        body = base64.b64encode(b"ED" + self.key_id + signature)
        of_comment = base64.b64encode(self.key.sign(signature + comment))
        lines = [b"untrusted comment: x", body, b"trusted comment: " + comment, of_comment, b""]
        return b"\n".join(lines)


@pytest.fixture
def signer() -> Signer:
    return Signer()


@pytest.fixture
def publish(server: Server, signer: Signer, zoo: str) -> Callable[..., bytes]:
    """Puts the index of the toy on the server, signed; returns it."""

    def put(comment: bytes = b"timestamp:1000") -> bytes:
        content = server.files["/zoo/index.json"]
        server.files["/zoo/index.json.minisig"] = signer.sign(content, comment)
        return content

    return put


def test_a_signature_of_minisign_is_verified():
    key = read_public_key(PUBLIC_KEY)
    assert verify_signature(SIGNED, SIGNATURE, key, "index.json") == 1764000000


def test_a_key_may_be_a_file_of_minisign(tmp_path: Path):
    path = tmp_path / "zoo.pub"
    path.write_text(f"untrusted comment: minisign public key FB4F970BBD62BA3E\n{PUBLIC_KEY}\n")
    assert read_public_key(str(path)) == read_public_key(PUBLIC_KEY)


@pytest.mark.parametrize(
    "value", ["", "RWQ", PUBLIC_KEY[:-4], PUBLIC_KEY + "AAAA", "RUQ" + PUBLIC_KEY[3:], "/", "a\0b"]
)
def test_what_is_no_key_is_refused(value: str):
    with pytest.raises(SignatureError, match="is not a public key of minisign"):
        read_public_key(value)


def flipped(data: bytes, position: int) -> bytes:
    """The data with one base64 character exchanged for another one."""
    other = b"A" if data[position : position + 1] != b"A" else b"B"
    return data[:position] + other + data[position + 1 :]


FORGED = {
    "another file": (SIGNED + b" ", SIGNATURE),
    "an empty file": (b"", SIGNATURE),
    "a changed signature": (SIGNED, flipped(SIGNATURE, 80)),
    "a changed comment": (SIGNED, SIGNATURE.replace(b"1764000000", b"1999999999")),
    "a changed signature of the comment": (SIGNED, flipped(SIGNATURE, len(SIGNATURE) - 40)),
    "no signature": (SIGNED, b""),
    "a signature without its end": (SIGNED, SIGNATURE[:150]),
    "a signature without its comment": (SIGNED, b"\n".join(SIGNATURE.split(b"\n")[:2])),
    "two signatures": (SIGNED, SIGNATURE * 2),
    "a short signature": (SIGNED, SIGNATURE.replace(b"srQY=\n", b"sr\n")),
    "an endless comment": (SIGNED, SIGNATURE.replace(b"hashed", b"x" * 5000)),
    "random bytes": (SIGNED, bytes(range(256))),
    "a web page": (SIGNED, b"<html>\n<body>\n</body>\n</html>\n"),
    "a signature without a hash": (SIGNED, WITHOUT_HASH),
}


@pytest.mark.hostile(
    "Forged, changed, truncated, repeated and old-format signatures of an index",
    "refused",
)
@pytest.mark.parametrize(("content", "signature"), FORGED.values(), ids=FORGED.keys())
def test_a_forged_signature_is_refused(content: bytes, signature: bytes):
    with pytest.raises(SignatureError, match=r"the signature of index\.json is") as caught:
        verify_signature(content, signature, read_public_key(PUBLIC_KEY), "index.json")
    assert str(caught.value).isprintable()


@pytest.mark.hostile("An index signed by another key", "refused")
def test_a_signature_by_another_key_is_refused(signer: Signer):
    key = read_public_key(PUBLIC_KEY)
    with pytest.raises(
        SignatureError, match="by the key 3837363534333231, not by FB4F970BBD62BA3E"
    ):
        verify_signature(SIGNED, signer.sign(SIGNED), key, "index.json")

    same_number = Signer(key_id=key.key_id)
    with pytest.raises(SignatureError, match="is not valid"):
        verify_signature(SIGNED, same_number.sign(SIGNED), key, "index.json")


def test_a_signed_index_is_read(zoo: str, signer: Signer, publish, retry: RetryPolicy, tmp_path):
    publish()
    key = read_public_key(signer.public_key)
    assert read_index(zoo, retry, key) == read_index(zoo, retry)

    content = (tmp_path / "packed" / "index.json").read_bytes()
    (tmp_path / "packed" / "index.json.minisig").write_bytes(signer.sign(content))
    assert len(read_index(str(tmp_path / "packed"), key=key).models) == 1


@pytest.mark.hostile("An index without a signature, with `--index-key`", "refused")
def test_an_unsigned_index_is_refused(zoo: str, signer: Signer, retry: RetryPolicy, tmp_path: Path):
    key = read_public_key(signer.public_key)
    with pytest.raises(DownloadError, match=r"index\.json\.minisig: the server answered 404"):
        read_index(zoo, retry, key)
    with pytest.raises(SignatureError, match="cannot read the signature of .*; sign it with"):
        read_index(str(tmp_path / "packed"), key=key)


@pytest.mark.hostile(
    "A changed index with the signature of the right one",
    "refused before it is parsed",
)
def test_a_forged_index_is_refused_before_it_is_parsed(
    zoo: str, server: Server, signer: Signer, publish, retry: RetryPolicy
):
    publish()
    read_index(zoo, retry, read_public_key(signer.public_key))
    server.files["/zoo/index.json"] = b"[" * 100_000
    with pytest.raises(SignatureError, match="is not valid"):
        read_index(zoo, retry, read_public_key(signer.public_key))


@pytest.mark.hostile("The right key's signature of another index", "refused")
def test_the_signature_of_another_index_is_refused(
    zoo: str, server: Server, signer: Signer, publish, retry: RetryPolicy
):
    content = publish()
    other = json.dumps(json.loads(content) | {"models": []}).encode()
    server.files["/zoo/index.json.minisig"] = signer.sign(other)
    with pytest.raises(SignatureError, match="do not belong together"):
        read_index(zoo, retry, read_public_key(signer.public_key))


@pytest.mark.hostile(
    "An old index, sent again with its right signature",
    "refused once a newer one was seen",
)
def test_an_old_index_sent_again_with_its_signature_is_refused(
    zoo: str, server: Server, signer: Signer, publish, retry: RetryPolicy
):
    key = read_public_key(signer.public_key)
    publish(b"timestamp:2000")
    read_index(zoo, retry, key)
    read_index(zoo, retry, key)  # the same one is fine
    for comment in (b"timestamp:1999", b"no date"):
        publish(comment)
        with pytest.raises(SignatureError, match="is older than last time"):
            read_index(zoo, retry, key)
    publish(b"timestamp:2001\tfile:index.json")

    assert read_index(zoo, retry, key).models


def test_a_kept_index_is_verified_again_while_the_server_is_away(  # noqa: PLR0917
    zoo: str, server: Server, signer: Signer, publish, retry: RetryPolicy, caplog
):
    key = read_public_key(signer.public_key)
    publish()
    read_index(zoo, retry, key)
    del server.files["/zoo/index.json"]
    assert read_index(zoo, retry, key).models
    assert "as it was last time" in caplog.text

    (kept,) = (cache_dir() / "indexes").glob("*.json")
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(SignatureError, match="is not valid"):
        read_index(zoo, retry, key)


def test_a_query_stays_behind_the_name_of_the_signature(
    zoo: str, server: Server, signer: Signer, publish, retry: RetryPolicy
):
    publish()
    for name in ("index.json", "index.json.minisig"):
        server.files[f"/zoo/{name}?token=1"] = server.files[f"/zoo/{name}"]
    assert read_index(f"{zoo}?token=1", retry, read_public_key(signer.public_key)).models
    assert "/zoo/index.json.minisig?token=1" in [path for path, _ in server.requests]


def dcgan_zoo(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_fetches_only_from_a_signed_index(
    zoo: str, signer: Signer, publish, tmp_path: Path
):
    publish()
    wrong = dcgan_zoo("--index", zoo, "--index-key", PUBLIC_KEY, "fetch", "toy")
    assert wrong.exit_code == 2
    assert wrong.stderr.startswith("Error: ")
    assert not (cache_dir() / "models").exists()
    (tmp_path / "zoo.pub").write_text(signer.public_key)
    right = dcgan_zoo("--index", zoo, "--index-key", tmp_path / "zoo.pub", "fetch", "toy")
    assert right.exit_code == 0, right.output

    none = dcgan_zoo("--index", zoo, "--index-key", "abc", "list")
    assert none.exit_code == 2
    assert "'abc' is not a public key of minisign" in none.stderr


def test_packing_again_says_that_the_signature_is_an_old_one(toy: Path, tmp_path: Path):
    arguments = ("--model-repository", toy.parents[1], "pack", "--out", tmp_path / "zoo")
    assert "sign it again" not in dcgan_zoo(*arguments).stdout
    (tmp_path / "zoo" / "index.json.minisig").write_bytes(SIGNATURE)
    assert "sign it again" in dcgan_zoo(*arguments).stdout


def test_a_server_fetches_only_from_a_signed_index(zoo: str, signer: Signer, publish):
    with pytest.raises(DownloadError, match="the server answered 404"):
        find_releases(None, "toy", zoo, signer.public_key)
    publish()
    with pytest.raises(SignatureError, match="is signed by the key"):
        find_releases(None, "toy", zoo, PUBLIC_KEY)
    (release,) = find_releases(None, "toy", zoo, signer.public_key)
    assert release.manifest.name == "toy"
    with pytest.raises(ServingError, match="the index that --fetch-from names"):
        find_releases(None, "toy", None, PUBLIC_KEY)
