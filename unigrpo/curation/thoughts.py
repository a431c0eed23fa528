"""From what a teacher said to a thought and an answer in one format, or to why there are none."""

from dataclasses import dataclass
from typing import Literal

from unigrpo.curation.said import Said

OPEN, CLOSE = "<think>", "</think>"
Flaw = Literal["refused", "cut", "no_thought", "not_closed", "not_in_format", "no_answer"]


@dataclass(frozen=True)
class Thought:
    """A thought and what follows from it."""

    thought: str
    answer: str

    def response(self, draws: bool) -> str:
        """Return MMaDA's format; before a drawing the thought stands alone."""
        return f"{OPEN}{self.thought}{CLOSE}" if draws else f"{OPEN}{self.thought}{CLOSE} {self.answer}"


def thought_of(said: Said, draws: bool) -> Thought | Flaw:
    """Return the thought and the answer, or what is missing.

    Tags in the content count first, since they are what was asked for; those before the first tag are the thought too
    where the server's template has opened it. Then comes what the server's reasoning parser has found.

    Args:
        draws: whether a drawing follows, so that there need be no answer.
    """
    if said.refused:
        return "refused"
    if said.finish == "length":
        return "cut"
    found = _tagged(said.content)
    if found is None:
        found = Thought(said.reasoning.strip(), said.content.strip())
    return found if isinstance(found, str) else _checked(found, draws)


def _tagged(text: str) -> Thought | Flaw | None:
    """What tags in a text enclose; None if there are no tags."""
    if OPEN not in text and CLOSE not in text:
        return None
    head, closed, answer = text.partition(CLOSE)
    if not closed:
        return "not_closed"
    before, opened, thought = head.partition(OPEN)
    if opened and before.strip():
        return "not_in_format"
    return Thought((thought if opened else before).strip(), answer.strip())


def _checked(found: Thought, draws: bool) -> Thought | Flaw:
    if any(tag in part for tag in (OPEN, CLOSE) for part in (found.thought, found.answer)):
        return "not_in_format"
    if not all(map(_is_text, (found.thought, found.answer))):
        return "not_in_format"
    if not found.thought:
        return "no_thought"
    return found if found.answer or draws else "no_answer"


def _is_text(text: str) -> bool:
    """Whether it can be written to a file; half a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
