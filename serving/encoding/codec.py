"""Images as bytes on the wire.

A reply is written by hand around its pixels, so that they are copied once between the engine's output and the message:
`pixels` is a flat top-level field, and the encodings of two parts of a protobuf message, one after the other, are the
encoding of the message (protobuf.dev/programming-guides/encoding, "Last One Wins").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from dcgan.core.images import Pixels, encode_png, tile
from dcgan.v1 import generator_pb2 as pb
from dcgan.zoo.manifest import Manifest

Reply: TypeAlias = (
    type[pb.GenerateResponse] | type[pb.GenerateStreamResponse] | type[pb.InterpolateResponse]
)

MESSAGE_LIMIT = 4 * 2**20
"""Bytes of the largest message that a gRPC client takes by default."""

_BESIDE_PIXELS = 1024  # bytes of everything else in a reply, at most
_PIXELS_TAG = b"\x0a"  # field 1, length-delimited
_MOST_CHUNK_BYTES = 2**20
_MOST_CHUNK_IMAGES = 64


class Codec:
    """Writes the replies of one model.

    Args:
        manifest: of the model.
        provenance: what every reply says of its origin.
        message_limit: bytes of the largest reply.
    """

    def __init__(
        self, manifest: Manifest, provenance: pb.Provenance, message_limit: int = MESSAGE_LIMIT
    ) -> None:
        self._message_limit = message_limit
        size, channels = manifest.image_size, manifest.channels
        self._raw_bytes = size * size * channels
        # A PNG can be larger than its pixels: a filter byte for each row, block headers of deflate, and its chunks.
        self._png_bytes = self._raw_bytes + size + self._raw_bytes // 1000 + 128
        # Fields that never change are encoded once; all three replies number them alike.
        constant = pb.GenerateResponse(
            height=size, width=size, channels=channels, provenance=provenance
        )
        self._constant = constant.SerializeToString()
        self.chunk = max(1, min(_MOST_CHUNK_BYTES // self._raw_bytes, _MOST_CHUNK_IMAGES))

    def most_images(self, image_format: pb.ImageFormat) -> int:
        """How many images fit in a message whatever they show; at least one."""
        raw = image_format in (pb.IMAGE_FORMAT_UNSPECIFIED, pb.IMAGE_FORMAT_RGB8)
        return max(
            1,
            (self._message_limit - _BESIDE_PIXELS) // (self._raw_bytes if raw else self._png_bytes),
        )

    def encode_pixels(self, reply: Reply, offset: int, parts: Sequence[Pixels]) -> bytes:
        """A serialised reply with raw pixels."""
        n = sum(len(part) for part in parts)
        rest = reply(n=n, offset=offset).SerializeToString()
        return b"".join(
            (rest, self._constant, _PIXELS_TAG, _varint(n * self._raw_bytes), *map(_flat, parts))
        )

    def encode_files(self, parts: Sequence[Pixels], *, grid: bool) -> bytes:
        """The field `png` of a reply, serialised: a file for each image, or one of all. Not for the event loop."""
        images = parts[0] if len(parts) == 1 else np.concatenate(parts)
        files = [encode_png(tile(images))] if grid else [encode_png(image) for image in images]
        return pb.GenerateResponse(
            png=files
        ).SerializeToString()  # all three replies number it alike

    def join_files(self, reply: Reply, offset: int, n: int, files: Sequence[bytes]) -> bytes:
        """A serialised reply from what `encode_files` gave: parts of a repeated field follow one another."""
        return b"".join((reply(n=n, offset=offset).SerializeToString(), self._constant, *files))


def _flat(part: Pixels) -> memoryview:
    return np.ascontiguousarray(part).data.cast("B")


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
