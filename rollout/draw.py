"""Draws an id for each of some masked tokens, and says how likely it was.

A rows, X of them with those of guidance, T tokens, M of them that are drawn, n all of these in one line, D width, V ids
of the support in P pieces of I, U 1, or 2 with guidance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from rollout.trunk import Trunk
from unigrpo.algo.likelihood import DenoisingModel, guided_logits
from unigrpo.algo.random import bits, uniform, widest
from unigrpo.types import Support

CONFIDENCE, CHECK = 1, 3
ELEMENTS_AT_ONCE = 1 << 24
PIECE = 256
"""Ids whose weights are summed at once, so that one pass over the vocabulary finds where to look."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn; all of one shape."""

    ids: Tensor
    """int64."""
    logprobs: Tensor
    """Log-probability of each by the distribution it was drawn from; at temperature 0, by the model's. Float64."""
    confidence: Tensor
    """What decides whether it stays, float64."""
    exact: Tensor
    """Log-probabilities without kept keys and values, NaN where that was not asked. Float64."""

    def shaped(self, shape: Sequence[int]) -> "Drawn":
        """The same in another shape."""
        return Drawn(*(tensor.view(shape) for tensor in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Draw:
    """How ids are drawn: what all steps of a response or of an image have in common."""

    model: DenoisingModel
    support: Support
    temperature: float
    guidance: float
    confidence: Literal["confidence", "margin", "entropy", "random"] = "confidence"
    check: float = 0.0
    """Share of the steps of each row whose log-probabilities are also computed exactly, where keys are kept."""

    def __call__(
        self,
        trunk: Trunk,
        tokens_XT: Tensor,
        place: slice,
        slots_AM: Tensor,
        keys_A: Tensor,
        counters_AM: Tensor,
        fresh: bool = False,
        first: bool = False,
    ) -> Drawn:
        """Draws an id for each slot.

        Args:
            tokens_XT: ids, with guidance those of the rows with a hidden prompt last.
            place: the part of the sequence that is denoised.
            slots_AM: positions in it.
            keys_A: int64; with `counters_AM` all there is of chance.
            fresh: the trunk takes nothing from earlier steps.
            first: besides, rows may still be all the same.
        """
        slots_XM = slots_AM.repeat(len(tokens_XT) // len(slots_AM), 1)
        states_XMD = (
            trunk.first_states(tokens_XT, place, slots_XM) if first else trunk.states(tokens_XT, place, slots_XM, fresh)
        )
        keys_n, counters_n = keys_A[:, None].expand_as(slots_AM).flatten(), counters_AM.flatten()
        parts = [
            self._drawn(logits_nV, keys_n[part], counters_n[part])
            for part, logits_nV in self._logits(states_XMD, len(slots_AM))
        ]
        ids_n, logprobs_n, confidence_n = (torch.cat(columns) for columns in zip(*parts, strict=True))
        drawn = Drawn(ids_n + self.support.start, logprobs_n, confidence_n, torch.full_like(logprobs_n, torch.nan))
        drawn = drawn.shaped(slots_AM.shape)
        if trunk.cache == "none" or not self.check:
            return drawn
        # The counter of its first slot names a step of a row.
        picked_A = uniform(bits(keys_A, torch.full_like(keys_A, CHECK)), counters_AM[:, 0]) < self.check
        index_A = picked_A.nonzero()[:, 0]
        exact_AM = (
            drawn.logprobs if trunk.age == 1 else self._exactly(trunk, tokens_XT, place, slots_AM, drawn, index_A)
        )
        return replace(drawn, exact=torch.where(picked_A[:, None], exact_AM, torch.nan))

    def _logits(self, states_XMD: Tensor, rows: int) -> Iterator[tuple[slice, Tensor]]:
        """Logits of the slots, guided, a chunk at a time."""
        hidden_UnD = states_XMD.unflatten(0, (-1, rows)).flatten(1, 2)
        chunk = max(1, ELEMENTS_AT_ONCE // (self.support.stop - self.support.start))
        for at in range(0, hidden_UnD.shape[1], chunk):
            part = slice(at, at + chunk)
            logits_nV = self.model.head_logits(hidden_UnD[0, part], self.support)
            if len(hidden_UnD) == 2:
                unguided_nV = self.model.head_logits(hidden_UnD[1, part], self.support)
                logits_nV = guided_logits(logits_nV, unguided_nV, self.guidance)
            yield part, logits_nV

    def _drawn(self, logits_nV: Tensor, keys_n: Tensor, counters_n: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weights = Weights.of(logits_nV)
        if self.temperature == 0:
            chosen_n, drawn_from = logits_nV.argmax(-1), weights
        else:
            drawn_from = weights if self.temperature == 1 else Weights.of(logits_nV, self.temperature)
            chosen_n = drawn_from.draw(uniform(keys_n, counters_n))
        return chosen_n, drawn_from.logprobs(chosen_n), self._confidence(weights, chosen_n, keys_n, counters_n)

    def _confidence(self, weights: "Weights", chosen_n: Tensor, keys_n: Tensor, counters_n: Tensor) -> Tensor:
        """The confidence in the chosen ids by the model's own distribution, whatever the temperature."""
        if self.confidence == "random":
            return uniform(bits(keys_n, torch.full_like(keys_n, CONFIDENCE)), counters_n)
        if self.confidence == "margin":
            best_n2 = weights.weights_nV.topk(2, -1).values.to(weights.total_n.dtype)
            return (best_n2[:, 0] - best_n2[:, 1]) / weights.total_n
        if self.confidence == "entropy":
            return -weights.entropy()
        return weights.logprobs(chosen_n).exp()

    def _exactly(
        self, trunk: Trunk, tokens_XT: Tensor, place: slice, slots_AM: Tensor, drawn: Drawn, index_A: Tensor
    ) -> Tensor:
        """Log-probabilities [A, M] of what was drawn for some rows, by a forward of all their tokens."""
        exact_AM = torch.full_like(drawn.logprobs, torch.nan)
        if len(index_A):
            both = torch.cat([index_A + at for at in range(0, len(tokens_XT), len(slots_AM))])
            slots_XM = slots_AM.repeat(len(tokens_XT) // len(slots_AM), 1)[both]
            states_XMD = trunk.without_cache(both).states(tokens_XT[both], place, slots_XM)
            chosen_n = drawn.ids[index_A].flatten() - self.support.start
            logprobs = [
                Weights.of(logits_nV, self.temperature or 1.0).logprobs(chosen_n[part])
                for part, logits_nV in self._logits(states_XMD, len(index_A))
            ]
            exact_AM[index_A] = torch.cat(logprobs).view(len(index_A), -1)
        return exact_AM


@dataclass(frozen=True, eq=False)
class Weights:
    """Distributions as unnormalised weights in float32, whose sums are float64 (float32 on devices without it)."""

    weights_nV: Tensor
    """The largest of a row is 1."""
    log_nV: Tensor
    """Their logarithms."""
    sums_nP: Tensor
    """Of each `PIECE` ids in turn."""
    total_n: Tensor

    @classmethod
    def of(cls, logits_nV: Tensor, temperature: float = 1.0) -> "Weights":
        """The softmax of logits."""
        log_nV = logits_nV - logits_nV.amax(-1, keepdim=True)
        log_nV = log_nV if temperature == 1 else log_nV / temperature
        weights_nV = log_nV.exp()
        wide = widest(logits_nV.device)
        whole = weights_nV.shape[1] // PIECE * PIECE
        pieces = weights_nV[:, :whole].unflatten(1, (-1, PIECE)).sum(-1, dtype=wide)
        sums_nP = torch.cat([pieces, weights_nV[:, whole:].sum(-1, keepdim=True, dtype=wide)], 1)
        return cls(weights_nV, log_nV, sums_nP, sums_nP.sum(-1))

    def draw(self, uniform_n: Tensor) -> Tensor:
        """The id [n] at which the cumulative weight reaches a share of the whole: its piece, then the id in it."""
        upto_nP = self.sums_nP.cumsum(-1)
        point_n1 = (uniform_n.to(self.total_n.dtype) * upto_nP[:, -1])[:, None]
        # Weights that are not numbers, of a model that has broken down, must not lead out of the tensors.
        piece_n1 = torch.searchsorted(upto_nP, point_n1).clamp_(max=upto_nP.shape[1] - 1)
        rest_n1 = point_n1 - (upto_nP - self.sums_nP).gather(1, piece_n1)
        ids_nI = piece_n1 * PIECE + torch.arange(PIECE, device=piece_n1.device)
        last = self.weights_nV.shape[1] - 1
        inside_nI = self.weights_nV.gather(1, ids_nI.clamp(max=last)).masked_fill(ids_nI > last, 0.0)
        upto_nI = inside_nI.cumsum(-1, dtype=self.total_n.dtype)
        # Above 0 and at most the piece's sum, so that an id without weight is never the first to reach it.
        tiny = torch.finfo(rest_n1.dtype).tiny
        rest_n1 = torch.minimum(rest_n1.clamp(min=tiny), upto_nI[:, -1:])
        return ids_nI.gather(1, torch.searchsorted(upto_nI, rest_n1).clamp_(max=PIECE - 1))[:, 0].clamp_(max=last)

    def logprobs(self, ids_n: Tensor) -> Tensor:
        """Log-probability of an id of each row."""
        return self.log_nV.gather(-1, ids_n[:, None])[:, 0].to(self.total_n.dtype) - self.total_n.log()

    def entropy(self) -> Tensor:
        """Entropy in nats."""
        spread_n = torch.special.xlogy(self.weights_nV, self.weights_nV).sum(-1, dtype=self.total_n.dtype)
        return self.total_n.log() - spread_n / self.total_n
