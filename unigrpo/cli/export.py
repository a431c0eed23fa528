"""`unigrpo export RUN FOLDER`: a model to give away, with its tokenizer and a card."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unigrpo import checkpoint
from unigrpo.cli.about import about, config_of, has_adapters
from unigrpo.config import ExportConfig, SFTConfig, TrainConfig
from unigrpo.errors import CheckpointError, ConfigError
from unigrpo.models.card import CARD, Card
from unigrpo.models.folder import INDEX, weight_files
from unigrpo.models.load import CONFIGS, load_policy, load_tokenizer, read_config, save_policy
from unigrpo.models.lora import ADAPTER_FILE
from unigrpo.state import restore_weights

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


@dataclass(frozen=True)
class Source:
    """What is exported."""

    folder: Path
    """A model folder, or a checkpoint with adapters."""
    run: Path | None
    """The run that made it, where that is known."""
    config: SFTConfig | TrainConfig | None

    @property
    def adapters(self) -> bool:
        """Whether the folder holds adapters and no model."""
        return (self.folder / ADAPTER_FILE).is_file()


def run(config: ExportConfig) -> int:
    """Writes the folder and its card, and pushes them where that is asked; prints where they are."""
    target = Path(config.output)
    if target.exists() and not config.overwrite:
        raise ConfigError(f"{target} exists already: name another folder, or add --overwrite.")
    source = find_source(Path(config.source or ""), config.merge_lora)
    card = about(source.folder, source.run, source.config, config.push_to_hub or target.name, config.license)
    checkpoint.publish(target, partial(_write, source, card, config.merge_lora))
    print(f"{target}  {source.folder}, with a card in {CARD}")
    if config.push_to_hub:
        print(push(target, config.push_to_hub, config.private))
    return 0


def find_source(folder: Path, merge: bool = False) -> Source:
    """What a folder stands for: a model, a checkpoint, or a run, of which it is the model or the newest checkpoint.

    Args:
        merge: of a run with LoRA the whole model is meant, in which the adapters are merged already.

    Raises:
        ConfigError: it is none of them, or there are no adapters to merge.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder of a run or a model.")
    run = next((place for place in (folder, folder.parent) if config_of(place)), None)
    config = config_of(run) if run else None
    if merge and not (config and has_adapters(config)):
        raise ConfigError(f"--merge-lora is set, but {folder} was not trained with adapters: drop it.")
    if run != folder:
        return _based(Source(folder, run, config))
    alone = config is not None and has_adapters(config) and not merge
    model = folder / "model"
    if not alone and model.is_dir():
        return Source(model, run, config)
    found = checkpoint.latest(folder)
    if found is None:
        raise ConfigError(f"{folder} has neither a model nor a checkpoint yet.")
    return _based(Source(found[0], run, config))


def _based(source: Source) -> Source:
    """Adapters without what they sit on are of no use."""
    if source.adapters and (source.config is None or source.config.model.path is None):
        why = "no config.yaml of a run is beside them" if source.config is None else "it was made from scratch"
        raise ConfigError(
            f"{source.folder} holds adapters, whose base is not known ({why}): export the run with --merge-lora, when "
            "it has ended."
        )
    return source


def _write(source: Source, card: Card, merge: bool, folder: Path) -> None:
    if not source.adapters:
        _copy(source.folder, folder)
    else:
        assert source.config is not None, "find_source sees to it"
        policy = load_policy(source.config.model, seed=source.config.seed)
        restore_weights(policy, source.folder)
        if merge:
            save_policy(policy, folder)
        else:
            policy.model.save_pretrained(folder)
            policy.tokenizer.save_pretrained(folder)
    (folder / CARD).write_text(card.text(), encoding="utf-8")


def _copy(source: Path, folder: Path) -> None:
    """Copies a model's own files, and none of what a checkpoint keeps beside them."""
    read_config(source, CONFIGS)
    load_tokenizer(source)
    names = ["config.json", "generation_config.json", INDEX, *TOKENIZER]
    for file in [*weight_files(source), *(source / name for name in names)]:
        if file.is_file():
            shutil.copyfile(file, folder / file.name)


def push(folder: Path, name: str, private: bool) -> str:
    """Makes the repository, if it is not there, and uploads the folder; returns its address.

    Raises:
        CheckpointError: the hub cannot be reached, or refuses.
    """
    from httpx import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    api = HfApi()
    try:
        made = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message=f"{folder.name}, by unigrpo export")
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, HTTPError, OSError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{name} was not pushed: {reason} {folder} is whole. Log in with `hf auth login`, or set HF_TOKEN, and "
            "repeat the command with --overwrite."
        ) from None
    return made.url
