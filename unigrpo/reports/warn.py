"""What of a run a person should look at, from what size on, and what to do about it."""

from collections.abc import Mapping, Sequence
from typing import Any

from unigrpo.config import RolloutSection
from unigrpo.reports.series import Series, matching, series
from unigrpo.reports.told import Concern

Rows = Sequence[Mapping[str, Any]]
ROSE = 1.05
"""A held-out loss of so many times its lowest is taken for one that rises."""
WAITED, FAILED, EQUAL, CUT, CLIPPED = 0.2, 0.01, 0.8, 0.5, 0.3
"""Shares above which it is worth a word: of the time spent waiting for data, of rewards that failed, of groups without
differences, of responses that did not end, of tokens that were clipped."""
SATURATED = 0.5
"""The share of groups without differences, in the last quarter, that is too many for a reward that has risen."""
KL, LEAP, LEAST_KL = 5.0, 20.0, 0.5
"""Nats per token at the end of a run, above which the policy has little left of its reference; or so many times the
median of the run in one step, if that is at least the third number."""
SHORT = 1 / 3
"""The length of the last quarter as a share of that of the first, below which responses have collapsed."""
CACHE = RolloutSection().max_cache_error
"""Nats per token between what was sampled with a cache and without; the default of `rollout.max_cache_error`."""
KEPT = 0.1
"""The share of a teacher's answers below which it is worth a word that so few were kept."""
QUARTERS = 8
"""Steps from which on the first quarter of a run is compared with its last."""
LOSSES = {"sft": "sft/loss", "tokenizer": "tokenizer/loss", "clip": "clip/loss"}


def of_metrics(verb: str, rows: Rows, found: Series | None = None) -> list[Concern]:
    """What the metrics of a run that trains give reason to look at.

    Args:
        found: the rows by metric, where that is known already.
    """
    found = series(rows) if found is None else found
    concerns = [
        _skipped(found),
        _did_not_fall(found, LOSSES[verb]) if verb in LOSSES else None,
        _rose(found, "sft/held_out_loss"),
        _fell(found),
        _failed(found),
        _saturated(found) or _equal(found),
        _kl(found),
        _clipped(found),
        _shorter(found),
        _cut(found),
        _cache(found),
        _waited(found),
    ]
    return [*filter(None, concerns), *_not_finite(rows)]


def of_evaluation(metrics: Mapping[str, float]) -> list[Concern]:
    """What an evaluation gives reason to look at."""
    words = {
        "eval/failed": (FAILED, "of the responses have no reward, because one failed", MEND),
        "eval/truncated": (CUT, "of the responses did not end within their length", LONGER),
    }
    shares = ((metrics.get(key, 0.0), *rest) for key, rest in words.items())
    return [Concern(f"{share:.0%} {text}.", do) for share, most, text, do in shares if share > most]


def of_curation(found: Mapping[str, Any]) -> list[Concern]:
    """What a curation gives reason to look at."""
    lost = {name: count for name, count in found["rejected"].items() if name in LOST}
    concerns = [Concern(f"{count:,} answers are {name}.", LOST[name]) for name, count in lost.items()]
    if found["keep_rate"] < KEPT:
        few = f"Read what was said of an answer of each reason, below; said when under {KEPT:.0%} are kept."
        concerns.append(Concern(f"Only {found['keep_rate']:.1%} of the answers were kept.", few))
    return concerns


LOST = {
    "unanswered": "The teacher gave none: call again, and only these are asked for.",
    "unverified": "A reward failed for them: `unigrpo rewards check` finds out why.",
}
MEND = (
    "Their notes below say why; `unigrpo rewards check` tries a reward on all of your data. "
    f"Said when more than {FAILED:.0%} fail."
)
LONGER = f"Raise rollout.gen_length, or reward what ends. Said above {CUT:.0%}."


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _values(found: Series, key: str) -> list[float]:
    return found[key][1] if key in found else []


def _quarters(found: Series, key: str) -> tuple[float, float] | None:
    """Means of the first and of the last quarter; None for a run that is too short to have any."""
    values = _values(found, key)
    part = len(values) // 4
    return (_mean(values[:part]), _mean(values[-part:])) if len(values) >= QUARTERS else None


