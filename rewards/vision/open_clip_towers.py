"""Loading an open_clip model, with every way of ending up with random weights ruled out."""

import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import open_clip

from rewards.vision.place import DTYPES, Precision, check_batch_size
from rewards.vision.preprocess import Preprocess
from rewards.vision.towers import Towers
from unigrpo.device import resolve_device
from unigrpo.errors import CheckpointError, ConfigError

LOCAL, HUB = "local-dir:", "hf-hub:"
CONFIG = "open_clip_config.json"
DOWNLOAD = (
    "Where there is a network run `hf download ORGANISATION/MODEL --local-dir FOLDER`, and set model to that folder."
)


def open_clip_towers(model: str, pretrained: str | None, precision: Precision, device: str, batch_size: int) -> Towers:
    """Load a model of open_clip for scoring.

    Args:
        model: a folder with open_clip_config.json and weights, or the name of an architecture.
        pretrained: the weights of an architecture: a file, or a tag of open_clip, which is downloaded.

    Raises:
        ConfigError: the settings name no model, or one without weights.
        CheckpointError: the weights cannot be had, or do not fit.
    """
    check_batch_size(batch_size)
    name = _name(model, pretrained)
    place, dtype = resolve_device(device, "device"), DTYPES[precision]
    network: Any
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="QuickGELU mismatch")
            network = open_clip.create_model(
                name,
                pretrained,
                precision="fp32" if precision == "fp32" else "pure_bf16",
                device=place,
                require_pretrained=True,
            )
            tokenizer = open_clip.get_tokenizer(name)
    except UserWarning:
        raise ConfigError(
            f"model is {model}, but the weights {pretrained} were trained with another activation: set "
            f"model={model}-quickgelu."
        ) from None
    except Exception as error:  # whatever open_clip, torch or the hub raise
        raise CheckpointError(_reason(model, pretrained, error)) from error
    network.eval().requires_grad_(False)
    return Towers(
        preprocess=Preprocess.of(open_clip.get_model_preprocess_cfg(network)),
        encode_images=network.encode_image,
        encode_texts=lambda texts: network.encode_text(tokenizer(texts).to(place)),
        device=place,
        dtype=dtype,
        batch_size=batch_size,
    )


def _name(model: str, pretrained: str | None) -> str:
    """The model as open_clip calls it."""
    folder = Path(model.removeprefix(LOCAL))
    if model.startswith(LOCAL) or folder.is_dir():
        _check_folder(folder, pretrained)
        return f"{LOCAL}{folder}"
    if model.startswith(HUB):
        if pretrained:
            raise ConfigError(f"pretrained is {pretrained}, but model={model} brings its own weights: drop it.")
        return model
    if model not in open_clip.list_models():
        close = get_close_matches(model, open_clip.list_models(), n=1)
        hint = f"Did you mean {close[0]}?" if close else f"For a folder, there must be one at {folder.absolute()}."
        raise ConfigError(f"model is {model!r}, which is neither a folder nor a model of open_clip. {hint}")
    if not pretrained:
        raise ConfigError(f"pretrained is not set, and without weights {model} knows nothing: name their file.")
    if not Path(pretrained).is_file() and pretrained not in open_clip.list_pretrained_tags_by_model(model):
        raise ConfigError(f"pretrained is {pretrained!r}, which is neither a file nor a tag of open_clip's {model}.")
    return model


def _check_folder(folder: Path, pretrained: str | None) -> None:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder. Set model to one with {CONFIG} and weights.")
    if pretrained:
        raise ConfigError(f"pretrained is {pretrained}, but the folder {folder} brings its own weights: drop it.")
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"{folder}: has no {CONFIG}, so it is no model of open_clip. Name another folder.")
    if not any(file.suffix in (".safetensors", ".bin", ".pth") for file in folder.iterdir()):
        raise CheckpointError(f"{folder}: has no weights beside {CONFIG}. Download open_clip_model.safetensors too.")


def _reason(model: str, pretrained: str | None, error: Exception) -> str:
    reason = " ".join(str(error).split())[:300]
    known_tag = pretrained is not None and not Path(pretrained).is_file()
    if model.startswith(HUB) or known_tag:
        return f"{model}{f' ({pretrained})' if pretrained else ''} could not be downloaded: {reason}. {DOWNLOAD}"
    return f"{pretrained or model}: cannot be loaded as {model if pretrained else 'a CLIP'}: {reason}."
