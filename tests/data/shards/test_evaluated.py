import json

import pytest

from unigrpo.config import DataSection
from unigrpo.data.rows import read_rows
from unigrpo.errors import DataError


@pytest.fixture
def read(tmp_path):
    """The first row of a file, as it is laid out."""

    def first(values, layout, name="rows.jsonl", **fields):
        path = tmp_path / name
        path.write_text(values if isinstance(values, str) else json.dumps(values) + "\n")
        return read_rows(DataSection(path=str(path), layout=layout, **fields))[0]

    return first


@pytest.mark.parametrize(
    "values",
    [
        {"question": "q", "subject": "s", "choices": ["w", "x", "y", "z"], "answer": 2},
        {"question": "q", "choices": {"text": ["w", "x", "y", "z"], "label": ["1", "2", "3", "4"]}, "answerKey": "3"},
        {"question": "q", "choices": {"text": ["w", "x", "y", "z"], "label": list("ABCD")}, "answerKey": "C"},
        {
            "question": {
                "stem": "q",
                "choices": [{"text": t, "label": k} for t, k in zip("wxyz", "ABCD", strict=True)],
            },
            "answerKey": "C",
        },
        {"question": "q", "options": "['w', 'x', 'y', 'z']", "answer": "C"},
        {"question": "q", "choices": ["w", "x", "y", "z"], "answer": "y"},
    ],
)
def test_every_way_to_write_a_multiple_choice_gives_texts_and_a_letter(read, values):
    row = read(values, "choices")
    assert (row.prompt, row.metadata["choices"], row.answer) == ("q", ["w", "x", "y", "z"], "C")


def test_numbers_as_texts_are_found_by_their_label_before_their_place(read):
    row = read({"question": "q", "choices": {"text": ["5", "7"], "label": ["1", "2"]}, "answerKey": 1}, "choices")
    assert row.answer == "A"


def test_an_answer_that_is_no_choice_is_refused(read):
    with pytest.raises(DataError, match="line 1: the answer 'E' is none of the choices A, B"):
        read({"question": "q", "choices": ["w", "x"], "answer": "E"}, "choices")
    with pytest.raises(DataError, match="the choices are 'w', but must be a list"):
        read({"question": "q", "choices": "w", "answer": "A"}, "choices")


def test_d1s_files_have_what_the_rewards_read(read):
    row = read({"input": "30,100,93", "output": "23"}, "countdown")
    assert (row.metadata["numbers"], row.metadata["target"]) == ([30, 100, 93], 23)
    row = read("Puzzle,Solution\n0140432014020000,2143432114323214\n", "sudoku", "p.csv")
    assert (row.metadata["puzzle"], row.answer) == ("0140432014020000", "2143432114323214")


def test_a_wording_holds_the_columns_of_the_layout(read):
    row = read(
        {"question": "q?", "choices": ["w", "x"], "answer": 0},
        "choices",
        wording=r"{prompt} \boxed{}" "\n{choices}\nAnswer:",
    )
    assert row.prompt == "q? \\boxed{}\nA. w\nB. x\nAnswer:"
    row = read({"input": "30,100,93", "output": "23"}, "countdown", wording="{numbers} -> {target}")
    assert row.prompt == "30, 100, 93 -> 23"


def test_a_wording_uses_a_mapped_column_and_names_one_that_is_missing(read):
    row = read({"q": "why", "answer": "007"}, "rows", columns={"prompt": "q"}, wording="<{prompt}|{answer}>")
    assert row.prompt == "<why|007>"
    with pytest.raises(
        DataError, match=r"line 1: data.wording names \{topic\}, but there is no such column.*q, answer"
    ):
        read({"q": "why", "answer": "x"}, "rows", columns={"prompt": "q"}, wording="{topic}")
