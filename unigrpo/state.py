"""A policy and its optimiser on disk, for a run to go on from."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from unigrpo.engine import Engine
from unigrpo.errors import CheckpointError
from unigrpo.models.folder import Tensors, weight_files
from unigrpo.models.load import Policy, save_policy
from unigrpo.models.lora import has_lora, load_lora, save_lora

OPTIMIZER = "optimizer"
"""Beginning of the names of the optimiser's files."""


def save_state(policy: Policy, engine: Engine, folder: Path) -> None:
    """Writes the policy as a Hugging Face folder (with LoRA, the adapters alone) and the optimiser's tensors.

    Of several processes that train together the first writes the policy, and each its part of the optimiser.
    """
    if engine.rank == 0 and has_lora(policy.model):
        save_lora(policy.model, folder)
    elif engine.rank == 0:
        save_policy(policy, folder)
    part = f"-{engine.rank + 1:05}-of-{engine.world:05}" if engine.world > 1 else ""
    save_file(engine.state(), folder / f"{OPTIMIZER}{part}.safetensors")


def restore_state(policy: Policy, engine: Engine, folder: Path) -> None:
    """Puts back, in place, what `save_state` wrote.

    Raises:
        CheckpointError: a file is missing or corrupt, or of another model.
    """
    restore_weights(policy, folder)
    restore_optimizer(engine, folder)


@torch.no_grad()
def restore_weights(policy: Policy, folder: Path) -> None:
    """Puts the weights back, in place."""
    if has_lora(policy.model):
        load_lora(policy.model, folder)
        return
    own = policy.model.state_dict()
    for file in weight_files(folder):
        for name, tensor in Tensors([file]).items():
            if name not in own or own[name].shape != tensor.shape:
                raise CheckpointError(f"{file} is of another model: {name} {tuple(tensor.shape)} does not fit it.")
            own[name].copy_(tensor)


def restore_optimizer(engine: Engine, folder: Path) -> None:
    """Puts the optimiser's tensors back, by however many processes they were written."""
    files = sorted(folder.glob(f"{OPTIMIZER}*.safetensors"))
    if not files:
        raise CheckpointError(f"{folder} holds no {OPTIMIZER}.safetensors. Go on from another checkpoint.")
    engine.load_state(Tensors(files))
