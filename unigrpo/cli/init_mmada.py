"""`unigrpo init-mmada`."""

import re
from functools import partial
from pathlib import Path

from unigrpo.checkpoint import publish
from unigrpo.cli.verbs import VERBS
from unigrpo.errors import ConfigError
from unigrpo.models.extend import plan_extension, write_extension


def run(args: list[str]) -> int:
    """Makes an MMaDA of a LLaDA; prints where it is and where its image codes start."""
    config = VERBS["init-mmada"].checked([re.sub(r"^(--)?from(?==|$)", "--source", arg) for arg in args])
    output = Path(config.output)
    if output.exists():
        raise ConfigError(f"output={output} exists already: name another folder, or delete it.")
    extension = plan_extension(config.source, config.codebook_size)
    publish(output, partial(write_extension, extension, seed=config.seed))
    made, ids = extension.config, extension.config.ids or {}
    print(f"{output}  {made.llm_vocab_size} rows became {made.vocab_size}; image code 0 is id {ids['image_offset']}")
    return 0
