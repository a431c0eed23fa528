"""What the benchmarks of yes or no report beside accuracy, with intervals from a bootstrap."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from unigrpo.errors import DataError
from unigrpo.intervals import TAILS, Interval
from unigrpo.types import Prompt, Scored

Kind = Literal["yes_no", "mme"]
Found = dict[str, tuple[float, Interval]]
"""Values with their intervals, by name."""
REWARD = "yes_no"
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
"""MME's categories that are no perception."""


def check_summed(kind: Kind, prompts: Sequence[Prompt]) -> None:
    """Raise `DataError` unless the prompts of one task have what the summary is made of."""
    for prompt in prompts if kind == "mme" else ():
        if prompt.metadata.get("category") is None or not prompt.images:
            raise DataError(f"{prompt.id}: summary=mme needs a picture and the column `category`.")


def summary(kind: Kind, scored: Sequence[Scored], resamples: int, seed: int) -> Found:
    """Returns what POPE reports (`yes_no`: precision, recall, F1, share of yes) or what MME does (`mme`: its scores).

    Args:
        scored: responses that the reward `yes_no` judged, one of each prompt; `check_summed` has seen these.
    """
    return _of_yes(scored, resamples, seed) if kind == "yes_no" else _mme(scored, resamples, seed)


def _of_yes(scored: Sequence[Scored], resamples: int, seed: int) -> Found:
    """Source: POPE (arXiv:2305.10355), section 5.1, where yes is what is to be found."""
    said = np.array([item.parts[f"{REWARD}/yes"] for item in scored])
    gold = np.array([float((item.rollout.prompt.answer or "").strip().lower() == "yes") for item in scored])
    counts_P4 = np.stack([said * gold, said, gold, np.ones_like(said)], 1)
    draw = np.random.default_rng([seed])
    drawn_R4 = np.array([counts_P4[draw.integers(len(said), size=len(said))].sum(0) for _ in range(resamples)])
    ratios: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "precision": lambda it: _ratio(it[..., 0], it[..., 1]),
        "recall": lambda it: _ratio(it[..., 0], it[..., 2]),
        "f1": lambda it: _ratio(2 * it[..., 0], it[..., 1] + it[..., 2]),
        "yes": lambda it: _ratio(it[..., 1], it[..., 3]),
    }
    whole_4 = counts_P4.sum(0)
    return {name: (float(ratio(whole_4)), _tails(ratio(drawn_R4))) for name, ratio in ratios.items()}


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The share, 0 where there is nothing to take it of."""
    return np.divide(above, below, out=np.zeros_like(above, dtype=np.float64), where=below > 0)


def _mme(scored: Sequence[Scored], resamples: int, seed: int) -> Found:
    """A category scores the percentage of its right answers and that of its pictures with none but right ones.

    Source: MME (arXiv:2306.13394), section 2.2.
    """
    pictures: dict[str, dict[str, list[float]]] = {}
    for item in scored:
        category = item.rollout.prompt.metadata["category"]
        name = hashlib.blake2b(item.rollout.prompt.images[0].tobytes(), digest_size=16).hexdigest()
        pictures.setdefault(str(category), {}).setdefault(name, []).append(item.parts[REWARD])
    found: dict[str, tuple[float, np.ndarray]] = {}
    for number, (category, own) in enumerate(sorted(pictures.items())):
        counts_P3 = np.array([[sum(right), len(right), float(min(right) >= 1)] for right in own.values()])
        draw = np.random.default_rng([seed, number])
        drawn_R = [_points(counts_P3[draw.integers(len(own), size=len(own))]) for _ in range(resamples)]
        found[category] = (_points(counts_P3), np.array(drawn_R))
    groups = {"mme": tuple(found)}
    groups["mme_perception"] = tuple(name for name in found if name not in COGNITION)
    groups["mme_cognition"] = tuple(name for name in found if name in COGNITION)
    return {
        name: (sum(found[one][0] for one in own), _tails(np.sum([found[one][1] for one in own], 0)))
        for name, own in groups.items()
        if own
    }


def _points(counts_P3: np.ndarray) -> float:
    right, asked, whole = counts_P3.sum(0)
    return float(100 * (right / asked + whole / len(counts_P3)))


def _tails(values_R: np.ndarray) -> Interval:
    low, high = np.percentile(values_R, TAILS)
    return float(low), float(high)
