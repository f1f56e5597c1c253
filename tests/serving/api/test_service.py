"""The promise: (model, seed, index) names one image, however it is asked for."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from dcgan.core import noise
from dcgan.core.images import decode_png, untile
from dcgan.serving.client import Client
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.target) as channel:
        yield GeneratorServiceStub(channel)


def test_images_are_those_of_the_file_and_the_noise(client, expected):
    np.testing.assert_array_equal(client.generate(7, 20), expected("tiny", 7, range(20)))


def test_few_are_the_head_of_many_and_each_can_be_had_alone(client):
    many = client.generate(7, 64)
    np.testing.assert_array_equal(client.generate(7, 3), many[:3])
    for index in range(64):
        np.testing.assert_array_equal(client.generate(7, offset=index)[0], many[index])


def test_the_same_bytes_come_under_sixteen_concurrent_clients(server, expected):
    wanted = expected("tiny", 7, range(64))

    def ask(number: int) -> int:
        random = np.random.default_rng(number)
        with Client(server.target) as client:
            for _ in range(40):
                offset = int(random.integers(64))
                n = int(random.integers(1, 65 - offset))
                np.testing.assert_array_equal(
                    client.generate(7, n, offset=offset), wanted[offset : offset + n]
                )
        return 40

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(16))) == 16 * 40


def test_a_stream_gives_what_unary_calls_give_in_moderate_chunks(client):
    chunks = list(client.stream(9, 300, offset=11))
    assert max(map(len, chunks)) <= 64
    np.testing.assert_array_equal(np.concatenate(chunks), client.generate(9, 300, offset=11))


def test_more_images_than_fit_in_a_message_come_by_stream(client):
    most = client.model().max_images_per_request
    images = client.generate(3, most + 1)
    np.testing.assert_array_equal(images[-1], client.generate(3, offset=most)[0])


def test_a_reply_of_the_largest_size_is_under_the_limit_of_grpc(stub, client):
    most = client.model().max_images_per_request
    reply = stub.Generate(pb.GenerateRequest(seed=2**64 - 1, n=most))
    assert 0.99 * 2**22 < reply.ByteSize() <= 2**22


def test_seed_and_n_unset_mean_seed_0_and_one_image(stub, expected):
    reply = stub.Generate(pb.GenerateRequest())
    assert (reply.n, reply.height, reply.width, reply.channels, reply.offset) == (1, 8, 8, 3, 0)
    assert reply.pixels == expected("tiny", 0, [0]).tobytes()


def test_a_reply_says_what_made_it(stub, client):
    origin = stub.Generate(pb.GenerateRequest(seed=1, n=2)).provenance
    assert (origin.model, origin.version, origin.digest) == ("tiny", 2, client.model().digest)
    assert (origin.noise_scheme, origin.provider) == (noise.SCHEME, "CPUExecutionProvider")
    assert origin.agreement == pb.AGREEMENT_EXACT


def test_trailers_say_how_long_it_waited_and_ran(stub):
    _, call = stub.Generate.with_call(pb.GenerateRequest(seed=1, n=2))
    trailers = dict(call.trailing_metadata())
    assert int(trailers["dcgan-queue-us"]) >= 0
    assert int(trailers["dcgan-compute-us"]) > 0


def test_the_last_seed_and_the_last_index_are_images_like_others(client, expected):
    last = 2**64 - 1
    np.testing.assert_array_equal(
        client.generate(last, 2, offset=last - 1), expected("tiny", last, [last - 1, last])
    )


def test_png_files_hold_the_same_pixels(stub, client):
    wanted = client.generate(5, 7)
    single = stub.Generate(pb.GenerateRequest(seed=5, n=7, format=pb.IMAGE_FORMAT_PNG))
    np.testing.assert_array_equal(np.stack([decode_png(png) for png in single.png]), wanted)
    grid = stub.Generate(pb.GenerateRequest(seed=5, n=7, format=pb.IMAGE_FORMAT_PNG_GRID))
    np.testing.assert_array_equal(untile(decode_png(grid.png[0]), 7, columns=3), wanted)
    assert single.n == grid.n == 7
    assert not single.pixels
    assert not grid.pixels


def test_each_chunk_of_a_png_stream_is_a_grid_of_its_own(stub, client):
    chunks = list(
        stub.GenerateStream(
            pb.GenerateStreamRequest(seed=5, n=100, format=pb.IMAGE_FORMAT_PNG_GRID)
        )
    )

    assert [(chunk.offset, chunk.n) for chunk in chunks] == [(0, 64), (64, 36)]
    images = [
        untile(decode_png(chunk.png[0]), chunk.n, columns=columns)
        for chunk, columns in zip(chunks, (8, 6), strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(images), client.generate(5, 100))


def test_a_grey_conditional_model_takes_labels(client, expected):
    np.testing.assert_array_equal(
        client.generate(7, 9, model="classy", label=2), expected("classy", 7, range(9), 2)
    )
    assert client.generate(7, 9, model="classy").shape == (9, 8, 8, 1)


def test_without_a_label_image_i_has_class_i_mod_classes(client, expected):
    offset = 2**64 - 8
    indices = range(offset, offset + 8)
    wanted = expected("classy", 7, indices)
    np.testing.assert_array_equal(client.generate(7, 8, offset=offset, model="classy"), wanted)


def test_truncation_scales_the_latent_vectors(client, server, repository, run):
    z = noise.latents(4, 0, 5, 8) * np.float32(0.3)
    np.testing.assert_array_equal(
        client.generate(4, 5, truncation=0.3), run(repository / "tiny" / "2", z)
    )
    assert (client.generate(4, 5, truncation=1.0) == client.generate(4, 5)).all()


def test_a_walk_leads_from_one_seed_to_the_other_along_the_great_circle(client, repository, run):
    walk = np.concatenate(list(client.interpolate(1, 2, 150)))
    np.testing.assert_array_equal(
        walk[[0, -1]], np.concatenate([client.generate(1), client.generate(2)])
    )
    ends = [noise.latents(seed, 0, 1, 8)[0] for seed in (1, 2)]
    z = noise.interpolate(*ends, np.arange(150) / 149)
    np.testing.assert_array_equal(walk, run(repository / "tiny" / "2", z))


@pytest.mark.parametrize("image_format", [pb.IMAGE_FORMAT_RGB8, pb.IMAGE_FORMAT_PNG])
def test_every_reply_repeats_the_seed_and_the_first_index(stub, image_format):
    names = {"seed": 2**64 - 1, "offset": 2**53 + 1, "format": image_format}
    reply = stub.Generate(pb.GenerateRequest(n=2, **names))
    assert (reply.seed, reply.offset, reply.n) == (2**64 - 1, 2**53 + 1, 2)
    chunks = list(stub.GenerateStream(pb.GenerateStreamRequest(n=150, **names)))
    assert len(chunks) > 1
    first = 2**53 + 1
    for chunk in chunks:
        assert (chunk.seed, chunk.offset) == (2**64 - 1, first)
        first += chunk.n


def test_an_interpolation_joins_any_two_images_and_repeats_their_names(stub, client):
    request = pb.InterpolateRequest(seed_a=1, offset_a=5, seed_b=2, offset_b=2**64 - 1, steps=150)
    chunks = list(stub.Interpolate(request))
    for chunk in chunks:
        ends = (chunk.seed_a, chunk.offset_a, chunk.seed_b, chunk.offset_b)
        assert ends == (1, 5, 2, 2**64 - 1)
    pixels = b"".join(chunk.pixels for chunk in chunks)
    size = len(pixels) // 150
    assert pixels[:size] == client.generate(1, offset=5).tobytes()
    assert pixels[-size:] == client.generate(2, offset=2**64 - 1).tobytes()


def test_every_model_is_listed_the_default_first(client):
    models = client.models()
    assert [model.name for model in models] == ["tiny", "classy", "poisoned", "slow"]
    assert [model.is_default for model in models] == [True, False, False, False]
    assert {model.version for model in models} == {2}
    classy = client.model("classy")
    assert classy == models[1]
    assert (classy.channels, classy.classes, classy.height, classy.latent_size) == (1, 3, 8, 8)


def test_a_model_can_be_named_with_its_version(client):
    np.testing.assert_array_equal(
        client.generate(7, 2, model="tiny", version=2), client.generate(7, 2)
    )
