"""The configs for the published model: MMaDA's rewards and sizes, and one run that is the sum of the others."""

import inspect

import open_clip
import pytest

from rewards.math import Math
from rewards.vision.clip import Clip
from rewards.vision.image_reward import ImageReward
from unigrpo.config import TrainConfig
from unigrpo.config.check import check_train
from unigrpo.config.load import load_config, shipped_configs
from unigrpo.config.tasks import tasks_of
from unigrpo.data.rows import read_rows

CONFIGS = shipped_configs() / "mmada"
TEXT = {"math": 2.0, "format": 0.5}
REWARDS = {
    "math": TEXT,
    "geoqa": TEXT,
    "clevr": TEXT,
    "caption": {"format": 0.5, "clip": 0.1},
    "t2i": {"clip": 0.1, "image_reward": 0.1},
}
"""Source: MMaDA (arXiv:2505.15809), section 2.3."""


def config(name: str) -> TrainConfig:
    return load_config(TrainConfig, [str(CONFIGS / f"{name}.yaml")])


@pytest.mark.parametrize("name", [*REWARDS, "mixed"])
def test_every_config_passes_its_checks_and_opens_with_its_command(name):
    check_train(config(name))
    first = (CONFIGS / f"{name}.yaml").read_text().split("\n", 1)[0]
    assert first.startswith(f"# unigrpo train configs/mmada/{name}.yaml model.path=")


@pytest.mark.parametrize("name", REWARDS)
def test_rewards_and_weights_are_those_of_the_paper(name):
    assert {reward: entry.weight for reward, entry in config(name).rewards.items()} == REWARDS[name]


@pytest.mark.parametrize("name", REWARDS)
def test_the_mixed_run_asks_samples_and_rewards_as_the_run_of_each_task_does(name):
    alone, mixed = tasks_of(config(name))[""], config("mixed").tasks[name]
    assert mixed.data == alone.data
    assert mixed.eval == alone.eval
    assert mixed.rewards == alone.rewards
    assert vars(mixed.rollout) == {key: getattr(alone.rollout, key) for key in vars(mixed.rollout)}
    assert config("mixed").model.lora == config(name).model.lora


def test_the_rewards_of_images_take_the_settings_they_are_given_and_their_weights_are_published():
    classes = {"clip": Clip, "image_reward": ImageReward}
    for name in ("caption", "t2i"):
        for reward, entry in config(name).rewards.items():
            if reward in classes:
                inspect.signature(classes[reward]).bind(**entry.args)
        args = config(name).rewards["clip"].args
        assert args["pretrained"] in open_clip.list_pretrained_tags_by_model(args["model"])


@pytest.mark.parametrize("name", ["geoqa", "clevr"])
def test_questions_and_answers_are_those_of_the_named_dataset(tmp_path, name):
    from datasets import Dataset, DatasetDict, Features, Image, Value
    from PIL import Image as Picture

    row = {"image": [Picture.new("RGB", (20, 10))], "problem": ["How many?"], "solution": ["<answer> 3 </answer>"]}
    features = Features({"image": Image(), "problem": Value("string"), "solution": Value("string")})
    DatasetDict({"train": Dataset.from_dict(row, features=features)}).save_to_disk(str(tmp_path / "saved"))
    section = config(name).data
    section.path = str(tmp_path / "saved")
    (found,) = read_rows(section, ("answer", "image"))
    assert found.prompt == "How many?"
    assert found.answer is not None
    assert isinstance(found.image, bytes)
    responses = ["<think>1 and 2</think> 3", "<think>1 and 3</think> 4"]
    assert [score.value for score in Math()(responses, [found.answer] * 2)] == [1.0, 0.0]
