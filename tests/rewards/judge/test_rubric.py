import pytest

from rewards.judge.message import content
from rewards.judge.rubric import Rubric
from unigrpo.errors import ConfigError, RewardError


def filled(template: str, **values) -> str:
    text = content(Rubric.parse(template), values, "Answer.", 100)
    assert isinstance(text, str)
    return text


def test_values_stand_in_their_places_whatever_braces_they_hold():
    text = filled("{{ {prompt} }} {answer}; {response} {prompt}", prompt="{response} {0} {{", answer="}", response="r")
    assert text.startswith("{ {response} {0} {{ } }; [BEGIN ")
    assert "] {response} {0} {{\n\n" in text


def test_what_is_no_text_becomes_json():
    assert filled("{tags} {n} {response}", tags={"a": [1, None]}, n=2.5, response="").startswith(
        '{"a": [1, null]} 2.5 '
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Is {response polite?", "rubric: expected '}' before end of string: write {name} for a place, and {{ or }}"),
        ("Is } {response}", "rubric: Single '}' encountered in format string: write {name} for a place"),
        ("Is {} right?", "rubric has the place {}: name it alone"),
        ("{response.__class__}", "rubric has the place {response.__class__}: name it alone"),
        ("{response[0]}", "rubric has the place {response[0]}: name it alone"),
        ("{response!r}", "rubric has the place {response}: name it alone"),
        ("{response:>9}", "rubric has the place {response}: name it alone"),
        (
            "Is it good? {prompt}",
            "rubric names neither {response} nor {image}, so that nothing would be judged",
        ),
    ],
)
def test_a_wrong_rubric_is_refused(template, expected):
    with pytest.raises(ConfigError) as caught:
        Rubric.parse(template)
    assert expected in str(caught.value)


def test_a_name_that_has_no_value_is_named():
    with pytest.raises(RewardError, match=r"rubric names \{solution\}, but there is prompt, response\."):
        filled("{response} {solution}", prompt="", response="")
