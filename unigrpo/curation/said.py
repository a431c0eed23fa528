"""What a teacher said, as it came: nothing is read into it here, so that it can be kept and read anew."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from rewards.judge.reply import NoAnswer


@dataclass(frozen=True, kw_only=True)
class Said:
    """One answer of a teacher."""

    content: str = ""
    reasoning: str = ""
    """The thought, where a server's reasoning parser has taken it out of the content."""
    finish: str = ""
    """Why it ended: `stop`, or `length` when its tokens were used up."""
    tokens_in: int = 0
    tokens_out: int = 0
    refused: str = ""
    """Why there is no answer, though the teacher can be asked."""

    @classmethod
    def of(cls, reply: Any) -> "Said":
        """Read a chat completion.

        Raises:
            NoAnswer: it is none.
        """
        try:
            choice, usage = reply["choices"][0], reply.get("usage") or {}
            message, finish = choice["message"], str(choice.get("finish_reason") or "")
            content = message.get("content") or ""
            reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
            if not isinstance(content, str) or not isinstance(reasoning, str):
                raise TypeError("what it says is no text")
            declined = str(message.get("refusal") or "") or ("content filter" if finish == "content_filter" else "")
            tokens = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            shown = json.dumps(reply)
            raise NoAnswer(f"its reply is no chat completion ({type(error).__name__}: {error}): {shown:.120}") from None
        return cls(
            content=content,
            reasoning=reasoning,
            finish=finish,
            tokens_in=tokens[0],
            tokens_out=tokens[1],
            refused=declined,
        )

    def plain(self) -> dict[str, Any]:
        """Return what is not empty, for JSON."""
        return {name: value for name, value in asdict(self).items() if value}
