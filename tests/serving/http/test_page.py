"""The gallery in a real browser."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from dcgan.core.images import decode_png
from dcgan.serving.cli.favourites import read_favourites

pytestmark = pytest.mark.slow

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
BUSY = {
    "status": 429,
    "headers": {"retry-after": "1", "content-type": "application/problem+json"},
    "body": json.dumps({"reason": "QUEUE_FULL", "detail": "the queue is full"}),
}

LATE = BUSY | {
    "status": 504,
    "headers": {"content-type": "application/problem+json"},
    "body": json.dumps({"reason": "DEADLINE_UNREACHABLE", "detail": "allow more time"}),
}


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


def wait_until(page, condition: str) -> None:
    """Waits for a condition in JavaScript; the page's policy forbids Playwright's own way."""
    deadline = time.monotonic() + 60
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(30)


def wait_for_pictures(page, n: int = 1) -> None:
    wait_until(page, f"document.querySelectorAll('#pictures img.shown').length >= {n}")


@contextmanager
def failing(page, pattern: str, answer):
    page.route(pattern, answer)
    yield
    page.unroute(pattern)


def query_of(page) -> dict[str, str]:
    return page.evaluate("Object.fromEntries(new URLSearchParams(location.search))")


def test_the_page_allows_no_foreign_content(site):
    with urllib.request.urlopen(site.url) as response:
        policy = response.headers["content-security-policy"]
        text = response.read().decode()
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert " style=" not in text
    assert " on" + "click=" not in text


def test_the_page_shows_models_and_pictures(open_page):
    page = open_page()
    wait_for_pictures(page, 12)
    cards = page.locator("#models button")
    assert cards.count() == 2
    assert "tiny" in cards.nth(0).inner_text()
    assert cards.nth(0).get_attribute("aria-pressed") == "true"
    wait_until(page, "[...document.querySelectorAll('#models img')].every(i => i.naturalWidth)")


def test_cards_stay_level_and_full_however_long_the_descriptions_are(open_page):
    page = open_page("?model=tiny", viewport={"width": 1280, "height": 900})
    wait_for_pictures(page)
    cards = page.evaluate(
        """() => [...document.querySelectorAll('.models button')].map((card, place) => {
          const about = card.querySelector('.about');
          about.textContent = place ? 'Short' : 'A long description of a model. '.repeat(4);
          card.setAttribute('aria-pressed', 'false');
          return card;
        }).map((card) => {
          const box = card.getBoundingClientRect();
          const bottom = (part) => card.querySelector(part).getBoundingClientRect().bottom;
          const below = (part) => box.bottom - bottom(part);
          return { height: box.height, tags: below('.tags'), about: below('.about') };
        })"""
    )

    long, short = cards
    assert long["height"] == short["height"]
    assert long["tags"] == short["tags"] < 24
    assert short["about"] - long["about"] < 60  # two lines at most


def test_scrolling_brings_more_and_lets_go_of_what_is_gone(open_page):
    page = open_page()
    wait_for_pictures(page)
    before = page.locator(".tile").count()
    for _ in range(4):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(150)
    wait_until(page, f"document.querySelectorAll('.tile').length > {before + 100}")
    wait_until(page, "!document.querySelector('.tile img').hasAttribute('src')")
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_selector(".tile:first-child img.shown")


def test_controls_change_the_pictures_and_the_url(open_page):
    page = open_page()
    wait_for_pictures(page)
    page.fill("#seed", "42")
    page.wait_for_selector('img[alt="Picture 0 of seed 42"].shown')
    assert query_of(page) == {"seed": "42"}

    page.fill("#seed", "99999999999999999999")
    assert page.get_attribute("#seed", "aria-invalid") == "true"
    assert query_of(page) == {"seed": "42"}

    page.locator("#models button").nth(1).click()
    page.select_option("#label", "2")
    page.locator("#truncation").fill("0.5")
    page.locator("#zoom").fill("128")
    wait_until(page, "location.search.includes('truncation=0.5')")
    assert query_of(page) == {
        "model": "classy",
        "seed": "42",
        "label": "2",
        "truncation": "0.5",
        "zoom": "128",
    }
    page.reload()
    wait_for_pictures(page)
    assert page.input_value("#label") == "2"
    assert page.input_value("#seed") == "42"
    assert page.locator("#models button").nth(1).get_attribute("aria-pressed") == "true"

    page.click("#surprise")
    wait_until(page, "!location.search.includes('seed=42')")


def test_a_picture_opens_with_its_address_and_downloads(open_page, expected, site):
    page = open_page("?seed=7")
    wait_for_pictures(page, 4)
    page.locator(".tile").nth(3).click()
    page.wait_for_selector("#viewer[open] #origin dd")
    assert page.inner_text("#address") == "tiny/2/7/3"
    assert query_of(page)["picture"] == "tiny/2/7/3"
    assert "tiny, version 2" in page.inner_text("#origin")
    texts = page.locator("#downloads a").all_inner_texts()
    assert [text[:5] for text in texts] == ["PNG 1", "PNG 2", "PNG 4", "PNG 8", "WebP"]
    with page.expect_download() as caught:
        page.locator("#downloads a").nth(1).click()
    picture = decode_png(Path(caught.value.path()).read_bytes())
    assert caught.value.suggested_filename == "tiny-2-7-3@2x.png"
    assert np.array_equal(picture[::2, ::2], expected("tiny", 7, [3])[0])

    page.keyboard.press("ArrowRight")
    wait_until(page, "document.getElementById('address').textContent === 'tiny/2/7/4'")
    page.keyboard.press("Escape")
    page.wait_for_selector("#viewer", state="hidden")
    assert "picture" not in query_of(page)


def test_an_address_in_the_url_opens_the_picture(open_page):
    page = open_page("?picture=classy/2/18446744073709551615/5&label=1")
    page.wait_for_selector("#viewer[open] #origin dd")
    assert page.inner_text("#address") == "classy/2/18446744073709551615/5"
    assert "1" in page.locator("#origin dt:has-text('Class') + dd").inner_text()


def test_the_address_and_code_can_be_copied(open_page, site):
    page = open_page("?picture=tiny/2/7/3", permissions=["clipboard-read", "clipboard-write"])
    page.wait_for_selector("#origin dd")
    page.click("#copy-address")
    page.wait_for_selector("#copy-address:has-text('Copied')")
    url = f"{site.url}/v1/models/tiny/2/images/7.png?index=3"
    assert page.evaluate("navigator.clipboard.readText()") == url
    page.click("#tab-node")
    page.click("#copy-code")
    page.wait_for_selector("#copy-code:has-text('Copied')")
    assert url in page.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize("language", ["curl", "python", "node"])
def test_the_code_fetches_exactly_this_picture(open_page, expected, tmp_path, language):
    page = open_page("?picture=tiny/2/7/3")
    page.wait_for_selector("#origin dd")
    page.click(f"#tab-{language}")
    code = page.inner_text("#code")
    program = {
        "curl": ["sh", "-c", code.replace("curl ", "curl -s ")],
        "python": ["python3", "-c", code],
        "node": ["node", "--input-type=module", "-e", code],
    }[language]
    if shutil.which(program[0] if language != "curl" else "curl") is None:
        pytest.skip(f"there is no {language}")
    subprocess.run(program, cwd=tmp_path, check=True, timeout=60)
    (file,) = tmp_path.iterdir()

    assert file.name == "tiny-2-7-3.png"
    assert np.array_equal(decode_png(file.read_bytes()), expected("tiny", 7, [3])[0])


def test_a_walk_leads_to_a_picture_that_is_chosen_in_the_grid(open_page):
    page = open_page("?seed=7")
    wait_for_pictures(page, 6)
    page.locator(".tile").nth(2).click()
    page.click("#walk-pick")
    page.wait_for_selector("#notice:has-text('Choose the picture')")
    page.locator(".tile").nth(5).click()
    page.wait_for_selector("#walk-result:not([hidden])")

    assert page.inner_text("#address") == "tiny/2/7/2"
    href = page.locator("#walk-downloads a").nth(1).get_attribute("href")
    assert href.startswith("/v1/models/tiny/2/walks/7-7.gif?index_a=2&index_b=5")
    wait_until(page, "document.getElementById('walk-picture').naturalWidth > 0")


def test_a_walk_starts_however_fast_the_second_picture_is_chosen(open_page):
    page = open_page("?seed=7")
    wait_for_pictures(page, 6)
    page.locator(".tile").nth(2).click()
    page.evaluate(
        """() => {
            document.getElementById("walk-pick").click();
            document.querySelectorAll(".tile")[5].click(); // before the dialog's event of closing
        }"""
    )
    page.wait_for_selector("#walk-result:not([hidden])")


def test_favourites_are_kept_and_exported(open_page):
    page = open_page("?picture=classy/2/7/3&truncation=0.5")
    page.wait_for_selector("#origin dd")
    page.click("#keep")

    assert page.get_attribute("#keep", "aria-pressed") == "true"
    page.keyboard.press("Escape")
    page.wait_for_function("!location.search.includes('picture=')")  # or the reload opens it again
    page.reload()
    page.wait_for_selector("#favourite-count:has-text('1')")
    page.click("[data-view=favourites]")
    page.wait_for_selector("#favourites img.shown")
    with page.expect_download() as caught:
        page.click("#export")
    assert json.loads(Path(caught.value.path()).read_bytes()) == {
        "schema_version": 1,
        "favourites": [
            {
                "model": "classy",
                "version": 2,
                "seed": "7",
                "index": "3",
                "label": None,
                "truncation": 0.5,
            },
        ],
    }
    (favourite,) = read_favourites(Path(caught.value.path()))  # as dcgan-generate --from does
    assert (favourite.model, favourite.seed, favourite.index) == ("classy", 7, 3)

    page.on("dialog", lambda dialog: dialog.accept())
    page.click("#clear")
    page.wait_for_selector("#favourites-empty")


def test_a_name_has_a_picture_by_every_model(open_page):
    page = open_page("?view=name")
    page.fill("#name", "Zoë / team")
    page.wait_for_selector("#portraits button:not([disabled]) >> nth=1")
    assert page.locator("#portraits button").count() == 2
    assert query_of(page)["name"] == "Zoë / team"
    page.locator("#portraits button").nth(0).click()
    page.wait_for_selector("#viewer[open] #origin dd")
    seed = page.inner_text("#address").split("/")[2]
    assert page.inner_text("#name-seed") == f"Seed {seed}"


def test_the_keyboard_reaches_everything(open_page):
    page = open_page()
    wait_for_pictures(page, 12)
    page.keyboard.press("Tab")

    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.querySelector('img').alt").startswith("Picture 0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    focused = page.evaluate("document.activeElement.querySelector('.number').textContent")
    assert int(focused) > 1
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#viewer", state="hidden")
    assert page.evaluate("document.activeElement.querySelector('.number').textContent") == focused


@pytest.mark.parametrize("refusal", [BUSY, LATE])
def test_a_busy_server_is_told_kindly_and_waited_for(open_page, refusal):
    page = open_page()
    wait_for_pictures(page)
    with failing(page, "**/images/**", lambda route: route.fulfill(**refusal)):
        page.fill("#seed", "5")
        page.wait_for_selector("#notice:has-text('busy just now')")
    page.wait_for_selector('img[alt="Picture 0 of seed 5"].shown')
    page.wait_for_selector("#notice", state="hidden")


def test_a_server_that_is_gone_is_told_kindly_and_found_again(open_page):
    page = open_page()
    wait_for_pictures(page)
    with failing(page, "**/v1/**", lambda route: route.abort()):
        page.fill("#seed", "6")
        page.wait_for_selector("#notice:has-text('cannot be reached')")
    page.wait_for_selector('img[alt="Picture 0 of seed 6"].shown')
    page.wait_for_selector("#notice", state="hidden")


def test_a_picture_that_does_not_exist_is_told(open_page):
    page = open_page("?picture=none/1/7/3")
    page.wait_for_selector("#viewer-notice:has-text('there is no model')")


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
    page.wait_for_timeout(300)
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
