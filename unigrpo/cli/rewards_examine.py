"""Whether a reward knows the right answers of the data, in the ways a model writes them, and takes no wrong ones."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from rewards.compose import EQUAL, FULL
from rewards.function import RewardFunction
from rewards.score import Score
from rewards.trials import ANOTHER
from unigrpo.cli.rewards_ask import Asker
from unigrpo.cli.rewards_rows import Example
from unigrpo.cli.rewards_tried import Trials, Tried
from unigrpo.errors import RewardError

AT_ONCE = 64
"""Rows that are tried together, whose pictures are in memory."""
MOST = 0.5
"""Share of the rows from which on a reward is said to know, or to read, something."""


@dataclass(frozen=True)
class Finding:
    """One answer that was not judged as it should be."""

    reward: str
    task: str
    row: str
    answer: str
    tried: str
    score: float | None
    note: str
    kind: str
    """What it is counted as; equal ones are shown only a few times."""


@dataclass
class Report:
    """What came of one reward of a task."""

    reward: str
    task: str
    rows: int
    judges: bool = False
    """Whether it tells right from wrong answers; if not, it need only not fail."""
    full: float = FULL
    """What a right answer earns, and a wrong one must not."""
    enough: float = FULL
    """What a right answer must earn."""
    reads: list[str] = field(default_factory=list)
    """The ways of writing an answer that it knows."""
    right: int = 0
    """Rows whose right answer gets enough in all these ways."""
    wrong: int = 0
    """Wrong answers that get full marks."""
    failed: int = 0
    timeouts: int = 0
    mean: float | None = None
    """What the right answer earns, over the rows."""
    seconds: list[float] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class _Judged:
    """A response to a row, and what was said of it."""

    at: int
    tried: str
    response: str
    score: Score

    @property
    def value(self) -> float:
        return self.score.value


def examine(
    reward: RewardFunction, examples: Sequence[Example], template: str | None, tell: Callable[[int], None]
) -> Report:
    """Try a reward with right and with wrong responses to some rows, at least one.

    Args:
        template: the format that responses are asked to have.
        tell: called with a number of rows that are done, each of them twice.

    Raises:
        RewardError: it fails on every row.
    """
    report = Report(reward.name, examples[0].stream, len(examples))
    trials, asker = Trials(reward, examples, template), Asker(reward)
    try:
        rights = _ask(asker, trials.rights, report, tell)
        _fails_everywhere(report, rights)
        must = _read(report, rights, trials.expected())
        wrongs = _ask(asker, lambda at: trials.wrongs(at, must[0] if must else ""), report, tell)
    finally:
        asker.close()
    report.judges = not reward.group and (
        trials.by_answer or _knows(rights, wrongs, trials.by_picture, trials.by_column)
    )
    report.findings = _findings(report, examples, must, rights, wrongs)
    return report


def _ask(asker: Asker, trials: Callable[[int], Tried], report: Report, tell: Callable[[int], None]) -> list[_Judged]:
    """What is said of the trials of every row; those to which the reward does not apply are left out."""
    found: list[_Judged] = []
    for start in range(0, report.rows, AT_ONCE):
        places = range(start, min(start + AT_ONCE, report.rows))
        asked = [(at, name, rollout) for at in places for name, rollout in trials(at)]
        for (at, name, rollout), said in zip(asked, asker.ask([one[2] for one in asked]), strict=True):
            report.seconds.append(said.seconds)
            if said.score is not None:
                found.append(_Judged(at, name, rollout.output, said.score))
        tell(len(places))
    report.failed += sum(one.score.failed for one in found)
    report.timeouts += sum(one.score.fault == "timeout" for one in found)
    return found


def _fails_everywhere(report: Report, rights: Sequence[_Judged]) -> None:
    """That is no matter of the data: a column or a package is missing, or the reward is broken."""
    if report.rows > 1 and len({one.at for one in rights}) == report.rows and all(one.score.failed for one in rights):
        why = rights[0].score.note or "its value is nan."
        raise RewardError(f"rewards.{report.reward} fails on the right answer of every row, first: {why}")


def _read(report: Report, rights: Sequence[_Judged], expected: Sequence[str]) -> list[str]:
    """Find out what full marks are and which ways of writing are read; return the ways that must be."""
    best: dict[int, float] = {}
    for one in rights:
        if not one.score.failed:
            best[one.at] = max(one.value, best.get(one.at, -math.inf))
    if not best:
        return []
    report.mean = fmean(best.values())
    if _share(value >= FULL - EQUAL for value in best.values()) < MOST and median(best.values()) > 0:
        # A graded reward, or one that is scaled.
        report.full = median(best.values())
        report.enough = report.full / 2
    counts = Counter(dict.fromkeys(dict.fromkeys(one.tried for one in rights), 0))
    counts.update(one.tried for one in rights if one.value >= report.enough - EQUAL)
    top = max(counts.values())
    report.reads = [way for way, count in counts.items() if count and count >= MOST * top]
    if not report.reads or not (set(expected) & set(report.reads) or not expected):
        return [*report.reads, *(list(expected) or list(counts))[:1]]
    return report.reads


def _knows(rights: Sequence[_Judged], wrongs: Sequence[_Judged], by_picture: bool, by_column: bool) -> bool:
    """Whether a reward that is not handed the answer tells right from wrong all the same."""
    if not (by_picture or by_column) or not rights:
        return False
    best: dict[int, float] = defaultdict(float)
    for one in rights:
        best[one.at] = max(one.value, best[one.at])
    names = {one.tried for one in wrongs}
    telling = names if by_picture else {ANOTHER} & names or {"empty"}
    fooled = _share(one.value >= FULL for one in wrongs if one.tried in telling)
    graded = by_picture and any(one.value > FULL + EQUAL for one in [*rights, *wrongs])
    return not graded and fooled <= MOST < _share(value >= FULL - EQUAL for value in best.values())


def _findings(
    report: Report,
    examples: Sequence[Example],
    must: Sequence[str],
    rights: Sequence[_Judged],
    wrongs: Sequence[_Judged],
) -> list[Finding]:
    """What to tell, row by row; a row whose right answer is not known is not tried with wrong ones."""
    bad: dict[int, list[_Judged]] = defaultdict(list)
    for one in rights:
        missed = report.judges and one.tried in must and one.value < report.enough - EQUAL
        if one.score.failed or missed:
            bad[one.at].append(one)
    report.right = report.rows - len(bad)
    found = {at: [_finding(report, examples[at], ones, "right")] for at, ones in bad.items()}
    for one in wrongs:
        if one.at in bad:
            continue
        passed = report.judges and one.value >= report.full - EQUAL
        report.wrong += passed
        if passed or one.score.failed:
            found.setdefault(one.at, []).append(_finding(report, examples[one.at], [one], "wrong"))
    return [finding for at in sorted(found) for finding in found[at]]


def _finding(report: Report, example: Example, ones: Sequence[_Judged], side: str) -> Finding:
    worst = min(ones, key=lambda one: -math.inf if one.score.failed else one.value)
    tried = ", ".join(one.tried for one in ones)
    shown = f"right answer, {tried}" if side == "right" else f"wrong answer, {tried}: {worst.response[:60]}"
    return Finding(
        reward=report.reward,
        task=report.task,
        row=example.row.where,
        answer=example.row.answer or "",
        tried=shown,
        score=None if worst.score.failed else worst.value,
        note=worst.score.note,
        kind=f"{side} {ones[0].tried if side == 'wrong' else ''}",
    )


def _share(values: Iterable[bool]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0
