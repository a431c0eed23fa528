"""Rewards that compare text."""

from rewards.extract import answer_part
from rewards.registry import reward


@reward("exact_match", tasks=("text", "understand"))
def exact_match(response: str, answer: str) -> float:
    """Return 1 when the answer part of the response equals the prompt's answer, character by character, else 0."""
    return float(answer_part(response) == answer.strip())
