import pytest

from tests.docs.play import play


@pytest.mark.slow
def test_every_command_about_stages_does_what_it_says(tmp_path, monkeypatch):
    play("docs/stages.md", tmp_path, monkeypatch)
