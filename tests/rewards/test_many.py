import numpy as np
import pytest

from rewards import Scorer, resolve
from unigrpo.config import RewardEntry
from unigrpo.errors import RewardError

IMAGE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.fixture
def scorer_of(user_file):
    """Make a scorer of one reward with these parameters and this body; `seen` in its module records its arguments."""

    def make(parameters: str, body: str, **args) -> Scorer:
        source = f"import numpy as np\nseen = []\ndef mine({parameters}):\n    seen.append(locals())\n    {body}\n"
        path = user_file(source, f"r{abs(hash(source))}.py")
        return Scorer({"mine": RewardEntry(path=f"{path}:mine", args=args)})

    return make


def seen(scorer: Scorer) -> list[dict]:
    return scorer.rewards["mine"].function.__globals__["seen"]


def test_plural_names_are_handed_over_once_for_all_rollouts(rollout, scorer_of):
    scorer = scorer_of(
        "responses, prompts, answers, rollouts, tokens, level, scale, spare=1",
        "return [len(r) for r in responses]",
        scale=2,
    )
    items = [rollout(text, id=f"p:{i}", answer=f"{i}", metadata={"level": i}) for i, text in enumerate(["a", "bb", ""])]
    assert [s.reward for s in scorer.score(items)] == [1.0, 2.0, 0.0]
    (found,) = seen(scorer)
    assert [token.tolist() for token in found.pop("tokens")] == [[7, 8, 1]] * 3
    assert found == {
        "responses": ["a", "bb", ""],
        "prompts": ["6*7="] * 3,
        "answers": ["0", "1", "2"],
        "rollouts": items,
        "level": [0, 1, 2],
        "scale": 2,
        "spare": 1,
    }


def test_one_call_judges_as_many_calls_do(rollout, scorer_of):
    one = scorer_of("response, answer", "return len(response) - len(answer)")
    many = scorer_of("responses, answers", "return np.array([len(r) - len(a) for r, a in zip(responses, answers)])")
    items = [rollout("x" * n, answer="y" * (n % 3 + 1)) for n in range(7)]
    assert [s.parts for s in one.score(items)] == [s.parts for s in many.score(items)]
    assert many.score([]) == []


def test_a_part_that_is_none_is_left_out(rollout, scorer_of, user_file):
    path = user_file("def mine(responses): return [None if r == '42' else 0.5 for r in responses]")
    scorer = Scorer({"exact_match": RewardEntry(), "mine": RewardEntry(path=f"{path}:mine")})
    parts = [s.parts for s in scorer.score([rollout("42"), rollout("41")])]
    assert parts == [{"exact_match": 1.0}, {"exact_match": 0.0, "mine": 0.5}]


def test_the_image_is_what_was_drawn_or_else_what_was_asked_about(rollout, scorer_of):
    drawing = rollout("", task="image", image=IMAGE, images=(IMAGE[:1],))
    question = rollout("a dog", task="understand", images=(IMAGE[:2], IMAGE[:3]))
    for parameters, body in (("image", "return image.size"), ("images", "return [i.size for i in images]")):
        scores = scorer_of(parameters, body).score([drawing, question])
        assert [s.reward for s in scores] == [IMAGE.size, IMAGE[:2].size]


@pytest.mark.parametrize("parameters", ["image", "images"])
def test_an_image_that_is_not_there_is_found_before_training(rollout, scorer_of, parameters):
    asked = rollout("", task="understand", images=(IMAGE,)).prompt
    scorer = scorer_of(parameters, "return 1.0" if parameters == "image" else "return [1.0 for _ in images]")
    scorer.check([asked])
    with pytest.raises(RewardError) as error:
        scorer.check([asked, rollout("", id="b").prompt])
    assert str(error.value).startswith("rewards.mine needs `image`, which prompt b does not have. Available: answer, ")
    assert "correct data.task, or remove the reward" in str(error.value)


def test_a_drawing_reward_is_tried_on_the_prompts_own_image_or_a_grey_one(rollout, scorer_of):
    scorer = scorer_of("images", "return [float(i.mean()) for i in images]")
    scorer.check([rollout("", task="image").prompt])
    scorer.check([rollout("", task="think_image", images=(IMAGE,)).prompt])
    grey, own = (found["images"][0] for found in seen(scorer))
    assert (grey.shape, grey.dtype, set(grey.flat)) == ((64, 64, 3), np.uint8, {128})
    assert own is IMAGE


def test_a_missing_column_of_one_prompt_is_named(rollout, scorer_of):
    scorer = scorer_of("responses, level", "return [0.0] * len(responses)")
    prompts = [rollout("", id="a", metadata={"level": 1}).prompt, rollout("", id="b").prompt]
    with pytest.raises(RewardError, match=r"needs `level`, which prompt b does not have\..*add the column, or set"):
        scorer.check(prompts)


