"""The commands of the guides; those of some pages are in files of their own, for other processes to run."""

import pytest

from tests.docs.pages import pages
from tests.docs.play import play
from tests.docs.worlds import WORLDS

ELSEWHERE = ("README.md", "docs/stages.md", "docs/curation.md")


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in pages() if page not in ELSEWHERE])
def test_every_command_of_a_guide_does_what_it_says(page, tmp_path, monkeypatch):
    play(page, tmp_path, monkeypatch)


def test_every_stand_in_is_for_a_page_that_there_is():
    assert set(WORLDS) <= set(pages())
