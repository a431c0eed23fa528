"""Optimiser, schedule and clipping, the same for SFT and RL."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unigrpo.config import OptimSection
from unigrpo.errors import CheckpointError, TrainingError

COUNTS = ("step_count", "skipped_in_row")
MOMENTS = ("exp_avg", "exp_avg_sq", "step")
MASTER = "master"
"""Beside a moment: the float32 weight that an engine of bfloat16 weights updates."""


def learning_rate(optim: OptimSection, step: int, total: int) -> float:
    """Learning rate of optimiser step `step` (0-based) of `total`."""
    if step < optim.warmup_steps:
        return optim.lr * (step + 1) / optim.warmup_steps
    done = min(1.0, (step - optim.warmup_steps) / max(1, total - 1 - optim.warmup_steps))
    decay = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[optim.schedule]
    return optim.lr * (optim.min_lr_ratio + (1 - optim.min_lr_ratio) * decay)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable weights of a module, of which only matrices decay."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


class Engine:
    """AdamW on the trainable weights of a module. All its state is tensors by name and a step count."""

    rank, world = 0, 1
    """This process among those that train the module together."""
    starts_over = True
    """Whether `clear` undoes all that `backward` did in this step."""

    def __init__(self, module: nn.Module, optim: OptimSection, total_steps: int):
        self.module: Any = module
        self.optim, self.total_steps = optim, total_steps
        self.named = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
        self.step_count = 0
        self.skipped_in_row = 0
        self._open()

    def step(self, backward: Callable[[], dict[str, float]]) -> dict[str, float]:
        """One optimiser step: `backward` accumulates gradients and returns metrics, sums over its share of the work.

        Where the loss or the gradient is not finite, the weights are left as they were, the step counts, and all it
        gives is `skipped`, 1, and `lr`.

        Raises:
            TrainingError: that happened too often in a row, or the update made weights that are not finite.
        """
        self.clear()
        metrics = self.total(backward())
        rate = learning_rate(self.optim, self.step_count, self.total_steps)
        sound = all(math.isfinite(value) for value in metrics.values())
        norm = self._update(rate, sound)
        if not sound or not math.isfinite(norm):
            self._skip(norm, metrics)
            return {"skipped": 1.0, "lr": rate}
        self.skipped_in_row = 0
        self.step_count += 1
        if not self._sound():
            raise TrainingError(
                f"Optimiser step {self.step_count - 1} made weights that are not finite: lower optim.lr (it was "
                f"{rate:g}) and go on from the last checkpoint."
            )
        return metrics | {"grad_norm": norm, "lr": rate, "skipped": 0.0}

    def _skip(self, norm: float, metrics: dict[str, float]) -> None:
        limit = self.optim.max_skipped
        if self.skipped_in_row == limit:
            before = f", nor were those of the {limit} before it (optim.max_skipped={limit})" if limit else ""
            raise TrainingError(
                f"Optimiser step {self.step_count}: gradient norm {norm}, metrics {metrics} are not "
                f"finite{before}. The weights were left as they were; lower optim.lr or go on from an earlier "
                "checkpoint."
            )
        self.step_count += 1
        self.skipped_in_row += 1

    def backward(self, loss: Tensor, last: bool) -> None:
        """Adds the gradient of a loss to those of this step; `last` says that no other follows."""
        if loss.requires_grad:
            loss.backward()

    def total(self, sums: dict[str, float]) -> dict[str, float]:
        """Sums over all that train together."""
        return sums

    def largest(self, value: float) -> float:
        """The largest of the values of all that train together."""
        return value

    def fill(self, module: nn.Module) -> None:
        """Gives a module that samples or is saved the weights that are trained, where it does not share them."""

    def release(self, module: nn.Module) -> None:
        """Lets the memory go that `fill` needed, until it is called again."""

    def _open(self) -> None:
        first, second = self.optim.betas
        groups = parameter_groups(self.module, self.optim.weight_decay)
        self.adamw = torch.optim.AdamW(groups, lr=self.optim.lr, betas=(first, second), eps=self.optim.eps)

    def clear(self) -> None:
        """Drops the gradients of this step."""
        self.adamw.zero_grad(set_to_none=True)

    def _update(self, rate: float, sound: bool) -> float:
        """Updates the weights if all is finite, and returns the norm of the gradient before it was scaled down."""
        norm = float(torch.nn.utils.clip_grad_norm_(self.named.values(), self.optim.max_grad_norm or math.inf))
        if sound and math.isfinite(norm):
            for group in self.adamw.param_groups:
                group["lr"] = rate
            self.adamw.step()
        else:
            self.clear()
        return norm

    def _sound(self) -> bool:
        """Whether all weights are finite: their sum is, unless one is not or they are absurdly large."""
        return all(bool(weight.detach().sum().isfinite()) for weight in self.named.values())

    def counts(self) -> dict[str, Tensor]:
        """What an engine keeps beside its tensors."""
        return {name: torch.tensor(getattr(self, name)) for name in COUNTS}

    def state(self) -> dict[str, Tensor]:
        """A copy of the optimiser's tensors on the CPU, by `weight name/moment`."""
        tensors = {
            f"{name}/{moment}": value.detach().to("cpu", copy=True)
            for name, weight in self.named.items()
            for moment, value in self.adamw.state[weight].items()
        }
        return tensors | self.counts()

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes back what `state` gave, here or in an engine that shards.

        Raises:
            CheckpointError: the tensors are of another model.
        """
        if self._take_counts(tensors):
            for name, weight in self.named.items():
                if weight.dtype == torch.float32 and f"{name}/{MASTER}" in tensors:
                    weight.detach().copy_(tensors[f"{name}/{MASTER}"])
                self.adamw.state[weight] = {
                    moment: self._moment(tensors[f"{name}/{moment}"], weight, moment) for moment in MOMENTS
                }

    @staticmethod
    def _moment(value: Tensor, weight: Tensor, moment: str) -> Tensor:
        return value.clone() if moment == "step" else value.to(weight.device, weight.dtype, copy=True)

    def _take_counts(self, tensors: Mapping[str, Tensor]) -> bool:
        """Sets the counts, and says whether the state holds moments: of all weights, or it is another model's."""
        self.step_count = int(tensors["step_count"])
        self.skipped_in_row = int(tensors["skipped_in_row"]) if "skipped_in_row" in tensors else 0
        expected = {f"{name}/{moment}" for name in self.named for moment in MOMENTS}
        found = {name for name in tensors if name not in COUNTS and not name.endswith(f"/{MASTER}")}
        updated = self.step_count > self.skipped_in_row
        if found != expected and (updated or found):
            odd = sorted(found ^ expected)[:3]
            raise CheckpointError(f"The optimiser state is of another model: {', '.join(odd)} do not match.")
        return bool(found)
