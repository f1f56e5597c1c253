"""Resuming a stream."""

import pytest

from dcgan.serving.client import FaultError
from dcgan.serving.client.stream import ResumableStream
from dcgan.v1 import generator_pb2 as pb


def test_a_stream_goes_on_with_the_model_that_it_began_with():
    def chunk(offset: int, digest: str) -> pb.GenerateStreamResponse:
        provenance = pb.Provenance(model="photos", version=3, digest=digest)
        return pb.GenerateStreamResponse(
            n=1,
            seed=7,
            offset=offset,
            height=1,
            width=1,
            channels=1,
            pixels=b"x",
            provenance=provenance,
        )

    stream = ResumableStream(7, 10, 5, {"truncation": 0.5})
    assert stream.request() == pb.GenerateStreamRequest(seed=7, n=10, offset=5, truncation=0.5)
    stream.read(chunk(5, "a" * 64))
    wanted = pb.GenerateStreamRequest(
        seed=7, n=9, offset=6, truncation=0.5, model="photos", version=3
    )
    assert stream.request() == wanted
    with pytest.raises(
        FaultError, match=r"began with model photos 3 \(aaaaaaaaaaaa\) and continues with .*bbb"
    ):
        stream.read(chunk(6, "b" * 64))
