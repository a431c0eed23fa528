"""Monte-Carlo estimates of the ELBO of given responses, the log-likelihood that a masked-diffusion model has.

C response positions, L tokens of a response, K masks, B responses that are scored together.

Source: LLaDA (arXiv:2502.09992), equation 14: a mask hides l of L tokens, l uniform on 1 to L, and what the model says
of these counts L / l times. Here the l of the K masks are stratified.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from unigrpo.algo.noise import Views
from unigrpo.batch import Batch, make_batches
from unigrpo.config import AlgoSection, NoiseSection
from unigrpo.models.load import Policy
from unigrpo.scores import score_views
from unigrpo.types import Prompt, Rollout, Sampling, Scored, Task


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """A response that is not sampled but given."""

    prompt: np.ndarray
    """[P] int64, the ids in front of it."""
    tokens: np.ndarray
    """[L] int64, at least one."""
    task: Task = "text"


def elbos(
    policy: Policy,
    given: Sequence[Given],
    *,
    samples: int,
    batch_size: int,
    seed: int,
    done: Callable[[int], None] = lambda count: None,
) -> list[float]:
    """The estimate of each response, in nats.

    It depends on the seed, the ids of prompt and response and the number of masks alone: equal ones have equal masks,
    whatever they are scored together with.

    Args:
        samples: masks of each response; one of a single token has but one.
        batch_size: most masked copies in one forward pass.
        done: told how many responses more are scored.
    """
    found: dict[int, float] = {}
    order = sorted(range(len(given)), key=lambda at: (len(given[at].tokens), -len(given[at].prompt)))
    while order:
        length = len(given[order[0]].tokens)
        draws = samples if length > 1 else 1
        room = max(1, batch_size // draws)
        part = [at for at in order[:room] if len(given[at].tokens) == length]
        order = order[len(part) :]
        found |= zip(part, _together([given[at] for at in part], policy, draws, batch_size, seed), strict=True)
        done(len(part))
    return [found[at] for at in range(len(given))]


def _together(given: Sequence[Given], policy: Policy, draws: int, batch_size: int, seed: int) -> list[float]:
    """Estimates of responses that are equally long."""
    algo = AlgoSection(mu=1, noise=NoiseSection(rule="elbo", draws=draws))
    [batch] = make_batches([_as_scored(one) for one in given], 1, algo, seed=seed, ids=policy.ids)
    views = batch.views(algo, 0)
    step = max(1, batch_size // len(given))
    total_B = torch.zeros(len(given), dtype=torch.float64)
    for at in range(0, draws, step):
        total_B += _weighted(policy, batch, _draws(views, slice(at, at + step)), algo)
    return (total_B / draws).tolist()


@torch.no_grad()
def _weighted(policy: Policy, batch: Batch, views: Views, algo: AlgoSection) -> Tensor:
    """L / l times the log-probabilities of the l hidden tokens, summed over these and over the masks, [B]."""
    logprobs_BKC = score_views(policy.model, batch, views, slice(None), algo)
    return (logprobs_BKC.double().sum(-1) / views.ratio_BK).sum(-1)


def _draws(views: Views, chosen: slice) -> Views:
    """Some of the masks of each response."""
    tensors = {name: getattr(views, name)[:, chosen] for name in ("masked_BKC", "scored_BKC", "ratio_BK")}
    return replace(views, **tensors)


def _as_scored(given: Given) -> Scored:
    """The response as if it had been sampled, at a length that leaves no room after it."""
    length = len(given.tokens)
    name = hashlib.blake2b(given.prompt.tobytes() + b"/" + given.tokens.tobytes(), digest_size=16).hexdigest()
    prompt = Prompt(id=name, task=given.task, text="", tokens=given.prompt)
    rollout = Rollout(
        id=f"given/{name}/0",
        prompt=prompt,
        tokens=given.tokens,
        commit_step=np.zeros(length, dtype=np.int32),
        output="",
        sampling=Sampling(temperature=1.0, guidance=0.0, gen_length=length, block_length=length),
        truncated=False,
    )
    return Scored(rollout=rollout, reward=0.0, parts={})
