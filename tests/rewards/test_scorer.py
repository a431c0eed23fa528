import math
import pickle

import numpy as np
import pytest

from rewards import Scorer
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError, RewardError


@pytest.fixture
def scorer_of(user_file):
    """Make a scorer of one reward whose body is given."""

    def make(body: str) -> Scorer:
        path = user_file(f"import numpy as np\ndef mine(response, answer):\n    {body}\n", f"r{abs(hash(body))}.py")
        return Scorer({"mine": RewardEntry(path=f"{path}:mine")})

    return make


def test_the_reward_is_the_weighted_sum_of_unweighted_parts_in_order(rollout, user_file):
    path = user_file("def length(response): return len(response)")
    scorer = Scorer(
        {
            "exact_match": RewardEntry(weight=2.0),
            "format": RewardEntry(weight=0.5),
            "length": RewardEntry(weight=0.0, path=f"{path}:length"),
        }
    )
    items = [rollout(text, id=f"p:{i}") for i, text in enumerate(["<think>a</think> 42", "42", "<think>a</think> 4"])]
    scored = scorer.score(items)
    assert [s.rollout for s in scored] == items
    assert [s.reward for s in scored] == [2.5, 2.0, 0.5]
    assert [s.parts for s in scored] == [
        {"exact_match": 1.0, "format": 1.0, "length": 19.0},
        {"exact_match": 1.0, "format": 0.0, "length": 2.0},
        {"exact_match": 0.0, "format": 1.0, "length": 18.0},
    ]
    again = scorer.score(items[::-1])[::-1]
    assert [s.reward for s in again] == [s.reward for s in scored]


def test_a_part_that_does_not_apply_is_left_out(rollout, user_file):
    path = user_file("def mine(response): return None if response == '42' else 0.5")
    scorer = Scorer({"exact_match": RewardEntry(), "mine": RewardEntry(path=f"{path}:mine", weight=4)})
    scored = scorer.score([rollout("42"), rollout("41")])
    assert [(s.reward, s.parts) for s in scored] == [
        (1.0, {"exact_match": 1.0}),
        (2.0, {"exact_match": 0.0, "mine": 0.5}),
    ]


@pytest.mark.parametrize(
    ("body", "value"),
    [("return True", 1.0), ("return 3", 3.0), ("return np.float32(0.5)", 0.5), ("return np.bool_(False)", 0.0)],
)
def test_any_number_is_a_reward(rollout, scorer_of, body, value):
    part = scorer_of(body).score([rollout("")])[0].parts["mine"]
    assert part == value
    assert type(part) is float


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return float('-inf')", "returned -inf for rollout 3/p:1/0: return a finite number, None where"),
        ("return '1'", "returned '1' (str) for rollout 3/p:1/0: return one number."),
        ("return {'reward': 1}", "returned {'reward': 1} (dict) for rollout 3/p:1/0: return one number."),
        ("return [0.5, 1.0]", "returned 2 values (list) for rollout 3/p:1/0: return one number."),
        ("return np.zeros(3)", "returned 3 values (ndarray) for rollout 3/p:1/0: return one number."),
        ("return None", "no reward applies to rollout 3/p:1/0: mine returned None."),
    ],
)
def test_what_is_no_reward_names_reward_rollout_and_value(rollout, scorer_of, body, message):
    with pytest.raises(RewardError) as error:
        scorer_of(body).score([rollout("x")])
    assert message in str(error.value)


def test_an_exception_is_a_reward_that_is_not_known_and_names_the_line_of_the_users_code(rollout, user_file):
    path = user_file("import json\n\ndef mine(response):\n    return json.loads(response)\n")
    scorer = Scorer({"mine": RewardEntry(path=f"{path}:mine"), "exact_match": RewardEntry()})
    broken, fine = scorer.score([rollout("{"), rollout("42")])
    assert math.isnan(broken.reward)
    assert not broken.known
    assert math.isnan(broken.parts["mine"])
    assert broken.parts["exact_match"] == 0
    assert broken.faults == {"mine": "error"}
    assert broken.notes["mine"].startswith("rewards.mine raised JSONDecodeError: Expecting property name")
    assert f"at {path}:4, on rollout 3/p:1/0." in broken.notes["mine"]
    assert (fine.reward, fine.faults, fine.notes) == (43.0, {}, {})


