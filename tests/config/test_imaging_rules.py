import pytest

from unigrpo.config import TokenizerConfig
from unigrpo.config.check import check_tokenizer
from unigrpo.config.load import load_config
from unigrpo.errors import ConfigError


def check(*settings: str) -> None:
    check_tokenizer(load_config(TokenizerConfig, list(settings)))


@pytest.mark.parametrize(
    "settings",
    [
        ["data.path=pictures"],
        ["data.path=pictures", "data.fit=pad", "data.limit=9"],
        ["data.source=file", "data.path=a.jsonl", "data.column=seen", "data.image_root=b", "data.split=test"],
        ["data.source=shapes", "data.size=9", "data.seed=1", "data.split=test"],
        ["data.source=digits", "held_out.source=digits", "held_out.split=test", "held_out_every=7"],
        ["data.path=p", "network.path=old", "resolution=512"],
        ["data.path=p", "network.bits=10", "network.groups=8", "loss.l1=0", "loss.entropy=0"],
        ["data.path=p", "optim.schedule=constant", "loss.entropy_steps=7"],
    ],
)
def test_settings_that_go_together_pass(settings):
    check(*settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "data.path is not set: data.source=folder reads one, so name it."),
        (["data.source=file"], "data.path is not set: data.source=file reads one, so name it."),
        (
            ["data.source=digits", "data.path=p"],
            "data.path is 'p', but data.source=digits draws its pictures: drop it.",
        ),
        (
            ["data.source=shapes", "held_out.path=x", "held_out.split=test"],
            "held_out.split is test, but it is only used when held_out.source is file, shapes or digits: drop it.",
        ),
        (
            ["data.path=p", "data.column=seen"],
            "data.column is seen, but it is only used when data.source=file: drop it.",
        ),
        (
            ["data.path=p", "data.size=9"],
            "data.size is 9, but it is only used when data.source is shapes or digits: drop it.",
        ),
        (
            ["data.source=shapes", "data.fit=squash"],
            "data.fit is squash, but it is only used when data.source is folder or file: drop it.",
        ),
        (
            ["data.path=p", "network.path=old", "network.bits=9"],
            "network.bits is 9, but it is only used when network.path is not set: drop it.",
        ),
        (
            ["data.path=p", "held_out_every=9"],
            "held_out_every is 9, but it is only used when held_out is set: drop it.",
        ),
        (
            ["data.path=p", "loss.entropy_final=0.06", "loss.entropy_steps=9"],
            "loss.entropy_steps is 9, but it is only used when loss.entropy and loss.entropy_final differ: drop it.",
        ),
        (
            ["data.path=p", "loss.l1=0", "loss.l2=0"],
            "loss.l1 and loss.l2 are both 0, so no picture would be learned: set one above 0.",
        ),
        (["data.path=p", "network.bits=21"], "network.bits is 21: set it to between 1 and 20."),
        (["data.path=p", "loss.entropy=-1"], "loss.entropy is -1.0: set it to 0 or more."),
        (["data.path=p", "resolution=0"], "resolution is 0: set it to 1 or more."),
        (
            ["data.path=p", "steps=9"],
            "optim.warmup_steps is 50, more than the 9 optimiser steps of the run (steps).",
        ),
    ],
)
def test_settings_that_contradict_each_other_say_what_to_do(settings, message):
    with pytest.raises(ConfigError) as caught:
        check(*settings)
    assert str(caught.value) == message
