"""`unigrpo submit`: a verb as a job of a Ray cluster, checked here before anything is uploaded."""

import difflib
import os
import shlex
import sys
import tempfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from actors.address import is_loopback
from actors.jobs import SERVER, STOP_WAIT, JobServer
from unigrpo.cli.submit_files import gather, stage
from unigrpo.cli.submit_paths import Places, for_job
from unigrpo.cli.target import expand
from unigrpo.cli.verbs import JOBS, STAGES, VERBS, find_verb
from unigrpo.config.load import to_yaml
from unigrpo.errors import ConfigError

CONFIG = "unigrpo-job.yaml"
"""The settings, in the folder that the job runs in."""
DEFAULT_ADDRESS = "http://127.0.0.1:8265"
INTERRUPTED = 130
WRITERS = (*STAGES, "pipeline", "sweep")
"""The verbs that leave something behind."""
REPLACED = ("eval", "clip")
"""Those of them that start over, and refuse to do so by themselves."""


@dataclass(kw_only=True)
class Options:
    """What is said of the job itself, and not of its verb."""

    address: str = ""
    working_dir: str = "."
    no_wait: bool = False
    entrypoint_cpus: float | None = None
    stop_seconds: int = 120
    """From SIGTERM to SIGKILL when the job is stopped; Ray's own 3 are too few to save a run."""
    env: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)


OPTIONS = {f"--{option.name.replace('_', '-')}": option for option in fields(Options)}


def run(args: list[str]) -> int:
    """Checks, uploads and starts the job, follows its log, and returns the exit status of the run."""
    options, rest = parse(args)
    words, config = job_of(rest)
    root = Path(os.path.abspath(options.working_dir))
    upload = gather(root, options.exclude, Path(os.path.abspath(config.output)))
    places = Places(upload)
    config = for_job(config, places)
    upload.check()
    env = _variables(options)
    server = JobServer(options.address)
    _tell(options, config, upload.summary(), places, "this checkout" if upload.is_checkout else "")
    with tempfile.TemporaryDirectory(prefix="unigrpo-") as folder:
        stage(upload, Path(folder), {CONFIG: to_yaml(config)})
        # `exec`, so that Ray's SIGTERM and the exit status are the run's own, not those of a shell around it.
        entrypoint = f"exec python -m unigrpo {shlex.join(words)} {CONFIG}"
        job = server.submit(Path(folder), entrypoint, env, options.entrypoint_cpus, f"{words[0]} {config.output}")
    _say(f"job {job} is at {options.address}" + (f", and writes to {config.output}" if words[0] in WRITERS else ""))
    again = _again(words[0], config)
    if options.no_wait:
        print(job, flush=True)
        _say_how(server, job, again)
        return 0
    return _follow(server, job, again)


