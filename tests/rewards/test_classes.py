import pytest

from rewards import Scorer, resolve
from unigrpo.config import RewardEntry
from unigrpo.errors import CheckpointError, ConfigError, RewardError

SOURCE = """
from typing import Literal
from unigrpo.errors import CheckpointError

made = []


class Longer:
    def __init__(self, than: int, scale: float = 1.0, unit: Literal["letters", "words"] = "letters",
                 mark: str | None = None, only: list | None = None, where=None):
        if than > 100:
            raise CheckpointError(f"there is no {than}")
        self.than, self.scale, self.unit = than, scale, unit
        1 / than
        made.append(self)

    def __call__(self, response: str) -> float:
        length = len(response if self.unit == "letters" else response.split())
        return self.scale * (length > self.than)


class Many(Longer):
    def __call__(self, responses):
        return [super(Many, self).__call__(response) for response in responses]


class Silent:
    def __init__(self):
        self.x = 1
"""


@pytest.fixture
def entry(user_file):
    """Make an entry of a class of the file above."""
    path = user_file(SOURCE)

    def make(name: str = "Longer", weight: float = 1.0, **args) -> RewardEntry:
        return RewardEntry(path=f"{path}:{name}", weight=weight, args=args)

    return make


def message(entry: RewardEntry, error: type[Exception] = ConfigError) -> str:
    with pytest.raises(error) as caught:
        resolve("mine", entry)
    return str(caught.value)


@pytest.mark.parametrize("name", ["Longer", "Many"])
def test_a_class_is_made_from_its_settings_and_its_object_scores(rollout, entry, name):
    scorer = Scorer({"mine": entry(name, weight=3.0, than=1, scale=2, unit="words")})
    assert [s.reward for s in scorer.score([rollout("one two"), rollout("one"), rollout("a b c")])] == [6.0, 0.0, 6.0]


def test_a_class_with_equal_settings_is_built_once(entry):
    built = {}
    scorer = Scorer(
        {"a": entry(than=3), "b": entry(than=3, scale=1.0), "c": entry(than=3), "d": entry("Many", than=3)}, built
    )
    other = Scorer({"e": entry(than=3)}, built)
    a, b, c, d = (scorer.rewards[name].function for name in "abcd")
    assert a is c is other.rewards["e"].function
    assert len({id(a), id(b), id(d)}) == len(built) == 3
    assert Scorer({"a": entry(than=3)}).rewards["a"].function is not a


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({}, "rewards.mine.args.than is not set: `mine` cannot do without it."),
        ({"than": 3, "skale": 2.0}, "rewards.mine.args.skale: `mine` takes no `skale`. Did you mean `scale`?"),
        ({"than": 3, "zzz": 1}, "rewards.mine.args.zzz: `mine` takes no `zzz`. It takes `than`, `scale`, `unit`"),
        ({"than": "3"}, "rewards.mine.args.than is '3', but `mine` takes int there."),
        ({"than": True}, "rewards.mine.args.than is True, but `mine` takes int there."),
        ({"than": 3.5}, "rewards.mine.args.than is 3.5, but `mine` takes int there."),
        ({"than": 3, "scale": None}, "rewards.mine.args.scale is None, but `mine` takes float there."),
        (
            {"than": 3, "unit": "word"},
            "rewards.mine.args.unit is 'word', but `mine` takes Literal['letters', 'words'] th",
        ),
        ({"than": 3, "mark": 5}, "rewards.mine.args.mark is 5, but `mine` takes str | None there."),
        ({"than": 3, "only": "x"}, "rewards.mine.args.only is 'x', but `mine` takes list | None there."),
    ],
)
def test_a_wrong_setting_is_found_before_training(entry, args, expected):
    assert expected in message(entry(**args))


def test_settings_of_the_right_type_pass(entry):
    assert resolve("mine", entry(than=3, scale=2, mark=None, only=["x"], where=object))


def test_what_the_constructor_refuses_names_the_reward(entry):
    assert message(entry(than=101), CheckpointError) == "rewards.mine: there is no 101"


def test_a_constructor_that_fails_names_its_line(entry):
    text = message(entry(than=0), RewardError)
    assert "rewards.mine: making Longer (" in text
    assert "raised ZeroDivisionError: division by zero at " in text
    assert "rewards.py:14. Correct it there, or rewards.mine.args." in text


def test_a_class_that_cannot_be_called_is_refused(entry):
    assert message(entry("Silent"), RewardError) == (
        "rewards.mine: Silent has no `__call__`, so it scores nothing: define it."
    )


def test_a_class_is_suggested_for_a_misspelt_one(entry):
    assert "has no function `Longr`. Did you mean `Longer`?" in message(entry("Longr"), RewardError)


def test_an_object_that_fails_names_its_line(rollout, user_file):
    path = user_file("class Mine:\n    def __call__(self, response):\n        return response.nothing\n")
    with pytest.raises(RewardError, match=rf"raised AttributeError: .* at {path}:3, on rollout 3/p:1/0"):
        Scorer({"mine": RewardEntry(path=f"{path}:Mine", on_error="raise")}).score([rollout("")])
