"""Log-probabilities of scored tokens; the head runs only on their rows, a chunk at a time.

R rows, T tokens, P prompt positions, C response positions (T = P + C), D width, V ids of the support.
"""

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


def pad_free_positions(key_mask_RT: Tensor) -> Tensor:
    """Positions that count real tokens only, so that padding on the left, any amount, changes nothing."""
    return (key_mask_RT.long().cumsum(-1) - 1).clamp(min=0)


def guided_logits(logits_nV: Tensor, unguided_nV: Tensor, scale: Tensor | float) -> Tensor:
    """Classifier-free guidance u + (s + 1)(c - u); banned ids stay at -inf."""
    return torch.where(logits_nV.isinf(), logits_nV, unguided_nV + (scale + 1) * (logits_nV - unguided_nV))


def _log_softmax_at(model, support: Support, targets_n: Tensor, temperature_n1, guidance_n1, *hidden: Tensor) -> Tensor:
    logits_nV = model.head_logits(hidden[0], support)
    if len(hidden) == 2:
        logits_nV = guided_logits(logits_nV, model.head_logits(hidden[1], support), guidance_n1)
    if temperature_n1 is not None:
        logits_nV = logits_nV / temperature_n1
    return logits_nV.log_softmax(-1).gather(-1, (targets_n - support.start)[:, None])[:, 0]


def token_logprobs(
    model: DenoisingModel,
    input_RT: Tensor,
    key_mask_RT: Tensor,
    targets_RC: Tensor,
    scored_RC: Tensor,
    support: Support,
    chunk: int = 1024,
    temperature_R: Tensor | None = None,
    unguided_RT: Tensor | None = None,
    guidance_R: Tensor | None = None,
) -> Tensor:
    """Log-probability of each scored token in float32, [R, C]; 0 elsewhere.

    Args:
        input_RT: ids with the mask id where a token is hidden; the response is the last C positions.
        key_mask_RT: bool, False on pads.
        targets_RC: the response; where scored it must lie in the support.
        scored_RC: bool, the tokens to score.
        chunk: rows of logits that exist at one time; the backward pass makes them again.
        temperature_R: divides the logits; None scores at temperature 1.
        unguided_RT: the input with the prompt hidden; with it, the distribution guided by `guidance_R` is scored.

    Source: LLaDA (arXiv:2502.09992), equation 14; MMaDA (arXiv:2505.15809), equation 3.
    """
    width = targets_RC.shape[1]
    positions_RT = pad_free_positions(key_mask_RT)
    inputs = [input_RT] if unguided_RT is None else [input_RT, unguided_RT]
    hidden = [model.hidden_states(ids, key_mask_RT, positions_RT)[:, -width:][scored_RC] for ids in inputs]
    targets_n = targets_RC[scored_RC]
    row_n = scored_RC.nonzero()[:, 0]
    pieces = []
    for at in range(0, len(targets_n), chunk):
        part = slice(at, at + chunk)
        temperature = None if temperature_R is None else temperature_R[row_n[part], None]
        guidance = None if guidance_R is None else guidance_R[row_n[part], None]
        arguments = (model, support, targets_n[part], temperature, guidance, *(h[part] for h in hidden))
        pieces.append(
            checkpoint(_log_softmax_at, *arguments, use_reentrant=False)
            if torch.is_grad_enabled()
            else _log_softmax_at(*arguments)
        )
    logprobs_RC = torch.zeros(targets_RC.shape, dtype=torch.float32, device=input_RT.device)
    return logprobs_RC.masked_scatter(scored_RC, torch.cat(pieces)) if pieces else logprobs_RC
