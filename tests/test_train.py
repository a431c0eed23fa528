import numpy as np
import pytest

from rewards.tasks import TaskScorer
from rollout.sampler import Sampler
from tests.rollout.test_text import Letters
from tests.tiny import IDS, scored_group, tiny_model
from unigrpo.config import AlgoSection, RewardEntry, RolloutSection, TrainConfig
from unigrpo.data.stream import MixedStream, PromptStream
from unigrpo.models import Policy
from unigrpo.train import Workers, collect, summarize
from unigrpo.train import _due as due
from unigrpo.types import Prompt

REWARD = """
def half(response, prompt):
    return len(response) if int(prompt) % 2 else 0.5
"""


def workers(folder, rollout) -> Workers:
    (folder / "half.py").write_text(REWARD)
    policy = Policy(tiny_model(), Letters(), IDS)  # pyright: ignore[reportArgumentType]
    return Workers(
        sampler=Sampler(policy, rollout, 0),
        scorer=TaskScorer({"": {"half": RewardEntry(path=f"{folder / 'half.py'}:half")}}),
        learner=None,  # pyright: ignore[reportArgumentType]
        ids=IDS,
        report=dict,
    )


@pytest.mark.parametrize(("extra", "rows"), [(0, 200), (6, 200), (6, 8)])
def test_dynamic_sampling_refills_groups_whose_rewards_are_all_equal(tmp_path, extra, rows):
    """With 8 rows a refill asks the same prompts again: its rollouts have ids, and so masks, of their own."""
    rollout = RolloutSection(prompts_per_step=8, group_size=6, gen_length=8, block_length=8)
    config = TrainConfig(rollout=rollout, algo=AlgoSection(dynamic_sampling=extra))
    prompts = [Prompt(id=str(n), task="text", text=str(n), tokens=np.array([n % 7, 1])) for n in range(rows)]
    stream, metrics = MixedStream({"": PromptStream(prompts, 0)}, {"": 1.0}), {}
    scored = collect(config, workers(tmp_path, rollout), stream, 0, metrics)
    assert len(scored) == 48
    assert {len({item.rollout.prompt.id for item in scored[at : at + 6]}) for at in range(0, 48, 6)} == {1}
    assert len({item.rollout.id for item in scored}) == 48
    dead = summarize(scored, 6)["reward/zero_std"]
    assert (dead == 0) if extra else (dead > 0)
    assert (stream.position[""][1] > 8) == bool(extra)


def test_summary_counts_groups_without_spread_and_keeps_parts():
    scored = scored_group([1], [[1, 2], [3]], [1.0, 1.0], "a") + scored_group([2], [[1], [2]], [0.0, 2.0], "b")
    found = summarize(scored, 2)
    assert found["reward/zero_std"] == 0.5
    assert found["reward/mean"] == found["reward/r"] == 1.0
    assert found["rollout/length"] == 1.25


def test_the_last_step_is_due_whatever_the_interval():
    assert [step for step in range(1, 8) if due(step, 3, 7)] == [3, 6, 7]
    assert not any(due(step, 0, 7) for step in range(1, 8))
