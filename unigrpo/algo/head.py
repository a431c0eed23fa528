"""Log-probabilities of tokens from hidden states and the weight of the LM head, a chunk of logits at a time.

n tokens, m of them in a chunk, D width, V ids of the vocabulary, S ids of a support.

The slope of a loss by the logits of a token is its slope by the log-probability, times (one at the token, else 0, minus
the probabilities). Whoever knows that slope as soon as the log-probability is there saves a second product with the
head: the gradient is made while the logits are at hand.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from unigrpo.types import Support

Slopes = Callable[[Tensor], Tensor]
"""Makes the slopes of a loss by log-probabilities from these; where they are not known yet (0), it may say anything."""
TOLERANCE = 1e-6
"""Largest share by which slopes may miss what was foreseen; float32 rounds to less."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens to be scored: those of the first support first."""

    targets_n: Tensor
    among: tuple[tuple[Support, int], ...]
    """The supports, and how many of the tokens are scored among each."""
    chunk: int
    """Tokens whose logits exist at one time."""

    def chunks(self) -> Iterator[tuple[slice, Support]]:
        """Which tokens are scored at one time, and among what."""
        start = 0
        for support, count in self.among:
            for at in range(start, start + count, self.chunk):
                yield slice(at, min(at + self.chunk, start + count)), support
            start += count

    def room(self) -> int:
        """Logits of the largest chunk."""
        sizes = [(part.stop - part.start) * (support.stop - support.start) for part, support in self.chunks()]
        return max(sizes, default=0)


def token_scores(
    hidden_nD: Tensor, weight_VD: Tensor, tokens: Tokens, slopes: Slopes | None = None, in_place: bool = False
) -> Tensor:
    """Log-probabilities [n] in float32, whatever the model's type; logits exist for a chunk of tokens only.

    Args:
        slopes: foresees the gradient that the backward pass will bring, or a multiple of it. Other gradients are right
            too, but the logits are made again for them, as without it; a head that is not trained never needs that.
        in_place: gradients add up in the weight's `.grad`, whose memory is used even before the backward pass.
    """
    if not (torch.is_grad_enabled() and (hidden_nD.requires_grad or weight_VD.requires_grad)):
        return _scan(tokens, hidden_nD, weight_VD)
    return _Scores.apply(hidden_nD, weight_VD, tokens, slopes, in_place)  # pyright: ignore[reportReturnType]


def added_up(weight: Tensor) -> Tensor:
    """What a weight's gradient has added up to, to be added to and returned by a backward pass.

    It is taken out of `.grad`, to which autograd then need not add a second tensor of this size.
    """
    if weight.grad is None:
        return torch.zeros_like(weight)
    so_far, weight.grad = weight.grad, None
    return so_far


@dataclass(eq=False)
class _Gradient:
    """What a loss with these slopes adds to the gradients."""

    by_hidden_nD: Tensor | None
    by_weight_VD: Tensor | None
    slopes_n: Tensor

    @classmethod
    def start(cls, ctx: Any, hidden_nD: Tensor, weight_VD: Tensor) -> "_Gradient":
        """Nothing yet; or of the weight what has added up so far, which then is not in its `.grad` any more."""
        by_hidden, by_weight = ctx.needs_input_grad[:2]
        return cls(
            torch.zeros_like(hidden_nD) if by_hidden else None,
            (added_up(weight_VD) if ctx.in_place else torch.zeros_like(weight_VD)) if by_weight else None,
            torch.zeros(len(hidden_nD), device=hidden_nD.device),
        )

    def add(self, part: slice, support: Support, slopes_mS: Tensor, hidden_mD: Tensor, weight_SD: Tensor) -> None:
        """Adds what the slopes by a chunk's logits make of it."""
        slopes_mS = slopes_mS.to(weight_SD.dtype)
        if self.by_hidden_nD is not None:
            self.by_hidden_nD[part].addmm_(slopes_mS, weight_SD)
        if self.by_weight_VD is not None:
            self.by_weight_VD[support.start : support.stop].addmm_(slopes_mS.T, hidden_mD)

    def times(self, factor: float) -> None:
        """Multiplies all of it."""
        if factor != 1:
            for tensor in (self.by_hidden_nD, self.by_weight_VD, self.slopes_n):
                if tensor is not None:
                    tensor.mul_(factor)


