"""What follows `unigrpo data check`: the config whose data is meant."""

from pathlib import Path

from unigrpo.cli.target import expand, verb_of_file
from unigrpo.cli.verbs import VERBS
from unigrpo.config import EvalConfig, SFTConfig, TrainConfig
from unigrpo.config.load import load_config
from unigrpo.runs import CONFIG

WITH_DATA = ("sft", "train", "eval")
"""The verbs whose data is checked."""


def configured(args: list[str]) -> SFTConfig | TrainConfig | EvalConfig:
    """Return the checked config that words describe: `[sft|train|eval] [RUN | FILE.yaml ...] [key=value ...]`.

    Without a verb, it is the one in the first line of the first file, or else `sft`. It need not name a model.

    Raises:
        ConfigError: a setting cannot be used.
    """
    verb = args[0] if args and args[0] in WITH_DATA else None
    words = args[1:] if verb else args
    words = [str(Path(word) / CONFIG) if (Path(word) / CONFIG).is_file() else word for word in words]
    verb = verb or next((found for word in words if (found := verb_of_file(word, WITH_DATA))), "sft")
    words = expand(words, "eval") if verb == "eval" else words
    model = load_config(VERBS[verb].config_type(), words).model
    stand_in = ["model.preset=tiny"] if model.path is None and model.preset is None else []
    return VERBS[verb].checked([*words, *stand_in])
