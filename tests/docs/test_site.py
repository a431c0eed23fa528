"""The site is built without a warning, holds every setting, needs no network, and is searched from a folder."""

import os
import re
import subprocess
import sys
import time

import pytest

from tests.browser import Browser, chromium
from tests.docs.pages import HOME
from unigrpo.cli.verbs import VERBS
from unigrpo.config.schema import leaves

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(HOME)}
    found = subprocess.run(command, cwd=HOME, env=env, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "WARNING" not in found.stderr
    return folder


def test_the_first_page_is_the_readme_with_its_pictures(site):
    text = (site / "index.html").read_text()
    assert "Two commands" in text
    assert 'src="quickstart.png"' in text
    assert 'href="rewards.html"' in text


@pytest.mark.parametrize("verb", [name for name, verb in VERBS.items() if verb.schema])
def test_every_setting_of_a_verb_has_an_anchor_or_is_said_to_be_as_another(site, verb):
    text = (site / f"reference/{verb}.html").read_text()
    for key in leaves(VERBS[verb].config_type()):
        around = {".".join(key.split(".")[:end]) for end in range(1, key.count(".") + 1)}
        alike = any(re.search(rf'id="{re.escape(name)}".*?</h2>\s*<p>[^\n]*Keys as in', text) for name in around)
        assert f'id="{key}"' in text or alike, key


def test_every_verb_is_in_the_reference(site):
    text = (site / "reference/cli.html").read_text()
    assert all(f'id="{name}"' in text for name in VERBS)


def test_no_page_asks_for_anything_from_outside(site):
    for page in site.rglob("*.html"):
        asked = re.findall(r'(?:src="|<link[^>]*href=")(https?://[^"]*)"', page.read_text())
        assert not asked, f"{page}: {asked}"


@pytest.mark.skipif(chromium() is None, reason="there is no Chromium")
def test_a_reader_finds_a_setting_by_search_without_a_server_or_a_network(site, tmp_path):
    browser = Browser(tmp_path)
    try:
        browser.open(site / "index.html")
        browser.ask("document.querySelector('label[for=__search]').click()")
        browser.ask("document.querySelector('.md-search__input').focus()")
        browser.type("antithetic")
        browser.press("Shift", 16)  # results are made when a key is released
        links = "[...document.querySelectorAll('.md-search-result__link')].map(link => link.href)"
        deadline = time.monotonic() + 30
        while not (found := browser.ask(links)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert any("reference/train.html" in link and "algo.noise" in link for link in found)
        assert [url for url in browser.asked_for() if not url.startswith("file:")] == browser.complaints() == []
    finally:
        browser.close()