def _follow(server: JobServer, job: str, again: str) -> int:
    try:
        status, reason = server.follow(job, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        _say(f"not followed any more; job {job} goes on.")
        _say_how(server, job, again)
        return INTERRUPTED
    if reason:
        _say(reason)
    return status


def parse(args: list[str]) -> tuple[Options, list[str]]:
    """The job's options, and the words that are left for its verb.

    Raises:
        ConfigError: an option has no value, or one it cannot have.
    """
    found: dict[str, Any] = {}
    words, rest = list(args), []
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        option = OPTIONS.get(name)
        if option is None:
            rest.append(word)
        elif option.name == "no_wait":
            found["no_wait"] = _flag(word, equals)
        else:
            if not equals:
                if not words or words[0].startswith("--"):
                    raise ConfigError(f"{name} has no value: write {name}=VALUE.")
                value = words.pop(0)
            before = found.get(option.name, []) if option.name in ("env", "exclude") else None
            found[option.name] = value if before is None else [*before, value]
    return _options(found), rest


def _flag(word: str, equals: str) -> bool:
    if equals:
        raise ConfigError(f"{word}: --no-wait takes no value.")
    return True


def _options(found: dict[str, Any]) -> Options:
    for name, kind in (("entrypoint_cpus", float), ("stop_seconds", int)):
        if name in found:
            found[name] = _number(f"--{name.replace('_', '-')}", found[name], kind)
    options = Options(**found)
    given = (os.environ.get(name, "") for name in (SERVER, "RAY_ADDRESS"))
    options.address = (
        options.address or next((text for text in given if text.startswith("http")), DEFAULT_ADDRESS)
    ).rstrip("/")
    return options


def _number(option: str, text: str, kind: type) -> Any:
    try:
        number = kind(text)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        raise ConfigError(f"{option} is {text!r}: write a number of 0 or more.")
    return number


def job_of(args: list[str]) -> tuple[list[str], Any]:
    """What the job calls, without its settings, and these as they were checked; `train` when no verb is named.

    Raises:
        ConfigError: the verb is for no job, or a setting cannot be used.
    """
    name, *words = args if args and _is_verb(args[0]) else ["train", *args]
    find_verb(name, list(JOBS))
    if name == "data":
        return _data_job(words)
    verb = VERBS[name]
    words = expand(words, name) if name == "eval" else words
    _check_options(verb.spelled(words), verb.config_type())
    return [name], verb.checked(words)


def _is_verb(word: str) -> bool:
    return not word.startswith("-") and "=" not in word and not word.endswith((".yaml", ".yml"))


def _data_job(words: list[str]) -> tuple[list[str], Any]:
    """`data check`, with its own options in front of the settings."""
    from unigrpo.cli.data import OPTIONS as OPTIONS_OF_DATA
    from unigrpo.cli.data_words import WITH_DATA, configured
    from unigrpo.cli.rewards_words import take

    if words[:1] != ["check"]:
        raise ConfigError("data needs the word check: unigrpo submit data check CONFIG.")
    own, rest = take(words[1:], OPTIONS_OF_DATA)
    config = configured(rest)
    verb = next(name for name in WITH_DATA if VERBS[name].schema == type(config).__name__)
    shown = [f"--{name}" if value is True else f"--{name}={value}" for name, value in own.items()]
    return ["data", "check", *shown, verb], config


def _check_options(words: list[str], schema: type) -> None:
    """A misspelt option of ours is not looked for among the settings of the verb."""
    known = {option.name for option in fields(schema)}
    for word in (word.partition("=")[0] for word in words):
        ours = word.startswith("--") and word[2:].split(".")[0].replace("-", "_") not in known
        if ours and (close := difflib.get_close_matches(word, OPTIONS, n=1, cutoff=0.75)):
            raise ConfigError(f"{word} is no option of submit. Did you mean: {close[0]}?")


def _again(name: str, config: Any) -> str:
    """How a job that was stopped goes on."""
    if any(field.name == "resume" for field in fields(config)) and name != "data":
        return "the same command with resume=true"
    return "the same command" + (" with overwrite=true" if name in REPLACED else "")


def _variables(options: Options) -> dict[str, str]:
    """Environment variables of the job: those that were asked for, and how long Ray waits for a run to be saved."""
    absent = next((name for name in options.env if name not in os.environ), None)
    if absent is not None:
        raise ConfigError(f"--env {absent} is not set here: export it first, and name it without its value.")
    return {name: os.environ[name] for name in options.env} | {STOP_WAIT: str(options.stop_seconds)}


def _tell(options: Options, config: Any, summary: str, places: Places, code: str) -> None:
    """Says what is about to be uploaded, and what the user may not expect of it."""
    _say(f"uploads {summary}")
    for note in places.notes.values():
        _say(f"note: {note}")
    if code:
        _say(f"note: the working folder is unigrpo itself, so that the job runs the code of {code}")
    if "wandb" in getattr(getattr(config, "tracking", None), "to", ()) and "WANDB_API_KEY" not in options.env:
        _say("note: wandb is offline unless the cluster has a key; --env WANDB_API_KEY passes yours on, readable there")
    host = urlsplit(options.address).hostname or ""
    if not is_loopback(host):
        _say(f"warning: whoever reaches {options.address} can run any code there; keep it behind a firewall or tunnel")


def _say_how(server: JobServer, job: str, again: str) -> None:
    _say(f"follow it: {server.command(f'logs --follow {job}')}")
    _say(f"stop it, saved: {server.command(f'stop {job}')}")
    _say(f"go on after a stop: {again}")


def _say(text: str) -> None:
    print(f"unigrpo: {text}", file=sys.stderr, flush=True)
