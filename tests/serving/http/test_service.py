"""Requests to a real server, beside gRPC."""

import base64
import io
import json
import threading

import grpc
import numpy as np
import pytest
from PIL import Image

from dcgan.core.images import decode_png, tile
from dcgan.serving.client import Client
from dcgan.serving.http.avatar import text_seed
from dcgan.v1 import generator_pb2 as pb
from dcgan.v1.generator_pb2_grpc import GeneratorServiceStub

TINY = "/v1/models/tiny/2"
IMMUTABLE = "public, max-age=31536000, immutable"


def problem(response):
    assert response.getheader("content-type") == "application/problem+json"
    assert response.getheader("cache-control") == "no-store"
    return json.loads(response.content)


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


def test_a_versioned_address_may_be_kept_for_ever(get):
    response = get(f"{TINY}/images/7.png")
    assert response.getheader("cache-control") == IMMUTABLE
    assert response.getheader("etag").startswith('"')


def test_another_address_leads_to_the_version_that_is_served(get):
    response = get("/v1/models/tiny/avatars/a%2Fb.png?size=64")
    assert response.status == 302
    assert response.getheader("location") == f"{TINY}/avatars/a%2Fb.png?size=64"
    assert response.getheader("cache-control") == "public, max-age=60"
    assert get("/v1/models/tiny/images/7.png?size=x").status == 400


def test_a_known_picture_is_not_drawn_again(get, server, read_metrics):
    made = 'dcgan_images_total{model="tiny"}'
    etag = get(f"{TINY}/images/7.png").getheader("etag")
    before = read_metrics(server)[made]
    for condition in (etag, f'"x", W/{etag}', "*"):
        response = get(f"{TINY}/images/7.png", if_none_match=condition)
        assert (response.status, response.content) == (304, b"")
        assert response.getheader("etag") == etag
        assert response.getheader("cache-control") == IMMUTABLE

    assert read_metrics(server)[made] == before
    for garbage in ("x", '"', "\x80", etag[:-1]):
        assert get(f"{TINY}/images/7.png", if_none_match=garbage).status == 200
    assert read_metrics(server)[made] == before + 4


def test_head_draws_nothing(get, server, read_metrics):
    made = 'dcgan_images_total{model="tiny"}'
    before = read_metrics(server)[made]
    response = get(f"{TINY}/images/7.png", "HEAD")
    assert (response.status, response.content) == (200, b"")
    assert response.getheader("content-type") == "image/png"
    assert read_metrics(server)[made] == before
    assert get(f"{TINY}/images/7.png").getheader("etag") == response.getheader("etag")


def test_if_match_asks_for_one_picture(get):
    etag = get(f"{TINY}/images/7.png").getheader("etag")
    assert get(f"{TINY}/images/7.png", if_match=etag).status == 200
    response = get(f"{TINY}/images/7.png", if_match='"x"')
    assert (response.status, problem(response)["reason"]) == (412, "PRECONDITION_FAILED")


@pytest.mark.parametrize(
    "queries",
    [
        ("", "?index=1", "?size=16", "?truncation=0.5", "?truncation=0.50001", "?n=2", "?n=3"),
        ("?n=4&columns=1", "?n=4&columns=2", "?n=4", "?from=1&n=4"),
    ],
)
def test_other_pictures_have_other_tags(get, queries):
    tags = {get(f"{TINY}/images/7.png{query}", "HEAD").getheader("etag") for query in queries}
    tags |= {get(f"{TINY}/images/{name}", "HEAD").getheader("etag") for name in ("8.png", "7.webp")}
    assert len(tags) == len(queries) + 2


def test_equal_addresses_have_equal_tags(get):
    same = ("?index=3", "?index=3&size=8", "?truncation=1.0&index=3", "?index=%33")
    assert len({get(f"{TINY}/images/7.png{query}").getheader("etag") for query in same}) == 1


@pytest.mark.slow
def test_a_second_server_sends_the_same_bytes(get, start_server, only):
    with start_server(only("tiny")) as other:
        for path in ("images/7.png?index=3", "images/7.webp?size=20", "walks/7-8.gif?steps=4"):
            first = get(f"{TINY}/{path}")
            second = get(f"{TINY}/{path}", to=other)
            assert first.content == second.content
            assert first.getheader("etag") == second.getheader("etag")


def test_models_are_described(get):
    models = json.loads(get("/v1/models").content)["models"]
    assert models[0]["name"] == "tiny"
    assert [model["is_default"] for model in models] == [True] + [False] * (len(models) - 1)
    assert json.loads(get("/v1/models/tiny").content) == models[0]
    assert json.loads(get(models[0]["address"]).content) == models[0]
    response = get("/v1/models/tiny")
    assert response.getheader("cache-control") == "no-cache"
    again = get("/v1/models/tiny", if_none_match=response.getheader("etag"))
    assert again.status == 304