class _Scores(torch.autograd.Function):
    """Log-probabilities whose gradient is made in the forward pass where it can be foreseen, else from logits again."""

    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, hidden_nD: Tensor, weight_VD: Tensor, tokens: Tokens, slopes: Slopes | None, in_place: bool
    ) -> Tensor:
        ctx.save_for_backward(hidden_nD, weight_VD)
        ctx.tokens, ctx.in_place, ctx.gradient = tokens, in_place, None
        if not ctx.needs_input_grad[1]:
            slopes = torch.ones_like  # each token's gradient is a vector of its own, to be multiplied later
        if slopes is not None:
            ctx.gradient = _Gradient.start(ctx, hidden_nD, weight_VD)
        return _scan(tokens, hidden_nD, weight_VD, slopes, ctx.gradient)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slopes_n: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        hidden_nD, weight_VD = ctx.saved_tensors
        foreseen, ctx.gradient = ctx.gradient, None
        found = foreseen or _Gradient.start(ctx, hidden_nD, weight_VD)
        if foreseen and found.by_hidden_nD is not None and found.by_weight_VD is None:
            return found.by_hidden_nD * slopes_n[:, None].to(hidden_nD.dtype), None, None, None, None
        if not ctx.in_place:
            found.times(_multiple(slopes_n, found.slopes_n))
        missed_n = slopes_n - found.slopes_n
        if not bool((missed_n.abs() <= TOLERANCE * _largest(found.slopes_n)).all()):
            _scan(ctx.tokens, hidden_nD, weight_VD, lambda _: missed_n, found)
        return found.by_hidden_nD, found.by_weight_VD, None, None, None


def _largest(values_n: Tensor) -> Tensor:
    return values_n.abs().amax() if len(values_n) else values_n.new_zeros(())


def _multiple(slopes_n: Tensor, foreseen_n: Tensor) -> float:
    """By what the foreseen slopes are to be multiplied, judged by the largest; 1 where they are all 0."""
    if not _largest(foreseen_n):
        return 1.0
    place = foreseen_n.abs().argmax()
    return float(slopes_n[place] / foreseen_n[place])


def _scan(
    tokens: Tokens,
    hidden_nD: Tensor,
    weight_VD: Tensor,
    slopes: Slopes | None = None,
    gradient: _Gradient | None = None,
) -> Tensor:
    """Log-probabilities [n]; the gradient of a loss with these slopes is added to `gradient`."""
    logprobs_n = torch.zeros(len(hidden_nD), device=hidden_nD.device)
    room = torch.empty(tokens.room(), device=hidden_nD.device)
    for part, support in tokens.chunks():
        hidden_mD, weight_SD = hidden_nD[part], weight_VD[support.start : support.stop]
        target_m1 = (tokens.targets_n[part] - support.start)[:, None]
        logits_mS = _logits(hidden_mD, weight_SD, support, room)
        chosen_m1, highest_m1 = logits_mS.gather(-1, target_m1), logits_mS.amax(-1, keepdim=True)
        weights_mS = logits_mS.sub_(highest_m1).exp_()
        total_m1 = weights_mS.sum(-1, keepdim=True)
        logprobs_n[part] = (chosen_m1 - highest_m1 - total_m1.log())[:, 0]
        if slopes is not None and gradient is not None:
            slopes_m1 = slopes(logprobs_n)[part, None]
            gradient.slopes_n[part] += slopes_m1[:, 0]
            slopes_mS = weights_mS.mul_(-slopes_m1 / total_m1).scatter_add_(-1, target_m1, slopes_m1)
            gradient.add(part, support, slopes_mS, hidden_mD, weight_SD)
    return logprobs_n


def _logits(hidden_mD: Tensor, weight_SD: Tensor, support: Support, room: Tensor) -> Tensor:
    """Float32 logits [m, S] in a room that all chunks share, -inf at banned ids."""
    logits_mS = room[: len(hidden_mD) * len(weight_SD)].view(len(hidden_mD), len(weight_SD))
    if weight_SD.dtype == torch.float32:
        torch.mm(hidden_mD, weight_SD.T, out=logits_mS)
    else:
        logits_mS.copy_(hidden_mD @ weight_SD.T)
    for banned in support.banned:
        logits_mS[:, banned - support.start] = float("-inf")
    return logits_mS
