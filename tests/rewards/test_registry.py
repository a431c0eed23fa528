import sys

import pytest

import rewards
from rewards import Scorer, resolve, reward
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError, RewardError


def call(source_path, rollout, function="mine", **args):
    return resolve("mine", RewardEntry(path=f"{source_path}:{function}", args=args))(rollout)


@pytest.mark.parametrize("name", ["exact_match", "math", "format", "countdown"])
def test_every_shipped_reward_is_found_by_name(name):
    assert resolve(name, RewardEntry()).name == name


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(RewardError) as error:
        resolve("exactmatch", RewardEntry())
    assert str(error.value) == (
        "rewards.exactmatch is not a reward. Did you mean `exact_match`? For your own, set rewards.exactmatch.path."
    )


def test_a_name_like_no_other_lists_the_rewards():
    with pytest.raises(
        RewardError, match=r"zzz is not a reward\. There are `aesthetic`, .*`clip`, .*`exact_match`, `format`, .*`math`"
    ):
        resolve("zzz", RewardEntry())


def test_arguments_are_found_by_name(user_file, rollout):
    path = user_file("def mine(response, prompt, answer, tokens, rollout, level, scale, bonus=1):\n    return locals()")
    item = rollout("out", metadata={"level": 3})
    assert call(path, item, scale=2.0) == {
        "response": "out",
        "prompt": "6*7=",
        "answer": "42",
        "tokens": item.tokens,
        "rollout": item,
        "level": 3,
        "scale": 2.0,
        "bonus": 1,
    }


def test_keyword_arguments_receive_everything(user_file, rollout):
    path = user_file("def mine(**found):\n    return sorted(found)")
    names = call(path, rollout("", metadata={"level": 3}), extra=1)
    assert names == ["answer", "extra", "level", "prompt", "response", "rollout", "tokens"]


def test_a_user_file_called_like_a_package_hides_nothing(user_file, rollout):
    path = user_file("import rewards\ndef mine(response):\n    return len(response)", name="rewards.py")
    assert call(path, rollout("abc")) == 3
    assert sys.modules["rewards"] is rewards


def test_a_module_path_is_imported(rollout):
    assert resolve("mine", RewardEntry(path="rewards.text:exact_match"))(rollout("42")) == 1


def test_two_entries_of_one_file_share_its_module(user_file):
    path = user_file("def a(response): return 0\ndef b(response): return 0")
    functions = [resolve(name, RewardEntry(path=f"{path}:{name}")).function for name in "ab"]
    assert functions[0].__globals__ is functions[1].__globals__


def test_a_decorated_user_function_keeps_its_tasks(user_file, rollout):
    path = user_file(
        "from rewards import reward\n@reward('of_images', tasks=('image',))\ndef mine(response):\n    return 1"
    )
    with pytest.raises(RewardError, match="judges image, but prompt p:1 is of task text: remove"):
        call(path, rollout("x"))
    assert call(path, rollout("x", task="image")) == 1


def test_two_rewards_cannot_have_one_name():
    resolve("exact_match", RewardEntry())
    with pytest.raises(RewardError, match=r"`exact_match` is already defined at rewards\.text: choose another name"):
        reward("exact_match")(lambda response: 1)


def test_a_reward_for_an_unknown_task_is_refused():
    with pytest.raises(RewardError, match="names task 'video': the tasks are text, understand, image"):
        reward("of_videos", tasks=("video",))(lambda response: 1)  # pyright: ignore


def test_a_missing_argument_is_found_before_training(user_file, rollout):
    path = user_file("def mine(response, level): return 1")
    scorer = Scorer({"mine": RewardEntry(path=f"{path}:mine")})
    prompts = [
        rollout("", id="a", metadata={"level": 1}).prompt,
        rollout("", id="b", metadata={"difficulty": 1}).prompt,
    ]
    scorer.check(prompts[:1])
    with pytest.raises(RewardError) as error:
        scorer.check(prompts)
    assert str(error.value) == (
        "rewards.mine needs `level`, which prompt b does not have. Available: answer, difficulty, prompt, response, "
        "rollout, tokens. Either add the column, or set rewards.mine.args.level."
    )


def test_a_prompt_without_an_answer_is_found_before_training(rollout):
    with pytest.raises(
        RewardError, match=r"rewards\.math needs `answer`.*map a column to it with data\.columns\.answer"
    ):
        Scorer({"math": RewardEntry()}).check([rollout("", answer=None).prompt])


def test_a_reward_of_another_task_is_found_before_training(rollout):
    with pytest.raises(RewardError, match=r"rewards\.math judges text and understand, but prompt p:1 is of task image"):
        Scorer({"math": RewardEntry()}).check([rollout("", task="image").prompt])


def test_an_unknown_setting_is_an_error():
    with pytest.raises(ConfigError) as error:
        resolve("countdown", RewardEntry(args={"partal": 0.5}))
    assert str(error.value) == ("rewards.countdown.args.partal: `countdown` takes no `partal`. Did you mean `partial`?")
    with pytest.raises(ConfigError, match=r"takes no `zzz`\. It takes `response`, `answer`"):
        resolve("exact_match", RewardEntry(args={"zzz": 1}))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("mine", "rewards.mine.path is 'mine': write `file.py:function` or `package.module:function`."),
        ("{dir}/rewardz.py:mine", "there is no file {dir}/rewardz.py. Did you mean {dir}/rewards.py?"),
        ("{dir}/nowhere/x.py:mine", "there is no file {dir}/nowhere/x.py. It is looked for from"),
        ("{dir}/rewards.py:mime", "has no function `mime`. Did you mean `mine`?"),
        ("{dir}/rewards.py:zzz", "has no function `zzz`. Its functions are: mine."),
        (
            "no_such_package.rewards:f",
            "there is no module no_such_package.rewards. Install its package, or give a file:",
        ),
    ],
)
def test_a_wrong_path_says_what_to_do(user_file, tmp_path, path, message):
    user_file("def mine(response): return 1")
    with pytest.raises(RewardError) as error:
        resolve("mine", RewardEntry(path=path.format(dir=tmp_path)))
    assert message.format(dir=tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n1 / 0\n", "raised ZeroDivisionError: division by zero ({file}:2)."),
        ("x = 1\ny = = 2\n", "raised SyntaxError"),
        ("import no_such_thing\n", "raised ModuleNotFoundError: No module named 'no_such_thing' ({file}:1)."),
    ],
)
def test_a_file_that_does_not_load_says_where(user_file, source, message):
    file = user_file(source, "broken.py")
    with pytest.raises(RewardError) as error:
        resolve("mine", RewardEntry(path=f"{file}:mine"))
    assert f"rewards.mine.path: importing {file} " in str(error.value)
    assert message.format(file=file) in str(error.value)
    assert f"{file}:" in str(error.value)


def test_positional_arguments_are_refused(user_file):
    path = user_file("def mine(response, /): return 1")
    with pytest.raises(
        RewardError, match=r"rewards\.mine: `response` of .*rewards\.py:1 can only be given by position"
    ):
        resolve("mine", RewardEntry(path=f"{path}:mine"))
