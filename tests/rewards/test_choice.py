import time

import pytest

from rewards import Scorer, resolve
from rewards.choice import choice
from unigrpo.config import RewardEntry
from unigrpo.errors import ConfigError, DataError

TEXTS = ["Lyon", "Paris", "A river", "None of these"]


RIGHT = [
    "B", "b", "(B)", "(b)", "[B]", "B.", "B)", "**B**", "**(B)**", "`B`", "$B$", r"\boxed{B}", r"\boxed{\text{B}}",
    r"\boxed{\text{(B)}}", r"$\mathrm{B}$", r"\boxed{\textbf{B.}}", "Answer: B", "answer: (B)", "Final answer: B",
    "The answer is B", "The answer is B.", "The answer is (B).", "the correct answer is (b)", "The answer is: **B**",
    "The best option is B", "option B", "Option (B)", "The correct choice is option B.", "The answer is option (B).",
    "I choose B.", "<answer>B</answer>", "<think>A or C?</think> B", "<think>The answer is A</think>The answer is B",
    "<answer>\nB\n</answer>", "#### B", "France's capital is on the Seine. So the answer is (B).",
    "The answer is B because Lyon (A) is smaller.", "B. Paris", "(B) Paris", "B: Paris.", "B) paris", "B\nParis",
    "Paris", "paris.", "The answer is Paris.", "The answer is (B) Paris.", "The answer is B. The answer is B.",
    r"\boxed{\text{Paris}}", "The answer is: B) Paris", "The correct answer is option B: Paris",
    "The answer isn't obvious at first.\nThe answer is B.", "Of the options, the answer is B.",
    "The answer is (B), not (C).", "The answer is B, I think.", "The answer is B, A is too far.",
]  # fmt: skip


@pytest.mark.parametrize("response", RIGHT)
def test_the_usual_ways_to_say_b_are_read(response):
    assert choice(response, answer="B", choices=TEXTS) == 1
    assert choice(response, answer="A", choices=TEXTS) == 0


WRONG = [
    "", "A", "C", "E", "AB", "A, B", "A or B", "B or C", "(A) (B)", "A/B", "B and C", "A B C D", "(A)(B)(C)(D)",
    r"\boxed{A}, \boxed{B}", "The answer is A or B", "The answer is B or C.", "The answer is (A) or (B)",
    "The answer is B, or maybe C", "The answer is not B", "The answer isn't B", "The answer might be B",
    "Maybe the answer is B", "If the river is the Seine, the answer is B", "Either the answer is B or it is C",
    "The answer is B. No, the answer is C.", "The answer is C. The answer is B.", "option A, option B", "B. Lyon",
    "(B) A river", "Lyon", "Lyon or Paris", "Lyon Paris", "A: Lyon\nB: Paris\nC: A river", "Barcelona", "Not B",
    "<think>B</think>", "<think>B", "The answer is a river", "I think so", "B?  or C?", "The answer is: (B)?? (C)",
    "<answer>A</answer> the answer is B", "\uff22", "\u0412", "BB", "The answer is Berlin", "1", "2",
    "The answer is B and the answer is D", "The answer is both B and C", "The answer is B/C", "B, C",
    "The answer is (B). Or (C).", "The answer is B-flat", "The answer is B.\nPerhaps C", "Answers: B",
]  # fmt: skip


@pytest.mark.parametrize("response", WRONG)
def test_what_is_not_one_clear_b_earns_nothing(response):
    assert choice(response, answer="B", choices=TEXTS) == 0


def test_an_article_is_no_letter():
    assert choice("The answer is a number.", answer="A") == 0
    assert choice("The answer is A number.", answer="A") == 0
    assert choice("The answer is I believe B", answer="I") == 0
    assert choice("The answer is A.", answer="A") == 1
    assert choice("The answer is A", answer="A") == 1
    assert choice("The answer is a", answer="A") == 1


@pytest.mark.parametrize("answer", ["B", "b", "(B)", "B.", "Paris", "paris", " Paris. "])
def test_the_gold_may_be_a_letter_or_a_text(answer):
    assert choice("B", answer=answer, choices=TEXTS) == choice("Paris", answer=answer, choices=TEXTS) == 1
    assert choice("A", answer=answer, choices=TEXTS) == choice("Lyon", answer=answer, choices=TEXTS) == 0


def test_the_gold_may_be_a_number_counted_from_where_one_says():
    for place, letter in enumerate("ABCD"):
        assert choice(letter, answer=str(place), choices=TEXTS, index_from=0) == 1
        assert choice(letter, answer=str(place + 1), choices=TEXTS, index_from=1) == 1
        assert choice(letter, answer=str((place + 1) % 4), choices=TEXTS, index_from=0) == 0


def test_choices_may_be_numbers_and_records():
    numbers = ["1", "2", "3", "4"]
    assert choice("2", answer="B", choices=numbers) == choice("2", answer="2", choices=numbers) == 1
    record = {"text": TEXTS, "label": ["A", "B", "C", "D"]}
    assert choice("Paris", answer="B", choices=record) == 1
    ambiguous = ["same", "same", "other"]
    assert choice("same", answer="A", choices=ambiguous) == 0
    assert choice("A", answer="A", choices=ambiguous) == 1


def test_without_choices_there_are_ten_letters():
    for letter in "ABCDEFGHIJ":
        assert choice(f"({letter})", answer=letter) == 1
        assert choice(f"The answer is ({letter}).", answer=letter) == 1
        assert choice(f"{letter}. because it fits", answer=letter) == 1
    assert choice("K", answer="A") == 0
    assert choice("E", answer="B", choices=TEXTS) == 0


@pytest.mark.parametrize(
    ("answer", "choices", "index_from", "message"),
    [
        ("E", TEXTS, None, "the answer 'E' is none of A, B, C, D nor the text of one choice"),
        ("1", TEXTS, None, "set rewards.choice.args.index_from"),
        ("4", TEXTS, 0, "the answer '4' is none of"),
        ("0", TEXTS, 1, "the answer '0' is none of"),
        ("same", ["same", "same"], None, "the answer 'same' is none of"),
        ("A", ["one"], None, "`choices` has 1 entries"),
    ],
)
def test_a_gold_that_is_no_choice_is_an_error(answer, choices, index_from, message):
    with pytest.raises(DataError, match=message):
        choice("A", answer=answer, choices=choices, index_from=index_from)


@pytest.mark.parametrize("value", [2, "a", True])
def test_a_bad_setting_is_found_before_training(value):
    with pytest.raises(ConfigError, match=r"rewards\.choice\.args\.index_from is "):
        resolve("choice", RewardEntry(args={"index_from": value}))


def test_columns_come_from_the_data(rollout):
    scorer = Scorer({"choice": RewardEntry()})
    items = [rollout(text, answer="B", metadata={"choices": TEXTS}) for text in ("(B)", "Paris", "A")]
    scorer.check([items[0].prompt])
    assert [scored.reward for scored in scorer.score(items)] == [1, 1, 0]


def test_a_degenerate_response_takes_linear_time():
    start = time.process_time()
    for text in (
        "the answer is " * 20000,
        "B " * 100000,
        "(" * 200000,
        "the best " * 30000,
        r"\text{" * 30000,
        "or " * 90000,
    ):
        assert choice(text, answer="B", choices=TEXTS) == 0
    assert time.process_time() - start < 2
