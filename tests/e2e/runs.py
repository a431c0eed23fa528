"""Whole runs at the smallest size, through the command line."""

import json
from pathlib import Path

from unigrpo.cli.main import main

REWARD = '''
def digits(response):
    """More digits, more reward: something that a policy from scratch can vary in."""
    return sum(character.isdigit() for character in response) / 4
'''
PICKY = "def digits(response, answer):\n    return 1.0 if response == answer else float('inf')\n"
"""Passes the trial, and fails on what a policy says."""
TRAIN = """
    model.preset=tiny model.vocab_size=268 model.device=cpu cluster.threads=1 steps=4
    data.source=arithmetic data.template=plain data.size=40
    rollout.prompts_per_step=3 rollout.group_size=4 rollout.gen_length=4 rollout.block_length=2 optim.lr=1e-3
    checkpoint.every=2 checkpoint.keep=9 eval.every=2 eval.limit=4 tracking.rollouts_every=2
""".split()  # noqa: SIM905
ONE = "cluster.threads=1"
"""For a verb that takes no settings of a run's cluster: else it takes all cores, from those that run other tests."""
EVAL = "eval.data={source: arithmetic, template: plain, split: test, size: 4}"
SFT = """
    model.preset=tiny model.vocab_size=268 model.device=cpu cluster.threads=1 steps=6
    data.source=arithmetic data.template=plain data.size=40
    sft.batch_size=8 sft.micro_batch=3 checkpoint.every=2 checkpoint.keep=9
""".split()  # noqa: SIM905


MACHINE = ("time/", "memory/", "cluster/")
"""What differs between two runs that are equal."""


def reward_file(folder: Path) -> str:
    """Writes the reward and returns the setting that uses it."""
    path = folder / "mine.py"
    path.write_text(REWARD)
    return f"rewards.digits.path={path}:digits"


def train_args(folder: Path, output: Path, *settings: str) -> list[str]:
    """Arguments of a four-step run."""
    return ["train", *TRAIN, EVAL, reward_file(folder), f"output={output}", *settings]


def run(args: list[str]) -> None:
    """Runs a verb that must succeed."""
    assert main(args) == 0


def metrics(folder: Path) -> list[dict]:
    """All rows of a run, without what depends on the machine."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith(MACHINE)} for row in rows]


def weights(folder: Path, name: str = "model/model.safetensors") -> bytes:
    """The bytes of a run's final weights."""
    return (folder / name).read_bytes()
