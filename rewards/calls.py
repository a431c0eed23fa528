"""Calling one reward on many rollouts: one by one, all at once, by group, in an event loop, or in child processes."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, get_args

import numpy as np

from rewards import loop
from rewards.compose import group_of
from rewards.function import RewardFunction
from rewards.isolation.outcome import Outcome
from rewards.isolation.pool import Pool
from rewards.score import Fault, Score
from rewards.source import raised_at
from unigrpo.errors import ConfigError, RewardError
from unigrpo.types import Rollout

FAULTS = get_args(Fault)
LONGEST = 500
"""Characters of an exception that are kept."""
Said = list[Score | None]
"""What a reward says of each rollout; None where it does not apply."""


@dataclass(frozen=True)
class _Failed:
    """What stands in the place of a result."""

    reason: str


@dataclass(frozen=True)
class _Call:
    """One call of a reward, and whom it is about."""

    rollouts: Sequence[Rollout]
    arguments: dict[str, Any]


def begin(reward: RewardFunction, rollouts: Sequence[Rollout]) -> Callable[[], tuple[Said, float]]:
    """Start what can go on by itself, and return how to get the scores, with the seconds they took.

    Raises:
        RewardError: an argument is missing; or, when the scores are asked for, what the reward returned is no score, or
            it failed and its `on_error` is `raise`.
    """
    calls = _calls(reward, rollouts)
    if reward.asynchronous:
        running = loop.submit(_timed(reward, calls))
        return lambda: _read(reward, rollouts, calls, *running.result())
    return lambda: _read(reward, rollouts, calls, *_now(reward, calls))


def _calls(reward: RewardFunction, rollouts: Sequence[Rollout]) -> list[_Call]:
    if not reward.parameters.many:
        return [_Call([rollout], reward.bind(rollout)) for rollout in rollouts]
    shares = [rollouts]
    if reward.group:
        names = [group_of(rollout) for rollout in rollouts]
        shares = [[r for r, own in zip(rollouts, names, strict=True) if own == name] for name in dict.fromkeys(names)]
    return [_Call(share, reward.bind_many(share)) for share in shares if share]


def _now(reward: RewardFunction, calls: Sequence[_Call]) -> tuple[list[Any], float]:
    started = time.perf_counter()
    found = [_result(reward, call) for call in calls] if reward.pool is None else _isolated(reward, reward.pool, calls)
    return found, time.perf_counter() - started


def _isolated(reward: RewardFunction, pool: Pool, calls: Sequence[_Call]) -> list[Any]:
    outcomes = pool.call([call.arguments for call in calls])
    found = []
    for call, outcome in zip(calls, outcomes, strict=True):
        if outcome.error:
            found.append(_Failed(f"raised {outcome.error}"))
        elif outcome.fault and len(call.rollouts) > 1:
            found.append(_one_by_one(reward, pool, call, outcome))
        else:
            found.append(outcome)
    return found


def _one_by_one(reward: RewardFunction, pool: Pool, call: _Call, together: Outcome) -> Any:
    """What is said of each alone, after one of several stopped the verifier; a group cannot be taken apart."""
    if reward.group:
        return _Failed(f"was stopped ({together.fault}: {together.note})")
    alone = pool.call([reward.bind_many([rollout]) for rollout in call.rollouts])
    return [_alone(reward, rollout, outcome) for rollout, outcome in zip(call.rollouts, alone, strict=True)]


def _alone(reward: RewardFunction, rollout: Rollout, outcome: Outcome) -> Any:
    failed = _Failed(f"raised {outcome.error}") if outcome.error else outcome
    return _of_call(reward, _Call([rollout], {}), failed)[0]


async def _timed(reward: RewardFunction, calls: Sequence[_Call]) -> tuple[list[Any], float]:
    started = time.perf_counter()
    found = await asyncio.gather(*(_awaited(reward, call) for call in calls))
    return list(found), time.perf_counter() - started


def _result(reward: RewardFunction, call: _Call) -> Any:
    try:
        return reward.function(**call.arguments)
    except (ConfigError, RewardError):
        raise
    except (Exception, SystemExit) as error:
        return _raised(reward, error)


async def _awaited(reward: RewardFunction, call: _Call) -> Any:
    try:
        return await asyncio.wait_for(reward.function(**call.arguments), reward.timeout)
    except (ConfigError, RewardError):
        raise
    # The loop is everybody's: what would end it, or this task alone, ends here.
    except (Exception, SystemExit, asyncio.CancelledError) as error:
        if isinstance(error, TimeoutError) and reward.timeout:
            return _Failed(f"gave no answer within {reward.timeout:g} s")
        return _raised(reward, error)


def _raised(reward: RewardFunction, error: BaseException) -> _Failed:
    return _Failed(f"raised {type(error).__name__}: {_line(error)} at {raised_at(error, reward.function)}")


def _line(error: BaseException) -> str:
    """What an exception says, in one line that is not too long."""
    try:
        return " ".join(str(error).split())[:LONGEST]
    except Exception:
        return "(it cannot be printed)"


def _read(
    reward: RewardFunction, rollouts: Sequence[Rollout], calls: Sequence[_Call], found: Sequence[Any], seconds: float
) -> tuple[Said, float]:
    said: dict[int, Score | None] = {}
    for call, result in zip(calls, found, strict=True):
        scores = _of_call(reward, call, result)
        said |= {id(rollout): score for rollout, score in zip(call.rollouts, scores, strict=True)}
    return [said[id(rollout)] for rollout in rollouts], seconds


def _of_call(reward: RewardFunction, call: _Call, result: Any) -> Said:
    size = len(call.rollouts)
    if isinstance(result, _Failed):
        return [_failure(reward, call, result.reason)] * size
    if isinstance(result, Outcome):
        if result.fault:
            return [Score(0.0, note=result.note, fault=result.fault)] * size
        result = result.value
    if not reward.parameters.many:
        return [_score(reward, call.rollouts[0], result)]
    result = result.tolist() if hasattr(result, "tolist") else result
    if not isinstance(result, list | tuple) or len(result) != size:
        raise RewardError(
            f"rewards.{reward.name} returned {_describe(result)} for {size} rollouts: return a list with one number, "
            "or None, for each."
        )
    return [_score(reward, rollout, value) for rollout, value in zip(call.rollouts, result, strict=True)]


def _failure(reward: RewardFunction, call: _Call, reason: str) -> Score:
    subject = f"rollout {call.rollouts[0].id}"
    if reward.parameters.many:
        subject = f"{len(call.rollouts)} rollouts, the first of them {call.rollouts[0].id}"
    message = f"rewards.{reward.name} {reason}, on {subject}."
    if reward.on_error == "raise":
        raise RewardError(f"{message} Correct it there; a reward that does not apply to a response returns None.")
    return Score(0.0 if reward.on_error == "zero" else math.nan, note=message, fault="error")


def _score(reward: RewardFunction, rollout: Rollout, value: Any) -> Score | None:
    if value is None:
        return None
    score = value if isinstance(value, Score) else Score(_number(reward, rollout, value))
    if not isinstance(score.parts, dict) or not isinstance(score.note, str) or score.fault not in FAULTS:
        raise RewardError(
            f"rewards.{reward.name} returned {_describe(score)} for rollout {rollout.id}: `parts` of a Score is a "
            f"dictionary of numbers, `note` a text, and `fault` one of {', '.join(filter(None, FAULTS))}, or empty."
        )
    taken = next((name for name in score.parts if name in FAULTS), None)
    if taken:
        raise RewardError(f"rewards.{reward.name} has a part `{taken}`, which is the name of a count: rename it.")
    parts = {name: _number(reward, rollout, part) for name, part in score.parts.items()}
    score = replace(score, value=_number(reward, rollout, score.value), parts=parts)
    if score.failed and reward.on_error == "raise":
        raise RewardError(f"rewards.{reward.name} has no value for rollout {rollout.id}: {score.note or 'it is nan'}.")
    if score.failed and reward.on_error == "zero":
        return replace(score, value=0.0, fault="error")
    return replace(score, fault="error") if score.failed else score


def _number(reward: RewardFunction, rollout: Rollout, value: Any) -> float:
    value = value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
    if not isinstance(value, Real | np.bool_):
        raise RewardError(
            f"rewards.{reward.name} returned {_describe(value)} for rollout {rollout.id}: return one number."
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise RewardError(
            f"rewards.{reward.name} returned {number} for rollout {rollout.id}: return a finite number, None where it "
            "does not apply, or nan where it could not be had."
        )
    return number


def _describe(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, list | tuple) or getattr(value, "ndim", 0):
        return f"{len(value)} values ({kind})"
    try:
        return f"{value!r:.60} ({kind})"
    except Exception:
        return f"something ({kind})"
