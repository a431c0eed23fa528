"""The sampler: prompts in, groups of rollouts out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from rollout.text import denoise
from unigrpo.algo.random import key
from unigrpo.batch import left_pad
from unigrpo.config import SamplingSection
from unigrpo.learner import Weights
from unigrpo.models.ids import support
from unigrpo.models.load import Policy
from unigrpo.types import Prompt, Rollout, Sampling


def response_length(tokens_C: np.ndarray, eos: int, tail: int) -> tuple[int, bool]:
    """Tokens up to and including the first end-of-sequence and at most `tail` more of them, and whether it ended."""
    ends = np.flatnonzero(tokens_C == eos)
    if not len(ends):
        return len(tokens_C), False
    stop = int(ends[0]) + 1
    while stop < len(tokens_C) and stop - ends[0] <= tail and tokens_C[stop] == eos:
        stop += 1
    return stop, True


class Sampler:
    """Draws rollouts from a policy; a rollout depends on the run's seed, the step, its prompt and its index alone."""

    def __init__(self, policy: Policy, settings: SamplingSection, seed: int):
        self.policy, self.settings, self.seed = policy, settings, seed
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
            temperature: instead of the one in the settings.
        """
        settings = self.settings if temperature is None else replace(self.settings, temperature=temperature)
        jobs = [(prompt, index) for prompt in prompts for index in range(group_size)]
        order = sorted(range(len(jobs)), key=lambda job: len(jobs[job][0].tokens))
        rollouts: dict[int, Rollout] = {}
        for at in range(0, len(order), settings.batch_size):
            part = order[at : at + settings.batch_size]
            rollouts |= zip(part, self._batch([jobs[job] for job in part], step, settings), strict=True)
        return [rollouts[job] for job in range(len(jobs))]

    def _batch(self, jobs: list[tuple[Prompt, int]], step, settings: SamplingSection) -> list[Rollout]:
        ids, model = self.policy.ids, self.policy.model
        device = next(model.parameters()).device
        prompt_BP, mask_BP = left_pad([prompt.tokens for prompt, _ in jobs], ids.pad)
        keys_B = torch.tensor([key(self.seed, str(step), prompt.id, index, "sample") for prompt, index in jobs])
        response_BC, commit_BC = denoise(
            model,
            prompt_BP.to(device),
            mask_BP.to(device),
            keys_B.to(device),
            settings,
            ids.mask,
            support(ids, jobs[0][0].task),
            ids.eos,
        )
        drawn = zip(jobs, response_BC.cpu().numpy(), commit_BC.cpu().numpy(), strict=True)
        return [self._rollout(*job, step, tokens_C, commit_C, settings) for job, tokens_C, commit_C in drawn]

    def _rollout(self, prompt: Prompt, index: int, step, tokens_C, commit_C, settings: SamplingSection) -> Rollout:
        length, ended = response_length(tokens_C, self.policy.ids.eos, settings.eos_tail)
        content = tokens_C[:length][tokens_C[:length] != self.policy.ids.eos]
        return Rollout(
            id=f"{step}/{prompt.id}/{index}",
            prompt=prompt,
            tokens=tokens_C[:length].astype(np.int64),
            commit_step=commit_C[:length].astype(np.int32),
            output=str(self.policy.tokenizer.decode(content, skip_special_tokens=True)),
            sampling=Sampling(
                temperature=settings.temperature,
                guidance=settings.guidance,
                gen_length=settings.gen_length,
                block_length=settings.block_length,
            ),
            truncated=not ended,
            policy_version=self.version,
        )
