"""Finding the part of a response that is its answer. Linear in the length of the response."""

import re
from typing import NamedTuple

_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_JOINER = re.compile(r"(?:\s|,|;|&|\band\b|\bor\b|\$|\\[()\[\]])*")


class _Box(NamedTuple):
    start: int
    end: int
    content: str


def answer_part(response: str) -> str | None:
    r"""Return the answer of a response, or None when it holds none.

    What follows the last `</think>` counts; of that the last `<answer>` block if there is one; of that the last
    `\boxed{}` or `\fbox{}` (with those before it, when only `,`, `;`, `and`, `or` or `&` lie between), or else the
    line after the last `####`, or else all of it. An unclosed `<think>` means that thinking never ended; an empty
    answer is none.
    """
    text = response.rpartition("</think>")[2]
    if "<think>" in text:
        return None
    before, closed, _ = text.rpartition("</answer>")
    _, opened, body = before.rpartition("<answer>")
    if closed and opened:
        text = body
    boxed = _last_boxes(text)
    if boxed is not None:
        return boxed.strip() or None
    if "####" in text:
        text = text.rpartition("####")[2].strip().partition("\n")[0]
    return text.strip() or None


def _last_boxes(text: str) -> str | None:
    boxes = _innermost_boxes(text)
    if not boxes:
        return None
    first = len(boxes) - 1
    while first > 0 and _JOINER.fullmatch(text, boxes[first - 1].end, boxes[first].start):
        first -= 1
    return ", ".join(box.content for box in boxes[first:])


def _innermost_boxes(text: str) -> list[_Box]:
    r"""Return every balanced box that holds no other, in order; one pass, however deep they nest."""
    boxes: list[_Box] = []
    opened: list[re.Match[str]] = []
    for token in _BRACES.finditer(text):
        if token[0] == "}" and opened:
            opening = opened.pop()
            holds_another = bool(boxes) and boxes[-1].start > opening.start()
            if opening[0] != "{" and not holds_another:
                boxes.append(_Box(opening.start(), token.end(), text[opening.end() : token.start()]))
        elif token[0] == "{" or len(token[0]) > 2:
            opened.append(token)
    return boxes
