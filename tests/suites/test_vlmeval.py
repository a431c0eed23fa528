"""The class that VLMEvalKit takes."""

import numpy as np
import pytest
from PIL import Image

from tests.demo.tiny import make
from unigrpo.errors import ConfigError, DataError
from unigrpo.vlmeval import UniGRPOModel

pytestmark = pytest.mark.slow
SETTINGS = {
    "rollout.gen_length": 8,
    "rollout.block_length": 4,
    "rollout.temperature": 1.0,
    "model.device": "cpu",
    "cluster.threads": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make(tmp_path_factory.mktemp("vlmeval") / "run", 0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    paths = [tmp_path_factory.mktemp("pictures") / f"{number}.png" for number in range(2)]
    for number, path in enumerate(paths):
        noise = np.random.default_rng(number).integers(0, 256, (40, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    return [str(path) for path in paths]


def model(folder, **more):
    return UniGRPOModel(str(folder), **SETTINGS, **more)


def asked(picture, *texts):
    return [{"type": "image", "value": picture}, *({"type": "text", "value": text} for text in texts)]


def test_an_answer_depends_on_question_and_picture_alone(folder, pictures):
    questions = [asked(pictures[0], "How many?"), asked(pictures[1], "How many?"), "1+1="]
    one = [model(folder).generate(question, dataset="MMBench") for question in questions]
    other = model(folder)
    assert [other.generate(question) for question in reversed(questions)][::-1] == one
    assert len(set(one)) == 3


def test_texts_stand_below_each_other_and_strings_are_texts(folder, pictures):
    ours = model(folder)
    parts = ours.generate(asked(pictures[0], "Hint: look.", "How many?"))
    assert parts == ours.generate(asked(pictures[0], "Hint: look.\nHow many?"))
    assert ours.generate(["1+", "1="]) == ours.generate("1+\n1=")


def test_what_it_cannot_take_is_said(folder, pictures):
    with pytest.raises(DataError, match="type 'video': text and image are read"):
        model(folder).generate([{"type": "video", "value": "a.mp4"}], dataset="MVBench")
    with pytest.raises(ConfigError, match=r"rollout\.gen_lenght"):
        model(folder, **{"rollout.gen_lenght": 4})
