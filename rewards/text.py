"""Rewards that compare text."""

from rewards.extract import answer_part
from rewards.registry import reward


@reward("exact_match", tasks=("text", "understand"))
def exact_match(response: str, answer: str) -> float:
    """Return 1 when the answer part of the response equals the prompt's answer, character by character, else 0."""
    return float(answer_part(response) == answer.strip())


@reward("thought_match", tasks=("think_image",))
def thought_match(response: str, answer: str) -> float:
    """Return 1 when the thought before a drawing, without its tags, equals the prompt's answer, else 0.

    Without it nothing keeps a thought true to its drawing: the drawing also sees the prompt, and is judged alone.
    """
    before, closed, _ = response.partition("</think>")
    return float(bool(closed) and before.strip().removeprefix("<think>").strip() == answer.strip())
