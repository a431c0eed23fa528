"""Optimiser, schedule and clipping, the same for SFT and RL."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unigrpo.config import OptimSection
from unigrpo.errors import CheckpointError, TrainingError
from unigrpo.moments import SCALES, Int8AdamW
from unigrpo.rounding import RoundedAdamW

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
    """The trainable weights of a module, of which matrices decay, and norms, biases and embeddings do not."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    looked_up = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    decays = [weight.ndim > 1 and id(weight) not in looked_up for weight in weights]
    groups = [
        {"params": [w for w, decay in zip(weights, decays, strict=True) if decay], "weight_decay": weight_decay},
        {"params": [w for w, decay in zip(weights, decays, strict=True) if not decay], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _moment(value: Tensor, weight: Tensor, moment: str) -> Tensor:
    """A moment that was saved, where the optimiser of a weight has it."""
    place = torch.device("cpu") if moment == "step" else weight.device
    return value.to(place, torch.float32 if value.is_floating_point() else value.dtype, copy=True)


class Engine:
    """AdamW on the trainable weights of a module. All its state is tensors by name and a step count.

    Weights of bfloat16 are too coarse for small updates: what is updated is a float32 copy of each, or they are rounded
    by chance.
    """

    rank, world = 0, 1
    """This process among those that train the module together."""
    starts_over = True
    """Whether `clear` undoes all that `backward` did in this step."""
    moments = MOMENTS
    """What the optimiser keeps of each weight."""

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

    def run(self, function: Callable, *args: Any) -> Any:
        """`function(module, *args)`, with the weights in place."""
        return function(self.module, *args)

    def pieces(self) -> dict[str, Tensor]:
        """This process's part of each trained weight, as it is now."""
        return {name: weight.detach() for name, weight in self.named.items()}

    def cut(self, whole: Tensor) -> Tensor:
        """This process's part of a tensor that is as large as a weight."""
        return whole

    def join(self, name: str, piece: Tensor) -> Tensor:
        """The whole of what each process has a part of, as `pieces` has of a weight."""
        return piece

    @torch.no_grad()
    def put(self, pieces: Mapping[str, Tensor]) -> None:
        """Sets the trained weights to what `pieces` gave, or to others of these sizes; the optimiser is not told."""
        for name, weight in self.named.items():
            weight.copy_(pieces[name])

    def fill(self, module: nn.Module) -> None:
        """Gives a module that samples or is saved the weights that are trained, where it does not share them."""

    def release(self, module: nn.Module) -> None:
        """Lets the memory go that `fill` needed, until it is called again."""

    def _open(self) -> None:
        first, second = self.optim.betas
        self.updated = {name: self._updated(weight) for name, weight in self.named.items()}
        """What AdamW updates, by name: the weight itself, or a copy of it."""
        places = {id(weight): self.updated[name] for name, weight in self.named.items()}
        groups = parameter_groups(self.module, self.optim.weight_decay)
        groups = [group | {"params": [places[id(weight)] for weight in group["params"]]} for group in groups]
        kind = RoundedAdamW if self.optim.bfloat16 == "rounded" else torch.optim.AdamW
        if self.optim.states == "int8":
            kind, self.moments = Int8AdamW, (*MOMENTS, *SCALES)
        self.adamw = kind(groups, lr=self.optim.lr, betas=(first, second), eps=self.optim.eps)

    def _updated(self, weight: nn.Parameter) -> nn.Parameter:
        if not self.optim.offload and (weight.dtype == torch.float32 or self.optim.bfloat16 == "rounded"):
            return weight
        place = torch.device("cpu") if self.optim.offload else weight.device
        return nn.Parameter(weight.detach().to(place, torch.float32, copy=True))

    def _copies(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        """Weights that have a copy, with it."""
        pairs = [(weight, self.updated[name]) for name, weight in self.named.items()]
        return [(weight, copy) for weight, copy in pairs if copy is not weight]

    def clear(self) -> None:
        """Drops the gradients of this step."""
        for weight in self.named.values():
            weight.grad = None

    def _update(self, rate: float, sound: bool) -> float:
        """Updates the weights if all is finite, and returns the norm of the gradient before it was scaled down."""
        norm = float(torch.nn.utils.clip_grad_norm_(self.named.values(), self.optim.max_grad_norm or math.inf))
        if sound and math.isfinite(norm):
            for group in self.adamw.param_groups:
                group["lr"] = rate
            self._move()
        else:
            self.clear()
        return norm

    @torch.no_grad()
    def _move(self) -> None:
        copies = self._copies()
        for weight, copy in copies:
            copy.grad = None if weight.grad is None else weight.grad.to(copy.device, torch.float32)
        self.adamw.step()
        for weight, copy in copies:
            weight.copy_(copy)
            copy.grad = None

    def _sound(self) -> bool:
        """Whether all weights are finite: their sum is, unless one is not or they are absurdly large."""
        sums = [weight.detach().sum(dtype=torch.float32) for weight in self.named.values()]
        return not sums or bool(torch.stack(sums).isfinite().all())

    def counts(self) -> dict[str, Tensor]:
        """What an engine keeps beside its tensors."""
        return {name: torch.tensor(getattr(self, name)) for name in COUNTS}

    def state(self) -> dict[str, Tensor]:
        """A copy of the optimiser's tensors on the CPU, by `weight name/moment`."""
        found = {
            f"{name}/{moment}": value
            for name, copy in self.updated.items()
            for moment, value in self.adamw.state[copy].items()
        }
        coarse = [name for name, weight in self.named.items() if weight.dtype != torch.float32]
        if found and self.optim.bfloat16 == "copied":
            found |= {f"{name}/{MASTER}": self.updated[name] for name in coarse}
        return {name: value.detach().to("cpu", copy=True) for name, value in found.items()} | self.counts()

    @torch.no_grad()
    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes back what `state` gave, here or in an engine that shards. The weights have been put back before.

        Raises:
            CheckpointError: the tensors are of another model.
        """
        there = self._take_counts(tensors)
        for name, weight in self.named.items():
            copy, master = self.updated[name], f"{name}/{MASTER}"
            if there and master in tensors and copy.dtype == torch.float32:
                copy.copy_(tensors[master])
            elif copy is not weight:
                copy.copy_(weight)
            if there:
                found = {moment: tensors[f"{name}/{moment}"] for moment in self.moments}
                self.adamw.state[copy] = {moment: _moment(value, copy, moment) for moment, value in found.items()}

    def _take_counts(self, tensors: Mapping[str, Tensor]) -> bool:
        """Sets the counts, and says whether the state holds moments: of all weights, or it is another model's."""
        self.step_count = int(tensors["step_count"])
        self.skipped_in_row = int(tensors["skipped_in_row"]) if "skipped_in_row" in tensors else 0
        expected = {f"{name}/{moment}" for name in self.named for moment in self.moments}
        found = {name for name in tensors if name not in COUNTS and not name.endswith(f"/{MASTER}")}
        updated = self.step_count > self.skipped_in_row
        if found != expected and (updated or found):
            odd = sorted(found ^ expected)[:3]
            raise CheckpointError(f"The optimiser state is of another model: {', '.join(odd)} do not match.")
        return bool(found)
