"""Signatures of indexes, in the format of minisign.

A signature is a file `<name>.minisig` beside the signed one. It holds two Ed25519 signatures: one
of the BLAKE2b hash of the file, and one of that signature and a trusted comment.
Source of the format: https://jedisct1.github.io/minisign/ ("Signature format").
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan.core.bounded import read_bounded
from dcgan.core.errors import DcganError
from dcgan.core.text import printable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SUFFIX = ".minisig"
"""What the name of a signature has after the name of its file."""

MAX_BYTES = 4096
"""Largest signature or public key that is read."""

_KEY_ID_BYTES = 8
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_UNTRUSTED = "untrusted comment: "
_TRUSTED = "trusted comment: "
_TIMESTAMP = re.compile(r"(?:^|\t)timestamp:([0-9]{1,12})(?=\t|$)")


class SignatureError(DcganError):
    """A signature or a public key that is malformed or wrong."""


@dataclass(frozen=True)
class PublicKey:
    """A public key of minisign.

    Attributes:
        key_id: number of the key pair, which signatures repeat.
        data: Ed25519 public key.
    """

    key_id: bytes
    data: bytes


@dataclass(frozen=True)
class _Signature:
    key_id: bytes
    of_hash: bytes
    trusted_comment: bytes
    of_comment: bytes


def read_public_key(value: str) -> PublicKey:
    """Reads a public key.

    Args:
        value: the key in base64, or the path of a file of `minisign -G`.

    Raises:
        SignatureError: if it is none of them.
        ModuleNotFoundError: without the extra `signatures`.
    """
    try:
        lines = read_bounded(Path(value), MAX_BYTES).decode("utf-8").splitlines()
        text = next((line for line in lines if line and not line.startswith(_UNTRUSTED)), "")
    except (OSError, ValueError):  # not a path, or not text
        text = value

    data = _decode(text.strip())
    if len(data) != 2 + _KEY_ID_BYTES + _KEY_BYTES or not data.startswith(b"Ed"):
        raise SignatureError(
            f"{printable(value, 80)!r} is not a public key of minisign; give its 56 characters or "
            "the path of its .pub file"
        )
    key = PublicKey(data[2:10], data[10:])
    _open_key(key)  # names the extra, if it is missing, before anything is downloaded
    return key


def verify_signature(content: bytes, signature: bytes, key: PublicKey, name: str) -> int:
    """Verifies the signature of a file.

    Args:
        content: of the file.
        signature: content of its signature file.
        key: the public key that is trusted.
        name: what to call the file in errors.

    Returns:
        When it was signed, in seconds since 1970, as its trusted comment says; 0 if it does not.

    Raises:
        SignatureError: if the signature is malformed, by another key, or of another file.
        ModuleNotFoundError: without the extra `signatures`.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra

    parsed = _parse(signature, name)
    if parsed.key_id != key.key_id:
        raise SignatureError(
            f"{name} is signed by the key {_show(parsed.key_id)}, not by {_show(key.key_id)}; "
            "ask its maintainer for the right key"
        )

    try:
        public = _open_key(key)
        public.verify(parsed.of_hash, hashlib.blake2b(content).digest())
        public.verify(parsed.of_comment, parsed.of_hash + parsed.trusted_comment)
    except (InvalidSignature, ValueError):
        raise SignatureError(
            f"the signature of {name} is not valid: the file or its signature was changed, or they "
            "do not belong together; report it to the maintainer"
        ) from None

    stated = _TIMESTAMP.search(parsed.trusted_comment.decode("utf-8", "replace"))
    return int(stated[1]) if stated else 0


def _open_key(key: PublicKey) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - an extra

    return ed25519.Ed25519PublicKey.from_public_bytes(key.data)


def _parse(signature: bytes, name: str) -> _Signature:
    malformed = SignatureError(f"the signature of {name} is malformed; sign it with minisign -S")
    lines = signature.removesuffix(b"\n").split(b"\n")
    if len(lines) != 4 or len(signature) > MAX_BYTES:
        raise malformed

    comment, first, trusted, second = (line.removesuffix(b"\r") for line in lines)
    if not comment.startswith(_UNTRUSTED.encode()) or not trusted.startswith(_TRUSTED.encode()):
        raise malformed
    body = _decode(first.decode("latin-1"))
    of_comment = _decode(second.decode("latin-1"))
    if body.startswith(b"Ed"):
        raise SignatureError(
            f"the signature of {name} is in the old format, without a hash; sign it with minisign "
            "-S of version 0.10 or newer"
        )
    fits = len(body) == 2 + _KEY_ID_BYTES + _SIGNATURE_BYTES and len(of_comment) == _SIGNATURE_BYTES
    if not fits or not body.startswith(b"ED"):
        raise malformed
    return _Signature(body[2:10], body[10:], trusted.removeprefix(_TRUSTED.encode()), of_comment)


def _decode(text: str) -> bytes:
    """Decodes base64; returns nothing if it is malformed."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _show(key_id: bytes) -> str:
    return key_id[::-1].hex().upper()  # as minisign prints it
