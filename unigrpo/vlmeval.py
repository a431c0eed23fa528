"""A model for VLMEvalKit, which asks for a class with `generate(message, dataset)` and needs no import of its own.

    from functools import partial
    from unigrpo.vlmeval import UniGRPOModel
    supported_VLM["mine"] = partial(UniGRPOModel, "runs/mine", **{"rollout.gen_length": 64})    # in vlmeval/config.py

Source: the interface of `vlmeval.vlm.base.BaseModel` and of `vlmeval.inference`.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rewards.extract import answer_part
from rollout.sampler import Sampler
from unigrpo.asking import Asker, look
from unigrpo.cli.target import expand
from unigrpo.cli.verbs import VERBS
from unigrpo.config import GenerateConfig
from unigrpo.device import resolve_device
from unigrpo.errors import DataError
from unigrpo.machine import set_threads
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import load_policy

Part = Mapping[str, str]
"""`type` is `text` or `image`; `value` is the text, or the path of the picture."""


class UniGRPOModel:
    """A run or a model folder that answers questions about pictures, or without one; see `unigrpo generate --help`."""

    INTERLEAVE = False
    is_api = False

    def __init__(self, model: str, **settings: Any) -> None:
        """Loads the model and its image tokenizer.

        Args:
            model: the folder of a run, or of a model.
            settings: of `unigrpo generate`, by dotted name, such as `rollout.gen_length` or `template`.

        Raises:
            ConfigError: a setting is not known, or cannot be used.
        """
        words = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
        self.config: GenerateConfig = VERBS["generate"].checked(
            expand([model, "task=understand", "prompt=", "image=picture", *words], "generate")
        )
        set_threads(self.config.cluster.threads)
        self.images = ImageTokenizer.load(self.config.model.image_tokenizer, resolve_device(self.config.model.device))
        policy = load_policy(self.config.model, seed=self.config.seed)
        self.sampler = Sampler(policy, self.config.rollout, self.config.seed, self.images)

    def set_dump_image(self, dump: Callable[..., Any]) -> None:
        """Takes how the kit writes pictures to disk; it does so itself, as there are no prompts of our own."""

    def use_custom_prompt(self, dataset: str) -> bool:
        """Whether prompts are built here: no, those of the kit are asked."""
        return False

    def generate(self, message: str | Sequence[Part | str], dataset: str | None = None) -> str:
        """Answers a message: its texts one below the other, about its first picture. A thought is left out.

        Raises:
            DataError: a part is neither text nor a picture, a picture cannot be read, or the text is too long.
        """
        parts = [{"type": "text", "value": message}] if isinstance(message, str) else list(message)
        texts, pictures = [], []
        for part in parts:
            part = {"type": "text", "value": part} if isinstance(part, str) else part
            if part["type"] not in ("text", "image"):
                raise DataError(f"a message of {dataset} has a part of type {part['type']!r}: text and image are read.")
            (texts if part["type"] == "text" else pictures).append(part["value"])
        output = self._answer("\n".join(texts), pictures[0] if pictures else None)
        return answer_part(output) or output

    def _answer(self, text: str, picture: str | None) -> str:
        """The same for the same question, whatever was asked before."""
        config = replace(self.config, task="understand" if picture else "text", image=picture)
        sight = look(config, self.images)
        asker = Asker(config, self.sampler.policy, self.images, sight)
        seen = sight.codes.tobytes() if sight else b""
        name = hashlib.sha256(text.encode() + b"\0" + seen).hexdigest()
        [rollout] = self.sampler.sample([asker.prompt(text, name)], 1, "vlmeval")
        return rollout.output
