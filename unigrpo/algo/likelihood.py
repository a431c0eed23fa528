"""Log-probabilities of scored tokens; only their rows go through the last block and the head.

R rows, T tokens, P prompt positions, C response positions (T = P + C), M of them that are asked for, n scored tokens of
all rows, D width, S supports, V ids.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from unigrpo.algo.head import Slopes, Tokens, token_scores
from unigrpo.types import Support

UseOfHead = Callable[[Tensor, Tensor], Tensor]
"""What is made of the head's weight [V, D] and of hidden states."""


class DenoisingModel(Protocol):
    """What the algorithm asks of a model: hidden states for a masked sequence, and logits for chosen rows of them."""

    def hidden_states(
        self,
        input_ids_BT: Tensor,
        key_mask_BT: Tensor | None = None,
        position_ids_BT: Tensor | None = None,
        asked: slice | Tensor = ...,
        kept: Any = None,
    ) -> Tensor:
        """[R, T] ids to [R, S, D] states of the tokens asked for; `kept` holds keys and values from earlier calls."""
        ...

    def head_logits(self, hidden_D: Tensor, support: Support | None = None) -> Tensor:
        """[n, D] states to [n, V] float32 logits over the support."""
        ...

    def in_head(self, hidden_D: Tensor, use: UseOfHead) -> Tensor:
        """What `use(weight_VD, hidden_D)` makes, in one forward of the head."""
        ...


def pad_free_positions(key_mask_RT: Tensor) -> Tensor:
    """Positions that count real tokens only, so that padding on the left, any amount, changes nothing."""
    return (key_mask_RT.long().cumsum(-1) - 1).clamp(min=0)


def guided_logits(logits_nV: Tensor, unguided_nV: Tensor, scale: Tensor | float) -> Tensor:
    """Classifier-free guidance u + (s + 1)(c - u); banned ids stay at -inf."""
    return torch.where(logits_nV.isinf(), logits_nV, unguided_nV + (scale + 1) * (logits_nV - unguided_nV))


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
    slopes: Slopes | None = None,
    in_place: bool = False,
) -> Tensor:
    """Log-probability of each scored token in float32, [R, C]; 0 elsewhere.

    Args:
        input_RT: ids with the mask id where a token is hidden; the response is the last C positions.
        key_mask_RT: bool, False on pads.
        targets_RC: the response; where scored it must lie in one of the supports.
        scored_RC: bool, the tokens to score.
        supports: disjoint ranges of ids; a token is scored among those of its own range (text, or image codes).
        chunk: tokens whose logits exist at one time.
        temperature_RS: divides the logits, for each support; None scores at temperature 1.
        unguided: ids and key mask [R, T'] with the prompt hidden; with them, the distribution guided by `guidance_RS`
            is scored.
        slopes: foresees the gradient [R, C] of a loss by what this returns; see `unigrpo.algo.head.token_scores`.
        in_place: see there.

    Source: LLaDA (arXiv:2502.09992), equation 14; MMaDA (arXiv:2505.15809), equation 3.
    """
    places = _places(targets_RC, scored_RC, supports)
    hidden_nD = places.states(model, input_RT, key_mask_RT)
    # The head is linear: what is to be done to logits costs less when it is done to the states they are made of.
    if unguided is not None:
        assert guidance_RS is not None
        unguided_nD, scale_n1 = places.states(model, *unguided).float(), places.setting(guidance_RS)
        hidden_nD = (unguided_nD + (scale_n1 + 1) * (hidden_nD - unguided_nD)).to(hidden_nD.dtype)
    if temperature_RS is not None:
        hidden_nD = (hidden_nD.float() / places.setting(temperature_RS)).to(hidden_nD.dtype)
    tokens = Tokens(targets_RC[places.row_n, places.column_n], tuple(zip(supports, places.counts, strict=True)), chunk)

    def foreseen(logprobs_n: Tensor) -> Tensor:
        assert slopes is not None
        return slopes(places.spread(logprobs_n))[places.row_n, places.column_n]

    def scores(weight_VD: Tensor, states_nD: Tensor) -> Tensor:
        return token_scores(states_nD, weight_VD, tokens, slopes and foreseen, in_place)

    # Asked even for no tokens: ranks that keep step must all ask.
    return places.spread(model.in_head(hidden_nD, scores))


@dataclass(frozen=True, eq=False)
class _Places:
    """Where the scored tokens are, those of the first support first."""

    shape: torch.Size
    """That of the responses, [R, C]."""
    asked_RM: Tensor
    """Positions in the response: the scored ones of each row, and some others in rows that have fewer."""
    index_n: Tensor
    """The scored ones among them, flat."""
    row_n: Tensor
    column_n: Tensor
    """Row and position in the response."""
    support_n: Tensor
    """Number of its support."""
    counts: list[int]
    """Tokens of each support."""

    def states(self, model: DenoisingModel, ids_RT: Tensor, key_mask_RT: Tensor) -> Tensor:
        """Hidden states [n, D] of the scored tokens."""
        asked_RM = self.asked_RM + (ids_RT.shape[1] - self.shape[1])
        states_RMD = model.hidden_states(ids_RT, key_mask_RT, pad_free_positions(key_mask_RT), asked_RM)
        return states_RMD.flatten(0, 1)[self.index_n]

    def setting(self, setting_RS: Tensor) -> Tensor:
        """A setting of each row and support, for each token, [n, 1]."""
        return setting_RS[self.row_n, self.support_n, None]

    def spread(self, values_n: Tensor) -> Tensor:
        """Values of the scored tokens at their places, [R, C], 0 elsewhere."""
        zeros_RC = values_n.new_zeros(self.shape)
        return zeros_RC.index_put((self.row_n, self.column_n), values_n)


def _places(targets_RC: Tensor, scored_RC: Tensor, supports: Sequence[Support]) -> _Places:
    here = [scored_RC & (targets_RC >= support.start) & (targets_RC < support.stop) for support in supports]
    found = [of_RC.nonzero() for of_RC in here]
    row_n, column_n = torch.cat(found).unbind(1)
    any_RC = torch.stack(here).any(0)
    most = int(any_RC.sum(-1).amax().clamp(min=1)) if len(any_RC) else 1
    order_RC = any_RC.byte().argsort(dim=-1, descending=True, stable=True)
    rank_RC = torch.empty_like(order_RC).scatter_(
        1, order_RC, torch.arange(order_RC.shape[1], device=order_RC.device).expand_as(order_RC)
    )
    counts = [len(places) for places in found]
    return _Places(
        shape=targets_RC.shape,
        asked_RM=order_RC[:, :most],
        index_n=row_n * most + rank_RC[row_n, column_n],
        row_n=row_n,
        column_n=column_n,
        support_n=torch.arange(len(supports)).repeat_interleave(torch.tensor(counts)).to(row_n.device),
        counts=counts,
    )
