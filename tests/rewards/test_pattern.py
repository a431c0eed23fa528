import time

import pytest

from rewards import Scorer, resolve
from rewards.format import format as format_reward
from rewards.pattern import contains, regex, tags
from rewards.score import Score
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError


@pytest.mark.parametrize(
    ("pattern", "settings", "response", "value"),
    [
        (r"\d+", {}, "so 42!", 1),
        (r"\d+", {"match": "full"}, "so 42!", 0),
        (r"\d+", {"match": "full"}, " 42\n", 1),
        (r"\d+", {"match": "full"}, "٤٢", 1),
        (r"^[0-9]$", {"match": "full"}, "4\n2", 0),
        (r"\d+", {"part": "answer", "match": "full"}, "<think>about 7 x</think> 42", 1),
        (r"\d+", {"part": "answer"}, "<think>42", 0),
        (
            r"<think>[^<]*</think>\s*<answer>[^<]*</answer>",
            {"match": "full"},
            "<think>a</think>\n<answer>b</answer>",
            1,
        ),
        (r"<think>[^<]*</think>\s*<answer>[^<]*</answer>", {"match": "full"}, "<think>a</think><answer>b</answer>c", 0),
        (r"(?i)final answer", {}, "My FINAL ANSWER", 1),
    ],
)
def test_a_pattern_is_found_or_asked_of_the_whole(pattern, settings, response, value):
    assert regex(response, pattern=pattern, **settings) == value


@pytest.mark.parametrize(
    ("pattern", "response"),
    [
        (r"(a+)+$", "a" * 5000 + "b"),
        (r"(\w+\s?)*$", "word " * 3000 + "!"),
        (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 10000),
        (r"(.*)*\1\1x", "ab" * 5000),
    ],
)
def test_a_match_that_would_take_for_ever_is_given_up(pattern, response):
    start = time.monotonic()
    found = regex(response, pattern=pattern)
    assert found == 0 or (isinstance(found, Score) and (found.value, found.fault) == (0, "timeout"))
    assert time.monotonic() - start < 60


def test_some_or_all_of_several_texts_may_be_asked_for():
    assert contains("one two", texts=["two", "three"]) == 1
    assert contains("one two", texts=["two", "three"], need="all") == 0
    assert contains("one two", texts=["two", "one"], need="all") == 1
    assert contains("one Two", texts=["two"]) == 0
    assert contains("<think>two</think> one", texts=["two"], part="answer") == 0
    assert contains("<think>two", texts=["two"], part="answer") == 0


BOTH = "<think>{think}</think> <answer>{answer}</answer>"


@pytest.mark.parametrize(
    ("response", "template", "value"),
    [
        ("<think>a</think> 42", None, 1),
        ("<think>a", None, 0.5),
        ("<think>a<think>b</think>", None, 0.5),
        ("42", None, 0),
        ("<think>a</think><answer>b</answer>", BOTH, 1),
        ("<think>a</think><answer>b", BOTH, 0.75),
        ("<think>a</think><answer>b</answer><answer>c</answer>", BOTH, 0.5),
        ("< think>a</think >", None, 0),
    ],
)
def test_each_tag_that_occurs_once_earns_its_share(response, template, value):
    assert tags(response, **({"template": template} if template else {})) == value


@pytest.mark.parametrize("response", ["<think>a</think> 42", "\n<think>\nx < 1\n</think>\n42\n"])
def test_what_has_the_format_has_its_tags(response):
    assert format_reward(response) == tags(response) == 1


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("regex", {}, r"rewards\.regex\.args\.pattern is not set"),
        ("regex", {"pattern": "(a"}, r"rewards\.regex\.args\.pattern is no regular expression: missing \)"),
        ("regex", {"pattern": 3}, r"rewards\.regex\.args\.pattern is 3: set it to a regular expression"),
        ("regex", {"pattern": "a", "match": "exact"}, r"args\.match is 'exact': set it to search or full"),
        ("regex", {"pattern": "a", "part": "all"}, r"args\.part is 'all': set it to response or answer"),
        ("contains", {}, r"rewards\.contains\.args\.texts is None: set it to a list"),
        ("contains", {"texts": "a"}, r"rewards\.contains\.args\.texts is 'a': set it to a list"),
        ("contains", {"texts": ["a", ""]}, r"rewards\.contains\.args\.texts holds ''"),
        ("contains", {"texts": ["a"], "need": "some"}, r"args\.need is 'some': set it to any or all"),
        ("tags", {"template": "{answer}"}, r"rewards\.tags\.args\.template has no tags: '\{answer\}'"),
        ("tags", {"template": 3}, r"rewards\.tags\.args\.template has no tags: 3"),
    ],
)
def test_a_bad_setting_is_found_before_training(name, args, message):
    with pytest.raises(ConfigError, match=message):
        resolve(name, RewardEntry(args=args))


def test_settings_come_from_the_config(rollout):
    scorer = Scorer(
        {
            "regex": RewardEntry(args={"pattern": "[0-9]+", "match": "full"}),
            "contains": RewardEntry(args={"texts": ["4"]}, weight=10),
            "tags": RewardEntry(weight=100),
        }
    )
    assert [scored.reward for scored in scorer.score([rollout("42"), rollout("<think>4")])] == [11, 60]


def test_tags_are_counted_in_linear_time():
    start = time.process_time()
    assert tags("<think" * 50000) == tags("</" * 100000) == 0
    assert time.process_time() - start < 1
