"""The gallery in a real browser."""

import json
import urllib.request
from pathlib import Path

import pytest

from dcgan.serving.cli.favourites import read_favourites
from tests.serving.http.page.support import (
    BUSY,
    LATE,
    failing,
    query_of,
    wait_for_pictures,
    wait_until,
)

pytestmark = pytest.mark.slow


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


def test_what_was_scrolled_to_last_is_fetched_first(open_page):
    page = open_page()
    order = page.evaluate(
        """async () => {
          const { createQueue } = await import('/static/server.js');
          const queue = createQueue(1);
          const started = [];
          const job = (name) => async () => started.push(name);
          const gone = job('gone');
          const { promise, resolve } = Promise.withResolvers();
          queue.add([() => promise]); // all others wait for this one
          queue.add([job('row 1 left'), job('row 1 right')]);
          queue.add([job('row 2 left'), gone, job('row 2 right')]);
          queue.remove(gone);
          resolve();
          while (started.length < 4) await new Promise((done) => setTimeout(done));
          return started;
        }"""
    )
    assert order == ["row 2 left", "row 2 right", "row 1 left", "row 1 right"]


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
    wait_until(page, "!location.search.includes('seed=42&')")


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
