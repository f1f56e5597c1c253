"""Serialized reply messages.

A reply is assembled by hand around its pixels, so that they are copied only once between the
engine's output and the message. This is valid because the concatenation of the encodings of two
partial messages is the encoding of the merged message (protobuf.dev/programming-guides/encoding,
"Last One Wins").
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from google.protobuf.message import Message

from dcgan.core.images import Pixels
from dcgan.serving.encoding.formats import ImageFormat
from dcgan.v1 import generator_pb2 as pb
from dcgan.zoo.manifest import Manifest

ReplyType: TypeAlias = (
    type[pb.GenerateResponse] | type[pb.GenerateStreamResponse] | type[pb.InterpolateResponse]
)

MESSAGE_LIMIT = 4 * 2**20
"""Size in bytes of the largest message that a gRPC client accepts by default."""

_OVERHEAD_BYTES = 1024  # upper bound of everything in a reply except the images
_PIXELS_TAG = b"\x0a"  # field 1, length-delimited
_PNG_TAG = b"\x12"  # field 2, length-delimited
_MAX_CHUNK_BYTES = 2**20
_MAX_CHUNK_IMAGES = 64


class ReplyEncoder:
    """Serializes the replies of one model.

    Args:
        manifest: of the model.
        provenance: origin of the images, part of each reply.
        message_limit: maximum size of a reply in bytes.

    Attributes:
        chunk_images: number of images in a chunk of a stream.
    """

    def __init__(
        self, manifest: Manifest, provenance: pb.Provenance, message_limit: int = MESSAGE_LIMIT
    ) -> None:
        self._message_limit = message_limit
        size = manifest.image_size
        channels = manifest.channels
        self._raw_bytes = size * size * channels
        # A PNG can be larger than its pixels: filter bytes of the rows, block headers of deflate,
        # and the PNG chunks.
        self._png_bytes = self._raw_bytes + size + self._raw_bytes // 1000 + 128

        # Encode the constant fields once; all three replies have the same field numbers.
        constant = pb.GenerateResponse(
            height=size, width=size, channels=channels, provenance=provenance
        )
        self._constant = constant.SerializeToString()
        self.chunk_images = max(1, min(_MAX_CHUNK_BYTES // self._raw_bytes, _MAX_CHUNK_IMAGES))

    def max_images(self, image_format: ImageFormat) -> int:
        """Returns how many images of any content fit in a message, at least 1."""
        image_bytes = self._png_bytes if image_format.is_png else self._raw_bytes
        return max(1, (self._message_limit - _OVERHEAD_BYTES) // image_bytes)

    def pixel_bytes(self, n: int) -> int:
        """Returns the size of the pixels of n images."""
        return n * self._raw_bytes

    def encode_pixels(
        self,
        reply: ReplyType,
        offset: int,
        parts: Sequence[Pixels],
        echo: Mapping[str, int] = MappingProxyType({}),
    ) -> bytes:
        """Serializes a reply with raw pixels.

        Args:
            reply: type of the message.
            offset: index of the first image.
            parts: the images, uint8 [k, H, W, C] each, in order.
            echo: fields of the request that the reply repeats.
        """
        n = sum(len(part) for part in parts)
        variable = _fields(reply, n=n, offset=offset, **echo)
        length = _varint(n * self._raw_bytes)
        return b"".join((variable, self._constant, _PIXELS_TAG, length, *map(_flat, parts)))

    def encode_files(
        self,
        reply: ReplyType,
        offset: int,
        n: int,
        files: Sequence[bytes],
        echo: Mapping[str, int] = MappingProxyType({}),
    ) -> bytes:
        """Serializes a reply with PNG files.

        Args:
            reply: type of the message.
            offset: index of the first image.
            n: number of images.
            files: the PNG files, in order.
            echo: fields of the request that the reply repeats.
        """
        variable = _fields(reply, n=n, offset=offset, **echo)
        pieces = [variable, self._constant]
        for file in files:
            pieces += (_PNG_TAG, _varint(len(file)), file)
        return b"".join(pieces)


def _fields(reply: Callable[..., Message], **values: int) -> bytes:
    return reply(**values).SerializeToString()


def _flat(part: Pixels) -> memoryview:
    return np.ascontiguousarray(part).data.cast("B")


@functools.lru_cache(maxsize=1024)
def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
