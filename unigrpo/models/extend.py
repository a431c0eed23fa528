"""From LLaDA to MMaDA: a vocabulary that goes on with image codes, made shard by shard.

V rows of the embedding and of the head, D model width.
"""

import json
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from unigrpo.algo.random import key
from unigrpo.errors import CheckpointError
from unigrpo.models.folder import INDEX, check_weights, read_config, weight_files
from unigrpo.models.ids import PUBLISHED, IdTable, check_tokenizer
from unigrpo.models.llada import LLaDAModelLM
from unigrpo.models.llada_config import LladaConfig
from unigrpo.models.load import load_tokenizer
from unigrpo.models.mmada import MMadaConfig
from unigrpo.models.tokenizer import RESERVED
from unigrpo.progress import progress

GROWN = ("model.transformer.wte.weight", "model.transformer.ff_out.weight")
"""The tensors that have a row for each id."""
COPIED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
)
"""What comes along as it is, where it is there."""
SHARD_SIZE = "2GB"
ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True)
class Extension:
    """An MMaDA that is to be made from the checkpoint in `source`, which has been checked."""

    source: Path
    config: MMadaConfig
    text_rows: int
    """Rows of the source that text uses, which say how the new ones are drawn."""


def plan_extension(source: str | Path, codebook_size: int) -> Extension:
    """Check a LLaDA checkpoint, and return what is to be made of it, without reading its weights.

    Raises:
        CheckpointError: the folder cannot be used; the message names the file.
    """
    folder = Path(source)
    config = read_config(folder, {"llada": LladaConfig})
    with torch.device("meta"):
        check_weights(folder, LLaDAModelLM(config))
    ids, tokenizer = IdTable.from_config(config), load_tokenizer(folder)
    check_tokenizer(ids, tokenizer, str(folder))
    rows = config.rows + codebook_size
    extended = _with_images(ids, tokenizer, codebook_size, str(folder))
    values = config.to_dict() | {
        "model_type": "mmada",
        "architectures": ["MMadaModelLM"],
        "vocab_size": rows,
        "embedding_size": rows,
        "llm_vocab_size": config.rows,
        "codebook_size": codebook_size,
        "ids": extended.as_dict(),
    }
    return Extension(source=folder, config=MMadaConfig.from_dict(values), text_rows=ids.text_vocab)


def _with_images(ids: IdTable, tokenizer: PreTrainedTokenizerBase, codebook_size: int, where: str) -> IdTable:
    """The id table with image codes right behind the ids of the tokenizer, and ids it has reserved for layouts.

    The codes start at `len(tokenizer)` and not where LLaDA's rows end: so it is in the published MMaDA.
    """
    if ids == PUBLISHED["llada", 126464]:
        ids = PUBLISHED["mmada", 134656]
    reserved = tokenizer.added_tokens_decoder
    for name in RESERVED:
        found = getattr(ids, name)
        if found is None:
            raise CheckpointError(
                f"{where}/config.json: `ids` names no `{name}`, which images need, and the vocabulary is not the "
                "published one: add the ids of reserved tokens for " + ", ".join(RESERVED) + "."
            )
        if found not in reserved:
            text = tokenizer.convert_ids_to_tokens(found)
            raise CheckpointError(
                f"{where}: id {found}, which images need as `{name}`, is the text {text!r} of the tokenizer. Use the "
                "tokenizer of the published LLaDA, or name reserved ids as `ids` in config.json."
            )
    return replace(ids, image_offset=ids.text_vocab, codebook_size=codebook_size)


def write_extension(extension: Extension, folder: Path, seed: int, shard_size: str = SHARD_SIZE) -> None:
    """Write the MMaDA, in the types of the source; no more than one shard is in memory at a time.

    Raises:
        CheckpointError: there is no room for it on the disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = extension.config.rows
    with ExitStack() as open_files:
        files = [open_files.enter_context(safe_open(f, framework="pt")) for f in weight_files(extension.source)]
        holder = {name: file for file in files for name in file.keys()}  # noqa: SIM118, not a dict
        # A tensor is a view of its file until it is used.
        old = {name: file.get_tensor(name) for name, file in holder.items()}
        shapes = {name: (rows, *t.shape[1:]) if name in GROWN else t.shape for name, t in old.items()}
        empty = {name: torch.empty(shape, dtype=old[name].dtype, device="meta") for name, shape in shapes.items()}
        del old
        split = split_torch_state_dict_into_shards(empty, max_shard_size=shard_size)
        _check_room(folder, split.metadata["total_size"])
        with progress("Shards", len(split.filename_to_tensors)) as bar:
            for name, members in split.filename_to_tensors.items():
                tensors = {member: holder[member].get_tensor(member) for member in members}
                for member in tensors.keys() & set(GROWN):
                    tensors[member] = grow(tensors[member], rows, extension.text_rows, key(seed, member))
                save_file(tensors, folder / name, metadata={"format": "pt"})
                bar.update({})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    extension.config.save_pretrained(folder)
    for name in COPIED:
        if (extension.source / name).is_file():
            shutil.copy(extension.source / name, folder / name)


def grow(weight_VD: Tensor, rows: int, used: int, seed: int) -> Tensor:
    """Return the weight with more rows, whose columns have the mean and the deviation of the rows in use.

    Args:
        rows: how many there are to be.
        used: how many of the first rows are of a token.
        seed: 64-bit.
    """
    sums_2D = torch.zeros(2, weight_VD.shape[1], dtype=torch.float64)
    for part_VD in weight_VD[:used].split(ROWS_AT_ONCE):
        sums_2D += torch.stack([part_VD.double().sum(0), part_VD.double().square().sum(0)])
    mean_D, square_D = sums_2D / used
    deviation_D = (square_D - mean_D.square()).clamp(min=0).sqrt()
    generator = torch.Generator().manual_seed(seed & (2**63 - 1))
    noise_VD = torch.randn(rows - len(weight_VD), weight_VD.shape[1], generator=generator)
    return torch.cat([weight_VD, (mean_D + deviation_D * noise_VD).to(weight_VD.dtype)])


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise CheckpointError(f"{folder}: {size / 1e9:.1f} GB are to be written, but {free / 1e9:.1f} GB are free.")
