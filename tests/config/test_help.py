import pytest

from unigrpo.config import EvalConfig, GenerateConfig, SFTConfig, TokenizerConfig, TrainConfig
from unigrpo.config.bounds import RANGES, sections
from unigrpo.config.help import docs, help_text
from unigrpo.config.schema import bare, field_types, leaves
from unigrpo.errors import ConfigError

VERBS = [TrainConfig, SFTConfig, EvalConfig, GenerateConfig, TokenizerConfig]


@pytest.mark.parametrize("verb", VERBS)
def test_every_field_of_every_section_is_explained(verb):
    for _, section in sections(verb()):
        assert set(docs(type(section))) == set(field_types(type(section)))
        assert all(len(doc) > 5 and doc.endswith(".") for doc in docs(type(section)).values())


@pytest.mark.parametrize("verb", VERBS)
def test_every_number_has_a_range(verb):
    for _, section in sections(verb()):
        numbers = {name for name, kind in field_types(type(section)).items() if bare(kind) in (int, float)}
        assert numbers == set(RANGES[type(section).__name__])


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
