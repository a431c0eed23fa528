"""Jobs of a Ray cluster, through its job server: submitting one, following its log, and how it ended."""

import asyncio
import logging
import os
import shlex
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from aiohttp import ClientError
from ray._private.thirdparty.pathspec.pathspec import PathSpec
from ray._raylet import AuthenticationTokenLoader  # pyright: ignore[reportAttributeAccessIssue]
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient
from requests import RequestException

from unigrpo.errors import ClusterError, ConfigError

KNOCK_SECONDS = 10
"""How long a job server may take to answer at all."""
POLL_SECONDS = 1.0
TRIES, TRY_SECONDS = 5, 3.0
"""How often a job server that was there is asked again, and how long after."""
STOP_WAIT = "RAY_JOB_STOP_WAIT_TIME_S"
"""Read by Ray beside the job: seconds from SIGTERM to SIGKILL."""
SERVER = "RAY_API_SERVER_ADDRESS"
"""The job server of Ray's own commands; Ray lets it win over every other place an address can come from."""
TOKEN_ADVICE = "set RAY_AUTH_TOKEN to what `ray get-auth-token` prints on the head."
STOPPED, NOT_FOUND = 143, 127
"""Exit statuses: of a run that SIGTERM ended, and of a shell that finds no such command."""


class Ending(NamedTuple):
    """How a job ended."""

    status: int
    """An exit status: that of the run, or 143 for a job that was stopped."""
    reason: str
    """One line for the user; empty after success."""


def ignored_by(patterns: Sequence[str]) -> Callable[[str], bool]:
    """A test of relative paths against the patterns of a .gitignore file, read as Ray reads them."""
    return PathSpec.from_lines("gitwildmatch", patterns).match_file


class JobServer:
    """The job server of a cluster."""

    def __init__(self, address: str):
        """Makes sure that the address answers, as Ray's job server does.

        Raises:
            ClusterError: nothing answers there, or something else, or it wants a token that there is not.
        """
        self.address, self.wants_token = address, not _answers(address)
        os.environ[SERVER] = address
        headers = self._headers()
        for name in ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging"):
            logging.getLogger(name).setLevel(logging.WARNING)  # what is uploaded is said before, with its size
        try:
            self.client = JobSubmissionClient(address, headers=headers)
        except AuthenticationError:
            raise ClusterError(f"{address} refuses the token that is here: {TOKEN_ADVICE}") from None
        except (OSError, RuntimeError, RequestException) as error:
            raise ClusterError(f"{address} cannot be used: {_one_line(error)}") from None

    def _headers(self) -> dict[str, str]:
        """What a request must carry: the token of $RAY_AUTH_TOKEN, or of ~/.ray/auth_token, if one is wanted."""
        if not self.wants_token:
            return {}
        token = AuthenticationTokenLoader.instance().get_raw_token(ignore_auth_mode=True)
        if not token:
            raise ClusterError(f"{self.address} wants a token, and there is none here: {TOKEN_ADVICE}")
        return {"Authorization": f"Bearer {token}"}

    def command(self, words: str) -> str:
        """One of Ray's commands about jobs, as the user would type it for this cluster."""
        token = "RAY_AUTH_MODE=token " if self.wants_token else ""
        return f"{token}ray job {words} --address {shlex.quote(self.address)}"

    def submit(self, folder: Path, entrypoint: str, env: dict[str, str], cpus: float | None, name: str) -> str:
        """Uploads a folder and starts a shell command in a copy of it; returns the id of the job.

        Args:
            env: variables of the job; Ray keeps them, and shows them, as plain text.
            cpus: cores reserved for the command itself, beside those of its workers.
            name: what Ray's dashboard calls the job.

        Raises:
            ClusterError: the cluster refuses.
        """
        try:
            return self.client.submit_job(
                entrypoint=entrypoint,
                runtime_env={"working_dir": str(folder), "env_vars": env},
                metadata={"job_name": name},
                entrypoint_num_cpus=cpus,
            )
        except (OSError, RuntimeError, ValueError, RequestException) as error:
            raise ClusterError(f"{self.address} did not take the job: {_one_line(error)}") from None

    def follow(self, job: str, show: Callable[[str], None]) -> Ending:
        """Shows the log of a job as it grows, until the job has ended.

        Raises:
            ClusterError: the job server is gone.
        """
        seen = 0

        def shown(text: str) -> None:
            nonlocal seen
            seen += len(text)
            show(text)

        while not (details := self._details(job)).status.is_terminal():
            asyncio.run(self._tail(job, seen, shown))
            time.sleep(POLL_SECONDS)
        try:
            # Ray's tail ends with the job, and leaves out what was written after it last looked.
            shown(self.client.get_job_logs(job)[seen:])
        except (OSError, RuntimeError, RequestException):
            show(f"The end of the log could not be read: {self.command(f'logs {job}')}\n")
        return ending(details)

    async def _tail(self, job: str, skip: int, show: Callable[[str], None]) -> None:
        """Shows a log after its first `skip` characters, until it ends or the connection breaks."""
        try:
            async for text in self.client.tail_job_logs(job):
                show(text[skip:])
                skip = max(0, skip - len(text))
        except (OSError, RuntimeError, ClientError):
            return  # `follow` asks whether the job has ended, and goes on from what was seen

    def _details(self, job: str) -> JobDetails:
        """How a job is; a connection that breaks for a moment is made again."""
        for left in reversed(range(TRIES)):
            try:
                return self.client.get_job_info(job)
            except (OSError, RuntimeError, RequestException) as error:
                if not left:
                    raise ClusterError(
                        f"{self.address} does not answer any more ({_one_line(error)}). Whether job {job} goes on is "
                        f"not known: {self.command(f'status {job}')}"
                    ) from None
                time.sleep(TRY_SECONDS)
        raise AssertionError("the last try returns or raises")


