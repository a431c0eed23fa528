"""The settings of `unigrpo export`."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class ExportConfig:
    """`unigrpo export`: a model to give away, with its tokenizer and a card."""

    source: str | None = None
    """Folder of a run, a checkpoint or `model-ema` in it, or a model folder; the first word is the same."""
    output: str = ""
    """Folder to make; the second word is the same."""
    merge_lora: bool = False
    """Of a run with adapters the whole model, in place of the adapters alone."""
    push_to_hub: str | None = None
    """Make OWNER/NAME on the Hugging Face hub, and upload the folder."""
    private: bool = False
    """That repository is private."""
    license: str | None = None
    """In the card, in place of what the base model's card says."""
    overwrite: bool = False
    """Replace `output`."""


def source_is_named(it: ExportConfig) -> str | None:
    """There is something to give away."""
    return None if it.source else "source is not set: name a run or a model: unigrpo export RUN FOLDER."


def private_is_pushed(it: ExportConfig) -> str | None:
    """Only what is pushed can be private."""
    if it.private and not it.push_to_hub:
        return "private is set, but nothing is pushed: add --push-to-hub NAME, or drop it."
    return None


EXPORT_RULES = [source_is_named, private_is_pushed]
