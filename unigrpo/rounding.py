"""AdamW for weights of bfloat16 that have no copy in float32."""

from typing import Any

import torch
from torch import Tensor

from unigrpo.algo.random import key

HALF = 16
"""Bits of a float32 that a bfloat16 has not."""


def round_by_chance(values: Tensor, generator: torch.Generator) -> Tensor:
    """Rounds float32 to a neighbour in bfloat16, the nearer one with the greater chance, so that the mean stays.

    Source: stochastic rounding as in Zamirai et al., Revisiting BFloat16 Training (arXiv:2010.06192).
    """
    noise = torch.randint(1 << HALF, values.shape, generator=generator, device=values.device, dtype=torch.int32)
    bits = values.contiguous().view(torch.int32) + noise
    return (bits & -(1 << HALF)).view(torch.float32).to(torch.bfloat16)


class RoundedAdamW(torch.optim.AdamW):
    """AdamW with float32 moments, whose updates of bfloat16 weights are rounded by chance.

    The chance is a function of the step and of the weight's place among the weights, so that a resumed run rounds as an
    uninterrupted one does.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Updates every weight that has a gradient."""
        assert closure is None, "the engine has the gradients already"
        weights = [(weight, group) for group in self.param_groups for weight in group["params"]]
        for place, (weight, group) in enumerate(weights):
            if weight.grad is not None:
                self._update(weight, group, place)

    def _update(self, weight: Tensor, group: dict[str, Any], place: int) -> None:
        state, gradient, (first, second) = self.state[weight], weight.grad.float(), group["betas"]  # pyright: ignore[reportOptionalMemberAccess]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(gradient)
            state["exp_avg_sq"] = torch.zeros_like(gradient)
        state["step"] += 1
        done = float(state["step"])
        state["exp_avg"].lerp_(gradient, 1 - first)
        state["exp_avg_sq"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        scale = (state["exp_avg_sq"] / (1 - second**done)).sqrt_().add_(group["eps"])
        value = weight.float().mul_(1 - group["lr"] * group["weight_decay"])
        value.addcdiv_(state["exp_avg"], scale, value=-group["lr"] / (1 - first**done))
        if weight.dtype == torch.bfloat16:
            seed = key("rounding", int(done), place)
            value = round_by_chance(value, torch.Generator(weight.device).manual_seed(seed))
        weight.copy_(value)
