import pytest

from rewards.text import exact_match, thought_match


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ("<think>a red circle</think>", 1.0),
        (" <think> a red circle </think> ", 1.0),
        ("a red circle</think>", 1.0),
        ("<think>a red circle", 0.0),
        ("a red circle", 0.0),
        ("<think>a red square</think>", 0.0),
        ("<think>a red circle</think> a blue one</think>", 1.0),
        ("<think></think>", 0.0),
        ("", 0.0),
    ],
)
def test_a_thought_is_compared_without_its_tags(response, value):
    assert thought_match(response, "a red circle ") == value


@pytest.mark.parametrize(
    ("response", "value"),
    [("top left", 1.0), ("<think>a</think> top left", 1.0), ("top", 0.0), ("<think>top left", 0.0)],
)
def test_an_answer_is_compared_without_its_thought(response, value):
    assert exact_match(response, "top left ") == value
