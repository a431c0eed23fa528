"""The policy: a model, its tokenizer and its ids, from a checkpoint folder or made from scratch."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import logging

from unigrpo.config import ModelSection
from unigrpo.device import resolve_device
from unigrpo.errors import CheckpointError, ConfigError
from unigrpo.models.folder import check_weights, read_config, write_weights
from unigrpo.models.ids import IdTable, check_tokenizer
from unigrpo.models.image_tokenizer import network_of
from unigrpo.models.llada import LLaDAModelLM
from unigrpo.models.llada_config import LladaConfig
from unigrpo.models.lora import add_lora, merged_state
from unigrpo.models.mmada import MMadaConfig, MMadaModelLM
from unigrpo.models.presets import make_model
from unigrpo.models.tokenizer import ids_of, train_tokenizer

MODELS: dict[str, type[LLaDAModelLM]] = {"llada": LLaDAModelLM, "mmada": MMadaModelLM}
CONFIGS: dict[str, type[LladaConfig]] = {"llada": LladaConfig, "mmada": MMadaConfig}


@dataclass(frozen=True, eq=False)
class Policy:
    """What samples and is trained."""

    model: LLaDAModelLM
    tokenizer: PreTrainedTokenizerBase
    ids: IdTable

    def text(self, tokens: Iterable[int]) -> str:
        """Return the text of sampled ids, without special tokens."""
        content = [int(token) for token in tokens if token != self.ids.eos]
        return str(self.tokenizer.decode(content, skip_special_tokens=True))


def load_policy(section: ModelSection, texts: Iterable[str] | None = None, seed: int = 0) -> Policy:
    """Load the policy of a run, on its device, with adapters and gradient checkpointing as configured.

    Args:
        texts: what a preset's tokenizer is trained on.
        seed: of a preset's weights and of the adapters.

    Raises:
        ConfigError: not exactly one of `model.path` and `model.preset` is set, or the device is not there.
        CheckpointError: the folder cannot be used; the message names the file.
    """
    device, dtype = resolve_device(section.device), getattr(torch, section.dtype)
    tokenizer, ids = text_side(section, texts)
    if section.path is not None:
        model = load_model(section.path, dtype, device)
    else:
        assert section.preset is not None
        model = make_model(section.preset, ids, seed)
        model.to(device=device, dtype=dtype)  # pyright: ignore[reportCallIssue]
    if section.lora.rank > 0:
        add_lora(model, section.lora, seed)
    if section.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return Policy(model, tokenizer, ids)


def text_side(section: ModelSection, texts: Iterable[str] | None = None) -> tuple[PreTrainedTokenizerBase, IdTable]:
    """Return the tokenizer and the ids of a policy, checked against each other, without loading its weights.

    A preset has as many image codes as the image tokenizer, and none without one.
    """
    if (section.path is None) == (section.preset is None):
        found = "neither" if section.path is None else "both"
        raise ConfigError(f"{found} of model.path and model.preset is set: set one of them.")
    if section.path is not None:
        ids = IdTable.from_config(read_config(Path(section.path), CONFIGS))
        tokenizer = load_tokenizer(section.path)
        check_tokenizer(ids, tokenizer, section.path)
        return tokenizer, ids
    if texts is None:
        raise ConfigError("model.preset makes a tokenizer from the run's data, but there is none: set model.path.")
    tokenizer = train_tokenizer(texts, section.vocab_size)
    images = section.image_tokenizer
    return tokenizer, ids_of(tokenizer, network_of(images).config.codebook_size if images.path or images.preset else 0)


def load_model(
    path: str | Path, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> LLaDAModelLM:
    """Load the model of a folder without its tokenizer, reading one tensor at a time in the type asked for."""
    folder = Path(path)
    config = read_config(folder, CONFIGS)
    model_class = MODELS[config.model_type]
    with torch.device("meta"):
        check_weights(folder, model_class(config))
    placement: dict[str, Any] = {} if torch.device(device).type == "cpu" else {"device_map": {"": str(device)}}
    with _no_progress_bar():
        return model_class.from_pretrained(folder, config=config, dtype=dtype, use_safetensors=True, **placement)


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder from its tokenizer.json."""
    file = Path(path) / "tokenizer.json"
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file. Copy the tokenizer's files from the checkpoint's source.")
    try:
        return PreTrainedTokenizerFast.from_pretrained(path)
    except Exception as error:  # the parser of `tokenizers` raises bare Exception
        raise CheckpointError(
            f"{file}: cannot be read ({' '.join(str(error).split())}). Copy or download it again."
        ) from None


def save_policy(policy: Policy, folder: str | Path, state: dict[str, torch.Tensor] | None = None) -> None:
    """Write a Hugging Face folder with the published tensor names; adapters, if any, are merged into the weights.

    Args:
        state: the weights, by default those that the model has now.
    """
    config = policy.model.config
    config.architectures, config.ids = [type(policy.model).__name__], policy.ids.as_dict()
    config.dtype = policy.model.transformer.wte.weight.dtype
    write_weights(config, merged_state(policy.model) if state is None else state, Path(folder))
    policy.tokenizer.save_pretrained(folder)


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keep the bar of transformers, one line for each tensor in a log file, out of the logs of the workers."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
