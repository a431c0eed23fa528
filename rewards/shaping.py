"""Rewards for how long a response is and how much it repeats itself, to be weighted against those for what it says.

Each is linear in the length of the response. `rewards.length.weight=-0.1` penalises long answers.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from rewards.calls import begin
from rewards.registry import resolve, reward
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError
from unigrpo.types import Rollout

TASKS = ("text", "understand")

_WORD = re.compile(r"\S+")


def response_tokens(rollout: Rollout) -> int:
    """Return how many tokens a response has before its end-of-sequence."""
    # An ended response closes with the end-of-sequence id, perhaps several times; before that the id does not occur.
    ended = len(rollout.tokens) and not rollout.truncated
    return int((rollout.tokens == rollout.tokens[-1]).argmax()) if ended else len(rollout.tokens)


def check_length(settings: dict[str, Any]) -> None:
    """Raise `ConfigError` unless the unit is known and the limit is a positive number, given where it must be."""
    unit = settings.get("unit", "tokens")
    if unit not in ("tokens", "characters"):
        raise ConfigError(f"rewards.length.args.unit is {unit!r}: set it to tokens or characters.")
    if unit == "characters" and settings.get("limit") is None:
        raise ConfigError("rewards.length.args.limit is not set: characters have no limit of their own, so set one.")
    _check_count("length", "limit", settings.get("limit"), least=1)


@reward("length", tasks=TASKS, check=check_length)
def length(rollout: Rollout, unit: str = "tokens", limit: int | None = None) -> float:
    """Return the length of the response as a share of the limit, so that a negative weight penalises long ones.

    Args:
        unit: `tokens`, counted before the end-of-sequence, or `characters`, counted without white space around them.
        limit: the length that counts 1; by default `rollout.gen_length` tokens, and to be set for characters.
    """
    if unit == "characters":
        assert limit is not None, "check_length has made sure of it"
        return len(rollout.output.strip()) / limit
    return response_tokens(rollout) / (limit or rollout.sampling.gen_length)


def check_overlong(settings: dict[str, Any]) -> None:
    """Raise `ConfigError` unless the limit and the buffer are positive and the buffer fits into the limit."""
    _check_count("overlong", "limit", settings.get("limit"), least=1)
    _check_count("overlong", "buffer", settings.get("buffer"), least=1)
    limit, buffer = settings.get("limit"), settings.get("buffer")
    if limit is not None and buffer is not None and buffer > limit:
        raise ConfigError(f"rewards.overlong.args.buffer is {buffer}, more than its limit {limit}: set it to less.")


@reward("overlong", tasks=TASKS, check=check_overlong)
def overlong(rollout: Rollout, buffer: int | None = None, limit: int | None = None) -> float:
    """Return 0 up to `limit - buffer` tokens, from there falling linearly to -1 at the limit; -1 if never ended.

    Args:
        buffer: tokens over which it falls; by default a fifth of the limit.
        limit: by default `rollout.gen_length`.

    Source: DAPO (arXiv:2503.14476), equation 13.
    """
    limit = limit or rollout.sampling.gen_length
    buffer = min(buffer or -(-limit // 5), limit)
    if rollout.truncated:
        return -1.0
    return -min(max((response_tokens(rollout) - (limit - buffer)) / buffer, 0.0), 1.0)


def check_repetition(settings: dict[str, Any]) -> None:
    """Raise `ConfigError` unless `n` is a positive number and the unit is known."""
    _check_count("repetition", "n", settings.get("n"), least=1)
    unit = settings.get("unit", "words")
    if unit not in ("words", "characters", "tokens"):
        raise ConfigError(f"rewards.repetition.args.unit is {unit!r}: set it to words, characters or tokens.")


@reward("repetition", tasks=TASKS, check=check_repetition)
def repetition(rollout: Rollout, n: int = 3, unit: str = "words") -> float:
    """Return the share of n-grams that occurred before in the response, 0 to 1: a negative weight penalises loops.

    Args:
        n: units in a row that make one n-gram; a response of fewer repeats nothing.
        unit: `words` between white space, in lower case; `characters`; or `tokens` before the end-of-sequence.
    """
    units: Sequence[Any] = rollout.output.lower()
    if unit == "words":
        units = _WORD.findall(units)
    elif unit == "tokens":
        units = rollout.tokens[: response_tokens(rollout)].tolist()
    total = len(units) - n + 1
    if total < 1:
        return 0.0
    return 1 - len(set(zip(*(units[start : start + total] for start in range(n)), strict=True))) / total


def check_group_length(settings: dict[str, Any]) -> None:
    """Raise an error unless `correct` names a reward."""
    _judge(settings.get("correct", "exact_match"))


@reward("group_length", tasks=TASKS, check=check_group_length, group=True)
def group_length(rollouts: Sequence[Rollout], correct: str = "exact_match") -> list[float]:
    """Return 0.5 for the shortest response of a prompt, falling to -0.5 for the longest; at most 0 where it is wrong.

    So being short never pays by itself. Responses that are all of one length earn 0.

    Args:
        rollouts: those of one prompt.
        correct: name of the shipped reward that says which are right: those it gives 1.

    Source: Kimi k1.5 (arXiv:2501.12599), section 2.3.3.
    """
    lengths = [response_tokens(rollout) for rollout in rollouts]
    shortest, spread = min(lengths), max(lengths) - min(lengths)
    values = [0.5 - (tokens - shortest) / spread if spread else 0.0 for tokens in lengths]
    return [value if right else min(0.0, value) for value, right in zip(values, _judge(correct)(rollouts), strict=True)]


@lru_cache
def _judge(name: str) -> Callable[[Sequence[Rollout]], list[bool]]:
    """Return what tells, of each rollout, whether a shipped reward gives it full marks."""
    found = resolve(name, RewardEntry())

    def judge(rollouts: Sequence[Rollout]) -> list[bool]:
        scores, _ = begin(found, rollouts)()
        return [score is not None and score.value >= 1 for score in scores]

    return judge


def _check_count(name: str, key: str, value: Any, least: int) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise ConfigError(f"rewards.{name}.args.{key} is {value!r}: set it to a whole number of {least} or more.")
