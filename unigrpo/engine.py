"""Optimiser, schedule and clipping, the same for SFT and RL."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from unigrpo.config import OptimSection
from unigrpo.errors import CheckpointError, TrainingError

COUNTS = ("step_count", "skipped_in_row")
"""What an engine keeps beside its tensors."""


def learning_rate(optim: OptimSection, step: int, total: int) -> float:
    """Learning rate of optimiser step `step` (0-based) of `total`."""
    if step < optim.warmup_steps:
        return optim.lr * (step + 1) / optim.warmup_steps
    done = min(1.0, (step - optim.warmup_steps) / max(1, total - 1 - optim.warmup_steps))
    decay = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[optim.schedule]
    return optim.lr * (optim.min_lr_ratio + (1 - optim.min_lr_ratio) * decay)


class Engine:
    """AdamW on the trainable weights of a module. All its state is tensors by name and a step count."""

    def __init__(self, module: nn.Module, optim: OptimSection, total_steps: int):
        self.module, self.optim, self.total_steps = module, optim, total_steps
        self.named = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
        groups = [
            {"params": [w for w in self.named.values() if w.ndim > 1], "weight_decay": optim.weight_decay},
            {"params": [w for w in self.named.values() if w.ndim <= 1], "weight_decay": 0.0},
        ]
        first, second = optim.betas
        groups = [group for group in groups if group["params"]]
        self.adamw = torch.optim.AdamW(groups, lr=optim.lr, betas=(first, second), eps=optim.eps)
        self.step_count = 0
        self.skipped_in_row = 0

    def step(self, backward: Callable[[], dict[str, float]]) -> dict[str, float]:
        """One optimiser step: `backward` accumulates gradients and returns metrics.

        Where the loss or the gradient is not finite, the weights are left as they were, the step counts, and all it
        gives is `skipped`, 1, and `lr`.

        Raises:
            TrainingError: that happened too often in a row.
        """
        self.adamw.zero_grad(set_to_none=True)
        metrics = backward()
        limit = self.optim.max_grad_norm or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.named.values(), limit))
        rate = learning_rate(self.optim, self.step_count, self.total_steps)
        if not math.isfinite(norm) or not all(math.isfinite(value) for value in metrics.values()):
            limit = self.optim.max_skipped
            if self.skipped_in_row == limit:
                before = f", nor were those of the {limit} before it (optim.max_skipped={limit})" if limit else ""
                raise TrainingError(
                    f"Optimiser step {self.step_count}: gradient norm {norm}, metrics {metrics} are not "
                    f"finite{before}. The weights were left as they were; lower optim.lr or go on from an earlier "
                    "checkpoint."
                )
            self.adamw.zero_grad(set_to_none=True)
            self.step_count += 1
            self.skipped_in_row += 1
            return {"skipped": 1.0, "lr": rate}
        self.skipped_in_row = 0
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        self.step_count += 1
        return metrics | {"grad_norm": norm, "lr": rate, "skipped": 0.0}

    def state(self) -> dict[str, Tensor]:
        """The optimiser's tensors on the CPU, by `weight name/moment`: live there, not a copy."""
        tensors = {
            f"{name}/{moment}": value.detach().cpu()
            for name, weight in self.named.items()
            for moment, value in self.adamw.state[weight].items()
        }
        return tensors | {name: torch.tensor(getattr(self, name)) for name in COUNTS}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Takes back what `state` gave.

        Raises:
            CheckpointError: the tensors are of another model.
        """
        self.step_count = int(tensors["step_count"])
        self.skipped_in_row = int(tensors.get("skipped_in_row", 0))
        expected = {f"{name}/{moment}" for name in self.named for moment in ("exp_avg", "exp_avg_sq", "step")}
        found = set(tensors) - set(COUNTS)
        if self.step_count > self.skipped_in_row and found != expected:
            odd = sorted(found ^ expected)[:3]
            raise CheckpointError(f"The optimiser state is of another model: {', '.join(odd)} do not match.")
        for name, weight in self.named.items():
            moments = {m: tensors[f"{name}/{m}"] for m in ("exp_avg", "exp_avg_sq", "step") if f"{name}/{m}" in tensors}
            self.adamw.state[weight] = {
                m: value.clone() if m == "step" else value.to(weight.device, copy=True) for m, value in moments.items()
            }