@pytest.mark.parametrize("body", ["return 1 / len(response)", "return float('nan') if not response else 1.0"])
@pytest.mark.parametrize(("on_error", "reward"), [(None, "nan"), ("nan", "nan"), ("zero", "0.0")])
def test_on_error_says_what_a_failed_reward_is_worth(rollout, user_file, body, on_error, reward):
    path = user_file(f"def mine(response):\n    {body}\n")
    found = Scorer({"mine": RewardEntry(path=f"{path}:mine", on_error=on_error)}).score([rollout(""), rollout("x")])
    assert [f"{s.reward}" for s in found] == [reward, "1.0"]
    assert [s.faults for s in found] == [{"mine": "error"}, {}]


@pytest.mark.parametrize("body", ["return 1 / len(response)", "return float('nan')"])
def test_on_error_raise_stops_the_run(rollout, user_file, body):
    path = user_file(f"def mine(response):\n    {body}\n")
    with pytest.raises(RewardError, match=r"rewards\.mine .* rollout 3/p:1/0[.:]"):
        Scorer({"mine": RewardEntry(path=f"{path}:mine", on_error="raise")}).score([rollout("")])


def test_a_reward_without_weight_may_fail(rollout, user_file):
    path = user_file("def mine(response): return 1 / len(response)")
    scorer = Scorer({"mine": RewardEntry(path=f"{path}:mine", weight=0), "exact_match": RewardEntry()})
    found = scorer.score([rollout("")])[0]
    assert (found.reward, found.faults) == (0.0, {"mine": "error"})


def test_a_score_has_parts_and_a_note(rollout, user_file):
    path = user_file(
        "from rewards import Score\n"
        "def mine(response): return Score(0.5, parts={'length': len(response)}, note='why', fault='timeout')\n"
    )
    found = Scorer({"mine": RewardEntry(path=f"{path}:mine", weight=2)}).score([rollout("abc")])[0]
    assert found.reward == 1.0
    assert found.parts == {"mine": 0.5, "mine/length": 3.0}
    assert found.notes == {"mine": "why"}
    assert found.faults == {"mine": "timeout"}
    assert set(found.seconds) == {"mine"}


def test_no_rewards_is_an_error():
    with pytest.raises(ConfigError, match="rewards is empty, so that no response earns anything: add one, such as"):
        Scorer({})


def test_a_weight_must_be_finite():
    with pytest.raises(ConfigError, match=r"rewards\.format\.weight is nan: set it to a finite number"):
        Scorer({"format": RewardEntry(weight=float("nan"))})


def test_scored_rollouts_survive_pickling(rollout):
    scored = Scorer({"exact_match": RewardEntry()}).score([rollout("42")])[0]
    copy = pickle.loads(pickle.dumps(scored))
    assert (copy.reward, copy.parts, copy.rollout.id) == (1.0, {"exact_match": 1.0}, "3/p:1/0")
    assert np.array_equal(copy.rollout.tokens, scored.rollout.tokens)


@pytest.mark.parametrize("body", ["return float('nan')", "return [1.0]", "return {}[response]"])
def test_a_reward_that_fails_on_the_gold_answer_is_found_before_training(rollout, scorer_of, body):
    with pytest.raises(RewardError, match=r"rollout gold-answer/p:1/0|gold answer of the first prompt, p:1"):
        scorer_of(body).check([rollout("").prompt])


def test_a_reward_may_have_nothing_to_say_of_the_gold_answer(rollout, scorer_of):
    scorer_of("return None if response == answer else 1.0").check([rollout("").prompt])
