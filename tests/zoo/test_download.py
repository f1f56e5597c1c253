"""Downloads from a server that truncates, lies, stalls, redirects and fails, and then behaves."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from dcgan.zoo.download import Download, DownloadError, _check_response, download
from tests.zoo.misbehaving_server import DATA, SHA256


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


@pytest.mark.slow
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


@pytest.mark.hostile("A Content-Length of 5,000 digits, or of other scripts", "ignored")
@pytest.mark.parametrize("length", ["9" * 5000, "\u0662", "-1", "+1"])
def test_an_odd_content_length_is_ignored(tmp_path: Path, length: str):
    response = SimpleNamespace(status=200, headers={"Content-Length": length})
    file = Download(url="http://localhost/x", bytes=5)
    assert _check_response(file, response, tmp_path / "part", 0) == 0
