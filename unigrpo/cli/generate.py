"""`unigrpo generate`."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rollout.sampler import Sampler
from rollout.trace import frames
from unigrpo.asking import Asker, look
from unigrpo.cli.answers import answer, rows_to_ask
from unigrpo.cli.drawings import place_of, save, save_steps
from unigrpo.cli.target import expand
from unigrpo.cli.verbs import VERBS
from unigrpo.config import GenerateConfig
from unigrpo.device import resolve_device
from unigrpo.errors import DataError
from unigrpo.machine import set_threads
from unigrpo.models.image_tokenizer import ImageTokenizer
from unigrpo.models.load import Policy, load_policy
from unigrpo.types import DRAWING, Rollout

FRAME_SECONDS = 0.08


def run(args: list[str]) -> int:
    """Answers the prompt of the settings, a file of prompts, or each line of standard input; drawings become files."""
    config = VERBS["generate"].checked(expand(args, "generate"))
    set_threads(config.cluster.threads)
    place = place_of(config.picture) if config.task in DRAWING and not config.file else None
    rows = rows_to_ask(config) if config.file else []
    images = _image_tokenizer(config)
    sight = look(config, images)
    policy = load_policy(config.model, seed=config.seed)
    asker = Asker(config, policy, images, sight)
    sampler = Sampler(policy, config.rollout, config.seed, images)
    if rows:
        answers = answer(config, rows, sampler, asker)
        drawn = f"; drawings are in {answers.folder}" if config.task in DRAWING else ""
        print(f"{answers.path}  answers to {len(rows)} prompts{drawn}")
        return 0
    _answer_each(config, sampler, asker, place)
    return 0


def _answer_each(config: GenerateConfig, sampler: Sampler, asker: Asker, place: Path | None) -> None:
    """Prints answers as they come."""
    policy, images, console = sampler.policy, sampler.images, Console()
    for number, text in enumerate(_prompts(config)):
        for rollout in sampler.sample([asker.prompt(text, str(number))], config.samples, "generate"):
            if config.show_steps:
                _replay(console, _words(rollout, policy), policy)
            if config.task != "image":
                console.print(Text(rollout.output), soft_wrap=True)
            if place is not None and images is not None:
                path = save(rollout, place)
                steps = [save_steps(rollout, images.tokens, path)] if config.show_steps else []
                console.print(Text("  ".join(map(str, [path, *steps]))), soft_wrap=True)


def _image_tokenizer(config: GenerateConfig) -> ImageTokenizer | None:
    if config.task == "text":
        return None
    return ImageTokenizer.load(config.model.image_tokenizer, resolve_device(config.model.device))


def _prompts(config: GenerateConfig) -> Iterator[str]:
    if config.prompt is not None:
        yield config.prompt
        return
    try:
        for line in sys.stdin:
            if line.strip():
                yield line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not UTF-8 ({error.reason}): write prompts as UTF-8.") from None


def _words(rollout: Rollout, policy: Policy) -> Rollout:
    """The part of a rollout that is sampled text."""
    text = rollout.sampled & (rollout.tokens < policy.ids.text_vocab)
    return replace(rollout, tokens=rollout.tokens[text], commit_step=rollout.commit_step[text], given=None)


def _replay(console: Console, rollout: Rollout, policy: Policy) -> None:
    """On a terminal one frame over the other; elsewhere a line for each step."""
    shown = [_line(step, parts) for step, parts in frames(rollout, lambda token: str(policy.tokenizer.decode([token])))]
    if not console.is_terminal:
        for line in shown:
            console.print(line, soft_wrap=True)
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:
        for line in shown:
            live.update(line, refresh=True)
            time.sleep(FRAME_SECONDS)


def _line(step: int, parts: list[tuple[str, bool]]) -> Text:
    line = Text(f"{step:4} ", style="dim")
    for text, fresh in parts:
        line.append(text.replace("\n", "⏎"), style="bold green" if fresh else "")
    return line
