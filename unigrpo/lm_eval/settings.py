"""What `--model_args` may hold: settings of the model and of sampling by their own names, checked as a config is."""

import difflib
import json
from dataclasses import fields
from typing import Any

from unigrpo.config import ChoicesSection, EvalConfig, ModelSection, SamplingSection
from unigrpo.config.check import check_eval
from unigrpo.config.load import load_config
from unigrpo.errors import ConfigError

COMPARED = {"samples": "samples", "likelihood_batch_size": "batch_size"}
"""The setting of the likelihood that an argument is."""
PLACES = {
    "pretrained": "model.path",
    "seed": "seed",
    "threads": "cluster.threads",
    **{field.name: f"model.{field.name}" for field in fields(ModelSection) if field.name not in ("path", "preset")},
    **{field.name: f"rollout.{field.name}" for field in fields(SamplingSection) if field.name != "image"},
}
"""The setting of an evaluation that an argument is."""


def settings_of(arguments: dict[str, Any]) -> tuple[EvalConfig, ChoicesSection]:
    """Returns the settings of model and sampling, and those of the likelihood.

    Raises:
        ConfigError: an argument is not known, or cannot be used.
    """
    for name in arguments:
        known = [*PLACES, *COMPARED]
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean: {close[0]}?" if close else f"There are {', '.join(known)}."
            raise ConfigError(f"model_args holds {name!r}, which is not known. {hint}")
    if "pretrained" not in arguments:
        raise ConfigError("model_args names no model: write --model_args pretrained=FOLDER.")
    if "steps" in arguments and "gen_length" not in arguments:
        steps = arguments["steps"]
        raise ConfigError(f"model_args has steps={steps} and no gen_length, which they belong to: give both.")
    words = [f"{PLACES[name]}={json.dumps(value)}" for name, value in arguments.items() if name not in COMPARED]
    # The harness brings its own prompts.
    config = load_config(EvalConfig, [*words, "data.path=data"])
    check_eval(config)
    likelihood = {COMPARED[name]: value for name, value in arguments.items() if name in COMPARED}
    words = [f"likelihood.{name}={json.dumps(value)}" for name, value in likelihood.items()]
    compared = load_config(EvalConfig, ["model.path=m", "data.path=data", "likelihood={}", *words])
    check_eval(compared)
    assert compared.likelihood is not None
    return config, compared.likelihood