def _late(found: Series, key: str) -> float:
    """The mean of the last quarter."""
    values = _values(found, key)
    return _mean(values[-max(1, len(values) // 4) :])


def _worst_task(found: Series, key: str) -> str:
    """The task that has most of what all together have too much of."""
    kind, _, name = key.partition("/")
    late = {one.split("/")[1]: _late(found, one) for one in matching(found, (f"{kind}/*/{name}",))}
    if not late:
        return ""
    task = max(late, key=lambda one: late[one])
    return f" (task {task}: {late[task]:.0%})"


def _skipped(found: Series) -> Concern | None:
    count = int(sum(_values(found, "optim/skipped")))
    what = f"{count} optimiser steps were left out, because loss or gradient was not finite."
    return Concern(what, "A few are harmless; many ask for a smaller optim.lr, or for bfloat16.") if count else None


def _did_not_fall(found: Series, key: str) -> Concern | None:
    quarters = _quarters(found, key)
    if quarters is None or quarters[1] < quarters[0]:
        return None
    return Concern(f"{key} did not fall.", "Its last quarter is compared with its first: try another optim.lr.")


def _rose(found: Series, key: str) -> Concern | None:
    if key not in found:
        return None
    steps, values = found[key]
    at, last = values.index(min(values)), values[-1]
    if last <= ROSE * values[at]:
        return None
    what = f"{key} rose to {last:.4g} from {values[at]:.4g} at step {steps[at]}."
    return Concern(what, f"It learns by heart: train for fewer steps, or on more data. Said above {ROSE:g} times.")


def _fell(found: Series) -> Concern | None:
    """The held-out accuracies that are below their start, all in one."""
    fell = []
    for key in matching(found, ("eval/accuracy", "eval/*/accuracy")):
        values = found[key][1]
        if values[-1] < values[0]:
            fell.append(f"{key} fell from {values[0]:.1%} to {values[-1]:.1%}")
    do = "The run is worse than its start: take an earlier checkpoint, lower optim.lr, or raise algo.beta."
    return Concern(f"{', '.join(fell)}.", f"{do} Small evaluations also fall by chance.") if fell else None


def _failed(found: Series) -> Concern | None:
    share = _mean(_values(found, "reward/failed"))
    return Concern(f"{share:.0%} of the rewards failed.", MEND) if share > FAILED else None


def _saturated(found: Series) -> Concern | None:
    rewards = _quarters(found, "reward/mean")
    share = _late(found, "reward/zero_std")
    if rewards is None or rewards[1] <= rewards[0] or share <= SATURATED:
        return None
    what = (
        f"The reward is saturated: it rose from {rewards[0]:.3g} to {rewards[1]:.3g}, and in the last quarter "
        f"{share:.0%} of the groups have equal rewards{_worst_task(found, 'reward/zero_std')}."
    )
    do = "What is left teaches little: stop here, give harder prompts, or set algo.dynamic_sampling."
    return Concern(what, f"{do} Said above {SATURATED:.0%}.")


def _equal(found: Series) -> Concern | None:
    share = _mean(_values(found, "reward/zero_std"))
    if share <= EQUAL:
        return None
    what = f"{share:.0%} of the groups had equal rewards, from which nothing is learned"
    do = "Prompts are too hard or too easy: mix others in, raise rollout.group_size or the temperature, or give parts."
    return Concern(f"{what}{_worst_task(found, 'reward/zero_std')}.", f"{do} Said above {EQUAL:.0%}.")


def _kl(found: Series) -> Concern | None:
    values = _values(found, "policy/kl")
    if not values:
        return None
    median, most, late = sorted(values)[len(values) // 2], max(values), _late(found, "policy/kl")
    do = "The policy runs away from its reference: raise algo.beta, lower optim.lr or algo.mu."
    if late > KL:
        return Concern(f"policy/kl is {late:.3g} nats per token at the end.", f"{do} Said above {KL:g}.")
    if most > max(LEAST_KL, LEAP * median):
        step = found["policy/kl"][0][values.index(most)]
        what = f"policy/kl leapt to {most:.3g} at step {step}; its median is {median:.3g}."
        return Concern(what, f"{do} Said above {LEAP:g} times the median.")
    return None


def _clipped(found: Series) -> Concern | None:
    share = _late(found, "policy/clip_fraction")
    what = f"{share:.0%} of the tokens were clipped in the last quarter, and taught nothing."
    do = f"Lower optim.lr or algo.mu, or widen algo.clip_eps. Said above {CLIPPED:.0%}."
    return Concern(what, do) if share > CLIPPED else None


def _shorter(found: Series) -> Concern | None:
    lengths = _quarters(found, "rollout/length")
    if lengths is None or lengths[1] >= SHORT * lengths[0]:
        return None
    what = f"Responses collapsed from {lengths[0]:.4g} to {lengths[1]:.4g} tokens."
    do = "Read the last rollouts: a reward may be had without an answer. If short answers are right, all is well."
    return Concern(what, f"{do} Said below a third.")


def _cut(found: Series) -> Concern | None:
    share = _mean(_values(found, "rollout/truncated"))
    what = f"{share:.0%} of the responses did not end within their length{_worst_task(found, 'rollout/truncated')}."
    return Concern(what, LONGER) if share > CUT else None


def _cache(found: Series) -> Concern | None:
    error = max(_values(found, "rollout/cache_error"), default=0.0)
    what = f"rollout/cache_error reached {error:.3g} nats per token: the cache draws what the policy would not."
    do = f"Refresh the cache more often, or do without it. Said above {CACHE:g}."
    return Concern(what, do) if error > CACHE else None


def _waited(found: Series) -> Concern | None:
    data, step = (sum(_values(found, key)) for key in ("time/data", "time/step"))
    if not step or data / step <= WAITED:
        return None
    what = f"{data / step:.0%} of the time was spent waiting for data."
    return Concern(what, f"Give sft.workers more processes, or encode pictures before. Said above {WAITED:.0%}.")


def _not_finite(rows: Rows) -> list[Concern]:
    """Metrics that were not finite, which are written as null."""
    counts: dict[str, int] = {}
    for row in rows:
        for key, value in row.items():
            if value is None:
                counts[key] = counts.get(key, 0) + 1
    do = "It was not a finite number there: look at what else happened at those steps."
    return [Concern(f"{key} was not known in {count} steps.", do) for key, count in counts.items()]
