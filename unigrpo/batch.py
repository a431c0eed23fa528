"""From scored rollouts to the tensors one step learns from, in buckets of one task and one shape.

B rollouts, P prompt positions (left-padded), C response positions, T = P + C, H leading positions that guidance hides,
S supports.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unigrpo.algo.advantage import advantages
from unigrpo.algo.noise import Views, make_views
from unigrpo.algo.random import key
from unigrpo.config import AlgoSection
from unigrpo.models.ids import IdTable, supports
from unigrpo.types import DRAWING, Prompt, Rollout, Scored, Support, Task


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Rollouts of one step that have one task and one shape. Masks are not in it: they are a function of `keys_B`."""

    task: Task
    tokens_BT: Tensor
    """int64: pads, prompt, response, then the mask ids the sampler saw after the response."""
    key_mask_BT: Tensor
    """bool, False on the pads."""
    sampled_BC: Tensor
    """bool, the response tokens that the policy chose; only these are masked and scored."""
    commit_BC: Tensor
    """int64, the denoising step of each response token."""
    keys_B: Tensor
    """int64, the key of each rollout's masks."""
    advantages_B: Tensor
    """float32."""
    temperature_BS: Tensor
    """float32, as sampled."""
    guidance_BS: Tensor
    """float32, as sampled."""
    unguided_BH: Tensor
    """int64, what stands in the first H positions where guidance hides the prompt (and the thought of a drawing)."""
    unguided_mask_BH: Tensor
    """bool, False on the pads of `unguided_BH`."""
    mask_id: int
    supports: tuple[Support, ...]
    guided: bool = False
    """Whether any response was guided: of the whole bucket, so that all processes that share it do the same work."""
    behaviour_BUKC: Tensor | None = None
    """float32, for each of U inner updates the log-probabilities under the policy that sampled, where the one that
    learns has moved on since."""
    importance_BC: Tensor | None = None
    """float32, exact over sampled probability of each response token, truncated; 1 where it is not known."""
    padding: int = 0
    """Rows at the end that only keep several processes in step: they are scored, and earn nothing."""
    made: dict[tuple, Views] = field(default_factory=dict, init=False, repr=False)
    """Masks that somebody has asked for."""

    @property
    def width(self) -> int:
        """Response positions C."""
        return self.commit_BC.shape[1]

    @property
    def lengths_B(self) -> Tensor:
        """Sampled tokens of each response."""
        return self.sampled_BC.sum(-1)

    @property
    def prompt_BP(self) -> Tensor:
        """bool, the real prompt tokens."""
        return self.key_mask_BT[:, : -self.width]

    @property
    def rows(self) -> int:
        """Rows that are responses, without padding."""
        return len(self) - self.padding

    def __len__(self) -> int:
        return len(self.keys_B)

    def __getstate__(self) -> dict[str, Any]:
        """Without the masks, which whoever is sent it makes again."""
        return vars(self) | {"made": {}}

    def of(self, rows: Tensor, padding: int = 0) -> "Batch":
        """Some rows, by number, the last of which are padding."""
        chosen = {name: value[rows] for name, value in vars(self).items() if isinstance(value, Tensor)}
        found = replace(self, **chosen, padding=padding)
        found.made.update({name: views.of(rows) for name, views in self.made.items()})
        return found

    def share(self, rank: int, world: int) -> "Batch":
        """The rows of one of `world` processes; the shares of all are equally long."""
        if world == 1:
            return self
        size = -(-len(self) // world)
        rows = torch.arange(size * rank, size * (rank + 1))
        inside = rows < len(self)
        return self.of(rows.where(inside, 0), int((~inside).sum()))

    def by_length(self) -> "Batch":
        """The longest prompts first, so that neighbours have few pads among them and what fits at first fits later."""
        order = self.prompt_BP[: self.rows].sum(-1).argsort(descending=True, stable=True)
        return self.of(torch.cat([order, torch.arange(self.rows, len(self))]), self.padding)

    def views(self, algo: AlgoSection, update: int, rows: slice = slice(None)) -> Views:
        """The masks of one inner update, for some rows; the same wherever and however often they are asked for."""
        noise = algo.noise.of(self.task)
        name = update, algo.mu, *astuple(noise)
        if name not in self.made:
            sampled_BC, prompt_BP = self.sampled_BC, self.prompt_BP
            self.made[name] = make_views(self.keys_B, sampled_BC, self.commit_BC, prompt_BP, noise, update, algo.mu)
        return self.made[name].of(rows)


def left_pad(sequences: Sequence[np.ndarray], pad: int, width: int = 0) -> tuple[Tensor, Tensor]:
    """Ids [B, P] padded on the left to the longest, or to `width`, and a bool mask [B, P] that is False on the pads."""
    width = max(width, *(len(ids) for ids in sequences))
    tokens_BP = torch.full((len(sequences), width), pad, dtype=torch.long)
    mask_BP = torch.zeros((len(sequences), width), dtype=torch.bool)
    for row, ids in enumerate(sequences):
        if len(ids):
            tokens_BP[row, -len(ids) :] = torch.tensor(ids)
            mask_BP[row, -len(ids) :] = True
    return tokens_BP, mask_BP


def make_batches(
    scored: Sequence[Scored], group_size: int, algo: AlgoSection, *, seed: int, ids: IdTable
) -> list[Batch]:
    """Builds the batches of one step, one for each task and shape.

    Args:
        scored: rollouts of one prompt next to each other, `group_size` of each; those without a known reward are left
            out.
        seed: the run's seed; with the rollout's id it gives the key of its masks.
    """
    rewards_PG = torch.tensor([item.reward for item in scored], dtype=torch.float64).view(-1, group_size)
    advantages_B = advantages(rewards_PG, algo.advantage, algo.psi).flatten().float()
    buckets: dict[tuple, list[int]] = {}
    for row, item in enumerate(scored):
        if not item.known:
            continue
        buckets.setdefault((item.rollout.prompt.task, _width(item.rollout)), []).append(row)
    batches = []
    for rows in buckets.values():
        rollouts = [scored[row].rollout for row in rows]
        batch = _batch(rollouts, advantages_B[rows], seed, ids)
        if algo.cache_correction is not None:
            batch = replace(batch, importance_BC=_importance(rollouts, batch.width, algo.cache_correction))
        batches.append(batch)
    return batches


def _importance(rollouts: Sequence[Rollout], width: int, most: float) -> Tensor:
    """Truncated importance weights [B, C] of what was drawn with a cache.

    Source: Ionides, "Truncated Importance Sampling" (2008), by token.
    """
    weights_BC = torch.ones(len(rollouts), width)
    for row, rollout in enumerate(rollouts):
        if rollout.exact_logprobs is not None and rollout.logprobs is not None:
            ratio = torch.tensor(rollout.exact_logprobs - rollout.logprobs).exp().clamp(max=most)
            weights_BC[row, : len(ratio)] = ratio.nan_to_num(nan=1.0)
    return weights_BC


def _width(rollout: Rollout) -> int:
    return len(rollout.tokens) if rollout.prompt.task in DRAWING else rollout.sampling.gen_length


def _batch(rollouts: Sequence[Rollout], advantages_B: Tensor, seed: int, ids: IdTable) -> Batch:
    task, width = rollouts[0].prompt.task, _width(rollouts[0])
    prompts = [rollout.prompt for rollout in rollouts]
    prompts_BP, real_BP = left_pad([prompt.tokens for prompt in prompts], ids.pad)
    response_BC = torch.full((len(rollouts), width), ids.mask, dtype=torch.long)
    commit_BC = torch.zeros_like(response_BC)
    sampled_BC = torch.zeros_like(response_BC, dtype=torch.bool)
    for row, rollout in enumerate(rollouts):
        here = row, slice(len(rollout.tokens))
        response_BC[here] = torch.tensor(rollout.tokens)
        commit_BC[here] = torch.tensor(rollout.commit_step, dtype=torch.long)
        sampled_BC[here] = torch.tensor(rollout.sampled)
    unguided_BH, unguided_mask_BH = unguided_heads(prompts, prompts_BP, real_BP, rollouts[0].sampling.gen_length, ids)
    guidance_BS = _by_support(rollouts, "guidance")
    return Batch(
        task=task,
        tokens_BT=torch.cat([prompts_BP, response_BC], 1),
        key_mask_BT=torch.cat([real_BP, torch.ones_like(sampled_BC)], 1),
        sampled_BC=sampled_BC,
        commit_BC=commit_BC,
        keys_B=torch.tensor([key(seed, rollout.id, "masks") for rollout in rollouts]),
        advantages_B=advantages_B,
        temperature_BS=_by_support(rollouts, "temperature"),
        guidance_BS=guidance_BS,
        guided=bool(guidance_BS.any()),
        unguided_BH=unguided_BH,
        unguided_mask_BH=unguided_mask_BH,
        mask_id=ids.mask,
        supports=supports(ids, task),
    )


def unguided_heads(
    prompts: Sequence[Prompt], prompts_BP: Tensor, real_BP: Tensor, thought: int, ids: IdTable
) -> tuple[Tensor, Tensor]:
    """What stands in front of the response where guidance hides the prompt, [B, H] ids and key mask.

    A prompt to be answered is masked, token by token. A prompt to be drawn is replaced by an empty one; the `thought`
    tokens between them are ends of sequence there.

    Source: LLaDA (arXiv:2502.09992), section 2.4, for text; MMaDA (arXiv:2505.15809) for images.
    """
    if prompts[0].task not in DRAWING:
        return prompts_BP.masked_fill(real_BP, ids.mask), real_BP
    empty = [prompt.unconditional for prompt in prompts]
    heads_BH, mask_BH = left_pad([tokens for tokens in empty if tokens is not None], ids.pad, prompts_BP.shape[1])
    if prompts[0].task == "think_image":
        filler_BG = torch.full((len(prompts), thought), ids.eos)
        heads_BH = torch.cat([heads_BH, filler_BG], 1)
        mask_BH = torch.cat([mask_BH, torch.ones_like(filler_BG, dtype=torch.bool)], 1)
    return heads_BH, mask_BH


def _by_support(rollouts: Sequence[Rollout], name: str) -> Tensor:
    """A setting of the sampling as a column for each support of the task."""
    columns = {"text": [name], "understand": [name], "image": [f"image_{name}"], "think_image": [name, f"image_{name}"]}
    names = columns[rollouts[0].prompt.task]
    return torch.tensor([[getattr(rollout.sampling, name) for name in names] for rollout in rollouts])
