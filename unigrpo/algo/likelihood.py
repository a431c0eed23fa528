"""Log-probabilities of scored tokens; the head runs only on their rows, a chunk at a time.

R rows, T tokens, P prompt positions, C response positions (T = P + C), D width, S supports, V ids of a support, U 1, or
2 where guidance scores without the prompt too.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from unigrpo.types import Support


class DenoisingModel(Protocol):
    """What the algorithm asks of a model: hidden states for a masked sequence, and logits for chosen rows of them."""

    def hidden_states(
        self, input_ids_BT: Tensor, key_mask_BT: Tensor | None = None, position_ids_BT: Tensor | None = None
    ) -> Tensor:
        """[R, T] ids to [R, T, D] states."""
        ...

    def head_logits(self, hidden_D: Tensor, support: Support | None = None) -> Tensor:
        """[n, D] states to [n, V] float32 logits over the support."""
        ...

    def in_head(
        self, hidden_D: Tensor, support: Support, use: Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]
    ) -> Tensor:
        """What `use(logits_of, hidden_D)` makes, in one forward of the head."""
        ...


def pad_free_positions(key_mask_RT: Tensor) -> Tensor:
    """Positions that count real tokens only, so that padding on the left, any amount, changes nothing."""
    return (key_mask_RT.long().cumsum(-1) - 1).clamp(min=0)


def guided_logits(logits_nV: Tensor, unguided_nV: Tensor, scale: Tensor | float) -> Tensor:
    """Classifier-free guidance u + (s + 1)(c - u); banned ids stay at -inf."""
    return torch.where(logits_nV.isinf(), logits_nV, unguided_nV + (scale + 1) * (logits_nV - unguided_nV))


def _log_softmax_at(
    logits_of: Callable[[Tensor], Tensor],
    support: Support,
    targets_n: Tensor,
    temperature_n1: Tensor | None,
    guidance_n1: Tensor | None,
    hidden_UnD: Tensor,
) -> Tensor:
    logits_nV = logits_of(hidden_UnD[0])
    if len(hidden_UnD) == 2:
        assert guidance_n1 is not None
        logits_nV = guided_logits(logits_nV, logits_of(hidden_UnD[1]), guidance_n1)
    if temperature_n1 is not None:
        logits_nV = logits_nV / temperature_n1
    return logits_nV.log_softmax(-1).gather(-1, (targets_n - support.start)[:, None])[:, 0]


def token_logprobs(
    model: DenoisingModel,
    input_RT: Tensor,
    key_mask_RT: Tensor,
    targets_RC: Tensor,
    scored_RC: Tensor,
    supports: Sequence[Support],
    chunk: int = 1024,
    temperature_RS: Tensor | None = None,
    unguided: tuple[Tensor, Tensor] | None = None,
    guidance_RS: Tensor | None = None,
) -> Tensor:
    """Log-probability of each scored token in float32, [R, C]; 0 elsewhere.

    Args:
        input_RT: ids with the mask id where a token is hidden; the response is the last C positions.
        key_mask_RT: bool, False on pads.
        targets_RC: the response; where scored it must lie in one of the supports.
        scored_RC: bool, the tokens to score.
        supports: disjoint ranges of ids; a token is scored among those of its own range (text, or image codes).
        chunk: rows of logits that exist at one time; the backward pass makes them again.
        temperature_RS: divides the logits, for each support; None scores at temperature 1.
        unguided: ids and key mask [R, T] with the prompt hidden; with them, the distribution guided by `guidance_RS` is
            scored.

    Source: LLaDA (arXiv:2502.09992), equation 14; MMaDA (arXiv:2505.15809), equation 3.
    """
    width = targets_RC.shape[1]
    inputs = [(input_RT, key_mask_RT)] if unguided is None else [(input_RT, key_mask_RT), unguided]
    states = [model.hidden_states(ids, mask, pad_free_positions(mask))[:, -width:] for ids, mask in inputs]
    logprobs_RC = torch.zeros(targets_RC.shape, dtype=torch.float32, device=input_RT.device)
    for index, support in enumerate(supports):
        here_RC = scored_RC & (targets_RC >= support.start) & (targets_RC < support.stop)
        row_n = here_RC.nonzero()[:, 0]
        temperature = None if temperature_RS is None else temperature_RS[row_n, index, None]
        guidance = None if guidance_RS is None else guidance_RS[row_n, index, None]
        hidden_UnD = torch.stack([state[here_RC] for state in states])
        use = partial(_in_chunks, support, targets_RC[here_RC], temperature, guidance, chunk)
        # Asked even for no tokens: ranks that keep step must all ask.
        logprobs_RC = logprobs_RC.masked_scatter(here_RC, model.in_head(hidden_UnD, support, use))
    return logprobs_RC


def _in_chunks(
    support: Support,
    targets_n: Tensor,
    temperature_n1: Tensor | None,
    guidance_n1: Tensor | None,
    chunk: int,
    logits_of: Callable[[Tensor], Tensor],
    hidden_UnD: Tensor,
) -> Tensor:
    """Scores of some tokens, a chunk of logits at a time; with gradient they are made again in the backward pass."""
    pieces = []
    for at in range(0, max(1, len(targets_n)), chunk):
        part = slice(at, at + chunk)
        temperature = None if temperature_n1 is None else temperature_n1[part]
        guidance = None if guidance_n1 is None else guidance_n1[part]
        arguments = (logits_of, support, targets_n[part], temperature, guidance, hidden_UnD[:, part])
        pieces.append(
            checkpoint(_log_softmax_at, *arguments, use_reentrant=False)
            if torch.is_grad_enabled()
            else _log_softmax_at(*arguments)
        )
    return torch.cat(pieces)
