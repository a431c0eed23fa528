import pytest

from rewards.format import format as has_format
from rewards.judge.reply import NoAnswer
from unigrpo.curation.said import Said
from unigrpo.curation.thoughts import Thought, thought_of

T = Thought("I add.", "7")


@pytest.mark.parametrize(
    ("content", "reasoning", "expected"),
    [
        ("<think>I add.</think> 7", "", T),
        ("\n<think>\nI add.\n</think>\n\n7\n", "", T),
        ("I add.\n</think>\n7", "", T),
        ("7", "\nI add.\n", T),
        ("<think>I add.</think>7", "The user wants a format.", T),
        ("<think>I add. 7", "", "not_closed"),
        ("<think>I add. 7", "I add.", "not_closed"),
        ("I add. 7", "", "no_thought"),
        ("<think> </think> 7", "", "no_thought"),
        ("</think> 7", "", "no_thought"),
        ("<think>I add.</think>", "", "no_answer"),
        ("", "I add.", "no_answer"),
        ("", "", "no_thought"),
        ("Sure. <think>I add.</think> 7", "", "not_in_format"),
        ("<think>I <think>add.</think> 7", "", "not_in_format"),
        ("<think>I add.</think> 7 <think>or 8</think> 8", "", "not_in_format"),
        ("<think>I add.</think></think> 7", "", "not_in_format"),
        ("7", "I <think>add.", "not_in_format"),
        ("<think>I \ud800 add.</think> 7", "", "not_in_format"),
    ],
)
def test_a_thought_is_found_in_tags_or_in_its_field_and_must_be_closed(content, reasoning, expected):
    found = thought_of(Said(content=content, reasoning=reasoning, finish="stop"), draws=False)
    assert found == expected
    if isinstance(found, Thought):
        assert has_format(found.response(False)) == 1


def test_what_was_cut_or_refused_is_not_read():
    assert thought_of(Said(content="<think>I add.</think> 7", finish="length"), draws=False) == "cut"
    assert thought_of(Said(refused="too long"), draws=False) == "refused"


@pytest.mark.parametrize("after", ["", " A picture of a red circle."])
def test_before_a_drawing_the_thought_stands_alone(after):
    found = thought_of(Said(content=f"<think>A red circle.</think>{after}", finish="stop"), draws=True)
    assert isinstance(found, Thought)
    assert found.response(True) == "<think>A red circle.</think>"


def reply(**message):
    return {"choices": [{"message": message, "finish_reason": "stop"}]}


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_both_names_of_the_field_for_reasoning_are_read(name):
    said = Said.of(reply(content="7", **{name: "I add."}) | {"usage": {"prompt_tokens": 3, "completion_tokens": 5}})
    assert said == Said(content="7", reasoning="I add.", finish="stop", tokens_in=3, tokens_out=5)


def test_a_refusal_is_one():
    assert Said.of(reply(content=None, refusal="I cannot.")).refused == "I cannot."


@pytest.mark.parametrize("broken", [{}, [], {"choices": []}, {"error": "no"}, reply(content=["x"]), None])
def test_what_is_no_completion_is_no_answer(broken):
    with pytest.raises(NoAnswer, match="no chat completion"):
        Said.of(broken)
