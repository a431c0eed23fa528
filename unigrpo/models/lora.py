"""Low-rank adapters on the blocks of a model, trained while its own weights stay as they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from peft import LoraConfig
from peft.tuners.lora import Linear as LoraLinear
from safetensors.torch import save_file
from torch import Tensor, nn

from unigrpo.config import LoraSection
from unigrpo.errors import CheckpointError, ConfigError
from unigrpo.models.folder import read_tensors
from unigrpo.models.llada import LLaDAModelLM
from unigrpo.models.seeding import private_seed

ADAPTER = "default"
ADAPTER_FILE = "adapter_model.safetensors"


def add_lora(model: LLaDAModelLM, section: LoraSection, seed: int) -> None:
    """Add adapters in place and freeze every other weight.

    The adapters are float32 whatever the model is: bfloat16 would round away the small updates of RL. They start
    with no effect.
    """
    names = target_names(model, section.targets)
    config = LoraConfig(r=section.rank, lora_alpha=section.alpha, target_modules=names, lora_dropout=0.0)  # pyright: ignore[reportArgumentType]
    with private_seed(seed):
        model.add_adapter(config, ADAPTER)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def target_names(model: nn.Module, targets: list[str]) -> list[str]:
    """Return the linear layers whose published name ends in one of the targets, of which `*` is a wildcard."""
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    found: set[str] = set()
    if not targets:
        raise ConfigError(f"model.lora.targets is empty, so nothing would train. Try one of: {_ends(layers)}.")
    for target in targets:
        matches = [name for name in layers if fnmatchcase(name, f"*.{target}")]
        if not matches:
            raise ConfigError(f"model.lora.targets: {target!r} matches no linear layer. Try one of: {_ends(layers)}.")
        if any(".blocks." not in name for name in matches):
            raise ConfigError(f"model.lora.targets: {target!r} also matches the LM head: write 'blocks.*{target}'.")
        found.update(matches)
    return sorted(found)


def has_lora(model: nn.Module) -> bool:
    """Whether the model has adapters."""
    return any(isinstance(module, LoraLinear) for module in model.modules())


@contextmanager
def adapters_off(model: LLaDAModelLM) -> Iterator[None]:
    """Run the model without its adapters: the base model, which is the reference policy of LoRA training."""
    assert has_lora(model), "without adapters the model is no reference of itself"
    model.disable_adapters()
    try:
        yield
    finally:
        model.enable_adapters()


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights under their published names, with the adapters, if any, added in; the model stays as it is."""
    state = {name: tensor for name, tensor in model.state_dict().items() if ".lora_" not in name}
    for name, module in model.named_modules():
        if isinstance(module, LoraLinear):
            base = state.pop(f"{name}.base_layer.weight")
            delta = module.get_delta_weight(ADAPTER)
            state[f"{name}.weight"] = (base.float() + delta.detach().float()).to(base.dtype)
    return state


def lora_state(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the adapters' weights on the CPU."""
    return {name: p.detach().cpu().clone() for name, p in model.named_parameters() if ".lora_" in name}


@torch.no_grad()
def load_lora_state(model: nn.Module, state: dict[str, Tensor], where: str = "adapters") -> None:
    """Set the adapters' weights; the model must have adapters of the same layers and rank."""
    own = {name: p for name, p in model.named_parameters() if ".lora_" in name}
    names = own.keys() | state.keys()
    different = [n for n in names if n not in own or n not in state or own[n].shape != state[n].shape]
    if different:
        raise CheckpointError(
            f"{where}: {len(different)} tensors differ in name or shape from the model's adapters: {min(different)}. "
            "Set model.lora to what the adapters were trained with."
        )
    for name, parameter in own.items():
        parameter.copy_(state[name])


def save_lora(model: nn.Module, folder: str | Path) -> Path:
    """Write the adapters alone, for a run to go on from, and return the file."""
    return write_lora(lora_state(model), folder)


def write_lora(state: dict[str, Tensor], folder: str | Path) -> Path:
    """Write adapters that `lora_state` returned, and return the file."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    file = Path(folder) / ADAPTER_FILE
    save_file(state, file, metadata={"format": "pt"})
    return file


def load_lora(model: nn.Module, folder: str | Path) -> None:
    """Read the adapters that `save_lora` wrote into a model that has the same adapters."""
    file = Path(folder) / ADAPTER_FILE
    load_lora_state(model, read_tensors(file), str(file))


def _ends(layers: list[str]) -> str:
    return ", ".join(sorted({name.rsplit(".", 1)[-1] for name in layers if ".blocks." in name}))
