"""Model folders: what is checked before a file is trusted, and how a folder is written."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import save_torch_state_dict
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from unigrpo.errors import CheckpointError
from unigrpo.models.llada_config import REQUIRED, LladaConfig

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
UNWRAPPED = "unwrapped_model"
"""Where MMaDA's released trainer puts the model of a checkpoint."""
AGAIN = "Copy or download it again."


def read_config(folder: Path, config_classes: dict[str, type[LladaConfig]]) -> LladaConfig:
    """Read config.json with our own configuration class of its `model_type`."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder. Set model.path to the folder of a LLaDA or MMaDA checkpoint.")
    file = folder / "config.json"
    if not file.is_file() and (folder / UNWRAPPED).is_dir():
        raise CheckpointError(
            f"{folder}: a checkpoint of MMaDA's trainer, whose model is in {folder / UNWRAPPED}: name that."
        )
    values = read_json(file)
    config_class = config_classes.get(values.get("model_type", ""))
    if config_class is None:
        known = " or ".join(config_classes)
        raise CheckpointError(f"{file}: model_type is {values.get('model_type')!r}; only {known} can be loaded.")
    absent = [name for name in REQUIRED if values.get(name) is None]
    if absent:
        raise CheckpointError(f"{file}: `{absent[0]}` is missing. Take config.json from the checkpoint's source.")
    try:
        config = config_class.from_dict(values)
    except (CheckpointError, StrictDataclassError) as error:
        raise CheckpointError(f"{file}: {' '.join(str(error).split())}") from None
    assert isinstance(config, LladaConfig)
    config.name_or_path = str(folder)
    return config


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object from a file of the checkpoint."""
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file. {AGAIN}")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{file}: not valid JSON ({error}). {AGAIN}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: holds no JSON object. {AGAIN}")
    return values


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder, by its index when it has one."""
    if (folder / INDEX).is_file():
        shards = sorted(set(read_json(folder / INDEX).get("weight_map", {}).values()))
        absent = [name for name in shards if not (folder / name).is_file()]
        if absent or not shards:
            which = f"shard {absent[0]} is missing" if absent else "names no shards"
            raise CheckpointError(f"{folder / INDEX}: {which}. {AGAIN}")
        return [folder / name for name in shards]
    if not (folder / SINGLE).is_file():
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        hint = "Pickled weights are not read: convert them to safetensors." if pickled else AGAIN
        raise CheckpointError(f"{folder}: no {SINGLE} and no {INDEX}. {hint}")
    return [folder / SINGLE]


def check_weights(folder: Path, model: PreTrainedModel) -> None:
    """Raise a CheckpointError unless the files hold exactly the tensors of the model, in its shapes.

    Only the headers are read. Without this check, loading would fill what is missing with random numbers.
    """
    found: dict[str, tuple[int, ...]] = {}
    for file in weight_files(folder):
        found.update(shapes(file))
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name, shape in expected.items():
        if name not in found:
            raise CheckpointError(f"{folder}: tensor {name} is missing, which config.json asks for. {AGAIN}")
        if found[name] != shape:
            raise CheckpointError(f"{folder}: tensor {name} has shape {found[name]}, but config.json asks for {shape}.")
    unknown = sorted(found.keys() - expected.keys())
    if unknown:
        raise CheckpointError(f"{folder}: {len(unknown)} tensors are unknown to the model, such as {unknown[0]}.")


def shapes(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in a safetensors file, from its header."""
    try:
        with safe_open(file, framework="pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: truncated or corrupt ({error}). {AGAIN}") from None


class Tensors(Mapping[str, Tensor]):
    """The tensors of some safetensors files, each read when it is asked for."""

    def __init__(self, files: Sequence[Path]):
        self.files = {name: file for file in files for name in shapes(file)}
        self.open = {file: safe_open(file, framework="pt").__enter__() for file in files}

    def __getitem__(self, name: str) -> Tensor:
        return self.open[self.files[name]].get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read all tensors of a small safetensors file."""
    return dict(Tensors([file]))


def write_weights(config: PreTrainedConfig, state: dict[str, Tensor], folder: Path, shard_size: str = "5GB") -> None:
    """Write config.json and the weights, in shards with an index when they exceed `shard_size`."""
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(folder)
    # Engines that shard keep weights as views of one long tensor, which would be written once for each.
    state = {name: t.clone() if t.nbytes < t.untyped_storage().nbytes() else t for name, t in state.items()}
    save_torch_state_dict(state, folder, max_shard_size=shard_size, metadata={"format": "pt"})
