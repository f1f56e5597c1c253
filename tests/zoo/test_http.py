"""HTTP downloads: redirects, proxies, slow servers and secrets in addresses."""

import base64
import shutil
import time
from dataclasses import replace

import pytest

from dcgan.core.errors import DcganError
from dcgan.zoo.download import Download, DownloadError, download
from dcgan.zoo.http import check_redirect
from tests.zoo.misbehaving_server import DATA, SHA256


def test_a_redirect_is_followed(server, what, target, retry):
    server.script = ["redirect /file", f"redirect {server.url('/file')}"]
    download(what, target, retry)
    assert target.read_bytes() == DATA


def test_redirects_in_a_circle_end(server, what, target, retry):
    server.script = ["redirect /file"] * 100
    with pytest.raises(DownloadError, match="too many redirects"):
        download(what, target, retry)


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/file"])
def test_a_redirect_out_of_the_web_is_refused(server, what, target, retry, location):
    server.script = [f"redirect {location}"] * 10
    with pytest.raises(DownloadError, match="http"):
        download(what, target, retry)
    assert not target.exists()


def test_a_server_that_says_when_to_come_back_is_not_obeyed(server, what, target, retry):
    server.script = ["later"] * retry.attempts
    with pytest.raises(DownloadError, match=f"answered 503; tried {retry.attempts} times"):
        download(what, target, retry)
    assert len(server.requests) == retry.attempts


def test_a_proxy_may_be_named_without_a_scheme_and_with_a_password(
    server, what, target, retry, monkeypatch
):
    monkeypatch.setenv("http_proxy", f"me:p%40ss@127.0.0.1:{server.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    server.files["http://nowhere.invalid/file"] = DATA  # which is how a proxy is asked
    download(
        Download(url="http://nowhere.invalid/file", bytes=len(DATA), sha256=SHA256),
        target,
        retry,
    )

    assert target.read_bytes() == DATA
    assert server.logins == ["Basic " + base64.b64encode(b"me:p@ss").decode()]


def test_a_proxy_that_is_none_is_one_sentence(what, target, retry, monkeypatch):
    monkeypatch.setenv("http_proxy", "gopher://127.0.0.1")
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(DownloadError, match="http_proxy does not hold the address of a proxy"):
        download(what, target, retry)


@pytest.mark.hostile(
    "One byte a second, endless headers, endless `100 Continue`",
    "cut off below 1 KiB/s",
)
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["trickling", "trickling_headers", "endless_continue"])
def test_a_server_that_sends_next_to_nothing_does_not_hold_us(server, what, target, retry, fault):
    server.script = [fault] * retry.attempts
    began = time.monotonic()
    with pytest.raises(DownloadError, match="the server sent only .* bytes in .* s; tried 3 times"):
        download(what, target, retry)
    assert time.monotonic() - began < 30
    server.script = [fault]
    download(what, target, retry)
    assert target.read_bytes() == DATA


@pytest.mark.hostile("A download that never ends", "ends after a total time")
def test_the_total_time_has_a_limit(server, what, target, retry):
    server.script = ["steady"] * 10
    with pytest.raises(DownloadError, match="it took longer than 1 s; tried 1 times"):
        download(what, target, replace(retry, timeout_s=5.0, total_s=1.0))


def test_a_redirect_from_https_to_http_is_refused():
    assert check_redirect("http://host/a", "https://host/a") == "https://host/a"
    assert check_redirect("https://host/a", "https://other/a") == "https://other/a"
    with pytest.raises(DownloadError, match="which is not protected by https"):
        check_redirect("https://host/a", "http://host/a")


@pytest.mark.hostile("An https address that redirects to http", "refused")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
def test_a_real_server_with_tls_that_redirects_to_http_is_refused(
    server, tls_server, what, target, retry
):
    tls_server.files["/file"] = DATA
    secure = replace(what, url=tls_server.url("/file").replace("http:", "https:"))
    download(secure, target, retry)
    assert target.read_bytes() == DATA

    target.unlink()
    tls_server.script = [f"redirect {server.url('/file')}"]
    with pytest.raises(DownloadError, match="which is not protected by https"):
        download(secure, target, retry)
    assert not target.exists()


@pytest.mark.hostile(
    "A download with a token in its address that fails",
    "the message has no token",
)
@pytest.mark.parametrize(
    "fault", ["status 404", "status 500", "other_bytes", "another_length", "too_long", "truncated"]
)
@pytest.mark.parametrize("address", ["{}?token=secret", "{}#secret"])
def test_secrets_of_an_address_are_never_shown(server, target, retry, fault, address):
    what = Download(url=server.url("/file"), bytes=len(DATA), sha256=SHA256)
    server.files["/file"] = DATA
    server.script = [fault] * retry.attempts
    server.files["/file?token=secret"] = DATA
    secretive = replace(what, url=address.format(what.url))
    with pytest.raises(DownloadError) as caught:
        download(secretive, target, retry)
    assert "secret" not in str(caught.value)
    assert "/file" in str(caught.value)


@pytest.mark.hostile("A malformed address with a password", "the message has no password")
@pytest.mark.parametrize(
    "url",
    [
        "http://me:secret@127.0.0.1:1/file",
        "http://me:secret@[/file",
        "http://me:secret@host:x/file",
    ],
)
def test_a_password_in_an_address_is_never_shown(target, retry, url):
    with pytest.raises(DcganError) as caught:
        download(Download(url=url), target, retry)
    assert "secret" not in str(caught.value)


FAULTS = {
    "hundred_headers": "the response is not valid HTTP: got more than 100 headers;",
    "long_header": "the response is not valid HTTP: got more than 65536 bytes when reading header",
    "not_http": "the response is not valid HTTP: SSH-2.0-OpenSSH_9.6;",
    "bad_chunk": "the response broke off;",
    "truncated": "the response broke off;",
    "hang_up": "the server closed the connection;",
}


@pytest.mark.hostile("A download whose response is not HTTP", "one sentence says what is wrong")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_malformed_response_is_one_sentence(server, what, target, retry, fault):
    server.script = [fault]
    with pytest.raises(DownloadError, match=f"cannot download {what.url}: {FAULTS[fault]}") as info:
        download(what, target, replace(retry, attempts=1))
    assert "(" not in str(info.value)
