import pytest

from dcgan.serving.http.cors import Cors
from dcgan.serving.http.request import Request

ORIGIN = "https://example.org"


def ask(origin: str, method: str = "OPTIONS", **headers: str) -> Request:
    return Request(method, b"/", b"", {"origin": origin, **headers})


def test_by_default_no_foreign_page_may_read():
    assert Cors(()).response_headers(ORIGIN) == {}


def test_any_page_may_read_if_told_so():
    assert Cors(("*",)).response_headers(None)["access-control-allow-origin"] == "*"


def test_an_origin_that_is_named_may_read():
    headers = Cors((ORIGIN,)).response_headers(ORIGIN)
    assert (headers["access-control-allow-origin"], headers["vary"]) == (ORIGIN, "Origin")
    assert "ETag" in headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://example.com", "null", "", None])
def test_another_may_not(origin):
    assert Cors((ORIGIN,)).response_headers(origin) == {"vary": "Origin"}


def test_a_preflight_request_is_answered():
    cors = Cors((ORIGIN,))
    request = ask(ORIGIN, **{"access-control-request-method": "GET"})
    assert cors.is_preflight(request)
    response = cors.preflight_response(request)
    assert (response.status, response.headers["access-control-allow-methods"]) == (204, "GET, HEAD")
    assert cors.preflight_response(ask("https://example.com")).headers == {}
    assert not cors.is_preflight(ask(ORIGIN))
    assert not cors.is_preflight(ask(ORIGIN, "GET"))
