from collections import Counter
from dataclasses import replace

import pytest

from unigrpo.config import CurateConfig, FilterSection
from unigrpo.config.load import load_config
from unigrpo.curation.filters import Right, balanced, sift
from unigrpo.curation.requests import requests_of
from unigrpo.curation.verify import Verdict
from unigrpo.data.rows import Row

LONG = "so we count all of the marbles in the box and then add those of the bag which makes it "


def rights(responses, prompts=None, rates=None, pictures=None, samples=4, **columns):
    """Right answers; by default `samples` of each prompt."""
    count = len(responses)
    prompts = prompts or [f"How many are there in box number {place // samples}?" for place in range(count)]
    config = load_config(CurateConfig, ["teacher.model=t", "data.path=x", "samples=1"])
    found = []
    for place, (response, prompt) in enumerate(zip(responses, prompts, strict=True)):
        metadata = {name: values[place] for name, values in columns.items()}
        row = Row(id=f"{prompt}/{place}" if len(set(prompts)) == count else prompt, where="", prompt=prompt)
        (request,) = requests_of(config, [Row(id=row.id, where="", prompt=prompt, metadata=metadata)])
        rate, picture = (values[place] if values else default for values, default in ((rates, 1.0), (pictures, "")))
        found.append(Right(replace(request, picture=picture), response, Verdict(True, {"math": 1.0}), rate))
    return found


def kept(rows, **settings):
    section = FilterSection(**settings)
    stays, out = sift(rows, section, 0, len)
    assert len(stays) + sum(out.values()) == len(rows)
    return [rows.index(one) for one in stays], dict(out)


def test_equal_answers_to_a_prompt_are_one_whatever_their_spacing_and_case():
    rows = rights(["It is 3.", "it  is 3 .", "It is 4.", "It is 3."], samples=3)
    assert kept(rows, near=None) == ([0, 2, 3], {"duplicate": 1})  # the last answers another prompt


def test_near_answers_to_a_prompt_are_one_by_the_share_of_common_sequences():
    rows = rights([LONG + "12.", LONG + "12!", "Twelve, for " + LONG, "another way altogether gives 12."])
    assert kept(rows, near=0.8) == ([0, 2, 3], {"near_duplicate": 1})
    assert kept(rows, near=0.5) == ([0, 3], {"near_duplicate": 2})
    assert kept(rows, near=None) == ([0, 1, 2, 3], {})


def test_near_answers_to_different_prompts_are_not_duplicates_unless_the_prompts_are_near_too():
    question = LONG + "how many are there?"
    different = rights([LONG] * 2, prompts=["How many red ones?", "And how many are blue, of all that you see?"])
    assert kept(different) == ([0, 1], {})
    assert kept(rights([LONG + "3", LONG + "4"], prompts=[question, question + "?"])) == ([0], {"near_duplicate": 1})


def test_the_same_words_about_another_picture_are_no_duplicate():
    rows = rights([LONG, LONG, LONG], prompts=["What is it?"] * 3, pictures=["a", "b", "a"])
    assert kept(rows) == ([0, 1], {"duplicate": 1})


def test_what_is_near_something_that_is_left_out_itself_stays():
    words = [f"w{n}" for n in range(60)]
    chain = [" ".join(words[shift : shift + 40]) for shift in (0, 4, 8)]  # each near its neighbour only
    rows = rights(chain)
    assert kept(rows, near=0.75, ngram=1) == ([0, 2], {"near_duplicate": 1})


def test_long_responses_are_left_out_by_characters_or_tokens():
    rows = rights(["a" * 10, "b" * 11, "c" * 12])
    assert kept(rows, max_characters=11) == ([0, 1], {"too_long": 1})
    assert kept(rows, max_tokens=10, tokenizer="x") == ([0], {"too_long": 2})


def test_prompts_that_are_too_hard_or_too_easy_are_left_out_and_the_limits_belong_to_what_stays():
    rows = rights(["a", "b", "c", "d"], rates=[0.25, 0.5, 0.75, 1.0])
    assert kept(rows, min_pass=0.5, max_pass=0.75) == ([1, 2], {"too_hard": 1, "too_easy": 1})


def test_the_first_answers_of_a_prompt_stay():
    rows = rights(list("abcdefgh"))
    assert kept(rows, per_prompt=3) == ([0, 1, 2, 4, 5, 6], {"beyond_per_prompt": 2})


@pytest.mark.parametrize(("ratio", "most"), [(1.0, 3), (1.5, 4), (2.0, 6), (9.0, 12)])
def test_no_group_is_larger_than_the_ratio_allows_and_the_smallest_is_whole(ratio, most):
    kinds = ["a"] * 12 + ["b"] * 3 + ["c"] * 5
    rows = rights([str(n) for n in range(20)], kind=kinds)
    stays, _ = kept(rows, balance="kind", ratio=ratio)
    assert Counter(kinds[place] for place in stays) == {"a": min(12, most), "b": 3, "c": min(5, most)}


def test_balancing_pass_rates_groups_them_in_equal_parts():
    rates = [0.25] * 2 + [0.5] * 4 + [0.3] * 1 + [1.0] * 6
    rows = rights([str(n) for n in range(13)], rates=rates)
    stays, _ = kept(rows, balance="pass_rate", bins=4)
    assert Counter(rates[place] for place in stays)[0.25] == 2
    assert Counter(rates[place] > 0.5 for place in stays) == {False: 4, True: 2}  # (0, 1/4], (1/4, 1/2], (3/4, 1]


def test_chance_decides_by_seed_and_more_rows_move_no_others():
    rows = rights([str(n) for n in range(30)], samples=1, kind=["a"] * 20 + ["b"] * 10)
    section = FilterSection(balance="kind")
    picks = [{one.prompt for one in balanced(rows, section, seed)} for seed in range(4)]
    assert len(set(map(frozenset, picks))) == 4
    fewer = {one.prompt for one in balanced(rows[1:], section, 0)}
    assert len(fewer & picks[0]) >= 19
