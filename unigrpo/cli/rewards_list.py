"""`unigrpo rewards list`."""

from typing import Any

from rewards.registry import names
from unigrpo.cli.main import show
from unigrpo.cli.rewards_about import About
from unigrpo.cli.rewards_tables import render
from unigrpo.cli.rewards_words import configured, take
from unigrpo.config import RewardEntry, tasks_of
from unigrpo.config.tasks import rewards_of
from unigrpo.errors import UniGRPOError
from unigrpo.types import TASKS


def run(args: list[str]) -> int:
    """Prints a table of all rewards, and of those of a config."""
    options, rest = take(args, {"markdown": bool})
    found: dict[str, RewardEntry] = {name: RewardEntry() for name in names()}
    if rest:
        config = configured(rest)
        for task in tasks_of(config).values():
            found |= rewards_of(config, task)
    rows = [_row(name, entry) for name, entry in found.items()]
    return show(render("Rewards", rows, options.get("markdown", False)).rstrip("\n"))


def _row(name: str, entry: RewardEntry) -> dict[str, Any]:
    """A line of the table; a reward that cannot be loaded here says why."""
    try:
        about = About.of(name, entry)
    except (UniGRPOError, ImportError) as error:
        return {
            "reward": name,
            "tasks": "",
            "called": "",
            "what": f"cannot be loaded: {error}",
            "from": entry.path or "",
        }
    tasks = "all" if set(about.tasks) == set(TASKS) else ", ".join(about.tasks)
    return {"reward": name, "tasks": tasks, "called": about.called, "what": about.summary, "from": about.origin}
