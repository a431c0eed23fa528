"""Finding the part of a response that is its answer. Linear in the length of the response."""

import re
from typing import NamedTuple

_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_JOINER = re.compile(r"(?:\s|,|;|&|\band\b|\bor\b|\b[A-Za-z]\s*=|\$|\\[()\[\]])*")


class _Box(NamedTuple):
    start: int
    end: int
    content: str


def answer_part(response: str) -> str | None:
    r"""Return the answer of a response, or None when it holds none.

    What follows the last `</think>` counts; of that the last `<answer>` block if there is one; of that the last
    `\boxed{}` or `\fbox{}` (with those before it that say something else, when only `,`, `;`, `and`, `or`, `&` or `x=`
    lie between), or else the line after the last `####`, or else all of it. An unclosed `<think>` means that thinking
    never ended; an empty answer is none, and so is a box that never closes.
    """
    text = after_thinking(response)
    if text is None:
        return None
    boxes, unclosed = _innermost_boxes(text)
    if boxes:
        return _joined(text, boxes).strip() or None
    if unclosed:
        return None
    if "####" in text:
        text = text.rpartition("####")[2].strip().partition("\n")[0]
    return text.strip() or None


def after_thinking(response: str) -> str | None:
    """Return what follows the last `</think>`, of that the last `<answer>` block if there is one.

    None where thinking never ended.
    """
    text = response.rpartition("</think>")[2]
    if "<think>" in text:
        return None
    before, closed, _ = text.rpartition("</answer>")
    _, opened, body = before.rpartition("<answer>")
    return body if closed and opened else text


def _joined(text: str, boxes: list[_Box]) -> str:
    first = len(boxes) - 1
    while first > 0 and _JOINER.fullmatch(text, boxes[first - 1].end, boxes[first].start):
        first -= 1
    return ", ".join(dict.fromkeys(box.content for box in boxes[first:]))


def _innermost_boxes(text: str) -> tuple[list[_Box], bool]:
    r"""Return every balanced box that holds no other, in order, and whether one never closes; one pass."""
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
    return boxes, any(opening[0] != "{" for opening in opened)