def test_an_optional_column_is_none_where_it_is_absent(rollout, scorer_of):
    scorer = scorer_of("responses, level=0, other=7", "return [0.0] * len(responses)")
    scorer.score([rollout("", metadata={"level": 1}), rollout("")])
    assert seen(scorer)[0]["level"] == [1, None]
    assert seen(scorer)[0]["other"] == 7


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1.0", "returned 1.0 (float) for 2 rollouts: return a list with one number, or None, for each."),
        ("return [1.0]", "returned 1 values (list) for 2 rollouts: return a list"),
        ("return np.zeros((3,))", "returned 3 values (list) for 2 rollouts: return a list"),
        ("return 'ab'", "returned 'ab' (str) for 2 rollouts: return a list"),
        ("return None", "returned None (NoneType) for 2 rollouts: return a list"),
        ("return np.zeros((2, 2))", "returned 2 values (list) for rollout 3/a/0: return one number."),
        ("return [1.0, float('inf')]", "returned inf for rollout 3/b/0: return a finite number, None where"),
        ("return [1.0, 'x']", "returned 'x' (str) for rollout 3/b/0: return one number."),
    ],
)
def test_what_is_no_list_of_rewards_is_an_error(rollout, scorer_of, body, message):
    with pytest.raises(RewardError) as error:
        scorer_of("responses", body).score([rollout("", id="a"), rollout("", id="b")])
    assert f"rewards.mine {message}" in str(error.value)


def test_an_exception_names_the_line_and_the_rollouts(rollout, user_file):
    path = user_file("def mine(responses):\n    return [1 / len(r) for r in responses]\n")
    found = Scorer({"mine": RewardEntry(path=f"{path}:mine")}).score([rollout("a", id="a"), rollout("", id="b")])
    message = f"raised ZeroDivisionError: division by zero at {path}:2, on 2 rollouts, the first of them 3/a/0."
    assert [s.notes["mine"] for s in found] == [f"rewards.mine {message}"] * 2


def test_a_reward_of_groups_is_called_for_each_prompt(rollout, user_file):
    path = user_file(
        "from rewards import reward\n"
        "@reward('distinct', group=True)\n"
        "def distinct(responses):\n"
        "    return [len(set(responses)) / len(responses)] * len(responses)\n"
    )
    items = [rollout(text, id=id) for text, id in [("a", "1"), ("a", "1"), ("b", "2"), ("c", "2"), ("a", "1")]]
    scorer = Scorer({"mine": RewardEntry(path=f"{path}:distinct")})
    assert [s.reward for s in scorer.score(items)] == [1 / 3, 1 / 3, 1.0, 1.0, 1 / 3]


def test_a_reward_of_groups_takes_plural_names(user_file):
    path = user_file("from rewards import reward\n@reward('one', group=True)\ndef one(response): return 1.0\n")
    with pytest.raises(RewardError, match=r"rewards\.mine: .*rewards\.py:\d judges groups: take `responses`"):
        resolve("mine", RewardEntry(path=f"{path}:one"))


def test_singular_and_plural_names_do_not_mix(rollout, scorer_of):
    with pytest.raises(RewardError) as error:
        scorer_of("response, images", "return 1.0").check([rollout("").prompt])
    assert "needs `images`" in str(error.value)
    assert "It belongs to a reward of many rollouts, and `response` to a reward of one: use either" in str(error.value)


def test_a_column_may_have_a_plural_name_where_one_rollout_is_judged(rollout, scorer_of):
    scorer = scorer_of("response, answers", "return float(response in answers)")
    assert scorer.score([rollout("4", metadata={"answers": ["4", "four"]})])[0].reward == 1.0


def test_a_reward_of_many_rollouts_names_its_columns(user_file):
    path = user_file("def mine(responses, **rest): return []")
    with pytest.raises(
        RewardError, match=r"judges many rollouts, and so cannot take everything there is: name the col"
    ):
        resolve("mine", RewardEntry(path=f"{path}:mine"))


def test_a_reward_of_another_task_is_an_error_among_many(rollout, user_file):
    path = user_file(
        "from rewards import reward\n@reward('many_drawings', tasks=('image',))\ndef mine(images):\n    return [0.0]"
    )
    scorer = Scorer({"mine": RewardEntry(path=f"{path}:mine")})
    with pytest.raises(RewardError, match=r"judges image, but prompt t is of task text: remove"):
        scorer.score([rollout("", task="image", image=IMAGE), rollout("", id="t")])
