"""The page in a real browser: what moves moves, by mouse and by keyboard, and nothing is asked for from outside."""

import pytest

from tests.browser import Browser, chromium
from tests.reports import runs
from unigrpo.cli.main import main

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium")
LEFT, HOME = ("ArrowLeft", 37), ("Home", 36)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    one, two, out = runs.trained(folder / "one"), runs.trained(folder / "two", steps=60, seed=1), folder / "page.html"
    assert main(["report", str(one), str(two), f"output={out}"]) == 0
    return out


def hidden(browser) -> list[str]:
    """The tokens of the first replay that are covered."""
    return browser.ask("[...document.querySelectorAll('.replay')][0].querySelectorAll('.off').length")


def grey(browser) -> int:
    """The squares of the first drawing that are covered."""
    return browser.ask(
        "(() => { const c = document.querySelector('canvas'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0;"
        " return n })()"
    )


def test_the_slider_of_a_text_moves_by_keyboard(browser, page):
    browser.open(page)
    assert hidden(browser) == 0
    browser.ask("document.querySelector('.replay input').focus()")
    browser.press(*LEFT)
    assert hidden(browser) == 1
    assert browser.ask("document.querySelector('.replay .off').textContent") == "3"
    assert browser.ask("document.querySelector('.replay output').textContent") == "step 1 of 2: 2 of 3 tokens"
    browser.press(*LEFT)
    assert hidden(browser) == 3


def test_the_slider_of_a_drawing_uncovers_it_code_by_code(browser, page):
    browser.open(page)
    browser.ask("document.querySelector('.replay:has(canvas) input').focus()")
    browser.press(*HOME)
    covered = [grey(browser)]
    for _ in range(4):
        browser.press("ArrowRight", 39)
        covered.append(grey(browser))
    assert covered == [4, 3, 2, 1, 0]


def test_play_runs_to_the_end_by_itself(browser, page):
    browser.open(page)
    browser.ask("document.querySelector('.replay button').click()")
    assert hidden(browser) == 3
    browser.ask("new Promise((done) => setTimeout(done, 1500))")
    assert hidden(browser) == 0
    assert browser.ask("document.querySelector('.replay button').textContent") == "Play"


def test_a_search_leaves_what_has_its_words(browser, page):
    browser.open(page)
    browser.ask("document.querySelector('.search input').focus()")
    browser.type("eight IT")
    shown = "[...document.querySelectorAll('.rollouts')[0].querySelectorAll('.group')].map((one) => !one.hidden)"
    assert browser.ask(shown) == [True, False]
    browser.ask("document.querySelector('.search input').value = ''")
    browser.ask("document.querySelector('.search input').dispatchEvent(new Event('input'))")
    assert browser.ask(shown) == [True, True]


def test_moving_averages_can_be_left_out(browser, page):
    browser.open(page)
    faint = "getComputedStyle(document.querySelector('.faint')).opacity"
    smooth = "getComputedStyle(document.querySelector('.smooth')).display"
    assert (browser.ask(faint), browser.ask(smooth)) == ("0.28", "inline")
    browser.ask("document.getElementById('smooth').click()")
    assert (browser.ask(faint), browser.ask(smooth)) == ("1", "none")


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_a_page_fits_its_window_asks_for_nothing_and_breaks_none_of_its_rules(browser, page, width, dark):
    browser.open(page, width, dark)
    browser.ask("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.asked_for() == []
    assert browser.complaints() == []
    light = browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light is not dark
