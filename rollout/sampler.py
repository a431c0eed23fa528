"""The sampler: prompts in, groups of rollouts out, whatever they ask for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from torch import Tensor

from rollout.drawing import drawings
from rollout.jobs import Jobs, Watch, response_length
from rollout.text import Denoised, denoise
from unigrpo.config import SamplingSection
from unigrpo.errors import ConfigError
from unigrpo.learner import Weights
from unigrpo.memory import Portion
from unigrpo.models.ids import text_support
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import Policy
from unigrpo.types import DRAWING, Prompt, Rollout


def portions(
    prompts: Sequence[Prompt], group_size: int, streams: Mapping[str, SamplingSection], samplers: int = 1
) -> list[list[Prompt]]:
    """Prompts in parts whose rollouts fill a batch; those of a part are of one kind, and about equally long.

    Args:
        streams: the settings of each stream by name.
        samplers: how many draw at a time; each gets something to do.
    """
    most = -(-len(prompts) // samplers)
    parts: list[list[Prompt]] = []
    for prompt in sorted(prompts, key=lambda prompt: (prompt.stream, prompt.task, len(prompt.tokens))):
        room = max(1, min(most, streams[prompt.stream].batch_size // group_size))
        kind = prompt.stream, prompt.task
        if not parts or len(parts[-1]) == room or kind != (parts[-1][0].stream, parts[-1][0].task):
            parts.append([])
        parts[-1].append(prompt)
    return parts


class Sampler:
    """Draws rollouts from a policy; a rollout depends on the run's seed, the step, its prompt and its index alone."""

    def __init__(
        self,
        policy: Policy,
        settings: SamplingSection | Mapping[str, SamplingSection],
        seed: int,
        images: ImageTokenizer | None = None,
        watch: Watch | None = None,
    ):
        """Settings are those of every prompt, or of the prompts of each stream by its name.

        Args:
            watch: looks on; what it raises ends the sampling.
        """
        self.policy, self.seed, self.images, self.watch = policy, seed, images, watch
        self.streams = {"": settings} if isinstance(settings, SamplingSection) else dict(settings)
        self.portions: dict[str, Portion] = {}
        self.version = 0

    def load(self, weights: Weights) -> None:
        """Takes the learner's weights; tensors that share their memory with the sampler's are left alone."""
        own = self.policy.model.state_dict()
        for name, tensor in weights.tensors.items():
            if own[name].data_ptr() != tensor.data_ptr():
                own[name].copy_(tensor)
        self.version = weights.version

    def sample(
        self,
        prompts: Sequence[Prompt],
        group_size: int,
        step: int | str,
        temperature: float | None = None,
    ) -> list[Rollout]:
        """Draws `group_size` rollouts of each prompt; those of one prompt stand next to each other.

        Args:
            step: the training step, or a name such as "eval"; part of every rollout's id and of its randomness.
            temperature: of text, instead of the one in the settings.

        Raises:
            ConfigError: a prompt asks for a drawing, and there is no image tokenizer.
        """
        jobs = [(prompt, index) for prompt in prompts for index in range(group_size)]
        order: dict[tuple[str, str], list[int]] = {}
        for job in sorted(range(len(jobs)), key=lambda job: len(jobs[job][0].tokens)):
            order.setdefault((jobs[job][0].stream, jobs[job][0].task), []).append(job)
        rollouts: dict[int, Rollout] = {}
        for (stream, task), members in order.items():
            settings = self.streams[stream]
            settings = settings if temperature is None else replace(settings, temperature=temperature)
            make = self._drawings if task in DRAWING else self._texts

            def drawn(size: int, make=make, members=members, settings=settings) -> list[Rollout]:
                parts = [members[at : at + size] for at in range(0, len(members), size)]
                asked = (Jobs.of([jobs[job] for job in part], settings, self.policy) for part in parts)
                return [rollout for part in asked for rollout in make(part, step)]

            rollouts |= zip(members, self._portion(stream, settings).run(drawn), strict=True)
        return [rollouts[job] for job in range(len(jobs))]

    def stream(self, prompts: Sequence[Prompt], group_size: int, step: int | str) -> Iterator[list[Rollout]]:
        """Draws what `sample` draws, in parts as they are ready: the groups of as many prompts as fill a batch."""
        for part in portions(prompts, group_size, self.streams):
            yield self.sample(part, group_size, step)

    def _portion(self, stream: str, settings: SamplingSection) -> Portion:
        """How many responses of a stream are drawn at one time."""
        key = f"tasks.{stream}.rollout.batch_size" if stream else "rollout.batch_size"
        return self.portions.setdefault(stream, Portion(key, settings.batch_size))

    def _texts(self, jobs: Jobs, step: int | str) -> list[Rollout]:
        ids = self.policy.ids
        denoised = denoise(
            self.policy.model,
            jobs.tokens_BP,
            jobs.mask_BP,
            jobs.keys(self.seed, step, "sample"),
            jobs.settings,
            ids.mask,
            text_support(ids),
            ids.eos,
            callback=partial(self.watch, "text") if self.watch else None,
        )
        found = Denoised(*(tensor.cpu() for tensor in denoised))
        return [self._text(jobs, row, step, *columns) for row, columns in enumerate(zip(*found, strict=True))]

    def _text(
        self,
        jobs: Jobs,
        row: int,
        step: int | str,
        tokens: Tensor,
        commit: Tensor,
        logprobs: Tensor,
        exact: Tensor,
        steps: Tensor,
    ) -> Rollout:
        tokens_C = tokens.numpy()
        length, ended = response_length(tokens_C, self.policy.ids.eos, jobs.settings.eos_tail)
        return Rollout(
            id=f"{step}/{jobs.prompts[row].id}/{jobs.indices[row]}",
            prompt=jobs.prompts[row],
            tokens=tokens_C[:length].astype(np.int64),
            commit_step=commit.numpy()[:length].astype(np.int32),
            logprobs=logprobs.numpy()[:length].copy(),
            exact_logprobs=None if jobs.settings.cache == "none" else exact.numpy()[:length].copy(),
            output=self.policy.text(tokens_C[:length]),
            sampling=jobs.sampling,
            truncated=not ended,
            forwards=int(steps),
            policy_version=self.version,
        )

    def _drawings(self, jobs: Jobs, step: int | str) -> list[Rollout]:
        if self.images is None:
            raise ConfigError(
                f"prompt {jobs.prompts[0].id} asks for a drawing, but there is no image tokenizer: set "
                "model.image_tokenizer.path."
            )
        drawn = drawings(self.policy, self.images, jobs, self.seed, step, self.watch)
        return [replace(rollout, policy_version=self.version) for rollout in drawn]
