"""What `wandb agent` calls, as wandb itself puts it together."""

import os
import subprocess

import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from unigrpo.cli.verbs import VERBS

CHOSEN = {"algo.mu": 4, "optim.lr": 3.5e-05, "seed": 2}
MORE = {"algo.kl": "k2", "data.shuffle": False, "optim.betas": [0.8, 0.9]}


def called(command: list[str], chosen: dict) -> list[str]:
    """The words that the agent starts a process with."""
    given = create_sweep_command_args({"args": {name: {"value": value} for name, value in chosen.items()}})
    nested = [given[word[2:-1]] if word.startswith("${") else [word] for word in create_sweep_command(command)]
    return [word for words in nested for word in words]


def test_settings_that_an_agent_passes_are_read_as_they_were_chosen():
    words = called(["train", "configs/quickstart/rl.yaml", "${args}"], CHOSEN | MORE)
    assert "--algo.mu=4" in words
    config = VERBS["train"].checked(words[1:])
    assert (config.algo.mu, config.optim.lr, config.seed, config.algo.kl) == (4, 3.5e-05, 2, "k2")
    assert (config.data.shuffle, config.optim.betas) == (False, [0.8, 0.9])


def test_the_shipped_sweep_starts_each_run_in_a_folder_of_its_own(tmp_path):
    with open("configs/wandb/mu.yaml") as file:
        sweep = yaml.safe_load(file)
    (tmp_path / "unigrpo").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "unigrpo").chmod(0o755)
    env = os.environ | {"WANDB_RUN_ID": "abc", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = called(sweep["command"], {name: CHOSEN[name] for name in sweep["parameters"]})
    shown = subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout.splitlines()
    config = VERBS["train"].checked(shown[1:])
    assert shown[0] == "train"
    assert (config.output, config.algo.mu, config.optim.lr, config.seed) == ("runs/wandb/abc", 4, 3.5e-05, 2)
    assert config.tracking.to == ["wandb"]
