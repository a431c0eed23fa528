"""Several answers to one prompt must differ, whichever verb asks for them and whatever the task."""

import pytest

from unigrpo.config import EvalConfig, GenerateConfig, TrainConfig
from unigrpo.config.check import check_eval, check_generate, check_train
from unigrpo.config.load import load_config
from unigrpo.errors import ConfigError

IMAGES = "model.image_tokenizer.path=vq"
GENERATE = ["model.path=m", "samples=2"]
EVAL = ["model.path=m", "samples=2"]
TRAIN = ["model.preset=tiny", "eval.samples=2", "rewards.r.weight=1"]
GREEDY = ["rollout.image.temperature=0", "rollout.image.choice_temperature=0"]


def generate(*settings):
    check_generate(load_config(GenerateConfig, [*GENERATE, *settings]))


def evaluate(*settings):
    check_eval(load_config(EvalConfig, [*EVAL, *settings]))


def train(*settings):
    check_train(load_config(TrainConfig, [*TRAIN, *settings]))


DRAW, THINK, ASK = (f"data={{task: {task}, source: shapes}}" for task in ("image", "think_image", "understand"))
VARIED = [
    (generate, []),
    (generate, ["task=image", IMAGES]),
    (generate, ["task=image", IMAGES, "rollout.image.temperature=0"]),
    (generate, ["task=think_image", IMAGES, "rollout.temperature=0"]),
    (generate, ["task=think_image", IMAGES, *GREEDY]),
    (generate, ["rollout.temperature=0", "rollout.confidence=random"]),
    (evaluate, [DRAW, IMAGES]),
    (evaluate, [THINK, IMAGES]),
    (evaluate, [ASK, IMAGES, "rollout.temperature=1"]),
    (train, [DRAW, IMAGES]),
    (train, [ASK, IMAGES, "eval.temperature=1"]),
]
EQUAL = [
    (generate, ["rollout.temperature=0"], "samples is 2, but at rollout.temperature=0 they are all equal"),
    (generate, ["task=image", IMAGES, *GREEDY], "samples is 2, but at rollout.image.temperature=0"),
    (generate, ["task=think_image", IMAGES, "rollout.temperature=0", *GREEDY], "samples is 2, but at rollout.temperat"),
    (evaluate, [ASK, IMAGES], "samples is 2, but at rollout.temperature=0"),
    (evaluate, [f"tasks.a={{{ASK.replace('=', ': ', 1)}}}", IMAGES], "at tasks.a.rollout.t"),
    (train, [ASK, IMAGES], "eval.samples is 2, but at eval.temperature=0 they are all equal"),
]


@pytest.mark.parametrize(("check", "settings"), VARIED)
def test_samples_that_chance_tells_apart_pass(check, settings):
    check(*settings)


@pytest.mark.parametrize(("check", "settings", "message"), EQUAL)
def test_samples_that_would_be_equal_are_refused(check, settings, message):
    with pytest.raises(ConfigError) as caught:
        check(*settings)
    assert message in str(caught.value)


@pytest.mark.parametrize("setting", ["weight: 2", "eval: {task: understand, source: shapes}"])
def test_what_only_training_needs_of_a_task_is_refused_by_an_evaluation(setting):
    with pytest.raises(ConfigError, match=r"tasks\.a\.\w+ is .*it is only used when a run trains: drop it"):
        evaluate(f"tasks.a={{{ASK.replace('=', ': ', 1)}, {setting}}}", "samples=1", IMAGES)