@pytest.mark.parametrize("path", ["/v1/models/none", "/v1/models/tiny/1", "/v1/models/%00"])
def test_a_missing_model_is_told_the_ones_that_exist(get, path):
    for rest in ("", "/images/7.png"):
        response = get(path + rest)
        assert (response.status, problem(response)["reason"]) == (404, "MODEL_NOT_FOUND")
        assert "this server has tiny version 2" in problem(response)["detail"]


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/nothing", 404, "ADDRESS_NOT_FOUND"),
        ("/static/../app.py", 404, "ADDRESS_NOT_FOUND"),
        ("/static/%2e%2e%2fapp.py", 404, "ADDRESS_NOT_FOUND"),
        ("/v1/models/tiny/2/images/x.png", 400, "INVALID_ADDRESS"),
        ("/v1/models/tiny/2/images/%00.png", 400, "INVALID_ADDRESS"),
        ("/v1/models/tiny/2/images/7%2F8.png", 400, "INVALID_ADDRESS"),
        ("/v1/models/tiny/2/images/7.png?index=x", 400, "INVALID_FIELD"),
        ("/v1/models/tiny/2/images/7.png?index=1&index=2", 400, "INVALID_FIELD"),
        ("/v1/models/tiny/2/images/7.png?seed=1", 400, "INVALID_FIELD"),
        ("/v1/models/tiny/2/avatars/%ff.png", 400, "INVALID_ADDRESS"),
        ("/v1/models?a=1", 400, "INVALID_FIELD"),
        ("/v1/models/tiny/2/avatars/" + "x" * 10_000 + ".png", 414, "TARGET_TOO_LONG"),
    ],
)
def test_a_wrong_address_gets_one_sentence(get, path, status, reason):
    response = get(path)
    assert (response.status, problem(response)["reason"]) == (status, reason)
    assert len(problem(response)["detail"]) < 300


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_are_not_allowed(get, method):
    response = get("/v1/models", method)
    assert response.status == 405
    assert response.getheader("allow") == "GET, HEAD, OPTIONS"


def test_options_says_which_methods_there_are(get):
    response = get("/v1/models", "OPTIONS")
    assert (response.status, response.getheader("allow")) == (204, "GET, HEAD, OPTIONS")


def test_a_large_body_is_refused_and_a_small_one_ignored(get):
    assert get("/v1/models", body=b"x" * 1000).status == 200
    assert get("/v1/models", body=b"x" * 70_000).status == 413


def test_a_request_id_comes_back(get):
    assert get("/v1/models", x_request_id="abc-1").getheader("x-request-id") == "abc-1"
    response = get("/nothing", x_request_id="abc-2")
    assert problem(response)["request_id"] == response.getheader("x-request-id") == "abc-2"
    assert len(get("/v1/models").getheader("x-request-id")) == 32


def test_a_deadline_that_cannot_be_met_is_told(get):
    response = get(f"{TINY}/grids/7.png?n=1024", grpc_timeout="1n")
    assert response.status == 504
    assert problem(response)["reason"] in ("DEADLINE_PASSED", "DEADLINE_UNREACHABLE")
    response = get(f"{TINY}/images/7.png", grpc_timeout="soon")
    assert (response.status, problem(response)["reason"]) == (400, "INVALID_REQUEST")


def test_health_is_told(get):
    for path in ("/healthz", "/readyz"):
        response = get(path)
        assert (response.status, response.getheader("cache-control")) == (200, "no-store")


def test_a_range_is_ignored(get):
    whole = get(f"{TINY}/images/7.png")
    response = get(f"{TINY}/images/7.png", range="bytes=0-9")
    assert (response.status, response.content) == (200, whole.content)


@pytest.mark.slow
def test_foreign_pages_may_read_only_if_told_so(get, start_server, only):
    origin = "https://example.org"
    assert get("/v1/models", origin=origin).getheader("access-control-allow-origin") is None
    with start_server(only("tiny"), "--http-cors-origin", origin) as server:
        response = get(f"{TINY}/images/7.png", to=server, origin=origin)
        assert response.getheader("access-control-allow-origin") == origin
        asked = {"access-control-request-method": "GET", "origin": origin}
        response = get(f"{TINY}/images/7.png", "OPTIONS", to=server, **asked)
        assert response.getheader("access-control-allow-methods") == "GET, HEAD"


@pytest.mark.slow
def test_a_fault_of_the_engine_is_told_without_a_trace(get, start_server, only):
    with start_server(only("poisoned"), noisy=True) as server:
        statuses = set()
        for index in range(40):
            path = f"/v1/models/poisoned/2/images/7.png?index={index}"
            response = get(path, to=server, x_request_id="abc-3")
            statuses.add(response.status)
            if response.status == 500:
                told = problem(response)
                assert (told["reason"], told["request_id"]) == ("ENGINE_FAULT", "abc-3")
                assert "Traceback" not in response.content.decode()
        assert statuses == {200, 500}

    assert any("request abc-3" in line for line in server.log[0].splitlines())


