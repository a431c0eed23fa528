"""A policy and its optimiser on disk, for a run to go on from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from unigrpo.engine import Engine
from unigrpo.errors import CheckpointError
from unigrpo.models.folder import Tensors, weight_files
from unigrpo.models.load import Policy, save_policy
from unigrpo.models.lora import has_lora, load_lora, lora_state, merged_state, write_lora

OPTIMIZER = "optimizer"
"""Beginning of the names of the optimiser's files."""


@dataclass(frozen=True)
class Snapshot:
    """A policy and its optimiser as they were at one moment, in host memory: training may go on while it is written.

    Of several processes that train together the first has the policy, and each its part of the optimiser.
    """

    policy: Policy
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    part: str

    @classmethod
    def of(cls, policy: Policy, engine: Engine) -> "Snapshot":
        """Copies all there is to be saved."""
        weights: dict[str, Tensor] = {}
        if engine.rank == 0 and has_lora(policy.model):
            weights = lora_state(policy.model)
        elif engine.rank == 0:
            whole = merged_state(policy.model)
            weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in whole.items()}
        part = f"-{engine.rank + 1:05}-of-{engine.world:05}" if engine.world > 1 else ""
        return cls(policy, weights, engine.state(), part)

    def write(self, folder: Path) -> None:
        """Writes the policy as a Hugging Face folder (with LoRA, the adapters alone) and the optimiser's tensors.

        Raises:
            CheckpointError: the disk takes no more.
        """
        with writing(folder):
            if self.weights and has_lora(self.policy.model):
                write_lora(self.weights, folder)
            elif self.weights:
                save_policy(self.policy, folder, self.weights)
            save_file(self.optimizer, folder / f"{OPTIMIZER}{self.part}.safetensors")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What a disk says that takes no more, as an error that survives the way from a worker."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder} cannot be written: {' '.join(str(error).split())}. What was saved before is whole: make "
            "room, and go on with resume=true."
        ) from error


def restore_state(policy: Policy, engine: Engine, folder: Path) -> None:
    """Puts back, in place, what `Snapshot.write` wrote.

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
