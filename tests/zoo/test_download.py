"""Downloads from a server that truncates, lies, stalls, redirects and fails, and then behaves."""

import base64
import hashlib
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dcgan.core.errors import DcganError
from dcgan.zoo.download import Download, DownloadError, download
from dcgan.zoo.http import check_redirect

DATA = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def what(server):
    server.files["/file"] = DATA
    return Download(url=server.url("/file"), bytes=len(DATA), sha256=SHA256)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads" / "file"


@pytest.fixture
def part(target):
    target.parent.mkdir()
    return target.with_name("file.part")


def test_a_file_arrives_whole_and_leaves_nothing_beside_it(what, target, retry):
    sizes = []
    download(what, target, retry, sizes.append)
    assert target.read_bytes() == DATA
    assert list(target.parent.iterdir()) == [target]
    assert sizes[-1] == len(DATA)
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    "fault", ["truncated", "stalled", "silent", "quietly_truncated", "status 500", "status 503"]
)
def test_a_fault_that_passes_is_survived(server, what, target, retry, fault):
    server.script = [fault, fault]
    download(what, target, retry)
    assert target.read_bytes() == DATA
    assert len(server.requests) == 3


def test_what_has_arrived_is_not_fetched_again(server, what, target, retry):
    server.script = ["truncated"]
    download(what, target, retry)
    assert server.requests == [("/file", None), ("/file", f"bytes={len(DATA) // 2}-")]


def test_an_interrupted_download_goes_on_in_the_next_command(server, what, target, part, retry):
    part.write_bytes(DATA[:1000])
    download(what, target, retry)
    assert target.read_bytes() == DATA
    assert server.requests == [("/file", "bytes=1000-")]


def test_a_complete_piece_needs_no_server(what, target, part, retry, server):
    part.write_bytes(DATA)
    download(what, target, retry)
    assert target.read_bytes() == DATA
    assert server.requests == []


def test_a_server_that_cannot_go_on_starts_again(server, what, target, part, retry):
    for answer in ("no_ranges", "wrong_piece"):
        part.write_bytes(b"something else" * 10)
        server.script = [answer]
        download(what, target, retry)
        assert target.read_bytes() == DATA


def test_a_piece_of_another_file_is_thrown_away(server, what, target, part, retry):
    part.write_bytes(bytes(1000))
    download(what, target, retry)
    assert target.read_bytes() == DATA
    assert [wanted for _, wanted in server.requests] == ["bytes=1000-", None]


def test_a_piece_longer_than_the_file_is_thrown_away(what, target, part, retry):
    part.write_bytes(bytes(len(DATA) + 1))
    download(what, target, retry)
    assert target.read_bytes() == DATA


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["truncated", "silent", "status 500"])
def test_a_fault_that_stays_is_an_error_that_keeps_what_has_arrived(
    server, what, target, retry, fault
):
    server.script = [fault] + ["silent"] * 5
    with pytest.raises(DownloadError, match="tried 3 times"):
        download(what, target, retry)
    assert not target.exists()
    kept = target.with_name("file.part")
    assert (kept.stat().st_size if kept.exists() else 0) == (
        len(DATA) // 2 if fault == "truncated" else 0
    )


LIES = {
    "too_long": "is longer than the promised 256000 bytes",
    "another_length": "has 256001 bytes, not the promised 256000",
    "other_bytes": "is not what was promised",
    "status 404": "answered 404",
    "status 403": "answered 403",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_an_error_at_once_and_leaves_nothing(server, what, target, retry, lie):
    server.script = [lie]
    with pytest.raises(DownloadError, match=LIES[lie]):
        download(what, target, retry)
    assert len(server.requests) == 1
    assert list(target.parent.iterdir()) == []


def test_an_endless_answer_is_cut_off_where_no_size_is_promised(server, what, target, retry):
    server.script = ["too_long"]
    with pytest.raises(DownloadError, match="is longer than"):
        download(Download(url=what.url, max_bytes=len(DATA)), target, retry)


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


def test_no_server_at_all_is_one_sentence(what, target, retry, server):
    closed = Download(url="http://127.0.0.1:1/file")
    with pytest.raises(DownloadError, match="refused"):
        download(closed, target, retry)


@pytest.mark.parametrize("url", ["ftp://host/file", "file", "javascript:alert(1)", ""])
def test_another_kind_of_address_is_refused(target, url):
    with pytest.raises(DownloadError, match="not an http, https or file address"):
        download(Download(url=url), target)


def test_a_file_address_is_copied_and_held_to_the_same_promises(tmp_path, target):
    source = tmp_path / "a file"
    source.write_bytes(DATA)
    download(Download(url=source.as_uri(), bytes=len(DATA), sha256=SHA256), target)
    assert target.read_bytes() == DATA
    for promise in ({"bytes": 10}, {"bytes": 10**6}, {"sha256": "0" * 64}):
        with pytest.raises(DownloadError, match="promised"):
            download(Download(url=source.as_uri(), **promise), target)
    with pytest.raises(DownloadError, match="no file"):
        download(Download(url=(tmp_path / "none").as_uri()), target)


def test_a_folder_that_cannot_be_written_is_one_sentence(what, tmp_path, retry):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="cannot write"):
        download(what, tmp_path / "file" / "below", retry)


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


@pytest.mark.hostile(
    "A link planted at the name of a partial download",
    "removed; its target is untouched",
)
def test_a_planted_link_is_removed_and_its_target_untouched(what, target, part, retry, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    part.symlink_to(victim)
    download(what, target, retry)
    assert victim.read_bytes() == b"mine"
    assert target.read_bytes() == DATA
    assert not target.is_symlink()


@pytest.mark.hostile("`file:///dev/zero`, or a FIFO, as an archive", "refused")
@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_a_special_file_is_not_fetched(tmp_path, target, kind):
    source = Path("/dev/zero") if kind == "device" else tmp_path / "fifo"
    if kind == "fifo":
        os.mkfifo(source)
    with pytest.raises(DownloadError, match="is not a regular file"):
        download(Download(url=source.as_uri()), target)
