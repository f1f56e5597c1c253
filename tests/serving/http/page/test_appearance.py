"""The page on a phone, to people who cannot see it, and as screenshots."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serving.http.page.support import BUSY, PHONE, failing, wait_for_pictures, wait_until

pytestmark = pytest.mark.slow


def test_a_phone_shows_everything_without_scrolling_sideways(open_page):
    page = open_page("?seed=7", **PHONE)
    wait_for_pictures(page, 3)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".tile").nth(2).tap()
    page.wait_for_selector("#viewer[open] #origin dd")
    assert page.evaluate("document.getElementById('viewer').scrollWidth <= innerWidth")
    assert page.locator("#viewer-close").bounding_box()["width"] >= 40


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str:
    """The source of axe-core."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("axe")
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "axe-core@4"]

    try:
        done = subprocess.run(install, cwd=folder, capture_output=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the npm registry did not answer within two minutes")
    if done.returncode != 0:
        pytest.skip("npm cannot install axe-core")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "query", ["?", "?picture=classy/2/7/3", "?view=favourites", "?view=name&name=a"]
)
def test_axe_finds_no_fault(open_page, axe, scheme, query):
    page = open_page(query, color_scheme=scheme, reduced_motion="reduce")
    page.wait_for_selector("#models img", state="attached")
    wait_until(page, "document.getAnimations().every(each => each.playState !== 'running')")
    page.evaluate(axe)
    found = page.evaluate("axe.run().then((result) => result.violations)")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def test_screenshots_are_made(open_page, tmp_path):
    """For a person to look at, into the folder that DCGAN_SCREENSHOTS names."""
    folder = Path(os.environ.get("DCGAN_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    for name, options in {
        "desktop-light": {"color_scheme": "light"},
        "desktop-dark": {"color_scheme": "dark"},
        "phone": PHONE,
    }.items():
        page = open_page("?seed=7", **options)
        wait_for_pictures(page, 9)
        page.screenshot(path=folder / f"{name}.png")
    page = open_page("?seed=7&picture=tiny/2/7/3")
    page.wait_for_selector("#origin dd")
    page.screenshot(path=folder / "picture.png")
    page.click("#walk button[type=submit]")
    page.wait_for_selector("#walk-result:not([hidden])")
    page.screenshot(path=folder / "walk.png")
    page = open_page()
    with failing(page, "**/images/**", lambda route: route.fulfill(**BUSY)):
        page.fill("#seed", "5")
        page.wait_for_selector("#notice:not([hidden])")
        page.screenshot(path=folder / "busy.png")

    assert len(list(folder.glob("*.png"))) >= 6
