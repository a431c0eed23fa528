"""Drawing: image codes after a prompt, or after a thought that is denoised first.

B rows, P prompt positions, G positions of the thought (0 without one), N image codes, T = P + G + (soi) + N + 1.

Source: MMaDA (arXiv:2505.15809), section 3.3, for thinking before drawing.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from rollout.image import decode
from rollout.jobs import Jobs, Watch, response_length
from rollout.text import denoise
from unigrpo.batch import unguided_heads
from unigrpo.errors import DataError
from unigrpo.models.ids import supports, text_support
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import Policy
from unigrpo.types import Rollout

GIVEN = -1
"""Commit step of a token that was not sampled."""


@dataclass(frozen=True, eq=False)
class _Thoughts:
    """What stands between the prompt and the image: nothing, or a thought and the start of the image."""

    tokens_BG: Tensor
    commit_BG: Tensor
    logprobs_BG: Tensor
    exact_BG: Tensor
    sampled_BG: Tensor
    ended_B: list[bool]
    steps_B: Tensor


def drawings(
    policy: Policy, images: ImageTokenizer, jobs: Jobs, seed: int, step: int | str, watch: Watch | None = None
) -> list[Rollout]:
    """Draws a picture for each prompt; those of task `think_image` think first.

    Raises:
        DataError: the codes that a prompt wants kept are not those of an image of this size.
    """
    ids, settings, device = policy.ids, jobs.settings, jobs.tokens_BP.device
    assert ids.image_offset is not None
    assert ids.eoi is not None
    codes_BN = _asked(jobs, images, ids.image_offset, ids.mask).to(device)
    end_B1 = torch.full((len(jobs), 1), ids.eoi, device=device)
    canvas_BX = torch.cat([codes_BN, end_B1], 1)
    thoughts = _think(policy, jobs, canvas_BX, seed, step, watch)
    tokens_BT = torch.cat([jobs.tokens_BP, thoughts.tokens_BG, canvas_BX], 1)
    head = tokens_BT.shape[1] - canvas_BX.shape[1]
    visible_BX = torch.ones_like(tokens_BT[:, jobs.tokens_BP.shape[1] :], dtype=torch.bool)
    key_mask_BT = torch.cat([jobs.mask_BP, visible_BX], 1)
    drawn_BN, commit_BN, logprobs_BN, exact_BN = decode(
        policy.model,
        tokens_BT,
        key_mask_BT,
        slice(head, head + codes_BN.shape[1]),
        jobs.keys(seed, step, "draw"),
        settings.image,
        ids.mask,
        supports(ids, jobs.prompts[0].task)[-1],
        _unguided(policy, jobs, tokens_BT, key_mask_BT) if settings.image.guidance else None,
        callback=(lambda _, drawn_BN: watch("image", drawn_BN)) if watch else None,
    )
    pictures = images.decode(list((drawn_BN - ids.image_offset).cpu().numpy()))
    # The codes are committed after the whole thought.
    first_B1 = thoughts.commit_BG.amax(1, keepdim=True) + 1 if thoughts.commit_BG.shape[1] else 0
    forwards_B = (thoughts.steps_B + commit_BN.amax(1) + 1).tolist()
    commit_BN = torch.where(commit_BN < 0, commit_BN, commit_BN + first_B1)
    none_B1 = torch.zeros(len(jobs), 1, device=device)
    columns = (
        (thoughts.tokens_BG, drawn_BN, end_B1),
        (thoughts.commit_BG, commit_BN, torch.full_like(end_B1, GIVEN)),
        (thoughts.sampled_BG, codes_BN == ids.mask, none_B1.bool()),
        (thoughts.logprobs_BG, logprobs_BN, none_B1),
        (thoughts.exact_BG, exact_BN, none_B1 * torch.nan),
    )
    tokens_BC, commit_BC, sampled_BC, logprobs_BC, exact_BC = (torch.cat(parts, 1).cpu().numpy() for parts in columns)
    written = thoughts.tokens_BG.shape[1]
    cached = settings.image.cache != "none" or (settings.cache != "none" and written > 0)
    return [
        Rollout(
            id=f"{step}/{prompt.id}/{jobs.indices[row]}",
            prompt=prompt,
            tokens=tokens_BC[row].astype(np.int64),
            commit_step=commit_BC[row].astype(np.int32),
            output=policy.text(tokens_BC[row, :written][sampled_BC[row, :written]]),
            sampling=jobs.sampling,
            truncated=not thoughts.ended_B[row],
            forwards=forwards_B[row],
            given=~sampled_BC[row],
            logprobs=logprobs_BC[row],
            exact_logprobs=exact_BC[row] if cached else None,
            image=pictures[row],
        )
        for row, prompt in enumerate(jobs.prompts)
    ]


def _asked(jobs: Jobs, images: ImageTokenizer, offset: int, mask: int) -> Tensor:
    """The canvas [B, N]: mask ids, and the ids of codes that are to be kept."""
    codes_BN = torch.full((len(jobs), images.tokens), mask)
    for row, prompt in enumerate(jobs.prompts):
        if prompt.known_codes is None:
            continue
        known_N = torch.tensor(prompt.known_codes)
        lowest, highest = int(known_N.min()), int(known_N.max())
        if len(known_N) != images.tokens or lowest < -1 or highest >= images.codebook_size:
            raise DataError(
                f"prompt {prompt.id}: found {len(known_N)} known codes from {lowest} to {highest}, but an image has "
                f"{images.tokens} codes from 0 to {images.codebook_size - 1}, and -1 where it is free: encode it with "
                "the run's image tokenizer."
            )
        codes_BN[row] = torch.where(known_N < 0, codes_BN[row], known_N + offset)
    return codes_BN


def _think(policy: Policy, jobs: Jobs, canvas_BX: Tensor, seed: int, step: int | str, watch: Watch | None) -> _Thoughts:
    """Denoises the thought in sight of the empty canvas; after its end it is filled up, as in training."""
    ids = policy.ids
    if jobs.prompts[0].task != "think_image":
        none = canvas_BX[:, :0]
        return _Thoughts(none, none, none.float(), none.float(), none.bool(), [True] * len(jobs), none.sum(1))
    assert ids.soi is not None
    start_B1 = torch.full_like(canvas_BX[:, :1], ids.soi)
    tokens_BG, commit_BG, logprobs_BG, exact_BG, steps_B = denoise(
        policy.model,
        jobs.tokens_BP,
        jobs.mask_BP,
        jobs.keys(seed, step, "sample"),
        jobs.settings,
        ids.mask,
        text_support(ids),
        ids.eos,
        torch.cat([start_B1, canvas_BX], 1),
        callback=partial(watch, "text") if watch else None,
    )
    sampled_BG, ended_B = torch.zeros_like(tokens_BG, dtype=torch.bool), []
    for row, written in enumerate(tokens_BG.cpu().numpy()):
        length, ended = response_length(written, ids.eos, jobs.settings.eos_tail)
        ended_B.append(ended)
        sampled_BG[row, :length] = True
    none_B1 = torch.zeros(len(jobs), 1, device=tokens_BG.device)
    return _Thoughts(
        torch.cat([tokens_BG.masked_fill(~sampled_BG, ids.eos), start_B1], 1),
        torch.cat([commit_BG.masked_fill(~sampled_BG, GIVEN), torch.full_like(start_B1, GIVEN)], 1),
        torch.cat([logprobs_BG.masked_fill(~sampled_BG, 0.0), none_B1], 1),
        torch.cat([exact_BG.masked_fill(~sampled_BG, torch.nan), none_B1 * torch.nan], 1),
        torch.cat([sampled_BG, none_B1.bool()], 1),
        ended_B,
        steps_B,
    )


def _unguided(policy: Policy, jobs: Jobs, tokens_BT: Tensor, key_mask_BT: Tensor) -> tuple[Tensor, Tensor]:
    heads_BH, mask_BH = unguided_heads(jobs.prompts, jobs.tokens_BP, jobs.mask_BP, jobs.settings.gen_length, policy.ids)
    device, width = tokens_BT.device, heads_BH.shape[1]
    return (
        torch.cat([heads_BH.to(device), tokens_BT[:, width:]], 1),
        torch.cat([mask_BH.to(device), key_mask_BT[:, width:]], 1),
    )
