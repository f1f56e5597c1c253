"""Image files at addresses, compared with those of gRPC."""

import base64
import io
import json

import grpc
import numpy as np
from PIL import Image

from dcgan.core.images import decode_png, tile
from dcgan.serving.http.avatar import text_seed
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub

TINY = "/v1/models/tiny/2"


def frames(file: bytes) -> list[np.ndarray]:
    found = []
    with Image.open(io.BytesIO(file)) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            found.append(np.asarray(picture.convert("RGB")))
    return found


def test_an_image_is_the_png_of_grpc(get, server):
    with grpc.insecure_channel(server.target) as channel:
        request = pb.GenerateRequest(seed=7, offset=3, format=pb.IMAGE_FORMAT_PNG)
        (png,) = GeneratorServiceStub(channel).Generate(request).png
    response = get(f"{TINY}/images/7.png?index=3")
    assert (response.status, response.getheader("content-type")) == (200, "image/png")
    assert response.content == png


def test_the_last_image_of_the_last_seed_can_be_had(get, expected):
    last = 2**64 - 1
    response = get(f"{TINY}/images/{last}.png?index={last}")
    assert np.array_equal(decode_png(response.content), expected("tiny", last, [last])[0])


def test_truncation_gives_the_pixels_of_grpc(get, client):
    response = get(f"{TINY}/images/7.png?truncation=0.7")
    pixels = client.generate(seed=7, n=1, truncation=0.7)
    assert np.array_equal(decode_png(response.content), pixels[0])


def test_a_larger_picture_repeats_pixels(get, expected):
    image = expected("tiny", 7, [0])[0]
    larger = decode_png(get(f"{TINY}/images/7.png?size=32").content)
    assert np.array_equal(larger, image.repeat(4, 0).repeat(4, 1))


def test_webp_is_lossless(get, expected):
    response = get(f"{TINY}/images/7.webp")
    assert response.getheader("content-type") == "image/webp"
    assert np.array_equal(frames(response.content)[0], expected("tiny", 7, [0])[0])


def test_json_has_pixels_and_provenance(get, expected):
    document = json.loads(get(f"{TINY}/images/18446744073709551615.json?index=3").content)
    pixels = np.frombuffer(base64.b64decode(document["pixels"]), np.uint8).reshape(1, 8, 8, 3)
    assert np.array_equal(pixels, expected("tiny", 2**64 - 1, [3]))
    assert (document["seed"], document["index"]) == ("18446744073709551615", "3")
    assert document["provenance"]["model"] == "tiny"
    assert document["labels"] is None


def test_json_holds_several_images(get, expected):
    document = json.loads(get("/v1/models/classy/2/images/7.json?from=1&n=3").content)
    pixels = np.frombuffer(base64.b64decode(document["pixels"]), np.uint8).reshape(3, 8, 8, 1)
    assert np.array_equal(pixels, expected("classy", 7, [1, 2, 3]))
    assert document["labels"] == [1, 2, 0]


def test_a_grid_shows_consecutive_images(get, expected):
    images = expected("tiny", 7, range(3, 9))
    for path in ("grids/7.png?from=3&n=6&columns=2", "images/7.png?from=3&n=6&columns=2"):
        assert np.array_equal(decode_png(get(f"{TINY}/{path}").content), tile(images, 2))
    square = decode_png(get(f"{TINY}/grids/7.png").content)
    assert np.array_equal(square, tile(expected("tiny", 7, range(16))))


def test_a_walk_has_the_frames_of_grpc(get, client, expected):
    steps = np.concatenate(list(client.interpolate(7, 8, steps=5)))
    response = get(f"{TINY}/walks/7-8.webp?steps=5")
    assert response.getheader("content-type") == "image/webp"
    assert np.array_equal(np.stack(frames(response.content)), steps)
    ends = frames(get(f"{TINY}/walks/7-8.webp?steps=2&index_a=3&index_b=4").content)
    assert np.array_equal(ends[0], expected("tiny", 7, [3])[0])
    assert np.array_equal(ends[1], expected("tiny", 8, [4])[0])
    assert len(frames(get(f"{TINY}/walks/7-8.gif?steps=5&bounce=1").content)) == 8


def test_an_avatar_is_the_image_of_the_seed_of_its_text(get):
    response = get(f"{TINY}/avatars/team%2FZo%C3%AB.png")
    seed = text_seed("team/Zoë")
    assert response.getheader("x-image-seed") == str(seed)
    image = get(f"{TINY}/images/{seed}.png")
    assert response.content == image.content
    assert response.getheader("etag") == image.getheader("etag")
    assert get(f"{TINY}/avatars/team%2FZoe%CC%88.png").content == image.content


def test_labels_choose_the_class(get, expected):
    for query, label in (("", 0), ("?index=4", 1), ("?label=2", 2)):
        response = get(f"/v1/models/classy/2/images/7.png{query}")
        assert response.getheader("x-image-label") == str(label)
    image = expected("classy", 7, [0], label=2)[0]
    assert np.array_equal(decode_png(response.content), image)


def test_every_response_tells_where_the_picture_comes_from(get, client):
    response = get(f"{TINY}/images/7.png?index=3")
    (model,) = (model for model in client.models() if model.name == "tiny")

    assert {
        name: response.getheader(name)
        for name in (
            "x-model-name",
            "x-model-version",
            "x-model-digest",
            "x-noise-scheme",
            "x-provider",
            "x-agreement",
            "x-image-seed",
            "x-image-index",
        )
    } == {
        "x-model-name": "tiny",
        "x-model-version": "2",
        "x-model-digest": model.digest,
        "x-noise-scheme": "philox4x64-boxmuller-v1",
        "x-provider": "CPUExecutionProvider",
        "x-agreement": "exact",
        "x-image-seed": "7",
        "x-image-index": "3",
    }
    assert response.getheader("x-content-type-options") == "nosniff"
