"""What of a run is said to be worth a look: each where it is, and none where it is not."""

import pytest

from unigrpo.reports.warn import of_evaluation, of_metrics


def rows(key: str, values, **more) -> list[dict]:
    return [{"step": step + 1, key: value} | more for step, value in enumerate(values)]


def with_others(made: list[dict], **others) -> list[dict]:
    return [row | {key: values[at] for key, values in others.items()} for at, row in enumerate(made)]


RISING = [0.1] * 4 + [0.9] * 4
CASES = [
    ("sft", rows("sft/loss", [3, 3, 2, 2, 2, 2, 1, 1]), []),
    ("sft", rows("sft/loss", [1, 1, 2, 2, 2, 2, 3, 3]), ["sft/loss did not fall."]),
    ("sft", rows("sft/loss", [1, 1, 2, 2, 2, 2, 3]), []),
    ("sft", rows("sft/held_out_loss", [2.0, 1.0, 1.5]), ["sft/held_out_loss rose to 1.5 from 1 at step 2."]),
    ("sft", rows("sft/held_out_loss", [2.0, 1.0, 1.01]), []),
    ("train", rows("eval/accuracy", [0.5, 0.7, 0.4]), ["eval/accuracy fell from 50.0% to 40.0%."]),
    (
        "train",
        rows("eval/accuracy", [0.5, 0.4]) + rows("eval/ask/accuracy", [0.25, 0.125]) + rows("eval/b/accuracy", [0, 1]),
        ["eval/accuracy fell from 50.0% to 40.0%, eval/ask/accuracy fell from 25.0% to 12.5%."],
    ),
    ("train", rows("reward/mean", [None, 0.5]), ["reward/mean was not known in 1 steps."]),
    ("train", rows("reward/failed", [0.0, 0.5]), ["25% of the rewards failed."]),
    ("train", rows("reward/failed", [0.0, 0.01]), []),
    ("sft", rows("time/step", [2.0, 2.0], **{"time/data": 1.0}), ["50% of the time was spent waiting for data."]),
    (
        "clip",
        rows("optim/skipped", [1.0, 0.0, 2.0]),
        ["3 optimiser steps were left out, because loss or gradient was not finite."],
    ),
    (
        "train",
        with_others(rows("reward/mean", RISING), **{"reward/zero_std": [0.0] * 4 + [0.75] * 4}),
        [
            "The reward is saturated: it rose from 0.1 to 0.9, and in the last quarter 75% of the groups have equal "
            "rewards."
        ],
    ),
    ("train", with_others(rows("reward/mean", RISING), **{"reward/zero_std": [0.5] * 8}), []),
    (
        "train",
        rows("reward/zero_std", [0.9, 0.9], **{"reward/ask/zero_std": 1.0, "reward/sums/zero_std": 0.8}),
        ["90% of the groups had equal rewards, from which nothing is learned (task ask: 100%)."],
    ),
    ("train", rows("policy/kl", [0.1] * 6 + [7.0] * 2), ["policy/kl is 7 nats per token at the end."]),
    ("train", rows("policy/kl", [0.1, 0.1, 2.5, 0.1, 0.1]), ["policy/kl leapt to 2.5 at step 3; its median is 0.1."]),
    ("train", rows("policy/kl", [0.001, 0.001, 0.4, 0.001, 0.001]), []),
    (
        "train",
        rows("policy/clip_fraction", [0.0, 0.0, 0.4, 0.5]),
        ["50% of the tokens were clipped in the last quarter, and taught nothing."],
    ),
    ("train", rows("rollout/length", [90.0] * 4 + [9.0] * 4), ["Responses collapsed from 90 to 9 tokens."]),
    ("train", rows("rollout/length", [90.0] * 4 + [31.0] * 4), []),
    ("train", rows("rollout/truncated", [0.6, 0.6]), ["60% of the responses did not end within their length."]),
    (
        "train",
        rows("rollout/cache_error", [0.01, 0.5]),
        ["rollout/cache_error reached 0.5 nats per token: the cache draws what the policy would not."],
    ),
]


@pytest.mark.parametrize(("verb", "made", "expected"), CASES)
def test_what_one_should_look_at_is_said(verb, made, expected):
    assert [concern.what for concern in of_metrics(verb, made)] == expected


def test_each_says_what_to_do():
    assert all(concern.do.endswith(".") for verb, made, _ in CASES for concern in of_metrics(verb, made))


def test_an_evaluation_says_what_failed_and_what_was_cut():
    found = [concern.what for concern in of_evaluation({"eval/failed": 0.02, "eval/truncated": 0.9})]
    assert found == [
        "2% of the responses have no reward, because one failed.",
        "90% of the responses did not end within their length.",
    ]
    assert of_evaluation({"eval/failed": 0.0, "eval/truncated": 0.5}) == []
