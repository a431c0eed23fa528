"""A policy and its optimiser on disk, for a run to go on from."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from unigrpo.engine import Engine
from unigrpo.errors import CheckpointError
from unigrpo.models.folder import read_tensors, weight_files
from unigrpo.models.load import Policy, save_policy
from unigrpo.models.lora import has_lora, load_lora, save_lora

OPTIMIZER = "optimizer.safetensors"


def save_state(policy: Policy, engine: Engine, folder: Path) -> None:
    """Writes the policy as a Hugging Face folder (with LoRA, the adapters alone) and the optimiser's tensors."""
    if has_lora(policy.model):
        save_lora(policy.model, folder)
    else:
        save_policy(policy, folder)
    save_file(engine.state(), folder / OPTIMIZER)


@torch.no_grad()
def restore_state(policy: Policy, engine: Engine, folder: Path) -> None:
    """Puts back, in place, what `save_state` wrote.

    Raises:
        CheckpointError: a file is missing or corrupt, or of another model.
    """
    if has_lora(policy.model):
        load_lora(policy.model, folder)
    else:
        own = policy.model.state_dict()
        for file in weight_files(folder):
            for name, tensor in read_tensors(file).items():
                if name not in own or own[name].shape != tensor.shape:
                    raise CheckpointError(f"{file} is of another model: {name} {tuple(tensor.shape)} does not fit it.")
                own[name].copy_(tensor)
    engine.load_state(read_tensors(folder / OPTIMIZER))
