import json
from collections import defaultdict
from pathlib import Path

import pytest

from rewards import answer_part
from rewards.maths.options import Options
from rewards.maths.quick import quick
from rewards.maths.verifier import verify

CASES = [json.loads(line) for line in Path(__file__).with_name("cases.jsonl").read_text().splitlines()]
KINDS = defaultdict(list)
for case in CASES:
    KINDS[case["kind"]].append(case)


def judged(answer: str, gold: str, options: Options = Options()) -> bool:  # noqa: B008
    part, gold = answer_part(answer), answer_part(gold) or gold
    if part is None:
        return False
    settled = quick(part, gold, options)
    return verify(part, gold, options)[0] if settled is None else settled


def test_there_are_many_cases_of_many_kinds_and_both_signs():
    right = sum(case["right"] for case in CASES)
    assert len(CASES) >= 450
    assert len(KINDS) >= 22
    assert right >= 200
    assert len(CASES) - right >= 200
    assert len({(case["gold"], case["answer"]) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_case_of_a_kind_gets_its_verdict(kind):
    missed = [case for case in KINDS[kind] if judged(case["answer"], case["gold"]) != case["right"]]
    assert missed == []


def test_every_gold_answers_itself():
    assert [gold for gold in {case["gold"] for case in CASES} if not judged(gold, gold)] == []


def test_the_quick_rules_never_contradict_the_verifier():
    for case in CASES:
        part, gold = answer_part(case["answer"]), answer_part(case["gold"]) or case["gold"]
        settled = quick(part, gold, Options()) if part else None
        assert settled is None or settled == verify(part, gold, Options())[0], case


def test_cases_written_by_somebody_who_had_not_seen_the_rules_are_judged_as_labelled():
    """But five: a sum around a box, 7/45 for 7:45, six digits of pi for 355/113, radians for 60, `$7m$` in bold."""
    unseen = [json.loads(line) for line in Path(__file__).with_name("unseen.jsonl").read_text().splitlines()]
    assert len(unseen) > 2200
    wrong = [case for case in unseen if judged(case["answer"], case["gold"]) != case["right"]]
    assert len(wrong) <= 5, wrong
