"""The settings of `unigrpo init-mmada`."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class InitMmadaConfig:
    """`unigrpo init-mmada`: an MMaDA from a LLaDA, whose vocabulary goes on with untrained image codes."""

    source: str | None = None
    """Folder of the LLaDA checkpoint; `--from FOLDER` is the same."""
    output: str = "runs/mmada"
    """Folder of the MMaDA checkpoint."""
    overwrite: bool = False
    """Replace an MMaDA checkpoint that is already in `output`."""
    codebook_size: int = 8192
    """Image codes, as many as the image tokenizer has."""
    seed: int = 0
    """Seed of the new rows of embedding and head; their columns have the mean and the deviation of the old ones."""


def source_is_named(it: InitMmadaConfig) -> str | None:
    """There is something to extend."""
    return None if it.source else "source is not set: name the folder of a LLaDA checkpoint with --from FOLDER."
