"""A token embedding whose gradient adds up where it is, as few of a large vocabulary's rows are in a batch.

B sequences, T tokens, V vocabulary, D width.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unigrpo.algo.head import added_up


class TokenEmbedding(nn.Embedding):
    """An embedding that needs memory for its gradient once, however many micro-batches a step has."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the vectors [B, T, D] of ids [B, T]."""
        return _Rows.apply(self.weight, input)  # pyright: ignore[reportReturnType]


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight_VD: Tensor, ids_BT: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(weight_VD, ids_BT)
        return nn.functional.embedding(ids_BT, weight_VD)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTD: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        weight_VD, ids_BT = ctx.saved_tensors
        sum_VD = added_up(weight_VD)
        # Each of the two adds up in one order where it is used, so that a run repeats, and in any on the other device.
        if sum_VD.device.type == "cpu":
            return sum_VD.index_add_(0, ids_BT.flatten(), grad_BTD.flatten(0, -2)), None
        return sum_VD.index_put_((ids_BT,), grad_BTD, accumulate=True), None
