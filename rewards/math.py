r"""Mathematical equality of the answer part of a response and the prompt's answer.

What plain text can settle is settled here; the rest goes to child processes, where no answer can hang or bloat the run.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict
from math import nan

from rewards.extract import answer_part
from rewards.isolation.outcome import Limits, Outcome
from rewards.isolation.pool import Pool
from rewards.maths.options import Options, Percent, Units
from rewards.maths.quick import quick
from rewards.registry import reward
from rewards.score import Score

REMEMBERED = 1 << 14
"""Verdicts that are kept: many rollouts give one answer."""


@reward("math", tasks=("text", "understand"))
class Math:
    """1 when the answer part of the response equals the prompt's answer mathematically, else 0."""

    own_limit = "seconds"

    def __init__(
        self,
        percent: Percent = "value",
        units: Units = "optional",
        ordered: bool = True,
        tolerance: float = Options.tolerance,
        simplified: bool = True,
        seconds: float = 3.0,
        memory_gb: float = 2.0,
        workers: int = 0,
    ) -> None:
        """Choose what counts as the same, and how far a verifier may go for one answer; see `rewards.maths.options`.

        Args:
            percent: `value`: 4% is 0.04 and nothing else; `either`: it is also 4.
            units: `optional`: one side may leave its unit out; `require`; `convert`: 5 m is 500 cm; `ignore`.
            ordered: whether (1, 2) is a pair, which neither (2, 1) nor {1, 2} answers.
            tolerance: how far, relatively, a decimal may be from a number that has no finite decimal form.
            simplified: whether arithmetic left undone, such as 2+2, is no answer.
            seconds: of one answer; one that takes longer is wrong.
            memory_gb: address space of a verifier.
            workers: verifiers; 0 for one per core, and at most 4.
        """
        self.options = Options(
            percent=percent, units=units, ordered=ordered, tolerance=tolerance, simplified=simplified
        )
        self.pool = Pool(
            "rewards.maths.isolated:Verifier",
            asdict(self.options),
            limits=Limits(seconds=seconds, memory_gb=memory_gb),
            workers=workers,
            name="rewards.math",
        )
        self._known: OrderedDict[tuple[str, str], Score] = OrderedDict()

    def __call__(self, responses: Sequence[str], answers: Sequence[str]) -> list[Score]:
        """Return 1 or 0 for each response, why, and whether it stopped its verifier."""
        pairs = [(answer_part(response), answer.strip()) for response, answer in zip(responses, answers, strict=True)]
        asked = list(dict.fromkeys((part, answer_part(gold) or gold) for part, gold in pairs if part is not None))
        found = {pair: score for pair in asked if (score := self._at_once(*pair)) is not None}
        hard = [pair for pair in asked if pair not in found]
        outcomes = self.pool.call([{"part": part, "gold": gold} for part, gold in hard])
        found |= {pair: _score(outcome) for pair, outcome in zip(hard, outcomes, strict=True)}
        self._keep(found)
        return [
            Score(0.0, note="no answer") if part is None else found[part, answer_part(gold) or gold]
            for part, gold in pairs
        ]

    def _at_once(self, part: str, gold: str) -> Score | None:
        if (part, gold) in self._known:
            return self._known[part, gold]
        settled = quick(part, gold, self.options)
        return None if settled is None else Score(float(settled))

    def _keep(self, found: dict[tuple[str, str], Score]) -> None:
        for pair, score in found.items():
            if score.fault or score.failed:
                continue  # a machine that is busy for a moment makes no answer wrong for good
            self._known[pair] = score
            self._known.move_to_end(pair)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _score(outcome: Outcome) -> Score:
    """The model wrote what the verifier could not get through, so that it is wrong rather than unknown."""
    if outcome.error:
        return Score(nan, note=outcome.error)
    if outcome.fault:
        return Score(0.0, note=outcome.note, fault=outcome.fault)
    right, reason = outcome.value
    return Score(float(right), note=reason)
