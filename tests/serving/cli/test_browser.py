"""dcgan-serve --open."""

import stat
import webbrowser

import pytest

from dcgan.serving.cli.browser import open_page, page_url
from tests.serving.support import poll


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000/"),
        ("[::]:80", "http://[::1]:80/"),
        ("[::1]:80", "http://[::1]:80/"),
        ("example.org:80", "http://example.org:80/"),
    ],
)
def test_the_url_is_one_that_this_machine_can_open(address, url):
    assert page_url(address) == url


def fail(url: str) -> bool:
    raise webbrowser.Error("could not locate runnable browser")


@pytest.mark.parametrize("attempt", [fail, lambda url: False], ids=["none", "broken"])
def test_a_missing_browser_is_a_warning_with_the_address(monkeypatch, caplog, attempt):
    monkeypatch.setattr(webbrowser, "open", attempt)
    open_page("127.0.0.1:8000").join()
    (record,) = caplog.records
    said = "there is no browser to open; the page is at http://127.0.0.1:8000/"
    assert (record.levelname, record.getMessage()) == ("WARNING", said)


@pytest.mark.slow
def test_the_page_of_a_ready_server_is_opened(start_server, only, tmp_path, monkeypatch):
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\nprintf %s "$1" > {tmp_path}/opened.part\n'
        f"mv {tmp_path}/opened.part {tmp_path}/opened\n"
    )
    browser.chmod(browser.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("BROWSER", f"{browser} %s")

    with start_server(only("tiny"), "--open") as server:
        poll((tmp_path / "opened").exists)
        assert (tmp_path / "opened").read_text() == f"{server.url}/"
        assert f"ready at {server.target} (gRPC) and {server.url}/v1/models (HTTP)" in (
            server.ready_line
        )
