"""A running mean of the weights that are trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from unigrpo.errors import CheckpointError
from unigrpo.models.folder import read_tensors

FILE = "ema.safetensors"


class RunningMean:
    """An exponential moving average of a model's trainable weights, in float32."""

    @torch.no_grad()
    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.named = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.means = {name: weight.detach().float().clone() for name, weight in self.named.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights as they are after an optimiser step."""
        for name, mean in self.means.items():
            mean.lerp_(self.named[name].float(), 1 - self.decay)

    @contextmanager
    def used(self) -> Iterator[None]:
        """The model has the means as its weights for a while."""
        kept = {name: weight.detach().clone() for name, weight in self.named.items()}
        self._set(self.means)
        try:
            yield
        finally:
            self._set(kept)

    @torch.no_grad()
    def _set(self, values: dict[str, Tensor]) -> None:
        for name, weight in self.named.items():
            weight.copy_(values[name])

    def state(self) -> dict[str, Tensor]:
        """A copy in host memory."""
        return {name: mean.to("cpu", copy=True) for name, mean in self.means.items()}

    @torch.no_grad()
    def load(self, folder: Path) -> None:
        """Takes back what was written to a checkpoint.

        Raises:
            CheckpointError: it is not there, or of another model.
        """
        if not (folder / FILE).is_file():
            raise CheckpointError(f"{folder} holds no {FILE}, for it was written without sft.ema: drop it.")
        found = read_tensors(folder / FILE)
        if found.keys() != self.means.keys() or any(found[name].shape != m.shape for name, m in self.means.items()):
            raise CheckpointError(f"{folder / FILE} is of another model: its weights have other names or shapes.")
        for name, mean in self.means.items():
            mean.copy_(found[name])


def write(means: dict[str, Tensor], folder: Path) -> None:
    """Writes what `state` gave into a checkpoint."""
    save_file(means, folder / FILE)
