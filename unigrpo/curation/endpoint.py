"""A server of chat completions as the teacher."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rewards.judge.client import Client, Refused
from rewards.judge.reply import NoAnswer
from unigrpo.config import TeacherSection
from unigrpo.curation.requests import Request
from unigrpo.curation.said import Said
from unigrpo.curation.teacher import Heard, TeacherError
from unigrpo.errors import ConfigError, RewardError

IN_A_ROW = 3
"""Requests that may fail one after the other, each for as long as there is patience, before the server is given up."""


class Endpoint:
    """Any server that speaks OpenAI's chat completions."""

    def __init__(self, section: TeacherSection) -> None:
        """Read the key; nothing is sent yet.

        Raises:
            ConfigError: the address is none, or the key's variable is not set.
        """
        assert section.base_url is not None
        self.section, key = section, None
        if section.api_key_env is not None:
            key = os.environ.get(section.api_key_env)
            if not key:
                raise ConfigError(
                    f"teacher.api_key_env names the environment variable {section.api_key_env}, which is not set: "
                    "export it, or drop the setting for a server without a key."
                )
        try:
            self.client = Client(section.base_url, key, section.max_concurrency, section.timeout, section.patience)
        except ConfigError as error:
            raise ConfigError(f"teacher.{error}") from None
        self._failed: Counter[str] = Counter()
        self._in_a_row = 0

    def ask(self, requests: Sequence[Request], heard: Heard) -> dict[str, int]:
        """Ask all requests, many at a time; see `Teacher`."""
        asyncio.run(self._ask(iter(requests), heard))
        return dict(self._failed)

    async def _ask(self, requests: Iterator[Request], heard: Heard) -> None:
        first = next(requests)
        heard(first, await self._trial(first))
        workers = (self._work(requests, heard) for _ in range(self.section.max_concurrency))
        await asyncio.gather(*workers)

    async def _work(self, requests: Iterator[Request], heard: Heard) -> None:
        for request in requests:
            try:
                said = await self._said(request)
            except NoAnswer as problem:
                self._count(problem)
            else:
                self._in_a_row = 0
                heard(request, said)

    async def _trial(self, request: Request) -> Said:
        """The first answer; a server that will not even say hello is asked in a wrong way."""
        try:
            said = await self._said(request)
            if said.refused and not self.client.answered:
                await self._reply({**request.fields, "messages": [{"role": "user", "content": "Say hello."}]})
        except Refused as refusal:
            raise ConfigError(
                f"the teacher at {refusal}: correct teacher.model, teacher.extra_body, or what else it names; null "
                "leaves temperature, max_tokens or seed out of the request."
            ) from None
        except NoAnswer as problem:
            raise TeacherError(
                f"the teacher does not answer: {problem}. Start it, or correct teacher.base_url."
            ) from None
        return said

    async def _said(self, request: Request) -> Said:
        """What the teacher says, or that it refuses this one request."""
        messages = await asyncio.to_thread(request.messages)
        try:
            return Said.of(await self._reply({**request.fields, "messages": messages}))
        except Refused as refusal:
            return Said(refused=str(refusal))

    async def _reply(self, body: dict[str, Any]) -> Any:
        try:
            return await self.client.ask(body)
        except RewardError as error:  # the client speaks of a judge and its settings
            said = str(error).removeprefix("the judge at ")
            raise ConfigError(f"the teacher at {said} (All of these are settings of `teacher`.)") from None

    def _count(self, problem: NoAnswer) -> None:
        self._failed[str(problem)] += 1
        self._in_a_row += 1
        if self._in_a_row >= IN_A_ROW:
            raise TeacherError(
                f"the teacher has stopped answering: {problem}. All that it said is kept: the same command goes on "
                "from there."
            )
