"""In which type of number a scoring model runs, how much at one time, and how its published weights are read."""

from pathlib import Path
from typing import Any, Literal

import torch

from unigrpo.errors import CheckpointError, ConfigError

Precision = Literal["fp32", "bf16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def check_batch_size(batch_size: int) -> None:
    """Raise `ConfigError` unless a batch holds at least one."""
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}: set it to 1 or more.")


def read_torch_file(path: Path) -> dict[str, Any]:
    """Read a dictionary that torch saved, without running any code that is in it.

    Raises:
        CheckpointError: it is missing, no such file, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file. Give the weights as they were downloaded.")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what the broken byte happens to cause
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path}: cannot be read as torch weights ({reason}). Download it again.") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: holds a {type(found).__name__}, no dictionary of tensors. Give another file.")
    return found
