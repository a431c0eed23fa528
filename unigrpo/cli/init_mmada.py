"""`unigrpo init-mmada`."""

import json
from functools import partial
from pathlib import Path

from unigrpo.checkpoint import publish
from unigrpo.config import InitMmadaConfig
from unigrpo.errors import ConfigError
from unigrpo.models.extend import plan_extension, write_extension
from unigrpo.models.mmada import MMadaConfig


def run(config: InitMmadaConfig) -> int:
    """Makes an MMaDA of a LLaDA; prints where it is and where its image codes start."""
    output = Path(config.output)
    if output.exists() and not (config.overwrite and _is_ours(output)):
        raise ConfigError(f"output={output} exists already: name another folder, or delete it.")
    extension = plan_extension(config.source or "", config.codebook_size)
    publish(output, partial(write_extension, extension, seed=config.seed))
    made, ids = extension.config, extension.config.ids or {}
    print(f"{output}  {made.llm_vocab_size} rows became {made.vocab_size}; image code 0 is id {ids['image_offset']}")
    return 0


def _is_ours(folder: Path) -> bool:
    """Whether a folder is an MMaDA checkpoint, which may be replaced."""
    file = folder / "config.json"
    return file.is_file() and json.loads(file.read_text(encoding="utf-8")).get("model_type") == MMadaConfig.model_type
