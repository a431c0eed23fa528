"""Replays how a response was denoised, from the step at which each of its tokens was committed."""

from collections.abc import Callable, Iterator

from unigrpo.types import Rollout

HIDDEN = "░"


def frames(rollout: Rollout, piece: Callable[[int], str]) -> Iterator[tuple[int, list[tuple[str, bool]]]]:
    """The response after each denoising step that committed a part of it.

    Args:
        piece: the text of one token id.

    Yields:
        The step's number, and for each position its text and whether this step committed it.
    """
    for step in sorted(set(rollout.commit_step.tolist())):
        yield (
            int(step),
            [
                (piece(int(token)) if committed <= step else HIDDEN, committed == step)
                for token, committed in zip(rollout.tokens, rollout.commit_step, strict=True)
            ],
        )