@pytest.mark.slow
def test_a_full_queue_says_when_to_come_back(get, start_server, only):
    with start_server(only("slow"), "--max-queue-images", "16") as server:
        responses = []

        def ask(seed: int) -> None:
            responses.append(get(f"/v1/models/slow/2/grids/{seed}.png?n=256", to=server))

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [response for response in responses if response.status == 429]
        assert refused
        assert {response.status for response in responses} == {200, 429}
        for response in refused:
            assert problem(response)["reason"] == "QUEUE_FULL"
            assert int(response.getheader("retry-after")) >= 1


@pytest.mark.slow
def test_both_doors_have_one_account(get, start_server, only, read_metrics):
    with start_server(only("tiny")) as server, Client(server.target) as client:
        client.generate(seed=1, n=3)
        get(f"{TINY}/images/7.png", to=server)
        get(f"{TINY}/grids/7.png?n=9", to=server)
        get(f"{TINY}/walks/7-8.webp?steps=4", to=server)
        get(f"{TINY}/images/7.png?index=x", to=server)
        get("/v1/models", to=server)
        metrics = read_metrics(server)

    assert metrics['dcgan_images_total{model="tiny"}'] == 3 + 1 + 9 + 4
    work = {
        key: metrics[f'dcgan_work_total{{model="tiny",outcome="{key}"}}']
        for key in ("offered", "accepted", "ok", "rejected", "failed", "cancelled", "expired")
    }
    assert work == {
        "offered": 4,
        "accepted": 4,
        "ok": 4,
        "rejected": 0,
        "failed": 0,
        "cancelled": 0,
        "expired": 0,
    }
    http = {
        key: value for key, value in metrics.items() if key.startswith("dcgan_http_requests_total")
    }
    assert http == {
        'dcgan_http_requests_total{resource="images",status="200"}': 1,
        'dcgan_http_requests_total{resource="images",status="400"}': 1,
        'dcgan_http_requests_total{resource="grids",status="200"}': 1,
        'dcgan_http_requests_total{resource="walks",status="200"}': 1,
        'dcgan_http_requests_total{resource="models",status="200"}': 1,
    }
    assert metrics['dcgan_rejected_total{reason="INVALID_FIELD"}'] == 1
    assert metrics["dcgan_unread_reply_bytes"] == 0
    assert metrics['dcgan_png_images{model="tiny"}'] == 0


@pytest.mark.slow
def test_grpc_and_http_share_a_cache(get, start_server, only, read_metrics):
    with start_server(only("tiny"), "--cache-bytes", "1000000") as server:
        with grpc.insecure_channel(server.target) as channel:
            request = pb.GenerateRequest(seed=7, n=3, format=pb.IMAGE_FORMAT_PNG)
            first = GeneratorServiceStub(channel).Generate(request)
            contents = [get(f"{TINY}/images/7.png?index={i}", to=server).content for i in range(4)]
            request.n = 4
            second = GeneratorServiceStub(channel).Generate(request)
        assert contents[:3] == list(first.png)
        assert contents == list(second.png)
        metrics = read_metrics(server)

    assert metrics['dcgan_images_total{model="tiny"}'] == 4
    assert metrics["dcgan_cache_hits_total"] == 3 + 4
    assert metrics["dcgan_cache_misses_total"] == 3 + 1
    assert metrics["dcgan_cache_bytes"] == sum(map(len, contents))


@pytest.mark.slow
def test_each_request_is_logged_unless_told_not_to(get, start_server, only):
    with start_server(only("tiny"), "--log-format", "text") as server:
        get("/nothing?a=%0A", to=server, x_request_id="abc-4")
    (line,) = (line for line in server.log[0].splitlines() if "abc-4" in line)
    assert " INFO dcgan.serving.http.access: GET /nothing?a=%0A 404 " in line
    with start_server(only("tiny"), "--no-http-access-log") as server:
        get("/nothing", to=server, x_request_id="abc-5")
    assert "abc-5" not in server.log[0]


@pytest.mark.slow
def test_http_can_be_left_out(start_server, only):
    with start_server(only("tiny"), "--no-http") as server:
        assert server.report.http_address is None


@pytest.mark.slow
def test_workers_share_the_port(get, start_server, only):
    with start_server(only("tiny"), "--workers", "2", "--intra-op-threads", "1") as server:
        contents = {get(f"{TINY}/images/7.png", to=server).content for _ in range(20)}
    assert len(contents) == 1
