import asyncio
import math
import threading

import numpy as np
import pytest

from rewards import check, resolve
from rewards.judge.judge import Judge
from tests.images import picture
from tests.rewards.judge.server import pixels
from unigrpo.config import RewardEntry
from unigrpo.errors import RewardError


def entry(server, **args) -> RewardEntry:
    return RewardEntry(args={"base_url": server.url, "model": "judge", "choices": {"A": 1, "B": 0}, **args})


@pytest.mark.parametrize("p", [0.0, 0.125, 0.5, 0.9, 1.0])
def test_the_score_is_the_probability_that_the_judge_gives(server, judge, scores, p):
    (score,) = scores(judge(server), f"{p}")
    assert score.value == pytest.approx(p)
    assert score.parts == pytest.approx({"label_mass": 0.9})
    assert score.note == f"the judge says {'A' if p >= 0.5 else 'B'}"


def test_without_log_probabilities_it_is_the_value_of_the_label(server, judge, scores):
    found = scores(judge(server, logprobs=False, choices={"yes": 2, "no": -1}), "0.9", "0.1")
    assert [score.value for score in found] == [2, -1]
    assert all("logprobs" not in request for request in server.requests)


def test_a_number_is_asked_for_and_scaled(server, judge, scores):
    found = scores(judge(server, number=[0, 10]), "say 7", "say Score: 2.5/10", "say great")
    assert [score.value for score in found[:2]] == [0.7, 0.25]
    assert math.isnan(found[2].value)
    assert found[2].note == "the judge's answer is no number from 0 to 10: 'great'"


def test_an_answer_that_is_none_of_the_labels_is_nan_and_noted(server, judge, scores):
    found = scores(judge(server, max_tokens=8), "say perhaps", f"say {'well, ' * 20}")
    assert all(math.isnan(score.value) for score in found)
    assert found[0].note == "the judge's answer is none of A, B: 'perhaps'"
    assert "cut off: give it more max_tokens" in found[1].note


def test_what_is_sent_is_what_was_set(server, judge, scores):
    without = {"temperature": None, "seed": None, "max_tokens": None, "constrain": False}
    scores(judge(server, **without, extra_body={"max_tokens": 3}), "1")
    (message,) = server.requests[0].pop("messages")
    assert server.requests[0] == {"model": "judge", "max_tokens": 3, "logprobs": True, "top_logprobs": 20}
    assert message["content"].startswith("The task: 6*7=\nThe response: [BEGIN ")
    assert message["content"].endswith("The last line of your answer must be one of these and nothing else: A, B.")


@pytest.mark.parametrize("task", ["image", "understand"])
def test_the_judge_sees_the_drawing_or_else_the_image_of_the_prompt(server, rollout, task):
    image, other = picture(3, 12, 7), picture(4, 5, 5)
    reward = resolve("judge", entry(server, rubric="Is {image} {prompt}?"))
    drawn = {"image": image, "images": (other,)} if task == "image" else {"images": (image,)}
    score = asyncio.run(reward(rollout("", task=task, **drawn)))
    assert score.value == pytest.approx(image.mean() / 255)
    (sent,) = [part for part in server.requests[0]["messages"][0]["content"] if part["type"] == "image_url"]
    assert np.array_equal(pixels(sent), image)


def test_columns_of_the_data_fill_the_rubric(server, rollout):
    reward = resolve("judge", entry(server, rubric="{answer} {hint} {response}"))
    assert reward.parameters.required == ("answer", "hint", "response")
    assert asyncio.run(reward(rollout("0.5", metadata={"hint": "think", "other": 1}))).value == pytest.approx(0.5)
    assert server.requests[0]["messages"][0]["content"].startswith("42 think [BEGIN ")


def test_a_row_without_a_column_is_found_before_anything_is_asked(server, rollout):
    reward = resolve("judge", entry(server, rubric="{hint} {response}"))
    prompts = [rollout("", metadata={"hint": "a"}).prompt, rollout("", id="p:2").prompt]
    with pytest.raises(RewardError, match=r"rewards\.judge needs `hint`, which prompt p:2 does not have\. Available: "):
        check([reward], prompts)
    assert not server.requests


def test_the_key_is_named_and_read_from_the_environment(serve, rollout, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "sk-a-key")
    reward = resolve("judge", entry(serve(key="sk-a-key"), rubric="{response}", api_key_env="JUDGE_KEY"))
    assert asyncio.run(reward(rollout("1"))).value == 1


def test_it_is_built_in_one_thread_and_asked_in_the_loop_of_another(serve):
    server = serve(delay=0.02)
    server.meet = 3
    judge = Judge(server.url, "judge", "{response}", {"A": 1, "B": 0}, max_concurrency=3, timeout=60)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    for _ in range(2):
        asked = [asyncio.run_coroutine_threadsafe(judge(response=f"{n / 8}"), loop) for n in range(9)]
        assert [future.result(60).value for future in asked] == pytest.approx([n / 8 for n in range(9)])
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    assert server.busiest == 3
