"""Asking a server of chat completions, and asking again where it fails."""

import asyncio
import json
import logging
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any

import httpx

from rewards.judge.reply import NoAnswer
from unigrpo.errors import ConfigError, RewardError

AGAIN = {408, 409, 425, 429}
"""Statuses below 500 after which asking again may help."""
OF_THE_TEXT = {400, 413, 422}
"""Statuses that may be due to what was sent: too long a text, one that a filter refuses."""
SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]+)?")
FIRST_WAIT, LONGEST_WAIT = 0.25, 10.0
"""Seconds; the longest bounds how late it is noticed that a server is back."""
_log = logging.getLogger(__name__)


class Refused(NoAnswer):
    """The server will not have this request; another it may."""


@dataclass(frozen=True)
class _Bound:
    """What belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    http: httpx.AsyncClient
    slots: asyncio.Semaphore


class Client:
    """One address that answers chat completions; at most `max_concurrency` requests are under way at a time."""

    def __init__(
        self, base_url: str, api_key: str | None, max_concurrency: int, timeout: float, patience: float
    ) -> None:
        """See `Judge`; nothing here belongs to an event loop before the first request."""
        self.url = _url(base_url)
        self.key = _key(api_key)
        self.max_concurrency, self.timeout = max_concurrency, timeout
        self.patience = Patience(patience)
        self.answered = False
        """Whether the server has ever accepted a request, so that how it is asked cannot be wrong."""
        self._bound: _Bound | None = None

    async def ask(self, body: dict[str, Any]) -> Any:
        """Return the JSON that the server answers to one request.

        Raises:
            NoAnswer: it failed for as long as there was patience.
            Refused: it refuses the request, and perhaps only this one.
            RewardError: it refuses every such request, and a setting says why.
        """
        with self.patience.caller():
            bound = self._here()
            async with bound.slots:
                response = await self._persistently(bound.http, body)
        return self._accepted(response)

    def _here(self) -> _Bound:
        loop = asyncio.get_running_loop()
        if self._bound is None or self._bound.loop is not loop:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=self.max_concurrency)
            http = httpx.AsyncClient(timeout=None, limits=limits, headers={"Content-Type": "application/json"})
            self._bound = _Bound(loop, http, asyncio.Semaphore(self.max_concurrency))
        return self._bound

    async def _persistently(self, http: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        first: float | None = None
        for attempt in count(1):
            asked_to_wait = 0.0
            try:
                async with asyncio.timeout(self.timeout):
                    response = await http.post(self.url, content=json.dumps(body), headers=headers)
            except TimeoutError:
                problem = f"did not answer within {self.timeout:g} s (timeout)"
            except httpx.RequestError as error:
                problem = f"cannot be reached ({type(error).__name__}: {error})"
            else:
                if response.status_code < 500 and response.status_code not in AGAIN:
                    self.patience.heard()
                    return response
                problem = f"answers {response.status_code}: {self._message(response)}"
                asked_to_wait = _retry_after(response)
            first = first or time.monotonic()
            left = self.patience.left(first)
            if attempt == 1 and left > 0 and self.patience.begins():
                _log.warning("the judge at %s %s; it is asked again for %.0f s", self.url, problem, left)
            if left <= 0:
                raise NoAnswer(f"{self.url} {problem}; tried {attempt} times, until patience was at an end")
            await asyncio.sleep(min(left, max(asked_to_wait, _wait(attempt))))
        raise AssertionError

    def _accepted(self, response: httpx.Response) -> Any:
        status = response.status_code
        if status == 200:
            try:
                reply = response.json()
            except ValueError:
                raise NoAnswer(f"{self.url} answers no JSON: {self._without_key(response.text)[:120]!r}") from None
            self.answered = True
            return reply
        said = f"{self.url} answers {status}: {self._message(response)}"
        if status in OF_THE_TEXT:
            raise Refused(said)
        if status in (401, 403):
            advice = "set `api_key_env` to the environment variable that holds its key."
        else:
            advice = "set `base_url` to what comes before /chat/completions, and `model` to a name of its /models."
        raise RewardError(f"the judge at {said}: {advice}")

    def _message(self, response: httpx.Response) -> str:
        """What the server says is wrong, on one line and without the key, should it repeat that."""
        try:
            found = response.json()
            found = found.get("error", found.get("detail", found))
            found = found.get("message", found) if isinstance(found, dict) else found
        except (AttributeError, ValueError):
            found = response.text
        line = self._without_key(" ".join(str(found).split()))
        return line[:300] or response.reason_phrase

    def _without_key(self, text: str) -> str:
        return text.replace(self.key, "...") if self.key else text


class Patience:
    """How long failures are borne: for so many seconds by each request, and no longer by all of them together.

    While the server is gone, the requests that wait for their turn do not all begin to be patient anew: what the first
    ones bore counts for them too, until the server is heard of, or nobody asks any more.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._callers = 0
        self._silent_since: float | None = None
        self._told = False

    @contextmanager
    def caller(self) -> Iterator[None]:
        """Count a request from when it waits for its turn until it is done."""
        if not self._callers:
            self._silent_since = None
        self._callers += 1
        try:
            yield
        finally:
            self._callers -= 1

    def begins(self) -> bool:
        """Whether this is the first that is said of the server's silence."""
        first, self._told = not self._told, True
        return first

    def heard(self) -> None:
        """The server answered a request."""
        self._silent_since, self._told = None, False

    def left(self, first: float) -> float:
        """Return the seconds that are left to a request which has just failed, and failed first at a time."""
        self._silent_since = self._silent_since or time.monotonic()
        return min(first, self._silent_since) + self.seconds - time.monotonic()


_chance = random.Random()
"""Not the generator of the `random` module, whose state is the run's."""


def _wait(attempt: int) -> float:
    """Seconds before the next attempt: twice as many each time, and by chance not the same for all."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(attempt - 1, 16)) * _chance.uniform(0.5, 1)


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks to wait, as a number or until a date; 0 when it does not say so."""
    asked = response.headers.get("retry-after", "")
    try:
        seconds = float(asked) if SECONDS.fullmatch(asked) else parsedate_to_datetime(asked).timestamp() - time.time()
    except (OverflowError, ValueError):
        return 0.0
    return max(0.0, seconds)


def _url(base_url: str) -> str:
    try:
        url = httpx.URL(base_url.rstrip("/"))
    except httpx.InvalidURL as error:
        raise ConfigError(f"base_url is {base_url!r}: {error}.") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError(f"base_url is {base_url!r}: write an address such as http://127.0.0.1:8000/v1.")
    return str(url).removesuffix("/chat/completions") + "/chat/completions"


def _key(api_key: str | None) -> str:
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("api_key_env names a variable that holds no key: it has signs that no header can carry.")
    return key
