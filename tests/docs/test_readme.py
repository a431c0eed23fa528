import pytest

from tests.docs.play import play


@pytest.mark.slow
def test_every_command_of_the_readme_does_what_it_says(tmp_path, monkeypatch):
    play("README.md", tmp_path, monkeypatch)
