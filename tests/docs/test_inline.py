"""Commands in the middle of a sentence or in a table: verbs, settings and options that there are."""

import re

import pytest

from tests.docs.pages import inline_commands, pages
from tests.docs.play import look
from unigrpo.cli import submit
from unigrpo.cli.suites import take_suites
from unigrpo.cli.verbs import VERBS, Verb
from unigrpo.config.load import load_config
from unigrpo.config.schema import find
from unigrpo.errors import UniGRPOError

INLINE = [command for page in pages() for command in inline_commands(page)]
OURS = [command for command in INLINE if command.words[0] == "unigrpo" and command.words[1] != "VERB"]
SETTING = re.compile(r"[a-z_][\w.]*=.+|configs/\S+\.yaml")
"""A setting, or a file that is shipped; other words name something of the reader's, or stand for more."""


def subject(words: list[str]) -> Verb:
    """The verb whose settings a command has: `submit` and `data check` have those of another."""
    name, others = words[1], [word for word in words[2:] if word in VERBS]
    if name in ("submit", "data"):
        name = others[0] if others else "sft" if any("/sft/" in word for word in words) else "train"
    return VERBS[name]


@pytest.mark.parametrize("command", OURS, ids=lambda command: f"{command.place}: {command.text[:60]}")
def test_a_command_in_a_sentence_is_one_that_there_is(command):
    words = [re.sub(r"=[SN]$", "=1", word) for word in command.words]
    assert words[1] in VERBS, command.place
    verb = subject(words)
    for option in (word.partition("=")[0] for word in words if word.startswith("--") and word != "--help"):
        named = option in VERBS[words[1]].usage or (words[1] == "submit" and option in submit.OPTIONS)
        key = tuple(option[2:].replace("-", "_").split("."))
        assert named or (verb.schema and find(verb.config_type(), key)), f"{command.place}: {option}"
    _, _, settings = take_suites(words[2:]) if words[1] == "eval" else ([], None, words[2:])
    if verb.schema:
        try:
            load_config(verb.config_type(), [word for word in settings if SETTING.fullmatch(word)])
        except UniGRPOError as error:
            pytest.fail(f"{command.place}: {error}")


@pytest.mark.parametrize("command", [command for command in INLINE if command not in OURS], ids=lambda it: it.place)
def test_a_script_in_a_sentence_is_there_and_has_the_options_that_it_is_given(command):
    look(command)
