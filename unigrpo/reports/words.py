"""A response against the answer, word by word."""

import re
from difflib import SequenceMatcher

from unigrpo.reports.told import Span

WORD = re.compile(r"\w+|[^\w\s]")
ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL)
MOST = 2000
"""Words above which only the end is compared, for the time grows with their square."""


def compared(output: str, gold: str | None) -> tuple[list[Span], list[Span]]:
    """The response with the words that it shares with the answer told apart, and the answer with those it lacks.

    Where the response has an `<answer>` block, the last one is compared, and otherwise all of it; a short answer is
    found at its last place.
    """
    if gold is None:
        return [("", output)] if output else [], []
    blocks = list(ANSWER.finditer(output))
    start, stop = blocks[-1].span(1) if blocks else (0, len(output))
    said = list(WORD.finditer(output, start, stop))[-MOST:]
    asked = list(WORD.finditer(gold))[:MOST]
    # From the end, so that of equal matches the last one is taken.
    words = [[match[0].casefold() for match in reversed(one)] for one in (said, asked)]
    pairs = SequenceMatcher(None, *words, autojunk=False).get_matching_blocks()
    same_said = {len(said) - 1 - (pair.a + at) for pair in pairs for at in range(pair.size)}
    same_asked = {len(asked) - 1 - (pair.b + at) for pair in pairs for at in range(pair.size)}
    return _spans(output, said, same_said, "same"), _spans(gold, asked, {*range(len(asked))} - same_asked, "missing")


def _spans(text: str, words: list[re.Match], marked: set[int], kind: str) -> list[Span]:
    """The text in pieces, of which those at the marked words, and what is between two of them, are of a kind."""
    found: list[Span] = []
    at = 0
    for index, word in enumerate(words):
        if index not in marked:
            continue
        joined = found and found[-1][0] == kind and index - 1 in marked
        if joined:
            found[-1] = (kind, found[-1][1] + text[at : word.end()])
        else:
            found += [("", text[at : word.start()])] * (at < word.start()) + [(kind, word[0])]
        at = word.end()
    return found + [("", text[at:])] * (at < len(text))
