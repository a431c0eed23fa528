"""What a reward is handed: arguments by name, of one rollout or, under plural names, of many at once."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unigrpo.types import DRAWING, Prompt, Rollout, Sampling

OF_MANY = {"responses": "response", "prompts": "prompt", "answers": "answer", "images": "image", "rollouts": "rollout"}
"""The plural names, each a list of what the singular name stands for. A function that takes one of them, and none of
`OF_ONE`, is called once for many rollouts; there a column of the data is the list of its values."""
OF_ONE = ("response", "prompt", "answer", "image", "rollout")

_GREY = np.full((64, 64, 3), 128, dtype=np.uint8)


@dataclass(frozen=True)
class Parameters:
    """The parameters of a reward, read once."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    positional: str | None
    """The first that cannot be given by name, if any."""
    everything: bool
    """Whether it takes all there is, as `**found`."""

    @property
    def many(self) -> bool:
        """Whether one call judges many rollouts."""
        return any(name in OF_MANY for name in self.names) and not any(name in OF_ONE for name in self.names)

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Parameters":
        """Read the signature of a function, a class or an object that can be called."""
        found = inspect.signature(function).parameters.values()
        return cls.read((p.name, p.kind.name, p.default is p.empty) for p in found)

    @classmethod
    def read(cls, found: Iterable[tuple[str, str, bool]]) -> "Parameters":
        """Read parameters given as a name, the name of a kind of `inspect.Parameter`, and whether it has no default."""
        found = list(found)
        by_name = [(name, bare) for name, kind, bare in found if kind in ("POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY")]
        return cls(
            names=tuple(name for name, _ in by_name),
            required=tuple(name for name, bare in by_name if bare),
            positional=next((name for name, kind, _ in found if kind in ("POSITIONAL_ONLY", "VAR_POSITIONAL")), None),
            everything=any(kind == "VAR_KEYWORD" for _, kind, _ in found),
        )


def available(rollout: Rollout) -> dict[str, Any]:
    """Return what a rollout has by name, the columns of its row included.

    The image is what was drawn or, where none is drawn, the first image of the prompt; `answer` and `image` are absent
    where there is none.
    """
    prompt = rollout.prompt
    image = rollout.image if prompt.task in DRAWING else next(iter(prompt.images), None)
    perhaps = {"answer": prompt.answer, "image": image}
    return {
        **prompt.metadata,
        "prompt": prompt.text,
        **{name: value for name, value in perhaps.items() if value is not None},
        "response": rollout.output,
        "tokens": rollout.tokens,
        "rollout": rollout,
    }


def trial(prompt: Prompt) -> Rollout:
    """Return a rollout that no policy drew: the prompt's own answer, or its own image, a grey one if it has none.

    The prompt's tokens stand for those of the response.
    """
    length = len(prompt.tokens)
    return Rollout(
        id=f"gold-answer/{prompt.id}/0",
        prompt=prompt,
        tokens=prompt.tokens,
        commit_step=np.arange(length, dtype=np.int32),
        output=prompt.answer or "",
        sampling=Sampling(temperature=1.0, guidance=0.0, gen_length=length, block_length=length),
        truncated=False,
        image=next(iter(prompt.images), _GREY) if prompt.task in DRAWING else None,
    )
