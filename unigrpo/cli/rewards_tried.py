"""Which responses a reward is tried with, row by row."""

from collections.abc import Iterator, Sequence

from rewards.function import RewardFunction
from rewards.trials import (
    BOXED,
    BOXED_FORMAT,
    FORMAT,
    OWN,
    PERCENT,
    SIGN,
    degenerate,
    differ,
    mutated,
    pictures,
    responding,
    writings,
)
from unigrpo.cli.rewards_rows import Example
from unigrpo.data.prompts import instruction_of
from unigrpo.types import DRAWING, Rollout

OTHERS = 20
"""Right answers of other rows that are given at once."""
FAR = 200
"""Rows after one in which they are looked for."""
Tried = Iterator[tuple[str, Rollout]]
"""Names and trial rollouts."""


class Trials:
    """The responses that one reward is tried with."""

    def __init__(self, reward: RewardFunction, examples: Sequence[Example], template: str | None) -> None:
        self.examples, self.template = examples, template
        taken, everything = set(reward.parameters.names) - set(reward.settings), reward.parameters.everything
        self.looks = everything or bool(taken & {"image", "images", "rollout", "rollouts"})
        draws = examples[0].section.task in DRAWING
        self.by_picture = draws and bool(taken & {"image", "images"})
        """Whether it judges drawings."""
        self.by_answer = not self.by_picture and bool(taken & {"answer", "answers"})
        """Whether it is handed the right answer."""
        columns = {key for example in examples for key in example.row.metadata}
        self.by_column = not self.by_picture and (everything or bool(taken & (columns | {"rollout", "rollouts"})))
        """Whether it is handed something that may tell it what is right."""

    def expected(self) -> list[str]:
        """The ways of writing an answer that the config asks for; none if it asks for no format."""
        boxed = "\\boxed" in instruction_of(self.examples[0].section)
        if self.template:
            return [BOXED_FORMAT] if boxed else [FORMAT, BOXED_FORMAT]
        return [BOXED] if boxed else []

    def rights(self, at: int) -> Tried:
        """The right answer of a row in every way, or what its data draw."""
        example = self.examples[at]
        prompt, row, task = example.prompt(self.looks), example.row, example.section.task
        if self.by_picture:
            if row.image is not None:
                yield "its own picture", responding(prompt, row.answer or "", "own picture", example.picture())
            return
        found = {OWN: row.response} if row.response else {}
        if row.answer is not None:
            found = writings(row.answer, task, self.template) | found
        for way, response in found.items():
            yield way, responding(prompt, response, way)

    def wrongs(self, at: int, way: str) -> Tried:
        """Responses to a row that are not right; mutated answers are written in the given way."""
        example = self.examples[at]
        prompt, gold = example.prompt(self.looks), example.row.answer or ""
        if self.by_picture:
            for name, picture in pictures(example.resolution).items():
                yield name, responding(prompt, gold, name, picture)
            return
        rights = {rollout.output for _, rollout in self.rights(at)}
        others = self._others(at)
        for name, response in degenerate(gold, example.row.prompt, others):
            if response not in rights:
                yield name, responding(prompt, response, name)
        if gold and (self.by_answer or self.by_column):
            for name, answer in mutated(gold, example.row.prompt, others[0] if others else None):
                # Digits may be those of a grid or a date, which a sign before or behind them does not change.
                if name in (SIGN, PERCENT) and not self.by_answer:
                    continue
                ways = writings(answer, example.section.task, self.template)
                yield name, responding(prompt, ways.get(way) or next(iter(ways.values())), name)

    def _others(self, at: int) -> list[str]:
        """Different right answers of the rows that follow."""
        gold, found = self.examples[at].row.answer, []
        for step in range(1, min(len(self.examples), FAR)):
            other = self.examples[(at + step) % len(self.examples)].row.answer
            if gold and other and other not in found and differ(gold, other):
                found.append(other)
            if len(found) == OTHERS:
                break
        return found
