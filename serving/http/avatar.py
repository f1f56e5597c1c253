"""The seed of a text, for avatars."""

from __future__ import annotations

import hashlib
import unicodedata


def text_seed(text: str) -> int:
    """Returns the seed of a text: the first 8 bytes, big-endian, of SHA-256 of the text.

    The text is normalized to NFC (Unicode Annex 15) and encoded as UTF-8, so that any client can
    compute the seed. See the head of `protos/dcgan/v1/generator.proto`.
    """
    digest = hashlib.sha256(unicodedata.normalize("NFC", text).encode()).digest()
    return int.from_bytes(digest[:8], "big")
