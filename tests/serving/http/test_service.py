"""Answers to requests: addresses, conditions, descriptions and errors."""

import json

import pytest

TINY = "/v1/models/tiny/2"
IMMUTABLE = "public, max-age=31536000, immutable"


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


def test_if_match_asks_for_one_picture(get, problem):
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
def test_a_missing_model_is_told_the_ones_that_exist(get, path, problem):
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
        ("/v1/models/tiny/2/grids/7.webp?n=1024&columns=1&size=16", 400, "INVALID_FIELD"),
        ("/v1/models/tiny/2/images/7.webp?n=1024&columns=1&size=16", 400, "INVALID_FIELD"),
        ("/v1/models/tiny/2/avatars/%ff.png", 400, "INVALID_ADDRESS"),
        ("/v1/models?a=1", 400, "INVALID_FIELD"),
        ("/v1/models/tiny/2/avatars/" + "x" * 10_000 + ".png", 414, "TARGET_TOO_LONG"),
    ],
)
def test_a_wrong_address_gets_one_sentence(get, path, status, reason, problem):
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


def test_a_request_id_comes_back(get, problem):
    assert get("/v1/models", x_request_id="abc-1").getheader("x-request-id") == "abc-1"
    response = get("/nothing", x_request_id="abc-2")
    assert problem(response)["request_id"] == response.getheader("x-request-id") == "abc-2"
    assert len(get("/v1/models").getheader("x-request-id")) == 32


def test_a_deadline_that_cannot_be_met_is_told(get, problem):
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
