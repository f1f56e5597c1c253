"""Serialized replies, parsed again as any client does."""

import numpy as np
import pytest

from dcgan.serving.encoding.formats import ImageFormat
from dcgan.serving.encoding.replies import ReplyEncoder
from dcgan.v1 import generator_pb2 as pb
from dcgan.zoo.repository import find_release

REPLIES = (pb.GenerateResponse, pb.GenerateStreamResponse, pb.InterpolateResponse)


@pytest.fixture
def encoder(repository) -> ReplyEncoder:
    return ReplyEncoder(find_release(repository, "tiny").manifest, pb.Provenance(model="tiny"))


@pytest.mark.parametrize("reply_type", REPLIES)
def test_pixels_of_several_parts_are_one_field(encoder, reply_type):
    images = np.random.default_rng(0).integers(0, 256, (300, 8, 8, 3), dtype=np.uint8)
    parts = [images[:1], images[1:200], images[200:, :, ::-1][:, :, ::-1]]  # one is a strided view
    reply = reply_type.FromString(encoder.encode_pixels(reply_type, 5, parts))
    assert (reply.n, reply.offset, reply.height, reply.width, reply.channels) == (300, 5, 8, 8, 3)
    assert reply.provenance.model == "tiny"
    assert reply.pixels == images.tobytes()


@pytest.mark.parametrize("reply_type", REPLIES)
def test_files_are_a_repeated_field(encoder, reply_type):
    files = [b"", b"a" * 127, b"b" * 128, b"c" * 20_000]
    reply = reply_type.FromString(encoder.encode_files(reply_type, 2**63, 4, files))
    assert (reply.n, reply.offset, reply.provenance.model) == (4, 2**63, "tiny")
    assert list(reply.png) == files


def test_fewer_images_fit_as_png_than_as_pixels(encoder):
    assert encoder.max_images(ImageFormat.RGB8) == (4 * 2**20 - 1024) // 192
    assert encoder.max_images(ImageFormat.PNG) == encoder.max_images(ImageFormat.PNG_GRID)
    assert 0 < encoder.max_images(ImageFormat.PNG) < encoder.max_images(ImageFormat.RGB8)
