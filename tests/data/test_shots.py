import pytest

from unigrpo.config import DataSection, ShotsSection
from unigrpo.data import load_prompts
from unigrpo.data.rows import read_rows
from unigrpo.errors import ConfigError, DataError

ROWS = [{"prompt": f"{n}+{n}=", "answer": str(2 * n), "kind": "even" if n % 2 == 0 else "odd"} for n in range(6)]


@pytest.fixture
def asked(jsonl, tokenizer, ids):
    """The text of the only prompt, after solved rows."""

    def ask(row=None, rows=ROWS, count=2, by=None, **fields):
        shots = jsonl(*rows, name="shots.jsonl").path
        section = jsonl(row or {"prompt": "7+7=", "answer": "14", "kind": "odd"}, **fields)
        section.shots = ShotsSection(path=shots, count=count, by=by)
        return tokenizer.decode(load_prompts(section, tokenizer, ids)[0].tokens[1:])

    return ask


def test_plain_shots_are_text_in_the_order_of_their_file(asked):
    found = asked(template="plain", delimiter=" ")
    assert found == "0+0= 0\n\n1+1= 2\n\n7+7="


def test_an_instruction_stands_once_in_front_of_plain_shots_and_in_every_turn(asked):
    assert asked(template="plain", instruction="Add.") == "Add.\n0+0=0\n\n1+1=2\n\n7+7="
    assert asked(instruction="Add.").count("Add.") == 3


def test_shots_of_a_chat_are_the_turns_that_would_have_been(asked):
    turns = "".join(
        f"<|start_header_id|>user<|end_header_id|>\n{q}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n{a}"
        for q, a in (("0+0=", "0<|eot_id|>"), ("1+1=", "2<|eot_id|>"), ("7+7=", ""))
    )
    assert asked() == turns


def test_shots_share_the_column_that_is_named_and_are_never_the_prompt_itself(asked):
    assert asked(template="plain", by="kind", count=2) == "1+1=2\n\n3+3=6\n\n7+7="
    itself = {"prompt": "1+1=", "answer": "2", "kind": "odd"}
    assert asked(itself, template="plain", by="kind", count=2) == "3+3=6\n\n5+5=10\n\n1+1="


def test_shots_are_worded_as_the_prompt_is(asked):
    assert asked(template="plain", count=1, wording="Q: {prompt} ({kind})\nA:") == (
        "Q: 0+0= (even)\nA:0\n\nQ: 7+7= (odd)\nA:"
    )


def test_too_few_shots_and_unknown_columns_are_named(asked):
    with pytest.raises(DataError, match="has 3 other rows with kind 'odd' to put in front of"):
        asked(by="kind", count=4)
    with pytest.raises(DataError, match=r"data\.shots\.by is 'topic', but the row's other columns are: kind"):
        asked(by="topic")


def test_shots_without_a_file_are_refused():
    with pytest.raises(ConfigError, match=r"data\.shots\.path is not set"):
        read_rows(DataSection(path="x.jsonl", shots=ShotsSection()))
