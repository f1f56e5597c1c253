"""Reading images out of replies."""

import numpy as np
import pytest

from dcgan.serving.client import FaultError
from dcgan.serving.client.replies import ImageCollector, read_exactly
from dcgan.v1 import generator_pb2 as pb


@pytest.mark.parametrize("sizes", [(), (3,), (3, 2)])
def test_a_server_that_sends_too_few_or_too_many_is_at_fault(sizes):
    collector = ImageCollector(4)
    for size in sizes:
        collector.add(np.zeros((size, 2, 2, 3), np.uint8))
    with pytest.raises(FaultError, match=f"sent {sum(sizes)} images, not 4"):
        collector.images()


@pytest.mark.parametrize("sent", [0, 1, 3])
def test_a_reply_with_too_few_or_too_many_is_a_fault_too(sent):
    reply = pb.GenerateResponse(n=sent, height=2, width=2, channels=3, pixels=bytes(12 * sent))
    with pytest.raises(FaultError, match=f"sent {sent} images, not 2"):
        read_exactly(reply, 2)


@pytest.mark.hostile("A server whose reply has another size than it says", "an error of the client")
def test_a_reply_of_another_size_than_it_says_is_a_fault():
    with pytest.raises(FaultError, match="sent 13 bytes as images of the shape"):
        read_exactly(pb.GenerateResponse(n=1, height=2, width=2, channels=3, pixels=bytes(13)), 1)


@pytest.mark.hostile("A server whose images have impossible shapes", "an error of the client")
@pytest.mark.parametrize(
    "shape",
    [
        (1, 0, 0, 0),
        (1, 0, 4, 3),
        (1, 4, 4, 0),
        (1, 2, 2, 5),
        (1, 2**12 + 1, 1, 3),
        (0, 2**32 - 1, 2**32 - 1, 3),
    ],
)
def test_an_impossible_shape_is_a_fault(shape):
    n, height, width, channels = shape
    size = n * height * width * channels
    reply = pb.GenerateResponse(
        n=n, height=height, width=width, channels=channels, pixels=bytes(size)
    )
    with pytest.raises(FaultError, match="as images of the shape"):
        read_exactly(reply, n)
