"""Multiple choice by likelihood: the choice that a policy finds likeliest after the prompt is its answer."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from unigrpo.config import EvalTaskSection
from unigrpo.data.prompts import encode_text
from unigrpo.data.wording import LETTERS
from unigrpo.elbo import Given, elbos
from unigrpo.errors import DataError
from unigrpo.models.load import Policy
from unigrpo.types import Prompt, Rollout, Sampling, Scored


class Chooser:
    """Compares the choices of prompts; an answer depends on the seed and the ids of prompt and choices alone."""

    def __init__(self, policy: Policy, tasks: Mapping[str, EvalTaskSection], seed: int) -> None:
        """Takes the tasks that have a `likelihood`, by name."""
        self.policy, self.tasks, self.seed = policy, tasks, seed

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raise `DataError` unless every prompt has choices that can be scored, one of which is right."""
        for prompt in prompts:
            right_of(prompt)
            self._tokens(prompt, self.tasks[prompt.stream])

    def answer(self, prompts: Sequence[Prompt], done: Callable[[int], None] = lambda count: None) -> list[Scored]:
        """Answer prompts of one task, each by its likeliest choice.

        Args:
            done: told how many choices more are scored.
        """
        task = self.tasks[prompts[0].stream]
        assert task.likelihood is not None
        given = [
            Given(prompt=prompt.tokens, tokens=tokens, task=prompt.task)
            for prompt in prompts
            for tokens in self._tokens(prompt, task)
        ]
        found = elbos(
            self.policy,
            given,
            samples=task.likelihood.samples,
            batch_size=task.likelihood.batch_size,
            seed=self.seed,
            done=done,
        )
        scored, at = [], 0
        for prompt in prompts:
            count = len(choices_of(prompt))
            own = slice(at, at + count)
            lengths = [1] * count if task.likelihood.of == "letter" else list(map(len, choices_of(prompt)))
            scored.append(_scored(prompt, given[own], np.array(found[own]), np.array(lengths)))
            at += count
        return scored

    def _tokens(self, prompt: Prompt, task: EvalTaskSection) -> list[np.ndarray]:
        """What is scored of each choice, as ids."""
        assert task.likelihood is not None
        texts = choices_of(prompt)
        said = LETTERS[: len(texts)] if task.likelihood.of == "letter" else texts
        encoded = [encode_text(f"{task.data.delimiter}{text}", self.policy.tokenizer, self.policy.ids) for text in said]
        if not all(said) or not all(encoded):
            raise DataError(f"{prompt.id}: a choice is empty: {said}. Fill it, or remove the row.")
        return [np.array(tokens, dtype=np.int64) for tokens in encoded]


def choices_of(prompt: Prompt) -> list[str]:
    """Return the texts of a prompt's choices.

    Raises:
        DataError: it has none.
    """
    found = prompt.metadata.get("choices")
    if not isinstance(found, Sequence) or isinstance(found, str) or not 2 <= len(found) <= len(LETTERS):
        raise DataError(
            f"{prompt.id}: `choices` is {found!r:.80}, but likelihoods are compared of a list of 2 to 26 texts: set "
            "data.layout=choices, or give the column."
        )
    return [str(text) for text in found]


def right_of(prompt: Prompt) -> int:
    """Return the number of the right choice, from its letter or its text.

    Raises:
        DataError: there is none.
    """
    texts, answer = choices_of(prompt), prompt.answer
    letters = LETTERS[: len(texts)]
    for names in (letters, texts):
        if answer is not None and answer in list(names):
            return list(names).index(answer)
    raise DataError(f"{prompt.id}: the answer {answer!r:.60} is neither one of {letters} nor the text of a choice.")


def _scored(prompt: Prompt, given: Sequence[Given], elbo_N: np.ndarray, characters_N: np.ndarray) -> Scored:
    """The likeliest choice; by characters too, as lm-evaluation-harness divides by them."""
    right = right_of(prompt)
    best, by_length = int(elbo_N.argmax()), int((elbo_N / characters_N).argmax())
    said = "  ".join(f"{letter} {value:.4f}" for letter, value in zip(LETTERS, elbo_N, strict=False))
    tokens = given[best].tokens
    rollout = Rollout(
        id=f"eval/{prompt.id}/0",
        prompt=prompt,
        tokens=tokens,
        commit_step=np.zeros(len(tokens), dtype=np.int32),
        output=LETTERS[best],
        sampling=Sampling(temperature=1.0, guidance=0.0, gen_length=len(tokens), block_length=len(tokens)),
        truncated=False,
    )
    parts = {"likelihood": float(best == right), "likelihood_normalized": float(by_length == right)}
    return Scored(rollout=rollout, reward=parts["likelihood"], parts=parts, notes={"likelihood": said})
