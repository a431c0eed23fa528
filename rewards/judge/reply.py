"""What a server of chat completions answered, as far as a verdict needs it."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

Alternatives = tuple[tuple[str, float], ...]
"""Tokens that might stand at one place, with their probabilities; the one that was drawn comes first."""


class NoAnswer(Exception):  # noqa: N818
    """The judge could not be asked, or did not answer as it must; says why."""


@dataclass(frozen=True)
class Answer:
    """One answer of a judge."""

    text: str
    cut: bool
    """Whether it ended because its tokens were used up."""
    tokens: tuple[Alternatives, ...] = ()
    """Empty where the server gave no log-probabilities."""

    @classmethod
    def of(cls, reply: Any) -> "Answer":
        """Read a chat completion.

        Raises:
            NoAnswer: it is none, or the judge declined.
        """
        try:
            choice = reply["choices"][0]
            message, finish = choice["message"], choice.get("finish_reason")
            text = message["content"]
            tokens = tuple(map(_alternatives, (choice.get("logprobs") or {}).get("content") or ()))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            shown = json.dumps(reply)
            raise NoAnswer(f"its reply is no chat completion ({type(error).__name__}: {error}): {shown:.120}") from None
        if message.get("refusal") or finish == "content_filter":
            raise NoAnswer(f"it declines: {message.get('refusal') or finish!s:.120}")
        if not isinstance(text, str) or not text.strip():
            raise NoAnswer(
                f"it says nothing (finish_reason {finish}): give it more max_tokens, or turn its thinking off"
            )
        return cls(text, finish == "length", tokens)

    def dumps(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, kept: str) -> "Answer":
        """Read what `dumps` returned."""
        found = json.loads(kept)
        tokens = tuple(tuple((text, chance) for text, chance in place) for place in found["tokens"])
        return cls(found["text"], found["cut"], tokens)


def _alternatives(place: dict[str, Any]) -> Alternatives:
    drawn = place["token"]
    if not isinstance(drawn, str):
        raise TypeError("a token is no text")
    others = {token["token"]: _probability(token["logprob"]) for token in place.get("top_logprobs") or ()}
    others.pop(drawn, None)
    return ((drawn, _probability(place["logprob"])), *others.items())


def _probability(logprob: float) -> float:
    if math.isnan(logprob):
        raise ValueError("a log-probability is NaN")
    return math.exp(min(0.0, logprob))
