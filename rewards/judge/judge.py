"""The reward that asks another model."""

import asyncio
import hashlib
import inspect
import json
import math
from typing import Any

from rewards.judge.cache import Cache
from rewards.judge.client import Client, Refused
from rewards.judge.message import content
from rewards.judge.reply import Answer, NoAnswer
from rewards.judge.rubric import Rubric
from rewards.judge.verdict import Choices, Number, Verdict
from rewards.registry import reward
from rewards.score import Score
from unigrpo.errors import ConfigError, RewardError


@reward("judge")
class Judge:
    """What another model says of a response or a drawing, asked through an OpenAI-compatible server."""

    own_limit = "timeout"

    def __init__(
        self,
        base_url: str,
        model: str,
        rubric: str,
        choices: dict[str, float] | None = None,
        number: list[float] | None = None,
        api_key: str | None = None,
        constrain: bool = True,
        logprobs: bool = True,
        max_tokens: int | None = 16,
        temperature: float | None = 0.0,
        seed: int | None = 0,
        extra_body: dict[str, Any] | None = None,
        max_characters: int = 20_000,
        max_concurrency: int = 32,
        timeout: float = 120.0,
        patience: float = 300.0,
        cache: str | None = None,
    ) -> None:
        """Check the settings; nothing is sent yet.

        Args:
            base_url: what comes before `/chat/completions`, such as `http://127.0.0.1:8000/v1`.
            model: its name there.
            rubric: what the judge is told, with `{response}`, `{image}`, `{prompt}`, `{answer}` and columns of the data
                in their places; `{{` and `}}` are braces.
            choices: label -> value; the judge says one of the labels. Either this or `number`.
            number: `[low, high]`; the judge says a number, which becomes 0 to 1.
            api_key: set it by `api_key_env`.
            constrain: send `structured_outputs`, by which vLLM lets the judge say nothing else; false elsewhere.
            logprobs: with `choices`, take the mean of their values over the judge's probabilities.
            max_tokens: of its answer; null, as for `temperature` and `seed`, to leave it out of the request.
            extra_body: more fields of the request.
            max_characters: of the response that are shown, from its start and its end.
            max_concurrency: requests under way at a time.
            timeout: seconds for one attempt.
            patience: seconds for which a server that fails is asked again.
            cache: folder, on a disk of this machine, in which answers are kept.
        """
        if (choices is None) == (number is None):
            raise ConfigError('set either choices, as in {"yes": 1, "no": 0}, or number, as in [0, 10].')
        _positive(max_characters=max_characters, max_concurrency=max_concurrency, timeout=timeout, patience=patience)
        self.rubric, self.max_characters = Rubric.parse(rubric), max_characters
        self.verdict: Verdict = Choices(choices, logprobs) if choices is not None else Number.of(number or [])
        self.instruction = self.verdict.instruction(constrain)
        own = {"model": model, "temperature": temperature, "seed": seed, "max_tokens": max_tokens}
        fields = {key: value for key, value in own.items() if value is not None} | self.verdict.request(constrain)
        self.fields = _merged(fields, extra_body or {})
        self.client = Client(base_url, api_key, max_concurrency, timeout, patience)
        self.cache = Cache(cache) if cache is not None else None
        # Who calls it learns which arguments this rubric needs, and can say before training which rows lack one.
        keyword = inspect.Parameter.KEYWORD_ONLY
        self.__signature__ = inspect.Signature([inspect.Parameter(name, keyword) for name in self.rubric.names])

    async def __call__(self, **values: Any) -> Score:
        """Return what the judge's answer is worth, or NaN and why there is none.

        Args:
            values: by the names of the rubric.

        Raises:
            RewardError: a setting is at fault, so that no request can succeed.
        """
        try:
            return await self._ask(values)
        except Refused as refusal:
            await self._blame_settings(values, refusal)
            return Score(math.nan, note=f"the judge refuses: {refusal}")
        except NoAnswer as problem:
            return Score(math.nan, note=f"no judgement: {problem}")

    async def _ask(self, values: dict[str, Any]) -> Score:
        request = await asyncio.to_thread(self.request, values)
        key = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        if self.cache is not None:
            kept = await asyncio.to_thread(self.cache.get, key)
            if kept is not None:
                return self.verdict.read(Answer.loads(kept))
        answer = Answer.of(await self.client.ask(request))
        score = self.verdict.read(answer)
        if self.cache is not None and not math.isnan(score.value):
            await asyncio.to_thread(self.cache.put, key, answer.dumps())
        return score

    def request(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the body of the request about these values."""
        filled = content(self.rubric, values, self.instruction, self.max_characters)
        return {**self.fields, "messages": [{"role": "user", "content": filled}]}

    async def _blame_settings(self, values: dict[str, Any], refusal: Refused) -> None:
        """Raise when the server, which has accepted nothing so far, refuses an empty response as well."""
        if self.client.answered:
            return
        try:
            await self.client.ask(self.request({**values, "response": ""}))
        except Refused:
            raise RewardError(
                f"the judge at {refusal}: correct `model`, `extra_body`, `constrain`, `logprobs` or what else it names."
            ) from refusal


def _merged(fields: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    twice = sorted({*fields, "messages"} & {*extra})
    if twice:
        raise ConfigError(f"extra_body.{twice[0]} is set by the judge itself: use its own setting, or null there.")
    return fields | extra


def _positive(**settings: float) -> None:
    for name, value in settings.items():
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} is {value}: set it to a finite number above 0.")
