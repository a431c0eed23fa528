from dataclasses import is_dataclass
from typing import get_args

import pytest

from unigrpo import config
from unigrpo.cli.verbs import VERBS as BY_NAME
from unigrpo.config import EvalConfig, SFTConfig, StageSection, TrainConfig
from unigrpo.config.bounds import RANGES
from unigrpo.config.help import help_text
from unigrpo.config.parts import docs
from unigrpo.config.schema import bare, field_types, leaves
from unigrpo.errors import ConfigError

VERBS = [verb.config_type() for verb in BY_NAME.values() if verb.schema]


def reachable(section: type, found: list[type] | None = None) -> list[type]:
    """A section and all those that can be inside it, by name, optional or in any number."""
    found = [] if found is None else found
    if section not in found:
        found.append(section)
        for annotation in field_types(section).values():
            for inner in (bare(annotation), *get_args(bare(annotation))):
                if is_dataclass(inner):
                    reachable(inner, found)  # pyright: ignore[reportArgumentType]
    return found


SECTIONS = list(dict.fromkeys(section for verb in VERBS for section in reachable(verb)))


def test_every_section_there_is_belongs_to_a_verb():
    public = {one for name in config.__all__ if is_dataclass(one := getattr(config, name))}
    assert public <= set(SECTIONS)
    assert {SFTConfig, EvalConfig, StageSection} <= public
    assert {section.__name__ for section in SECTIONS} == set(RANGES)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_of_every_section_is_explained(section):
    assert set(docs(section)) == set(field_types(section))
    assert all(len(doc) > 5 and doc.endswith(".") for doc in docs(section).values())


@pytest.mark.parametrize("section", SECTIONS)
def test_every_number_has_a_range(section):
    numbers = {name for name, kind in field_types(section).items() if bare(kind) in (int, float)}
    assert numbers == set(RANGES[section.__name__])


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_every_key_within_100_columns(verb):
    text = help_text(verb)
    assert max(map(len, text.splitlines())) <= 100
    for key in leaves(verb):
        parts = key.split(".")
        around = [".".join(parts[:end]) for end in range(1, len(parts))]
        assert f"  {key}=" in text or (any(f"\n{name}\n" in text for name in around) and "Keys as in `" in text)


def test_help_of_a_section_shows_its_defaults_in_this_verb():
    assert "  optim.lr=5e-05  (float)\n      Peak learning rate." in help_text(SFTConfig, "optim")
    assert "  optim.lr=1e-06  (float)" in help_text(TrainConfig, "optim")
    assert "  rollout.steps=null  (int | null)" in help_text(TrainConfig, "rollout")
    assert "  algo.kl=k3  (k1 | k2 | k3)" in help_text(TrainConfig, "algo")
    assert "  rewards.NAME.weight=1.0  (float)" in help_text(TrainConfig, "rewards")
    assert "  eval.data.source=file" in help_text(TrainConfig, "eval")


def test_help_of_an_unknown_section_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"^noise is no section: those of SFTConfig are model, model.lora, "):
        help_text(SFTConfig, "noise")
