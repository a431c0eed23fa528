"""The model class of lm-evaluation-harness."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from rollout.sampler import Sampler
from unigrpo.config import SamplingSection
from unigrpo.data.prompts import CHAT_TEMPLATE, encode_text
from unigrpo.elbo import Given, elbos
from unigrpo.errors import ConfigError
from unigrpo.lm_eval.settings import settings_of
from unigrpo.machine import set_threads
from unigrpo.models.load import load_policy
from unigrpo.progress import progress
from unigrpo.types import Prompt

LENGTH = ("max_gen_toks", "max_new_tokens", "max_tokens")
"""What tasks call the length of a response."""
DEFAULT_DEVICE = "cuda:0"
"""What the harness says where it was told of no device."""
HEADER = "<|start_header_id|>{role}<|end_header_id|>\n{content}"


class UniGRPOModel(LM):
    """A LLaDA or MMaDA checkpoint: text by denoising, likelihood by a Monte-Carlo estimate of the ELBO."""

    def __init__(self, batch_size: int | str | None = None, device: str | None = None, **given: Any) -> None:
        """Loads the model.

        Args:
            batch_size: most responses in one forward pass; `auto` takes the default of `rollout.batch_size`.
            device: a torch device; the harness's default means the best there is.
            given: `pretrained`, and any setting of `model` and `rollout` by its name, such as `gen_length` and `steps`;
                `samples` masks of a likelihood, `likelihood_batch_size` of them at one time; `seed`, `threads`.
        """
        super().__init__()
        asked = {name: value for name, value in given.items() if value is not None}
        if device not in (None, DEFAULT_DEVICE):
            asked.setdefault("device", device)
        if isinstance(batch_size, int) or str(batch_size).isdecimal():
            asked.setdefault("batch_size", int(batch_size))  # type: ignore[arg-type]
        config, self.likelihood = settings_of(asked)
        set_threads(config.cluster.threads)
        self.length_is_given = "gen_length" in asked
        self.block_is_given = "block_length" in asked
        self.settings, self.seed = config.rollout, config.seed
        self.policy = load_policy(config.model, seed=config.seed)
        self.folder = str(config.model.path)
        self.chats = False

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers each context, up to the first of its stop strings."""
        groups: dict[str, tuple[SamplingSection, list[int]]] = {}
        for at, request in enumerate(requests):
            settings = self._settings(_asks(request))
            groups.setdefault(repr(settings), (settings, []))[1].append(at)
        prompts = self._prompts([request.args[0] for request in requests])
        found: dict[int, str] = {}
        with progress("Generating", len(requests)) as bar:
            for settings, places in groups.values():
                for at in range(0, len(places), settings.batch_size):
                    part = places[at : at + settings.batch_size]
                    drawn = self._sampler(settings).sample([prompts[place] for place in part], 1, "lm_eval")
                    for place, rollout in zip(part, drawn, strict=True):
                        found[place] = _until(rollout.output, _asks(requests[place]).get("until"))
                        self.cache_hook.add_partial("generate_until", requests[place].args, found[place])
                    bar.update({}, advance=len(part))
        return [found[at] for at in range(len(requests))]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """The ELBO of each continuation, and whether greedy denoising of as many tokens would have written it."""
        given = [
            Given(prompt=self._context(request.args[0]), tokens=self._continuation(str(request.arguments[1])))
            for request in requests
        ]
        greedy = self._greedy(given)
        found = list(zip(self._elbos(given), greedy, strict=True))
        for request, answer in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", request.args, answer)
        return found

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """The ELBO of each text with nothing before it; of a long one, the sum over windows of the context length."""
        size = self.policy.model.config.max_sequence_length - 1
        given, counts = [], []
        for request in requests:
            tokens = self._continuation(request.args[0])
            windows = [tokens[at : at + size] for at in range(0, len(tokens), size)]
            given += [Given(prompt=self._context(""), tokens=window) for window in windows]
            counts.append(len(windows))
        found = iter(self._elbos(given))
        sums = [sum(next(found) for _ in range(count)) for count in counts]
        for request, answer in zip(requests, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, answer)
        return sums

    @property
    def tokenizer_name(self) -> str:
        """The folder of the tokenizer."""
        return self.folder

    def chat_template(self, chat_template: bool | str = False) -> str:
        """MMaDA's chat template, as the data section's `template: chat` writes it."""
        return CHAT_TEMPLATE

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The turns of a conversation as text with the names of the special tokens in it."""
        ids = self.policy.ids
        if ids.start_header is None or ids.end_header is None or ids.eot is None:
            raise ConfigError("The model has no header and end-of-turn ids: leave --apply_chat_template out.")
        self.chats = True
        turns = [HEADER.format(role=turn["role"], content=turn["content"].strip()) for turn in chat_history]
        text = "<|eot_id|>".join(turns)
        return f"{text}<|eot_id|>{HEADER.format(role='assistant', content='')}" if add_generation_prompt else text

    def _elbos(self, given: Sequence[Given]) -> list[float]:
        with progress("Likelihoods", len(given)) as bar:
            return elbos(
                self.policy,
                given,
                samples=self.likelihood.samples,
                batch_size=self.likelihood.batch_size,
                seed=self.seed,
                done=lambda count: bar.update({}, advance=count),
            )

    def _greedy(self, given: Sequence[Given]) -> list[bool]:
        """Whether each response is what the model would write at that length."""
        asked: dict[tuple[bytes, int], Given] = {_asked(one): one for one in given}
        written: dict[tuple[bytes, int], list[int]] = {}
        lengths = sorted({length for _, length in asked})
        with progress("Greedy answers", len(asked)) as bar:
            for length in lengths:
                keys = [key for key in asked if key[1] == length]
                settings = SamplingSection(
                    gen_length=length, block_length=length, temperature=0.0, batch_size=self.settings.batch_size,
                    eos_tail=length,
                )  # fmt: skip
                prompts = [_prompt(asked[key].prompt, "") for key in keys]
                for key, rollout in zip(keys, self._sampler(settings).sample(prompts, 1, "greedy"), strict=True):
                    written[key] = rollout.tokens.tolist()
                bar.update({}, advance=len(keys))
        return [written[_asked(one)] == one.tokens.tolist() for one in given]

    def _sampler(self, settings: SamplingSection) -> Sampler:
        return Sampler(self.policy, settings, self.seed)

    def _settings(self, asked: dict[str, Any]) -> SamplingSection:
        """How a request is sampled: its own length and temperature, unless the arguments of the model say how."""
        settings = self.settings
        wanted = next((asked[name] for name in LENGTH if asked.get(name)), None)
        if wanted and not self.length_is_given:
            length = int(wanted)
            block = settings.block_length if self.block_is_given else min(settings.block_length, length)
            settings = replace(settings, gen_length=-(-length // block) * block, block_length=block)
        if asked.get("do_sample") and asked.get("temperature"):
            settings = replace(settings, temperature=float(asked["temperature"]))
        return settings

    def _prompts(self, contexts: Sequence[str]) -> list[Prompt]:
        """The contexts as prompts; the same one asked again is another, so that its samples differ."""
        seen: Counter[str] = Counter()
        prompts = []
        for context in contexts:
            prompts.append(_prompt(self._context(context), context, seen[context]))
            seen[context] += 1
        return prompts

    def _context(self, text: str) -> np.ndarray:
        """The ids of what stands in front: in a conversation special tokens are meant, elsewhere they are text.

        As in a prompt a BOS comes first, if the model has one; where nothing else stands there it is an end.
        """
        ids = self.policy.ids
        first = [ids.bos] if ids.bos is not None else [ids.eos] * (not text)
        if not self.chats:
            return np.array([*first, *encode_text(text, self.policy.tokenizer, ids)], dtype=np.int64)
        encoded = cast(list[int], self.policy.tokenizer(text, add_special_tokens=False)["input_ids"])
        return np.array([*first, *encoded], dtype=np.int64)

    def _continuation(self, text: str) -> np.ndarray:
        found = encode_text(text, self.policy.tokenizer, self.policy.ids)
        if not found:
            raise ConfigError("A task asks for the likelihood of an empty text: correct its doc_to_target.")
        return np.array(found, dtype=np.int64)


def _asks(request: Instance) -> dict[str, Any]:
    """The settings that come with a request."""
    return cast(dict[str, Any], request.arguments[1])


def _asked(given: Given) -> tuple[bytes, int]:
    return given.prompt.tobytes(), len(given.tokens)


def _prompt(tokens: np.ndarray, text: str, number: int = 0) -> Prompt:
    name = hashlib.blake2b(tokens.tobytes(), digest_size=16).hexdigest()
    return Prompt(id=f"{name}/{number}", task="text", text=text, tokens=tokens)


def _until(text: str, stops: str | Sequence[str] | None) -> str:
    """The text before the first stop string."""
    for stop in [stops] if isinstance(stops, str) else stops or []:
        text = text.partition(stop)[0] if stop else text
    return text
