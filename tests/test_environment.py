"""What a run was made with."""

import json
import platform
from importlib.metadata import version

from unigrpo import __version__, environment


def test_a_start_is_told_by_versions_and_by_nothing_that_names_a_person_or_a_place(tmp_path):
    environment.record(tmp_path)
    (start,) = environment.recorded(tmp_path)
    assert start["unigrpo"] == __version__
    assert start["torch"] == version("torch")
    text = json.dumps(start)
    assert platform.node() not in text
    assert "/" not in text.replace("n/a", "")


def test_starts_with_the_same_are_one_and_others_are_added(tmp_path):
    environment.record(tmp_path)
    environment.record(tmp_path)
    assert len(environment.recorded(tmp_path)) == 1
    old = environment.recorded(tmp_path)[0] | {"torch": "1.0"}
    (tmp_path / environment.NAME).write_text(json.dumps([old]))
    environment.record(tmp_path)
    assert [start["torch"] for start in environment.recorded(tmp_path)] == ["1.0", version("torch")]


def test_what_cannot_be_read_is_not_known(tmp_path):
    assert environment.recorded(tmp_path) == []
    (tmp_path / environment.NAME).write_text("[1, {")
    assert environment.recorded(tmp_path) == []
    (tmp_path / environment.NAME).write_text('[1, {"torch": "1"}]')
    assert environment.recorded(tmp_path) == [{"torch": "1"}]
