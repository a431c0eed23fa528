from dataclasses import replace

import numpy as np
import pytest

from tests.tiny import scored_group
from unigrpo.summaries import summary
from unigrpo.types import Scored


def answered(gold: str, says_yes: bool, name: str, picture: int = 0, category: str = "count") -> Scored:
    [item] = scored_group([1], [[1]], [0.0], name)
    image = np.full((2, 2, 3), picture, dtype=np.uint8)
    prompt = replace(item.rollout.prompt, answer=gold, images=(image,), metadata={"category": category})
    right = float(says_yes == (gold == "yes"))
    return replace(
        item, rollout=replace(item.rollout, prompt=prompt), parts={"yes_no": right, "yes_no/yes": float(says_yes)}
    )


def test_precision_recall_f1_and_the_share_of_yes():
    """Of 10: 3 found, 1 missed, 2 made up, 4 rightly denied."""
    cases = [("yes", True)] * 3 + [("yes", False)] + [("no", True)] * 2 + [("no", False)] * 4
    found = summary("yes_no", [answered(gold, yes, str(at)) for at, (gold, yes) in enumerate(cases)], 400, seed=0)
    values = {name: value for name, (value, _) in found.items()}
    assert values == pytest.approx({"precision": 3 / 5, "recall": 3 / 4, "f1": 2 * 0.6 * 0.75 / 1.35, "yes": 0.5})
    for value, (low, high) in found.values():
        assert 0 <= low <= value <= high <= 1


def test_a_model_that_never_says_yes_has_no_precision():
    found = summary("yes_no", [answered("yes", False, "a"), answered("no", False, "b")], 10, seed=0)
    assert found["precision"] == found["f1"] == (0.0, (0.0, 0.0))


def test_mme_adds_answers_and_pictures_of_each_category():
    """Of count's 2 pictures one is wholly right and one half: 75 + 50. Of numbers' 1 picture neither: 0 + 0."""
    scored = [
        answered("yes", True, "a", picture=1),
        answered("no", False, "b", picture=1),
        answered("yes", True, "c", picture=2),
        answered("no", True, "d", picture=2),
        answered("yes", False, "e", picture=3, category="numerical_calculation"),
        answered("no", True, "f", picture=3, category="numerical_calculation"),
    ]
    found = summary("mme", scored, 50, seed=0)
    assert {name: value for name, (value, _) in found.items()} == {
        "mme": 125.0, "mme_perception": 125.0, "mme_cognition": 0.0
    }  # fmt: skip
    assert found["mme_perception"][1] == (50.0, 200.0)
