"""A server with a page, and a real browser."""

import os
import shutil

import pytest


@pytest.fixture(scope="module")
def site(start_server, repository, tmp_path_factory):
    """A server with two models, one of them with classes."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("tiny", "classy"):
        shutil.copytree(repository / name / "2", folder / name / "2")
    with start_server(folder, "--model", "tiny", "--no-http-access-log") as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no chromium; install it or name it in CHROMIUM")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser, site):
    """Opens the page: a function of its query and of options of the browser."""
    contexts = []
    complaints = []

    def open_with(query: str = "", **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console", lambda message: complaints.append(message.text) if is_bad(message) else 0
        )
        page.goto(f"{site.url}/{query}")
        return page

    yield open_with
    for context in contexts:
        context.close()
    assert complaints == []


def is_bad(message) -> bool:
    return message.type in ("error", "warning") and "Failed to load resource" not in message.text
