"""The folder of a MAGVIT-v2: config.json and weights, checked by name and shape before they are used."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from unigrpo.errors import CheckpointError
from unigrpo.models.folder import SINGLE, read_json, read_tensors
from unigrpo.models.magvit import Magvit, Quantizer
from unigrpo.models.magvit_config import config_of

CONFIG = "config.json"
NAMES = (SINGLE, "diffusion_pytorch_model.safetensors", "pytorch_model.bin", "diffusion_pytorch_model.bin")
PICKLED = (".bin", ".pt", ".pth", ".ckpt")
INSIDE = ("model", "state_dict")
"""Keys under which trainers save a state dict beside their own state."""


def load_magvit(path: str | Path) -> Magvit:
    """Load the network of a folder, or of one file with weights, in float32 on the CPU.

    Raises:
        CheckpointError: it cannot be used; the message names the file and the tensor.
    """
    file = _weights(Path(path))
    tensors = _read_pickled(file) if file.suffix in PICKLED else read_tensors(file)
    beside = file.with_name(CONFIG)
    values = read_json(beside) if beside.is_file() else {}
    config = config_of(values, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, str(file.parent))
    with torch.device("meta"):
        network = Magvit(config)
    _check(file, tensors, network)
    network.load_state_dict(tensors, assign=True)
    network.quantize = _quantizer(file, network)
    return network.float().eval()


def save_magvit(network: Magvit, folder: str | Path) -> None:
    """Write config.json and model.safetensors."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    values = {"model_type": "magvitv2"} | asdict(network.config)
    Path(folder, CONFIG).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, Path(folder, SINGLE), metadata={"format": "pt"})


def _weights(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such folder. Name one made by `unigrpo tokenizer`, or a showlab/magvitv2.")
    named = [path / name for name in NAMES if (path / name).is_file()]
    found = named[:1] or sorted(file for file in path.iterdir() if file.suffix in PICKLED)
    if len(found) != 1:
        have = f"{len(found)} files of weights ({found[0].name}, ...)" if found else "no weights"
        raise CheckpointError(f"{path}: holds {have}, but one is needed, such as {SINGLE} or a .pth. Name the file.")
    return found[0]


def _read_pickled(file: Path) -> dict[str, Tensor]:
    """Read a torch file without running what it may hold."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever a broken file makes it raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{file}: holds no tensors that can be read safely ({reason}).") from None
    for key in INSIDE:
        state = state[key] if isinstance(state, dict) and isinstance(state.get(key), dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{file}: holds no state dict, nor one under {' or '.join(map(repr, INSIDE))}.")
    return state


def _check(file: Path, tensors: dict[str, Tensor], network: Magvit) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    for name, shape in expected.items():
        if name not in tensors:
            raise CheckpointError(f"{file}: tensor {name} is missing. Copy or download it again.")
        if tuple(tensors[name].shape) != shape:
            raise CheckpointError(f"{file}: tensor {name} has shape {tuple(tensors[name].shape)}, not {shape}.")
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise CheckpointError(f"{file}: {len(unknown)} tensors are unknown to MAGVIT-v2, such as {unknown[0]}.")


def _quantizer(file: Path, network: Magvit) -> Quantizer:
    """Our own: weights whose bits are in another order would give every image other codes, and no other sign of it."""
    own = Quantizer(network.config)
    for name, tensor in own.state_dict().items():
        if not torch.equal(network.quantize.get_buffer(name).to(tensor.dtype), tensor):
            raise CheckpointError(f"{file}: quantize.{name} numbers the codes in another order than MAGVIT-v2 does.")
    return own
