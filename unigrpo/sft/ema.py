"""A running mean of the weights that are trained."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from unigrpo.engine import Engine
from unigrpo.errors import CheckpointError
from unigrpo.models.folder import Tensors

NAME = "ema"


class RunningMean:
    """An exponential moving average of the weights that are trained, in float32; each process has a part of it."""

    def __init__(self, engine: Engine, decay: float):
        self.engine, self.decay = engine, decay
        self.means = {name: piece.float().clone() for name, piece in engine.pieces().items()}

    def update(self) -> None:
        """Takes in the weights as they are after an optimiser step."""
        for name, piece in self.engine.pieces().items():
            self.means[name].lerp_(piece.float(), 1 - self.decay)

    @contextmanager
    def used(self) -> Iterator[None]:
        """The model has the means as its weights for a while."""
        kept = {name: piece.clone() for name, piece in self.engine.pieces().items()}
        self.engine.put(self.means)
        try:
            yield
        finally:
            self.engine.put(kept)

    def snapshot(self) -> Callable[[Path], None]:
        """What writes the means as they are now into a checkpoint; each process has every `world`-th, whole."""
        rank, world = self.engine.rank, self.engine.world
        kept: dict[str, Tensor] = {}
        for index, (name, mean) in enumerate(self.means.items()):
            whole = self.engine.join(name, mean)
            if index % world == rank:
                kept[name] = whole.to("cpu", copy=True)
        part = f"-{rank + 1:05}-of-{world:05}" if world > 1 else ""
        return partial(_write, kept, f"{NAME}{part}.safetensors")

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Takes back what was written to a checkpoint, by however many processes.

        Raises:
            CheckpointError: it is not there, or of another model.
        """
        files = sorted(folder.glob(f"{NAME}*.safetensors"))
        if not files:
            raise CheckpointError(f"{folder} holds no {NAME}.safetensors, for it was written without sft.ema: drop it.")
        found = Tensors(files)
        if found.keys() != self.means.keys() or any(
            self.engine.cut(found[name]).shape != mean.shape for name, mean in self.means.items()
        ):
            raise CheckpointError(f"{files[0]} is of another model: its weights have other names or shapes.")
        for name, mean in self.means.items():
            mean.copy_(self.engine.cut(found[name]))


def _write(means: dict[str, Tensor], name: str, folder: Path) -> None:
    save_file(means, folder / name)