def ending(details: JobDetails) -> Ending:
    """What the end of a job means to whoever waits for it."""
    job, code = details.submission_id, details.driver_exit_code
    if details.status == JobStatus.SUCCEEDED:
        return Ending(0, "")
    if details.status == JobStatus.STOPPED:
        return Ending(STOPPED, f"job {job} was stopped; the end of its log says whether the run is saved.")
    if code is None:
        return Ending(1, f"job {job} failed before it ran or was lost: {_one_line(details.message or 'no reason')}")
    if code == NOT_FOUND:
        return Ending(code, f"job {job} found no `python` on the head: start Ray from unigrpo's environment.")
    # A negative code is the signal that ended it, for which a shell would report 128 more.
    status = code if code > 0 else 128 - code
    return Ending(status, f"job {job} ended with exit status {status}.")


def _answers(address: str) -> bool:
    """Whether Ray answers without a token; with a time limit, which Ray's own client has not.

    Raises:
        ConfigError: this is no address.
        ClusterError: nothing of Ray's answers.
    """
    place = urlsplit(address)
    if place.scheme not in ("http", "https") or not place.hostname:
        raise ConfigError(f"--address is {address!r}: write http://HOST:8265, the address of Ray's dashboard.")
    try:
        with urllib.request.urlopen(f"{address}/api/version", timeout=KNOCK_SECONDS) as reply:
            if b"ray_version" in reply.read():
                return True
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return False
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise ClusterError(
            f"{address} does not answer ({reason}): start a head there (`ray start --head`, or scripts/ray/head.sh), "
            "or correct --address."
        ) from None
    except HTTPException:
        pass  # no web server
    raise ClusterError(f"{address} answers, but not as Ray's job server does: name the port of Ray's dashboard.")


def _one_line(error: object, most: int = 600) -> str:
    """The end of a message, which is where Ray says what it was."""
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"... {text[-most:]}"
