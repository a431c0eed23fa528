"""The engine of a policy that several processes train together: DeepSpeed, by way of OpenRLHF's strategy."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from actors.upstream import Strategy, deepspeed, shards
from unigrpo.config import OptimSection
from unigrpo.engine import MASTER, MOMENTS, Engine

WEIGHTS = 3
"""The stage of ZeRO that shards the weights themselves."""


class Root(nn.Module):
    """What DeepSpeed wraps: one forward runs one function of the model, so that its hooks see a forward whole."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, function: Callable, *args: Any) -> Any:
        """`function(model, *args)`."""
        return function(self.model, *args)


class ShardedModel:
    """A model whose weights may lie in pieces: what is run on it runs in a forward of DeepSpeed's."""

    def __init__(self, engine: Any, model: nn.Module):
        self.engine, self.model = engine, model

    def run(self, function: Callable, *args: Any) -> Any:
        """`function(model, *args)`, with the weights in place."""
        return self.engine(function, *args)

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters; under ZeRO-3 they are empty outside of `run`."""
        return self.model.parameters()

    def modules(self) -> Iterator[nn.Module]:
        """The modules of the model."""
        return self.model.modules()

    def disable_adapters(self) -> None:
        """See `peft`."""
        self.model.disable_adapters()  # pyright: ignore[reportCallIssue]

    def enable_adapters(self) -> None:
        """See `peft`."""
        self.model.enable_adapters()  # pyright: ignore[reportCallIssue]


def freeze(strategy: Strategy, model: nn.Module) -> ShardedModel:
    """A frozen model; with ZeRO-3 its weights are spread over the ranks."""
    return ShardedModel(strategy.prepare(Root(model.requires_grad_(False))), model)


class ShardedEngine(Engine):
    """The engine of one rank. What it does, all ranks must do, in the same order."""

    starts_over = False
    """DeepSpeed has reduced some gradients by then, and keeps them."""

    def __init__(self, strategy: Strategy, module: nn.Module, optim: OptimSection, total_steps: int):
        self.strategy = strategy
        super().__init__(module, optim, total_steps)

    def _open(self) -> None:
        model: nn.Module = self.module
        self.shapes = {name: weight.shape for name, weight in self.named.items()}
        self.deepspeed = self.strategy.train(Root(model), self.optim)
        self.model, self.module = model, ShardedModel(self.deepspeed, model)
        self.inner = self.deepspeed.basic_optimizer
        self.rank, self.world, self.stage = dist.get_rank(), dist.get_world_size(), self.strategy.stage

    def backward(self, loss: Tensor, last: bool) -> None:
        """Adds the gradient of a loss to those of this step; with the last one the ranks add up theirs."""
        self.deepspeed.set_gradient_accumulation_boundary(last)
        # DeepSpeed takes the mean over the ranks; the losses of the ranks are parts of one sum.
        self.deepspeed.backward(loss * self.world, scale_wrt_gas=False)

    def total(self, sums: dict[str, float]) -> dict[str, float]:
        """Sums over the ranks."""
        return dict(zip(sums, self._reduced(sums.values(), dist.ReduceOp.SUM), strict=True))

    def largest(self, value: float) -> float:
        """The largest of the ranks' values."""
        return self._reduced([value], dist.ReduceOp.MAX)[0]

    def _reduced(self, values: Iterable[float], how: Any) -> list[float]:
        tensor = torch.tensor(list(values), dtype=torch.float64, device=self.deepspeed.device)
        dist.all_reduce(tensor, how)
        return tensor.tolist()

    def clear(self) -> None:
        """Drops the gradients of this step."""
        self.deepspeed.zero_grad()

    def _update(self, rate: float, sound: bool) -> float:
        if not sound or not self._gradients_are_finite():
            self._discard()
            return float("nan")
        for group in self.deepspeed.optimizer.param_groups:
            group["lr"] = rate
        # Without ZeRO DeepSpeed keeps no norm.
        grads = [weight.grad for weight in self.named.values() if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(grads) if self.stage == 0 else None
        self.deepspeed.step()
        return float(norm if norm is not None else self.deepspeed.get_global_grad_norm())

    def _gradients_are_finite(self) -> bool:
        if self.stage == 0:
            finite = all(bool(w.grad.isfinite().all()) for w in self.named.values() if w.grad is not None)
            return self.largest(float(not finite)) == 0
        zero = self.deepspeed.optimizer
        zero.check_overflow(partition_gradients=self.stage > 1)
        return not zero.overflow

    def _discard(self) -> None:
        """Drops the gradients of the step, as DeepSpeed does where those of float16 overflow."""
        zero = self.deepspeed.optimizer
        if self.stage in (1, 2):
            check, zero.check_grad_overflow, zero.has_overflow = zero.check_grad_overflow, True, lambda *_, **__: True
            zero.step()
            zero.check_grad_overflow, zero.overflow = check, False
            del zero.has_overflow
        elif self.stage == WEIGHTS:
            zero._pre_step()
            zero._partition_all_parameters()
            zero._overflow_clean_up(zero.loss_scale)
            zero.overflow = False
        self.deepspeed.zero_grad()

    def _sound(self) -> bool:
        weights = self._partitions() if self.stage else list(self.named.values())
        finite = all(bool(weight.detach().sum().isfinite()) for weight in weights)
        return self.largest(float(not finite)) == 0

    def _partitions(self) -> list[Tensor]:
        """The float32 weights of this rank, flat, as ZeRO's optimiser updates them."""
        zero = self.deepspeed.optimizer
        return zero.fp32_partitioned_groups_flat if self.stage == WEIGHTS else zero.single_partition_of_fp32_groups

    def run(self, function: Callable, *args: Any) -> Any:
        """`function(module, *args)`, with the weights in place."""
        return self.module.run(function, *args)

    def pieces(self) -> dict[str, Tensor]:
        """This rank's part of each trained weight, flat."""
        if self.stage == WEIGHTS:
            return {name: weight.ds_tensor.detach() for name, weight in self.named.items()}  # pyright: ignore[reportAttributeAccessIssue]
        return {name: self.cut(weight.detach()) for name, weight in self.named.items()}

    def cut(self, whole: Tensor) -> Tensor:
        """This rank's part of a tensor that is as large as a weight, flat."""
        return self._part(whole, -(-whole.numel() // self.world))

    def join(self, name: str, piece: Tensor) -> Tensor:
        """The whole of what each rank has a part of; all must ask."""
        piece = piece.to(self.deepspeed.device)
        parts = [torch.empty_like(piece) for _ in range(self.world)]
        dist.all_gather(parts, piece.contiguous())
        shape = self.shapes[name]
        return torch.cat(parts)[: shape.numel()].view(shape)

    @torch.no_grad()
    def put(self, pieces: Mapping[str, Tensor]) -> None:
        """Sets the trained weights to what the ranks' `pieces` gave; all must do so."""
        for name, weight in self.named.items():
            whole = self.join(name, pieces[name])
            with deepspeed.zero.GatheredParameters([weight], modifier_rank=0, enabled=self.stage == WEIGHTS):
                weight.copy_(whole)

    @torch.no_grad()
    def fill(self, module: nn.Module) -> None:
        """Gathers the weights, one at a time, into a module of the same kind, if they are sharded."""
        if self.stage < WEIGHTS:
            return
        if any(weight.is_meta for weight in module.parameters()):
            module.to_empty(device=self.deepspeed.device)
        own = dict(module.named_parameters())
        for name, weight in self.model.named_parameters():
            with deepspeed.zero.GatheredParameters([weight]):
                own[name].copy_(weight)

    def release(self, module: nn.Module) -> None:
        """Empties a module that `fill` filled."""
        if self.stage == WEIGHTS:
            module.to("meta")

    def state(self) -> dict[str, Tensor]:
        """A copy of the optimiser's tensors of every `world`-th weight, whole, by `weight name/moment`, on the CPU."""
        tensors = {}
        for index, (name, weight) in enumerate(self.named.items() if self._moments_exist() else ()):
            whole = {MASTER: self._whole(weight)} if weight.dtype != torch.float32 else {}
            whole |= {moment: self._whole(weight, moment) for moment in MOMENTS if moment != "step"}
            if index % self.world == self.rank:
                whole["step"] = next(iter(self.inner.state.values()))["step"]
                tensors |= {f"{name}/{moment}": value.detach().to("cpu", copy=True) for moment, value in whole.items()}
        return tensors | (self.counts() if self.rank == 0 else {})

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes back what the ranks' `state` gave together, however many they were, or an engine that does not shard.

        Raises:
            CheckpointError: the tensors are of another model.
        """
        if not self._take_counts(tensors):
            return
        self._make_moments(tensors[f"{next(iter(self.named))}/step"])
        for name, weight in self.named.items():
            if f"{name}/{MASTER}" in tensors:
                self._set(weight, tensors[f"{name}/{MASTER}"])
            for moment in MOMENTS:
                if moment != "step":
                    self._set(weight, tensors[f"{name}/{moment}"], moment)

    def _moments_exist(self) -> bool:
        if self.inner.state:
            self._link()
        return bool(self.inner.state)

    def _link(self) -> None:
        """Shows DeepSpeed's accessors the moments; by itself it does so after the first group of weights alone."""
        if self.stage in (1, 2):
            self.deepspeed.optimizer._hp_optimizer_states_linked = False
            self.deepspeed.optimizer._lazy_init_hp_params_optimizer_state()

    def _make_moments(self, step: Tensor) -> None:
        for flat in self._partitions() if self.stage else self.named.values():
            zeros = {moment: torch.zeros_like(flat) for moment in MOMENTS if moment != "step"}
            self.inner.state[flat] = {"step": step.clone()} | zeros
        self._link()

    def _whole(self, weight: nn.Parameter, moment: str | None = None) -> Tensor:
        if self.stage == 0:
            return self.inner.state[weight][moment] if moment else weight
        found = (
            shards.safe_get_full_optimizer_state(weight, moment) if moment else shards.safe_get_full_fp32_param(weight)
        )
        assert found is not None
        return found

    def _set(self, weight: nn.Parameter, value: Tensor, moment: str | None = None) -> None:
        value = value.to(self.deepspeed.device, torch.float32)
        if self.stage == 0:
            self.inner.state[weight][moment].copy_(value)
        elif self.stage == WEIGHTS:
            part = self._part(value, weight.ds_tensor.numel())  # pyright: ignore[reportAttributeAccessIssue]
            if moment:
                shards.safe_set_local_optimizer_state(weight, part, moment)
            else:
                shards.safe_set_local_fp32_param(weight, part)
        elif moment:
            shards.safe_set_full_optimizer_state(weight, value, moment)
        else:
            shards.safe_set_full_fp32_param(weight, value)

    def _part(self, value: Tensor, size: int) -> Tensor:
        """This rank's piece of a whole tensor, filled up with zeros to the size of every piece."""
        flat = value.flatten()
        flat = nn.functional.pad(flat, (0, size * self.world - flat.numel()))
        return flat[size * self.rank : size * (self.rank + 1)]
