"""OpenRLHF and DeepSpeed, with every quirk of theirs that we work around: nothing else imports them.

OpenRLHF 0.11 imports flash-attn and vLLM where none of what is used here needs them. Importing takes about 10 s and
900 MB, so only what shards the policy does it.
"""

import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from unigrpo.config import OptimSection
from unigrpo.engine import parameter_groups
from unigrpo.errors import MissingExtraError

INSTALL = (
    "uv sync --extra openrlhf, or pip install deepspeed torchdata pylatexenc einops, and then pip install --no-deps "
    "openrlhf"
)
ACCUMULATED = 2
"""Micro-batches of a step that DeepSpeed is told. Above 1 it adds up gradients; the engine says which is the last."""


def _refuse(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("this part of OpenRLHF needs flash-attn, which is not installed")


def _modules(names: dict[str, tuple[str, ...]]) -> dict[str, ModuleType]:
    made = {name: ModuleType(name) for name in names}
    for name, functions in names.items():
        made[name].__path__ = []
        for function in functions:
            setattr(made[name], function, _refuse)
    return made


@contextmanager
def _stand_ins(names: dict[str, tuple[str, ...]]) -> Iterator[None]:
    """Modules whose functions refuse to run, only while something that names them at its top is imported."""
    sys.modules |= _modules(names)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def _import_ring_attention() -> None:
    if importlib.util.find_spec("flash_attn") is not None:
        return
    import peft  # noqa: F401
    import transformers  # noqa: F401, these two look for flash-attn themselves, and must not find a stand-in

    stand_ins = {
        "flash_attn": (),
        "flash_attn.bert_padding": ("index_first_axis", "pad_input", "rearrange", "unpad_input"),
        "flash_attn.utils": (),
        "flash_attn.utils.distributed": ("all_gather",),
    }
    with _stand_ins(stand_ins):
        import openrlhf.models.ring_attn_utils  # noqa: F401


def _skip_vllm() -> None:
    """Lets `openrlhf.trainer.ray.launcher` be imported without the rest of its package, which imports vLLM."""
    if importlib.util.find_spec("vllm") is not None:
        return
    import openrlhf.trainer

    package = ModuleType("openrlhf.trainer.ray")
    package.__path__ = [os.path.join(next(iter(openrlhf.trainer.__path__)), "ray")]
    sys.modules[package.__name__] = package
    openrlhf.trainer.ray = package  # pyright: ignore[reportAttributeAccessIssue]


if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else it warns that it has found no other
try:
    import deepspeed
    import deepspeed.utils as shards

    _import_ring_attention()
    _skip_vllm()
    from openrlhf.trainer.ray.launcher import BaseModelActor, RayActorGroup
    from openrlhf.utils.deepspeed import DeepspeedStrategy
except ImportError as error:
    raise MissingExtraError(
        f"cluster.ranks above 1 and cluster.zero need OpenRLHF and DeepSpeed, but {error}: {INSTALL}."
    ) from error

deepspeed.utils.logger.setLevel("ERROR")
# DeepSpeed calls what torch has given new names.
warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")

__all__ = ["BaseModelActor", "RayActorGroup", "Strategy", "deepspeed", "shards"]


class Strategy(DeepspeedStrategy):
    """OpenRLHF's strategy, unchanged on CUDA but for the optimiser; on the CPU it runs with gloo and compiles nothing.

    The optimiser is torch's AdamW everywhere: DeepSpeed's own would be compiled at the first step, for minutes.
    """

    def __init__(self, stage: int, offload: bool, dtype: str, seed: int, timeout: float):
        kind = {"float32": "fp32", "bfloat16": "bf16"}[dtype]
        args = SimpleNamespace(
            ds=SimpleNamespace(param_dtype=kind, adam_offload=offload), train=SimpleNamespace(), local_rank=-1
        )
        super().__init__(seed=seed, zero_stage=stage, args=args)
        self.timeout = timedelta(seconds=timeout)

    def setup_distributed(self, timeout: timedelta | None = None) -> None:
        """Joins the other ranks."""
        timeout = timeout or self.timeout
        # A small C++ extension for shared memory between ranks of one machine; gloo does without.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        if torch.cuda.is_available():
            super().setup_distributed(timeout)
        else:
            deepspeed.init_distributed(dist_backend="gloo", timeout=timeout, verbose=False)
            self.world_size = dist.get_world_size()
        self.train_batch_size = ACCUMULATED * self.world_size

    def get_ds_train_config(self, optim_dict: dict | None = None, *, max_norm: float | None = None) -> dict:
        """The configuration of DeepSpeed for training."""
        config = super().get_ds_train_config(optim_dict, max_norm=max_norm)
        if optim_dict is not None:
            optim_dict["params"]["torch_adam"] = True
        config["zero_force_ds_cpu_optimizer"] = False
        config["steps_per_print"] = None
        config["zero_optimization"]["offload_optimizer"]["pin_memory"] = torch.cuda.is_available()
        return config

    def get_ds_eval_config(self, offload: bool = False) -> dict:
        """The configuration of DeepSpeed for a frozen model."""
        config = super().get_ds_eval_config(offload)
        config["zero_optimization"]["offload_param"]["pin_memory"] = torch.cuda.is_available()
        return config

    def _get_model_parameters(self, model: nn.Module, *, optim: str | None = None, weight_decay: float = 0.0):
        return model, parameter_groups(model, weight_decay)

    def train(self, module: nn.Module, optim: OptimSection) -> Any:
        """The engine that trains a module. The learning rate is set before each step, so its scheduler is constant."""
        first, second = optim.betas
        adam = {"lr": optim.lr, "betas": (first, second), "eps": optim.eps, "weight_decay": optim.weight_decay}
        settings = {
            "optim": "adam",
            "adam": adam,
            "lr_scheduler": "constant",
            "scheduler_steps": 1,
            "max_norm": optim.max_grad_norm,
        }
        engine, *_ = self.prepare((module, settings))
        return engine
