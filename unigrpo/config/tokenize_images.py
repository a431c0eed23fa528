"""What `unigrpo tokenize-images` is configured by."""

from dataclasses import dataclass, field

from unigrpo.config.sections import ClusterSection, DataSection, ImageTokenizerSection


@dataclass(kw_only=True)
class TokenizeImagesConfig:
    """`unigrpo tokenize-images`: the codes of pictures, encoded once and kept for every run that reads them."""

    output: str = "codes"
    """Folder of the codes, which `data.codes` takes. Called again it goes on, and adds the pictures of other data."""
    overwrite: bool = False
    """Replace codes that another tokenizer made."""
    data: DataSection = field(default_factory=lambda: DataSection(task="image"))
    """Where the pictures are; `data.fit` is kept with the codes."""
    image_tokenizer: ImageTokenizerSection = field(default_factory=ImageTokenizerSection)
    """What encodes them, and at which resolution."""
    workers: int = 2
    """Processes that read and fit pictures; 0 reads in this one."""
    device: str = "auto"
    """Torch device; `auto` takes cuda, then mps, then cpu."""
    cluster: ClusterSection = field(default_factory=lambda: ClusterSection(backend="local"))
    """Threads; this encodes in one process."""


def tokenizer_is_named(it: TokenizeImagesConfig) -> str | None:
    """Codes are made by something."""
    if it.image_tokenizer.path is None:
        return (
            "image_tokenizer.path is not set: name a folder made by `unigrpo tokenizer`, or of the published magvitv2."
        )
    return None


def pictures_are_read(it: TokenizeImagesConfig) -> str | None:
    """Settings that look at words, or at codes, are not set."""
    if it.data.task == "text":
        return "data.task is text, which has no images: set data.task=image."
    if it.data.codes is not None:
        return f"data.codes is {it.data.codes!r}, but this makes codes: set output={it.data.codes}."
    default = DataSection()
    for name in ("instruction", "max_prompt_length", "too_long", "shuffle", "buffer", "streaming", "limit"):
        value = getattr(it.data, name)
        if value != getattr(default, name):
            return f"data.{name} is {value}, but every picture is read, and no prompt made of it: drop it."
    return None


TOKENIZE_IMAGES_RULES = [tokenizer_is_named, pictures_are_read]
