"""`unigrpo generate`."""

import sys
import time
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rollout.colocated import set_threads
from rollout.sampler import Sampler
from rollout.trace import frames
from unigrpo.cli.target import expand
from unigrpo.cli.verbs import VERBS
from unigrpo.config import DataSection, GenerateConfig
from unigrpo.data.prompts import encode_prompt
from unigrpo.models.load import Policy, load_policy
from unigrpo.types import Prompt, Rollout

FRAME_SECONDS = 0.08


def run(args: list[str]) -> int:
    """Answers the prompt of the settings, or each line of standard input."""
    config = VERBS["generate"].checked(expand(args, "generate"))
    set_threads(config.cluster.threads)
    policy = load_policy(config.model, seed=config.seed)
    sampler = Sampler(policy, config.rollout, config.seed)
    section = DataSection(template=config.template, instruction=config.instruction)
    console = Console()
    for number, text in enumerate(_prompts(config)):
        tokens = encode_prompt(text, section, policy.tokenizer, policy.ids)
        prompt = Prompt(id=str(number), task="text", text=text, tokens=tokens)
        for rollout in sampler.sample([prompt], config.samples, "generate"):
            if config.show_steps:
                _replay(console, rollout, policy)
            console.print(Text(rollout.output), soft_wrap=True)
    return 0


def _prompts(config: GenerateConfig) -> Iterator[str]:
    if config.prompt is not None:
        yield config.prompt
        return
    for line in sys.stdin:
        if line.strip():
            yield line.rstrip("\n")


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
