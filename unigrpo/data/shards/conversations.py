"""Conversations as rows: an answer to learn, its question, and all that was said before."""

from collections.abc import Sequence
from typing import Any

from unigrpo.data.files import Record
from unigrpo.data.generators import digest
from unigrpo.data.rows import HISTORY
from unigrpo.errors import DataError

SPEAKERS = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "system": "system",
}
FIELDS = {"messages": ("messages", "role", "content"), "sharegpt": ("conversations", "from", "value")}
IMAGE = "<image>"
Turn = tuple[str, str]


def conversation(record: Record, layout: str, turns: str) -> list[Record]:
    """Return the rows of a conversation.

    Args:
        layout: `messages`, `sharegpt`, or `llava`, which is that with `<image>` where its image stands.
        turns: which answers are learned, as `data.turns` says.

    Raises:
        DataError: it has not the columns of its layout, or nobody answers a question.
    """
    said = _turns(record, *FIELDS.get(layout, FIELDS["sharegpt"]))
    if layout == "llava":
        said = [(speaker, text.replace(IMAGE, "").strip()) for speaker, text in said]
    answers = [at for at in range(1, len(said)) if (said[at - 1][0], said[at][0]) == ("user", "assistant")]
    if not answers:
        raise DataError(f"{record.where}: no turn of the user is answered. Correct the conversation, or remove it.")
    if turns == "last":
        answers = answers[-1:]
    elif turns == "random":
        answers = [answers[digest(record.name) % len(answers)]]
    several = len(answers) > 1
    return [
        Record(f"{record.name}#{number}" if several else record.name, record.where, record.values | _row(said, at))
        for number, at in enumerate(answers, start=1)
    ]


def _row(said: Sequence[Turn], at: int) -> dict[str, Any]:
    answer = said[at][1]
    return {HISTORY: tuple(said[: at - 1]), "prompt": said[at - 1][1], "response": answer, "answer": answer}


def _turns(record: Record, column: str, speaker: str, content: str) -> list[Turn]:
    turns = record.values.get(column)
    if not isinstance(turns, list) or not turns:
        have = ", ".join(record.values) or "none"
        raise DataError(f"{record.where}: there is no list of turns in `{column}`. Its columns: {have}.")
    return [_turn(record, turn, speaker, content) for turn in turns]


def _turn(record: Record, turn: Any, speaker: str, content: str) -> Turn:
    text = turn.get(content) if isinstance(turn, dict) else None
    if isinstance(text, list):  # parts, of which images stand in a column of their own
        text = "".join(part.get("text") or "" for part in text if isinstance(part, dict))
    who = SPEAKERS.get(str(turn.get(speaker))) if isinstance(turn, dict) else None
    if who is None or not isinstance(text, str):
        raise DataError(
            f"{record.where}: {turn!r:.80} is no turn: it needs `{speaker}`, one of {', '.join(SPEAKERS)}, and "
            f"`{content}` as text."
        )
    return who, text
