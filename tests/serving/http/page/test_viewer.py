"""One picture, and walks to another, in a real browser."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dcgan.core.images import decode_png
from tests.serving.http.page.support import query_of, wait_for_pictures, wait_until

pytestmark = pytest.mark.slow


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
