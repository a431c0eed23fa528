"""`unigrpo config VERB FILE...`: checks the settings of a verb and prints all of them, defaults included."""

from unigrpo.cli.main import show
from unigrpo.cli.verbs import VERBS, find_verb
from unigrpo.config.load import to_yaml
from unigrpo.errors import ConfigError


def run(args: list[str]) -> int:
    """Prints the config that would be used, or raises what is wrong with it."""
    names = [name for name, verb in VERBS.items() if verb.schema]
    if not args:
        raise ConfigError(f"config needs a verb: one of {', '.join(names)}, then files and settings.")
    return show(to_yaml(find_verb(args[0], names).checked(args[1:])).rstrip("\n"))
