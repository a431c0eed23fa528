"""Every shipped config loads, by the verb that reads it, and under the overlays that are made for it."""

import pytest

from unigrpo.cli.main import main
from unigrpo.config.files import shipped_configs

ELSEWHERE = {"curate", "pipelines", "suites", "sweeps", "wandb"}
"""Folders that tests/cli, tests/suites, tests/sweeps and tests/docs go through."""
NAMES = [str(path.relative_to(shipped_configs())) for path in sorted(shipped_configs().rglob("*.yaml"))]
OVERLAYS = {"sft/one_gpu.yaml", "sft/tiny.yaml", "quickstart/no_thought.yaml"}
VERBS = {"tokenizer": "tokenizer", "clip": "clip", "riddles": "eval"}
"""By the name of the file; others with `sft` in them are of sft, and the rest of train."""


def command_of(name: str) -> list[str]:
    """The command that shows a config."""
    folder, _, file = name.partition("/")
    stem = file.removesuffix(".yaml")
    if folder == "ablations":
        return ["train", "configs/quickstart/rl.yaml", f"configs/{name}"]
    return [VERBS.get(stem, "sft" if "sft" in name else "train"), f"configs/{name}"]


COMMANDS = [command_of(name) for name in NAMES if name not in OVERLAYS and name.split("/")[0] not in ELSEWHERE]
STAGES = [f"configs/{name}" for name in NAMES if name.startswith("sft/stage")]
COMMANDS += [["sft", stage, f"configs/sft/{overlay}.yaml"] for stage in STAGES for overlay in ("one_gpu", "tiny")]
COMMANDS += [["sft", "configs/quickstart/multimodal_sft.yaml", "configs/quickstart/no_thought.yaml"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_shipped_config_loads(command, capsys):
    assert main(["config", *command]) == 0
    assert capsys.readouterr().out.startswith("output: ")


def test_all_kinds_of_configs_are_among_them():
    assert {command[0] for command in COMMANDS} == {"sft", "train", "tokenizer", "clip", "eval"}
    assert len(STAGES) == 5
