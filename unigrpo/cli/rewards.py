"""`unigrpo rewards`: which rewards there are, whether they are right on one's own data, and scoring files with them."""

import difflib
from importlib import import_module

from unigrpo.errors import ConfigError

MODULES = {
    "list": "unigrpo.cli.rewards_list",
    "show": "unigrpo.cli.rewards_show",
    "check": "unigrpo.cli.rewards_check",
    "score": "unigrpo.cli.rewards_score",
}


def run(args: list[str]) -> int:
    """Does what the first word says, and returns the exit status."""
    if not args:
        raise ConfigError(f"rewards needs one of {', '.join(MODULES)}; `unigrpo rewards --help` explains them.")
    if args[0] not in MODULES:
        close = difflib.get_close_matches(args[0], MODULES, n=1, cutoff=0.5)
        hint = f"Did you mean: {close[0]}?" if close else f"There are {', '.join(MODULES)}."
        raise ConfigError(f"rewards {args[0]} is not known. {hint}")
    return import_module(MODULES[args[0]]).run(args[1:])
