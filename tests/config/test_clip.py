import pytest

from unigrpo.config import ClipConfig
from unigrpo.config.bounds import RANGES, sections
from unigrpo.config.check import check_clip
from unigrpo.config.load import load_config
from unigrpo.config.parts import docs
from unigrpo.config.schema import bare, field_types
from unigrpo.errors import ConfigError

BASE = ["data.source=shapes", "data.task=image"]


def message(*settings: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check_clip(load_config(ClipConfig, [*BASE, *settings]))
    return str(caught.value)


def test_what_is_shipped_passes():
    check_clip(load_config(ClipConfig, ["configs/quickstart/clip.yaml"]))
    check_clip(load_config(ClipConfig, BASE))


def test_every_field_is_explained_and_every_number_has_a_range():
    for _, section in sections(ClipConfig()):
        types = field_types(type(section))
        assert all(docs(type(section))[name].endswith(".") for name in types)
        assert {name for name, kind in types.items() if bare(kind) in (int, float)} == set(
            RANGES[type(section).__name__]
        )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["data.task=understand"], "data.task is understand, but CLIP learns from images with captions: set "),
        (["held_out.source=shapes", "held_out.task=think_image"], "held_out.task is think_image, but CLIP"),
        (["data.template=plain"], "data.template is plain, but it is only used when data.task is another than image"),
        (["data.instruction=Draw"], "data.instruction is Draw, but no prompts are made of captions: drop it."),
        (["data.shuffle=false"], "data.shuffle is False, but no prompts are made of captions: drop it."),
        (["data.max_prompt_length=9"], "data.max_prompt_length is 9, but no prompts are made of captions: drop it."),
        (["batch_size=1"], "batch_size is 1: set it to 2 or more."),
        (["shrink=0"], "shrink is 0.0: set it to above 0 and at most 1."),
        (["noise=-1"], "noise is -1.0: set it to 0 or more."),
        (["cluster.backend=ray"], "cluster.backend is ray, but only `unigrpo train` and `unigrpo sft` use Ray"),
        (["steps=5"], "optim.warmup_steps is 20, more than the 5 optimiser steps of the run (steps)."),
        (["output="], "output is empty: name a folder"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, expected):
    assert expected in message(*settings)
