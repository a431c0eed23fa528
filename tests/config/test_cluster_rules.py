import pytest

from tests.config.test_check import message
from unigrpo.config import TrainConfig

CASES = {
    "rollout.max_staleness=1": "rollout.max_staleness is 1, but with cluster.layout=colocated the policy samples",
    "cluster.ranks=2 model.dtype=bfloat16 model.lora.rank=4": "cluster.zero is 0, but several ranks train bfloat16",
    "cluster.reward_gpus=0.5 cluster.reward_workers=2": "cluster.reward_gpus is 0.5, but 2 of the reward workers share",
    "cluster.zero=4": "cluster.zero is 4: set it to 0, 1, 2 or 3.",
    "cluster.offload=true": "cluster.offload is True, but it is only used when cluster.zero is 1 or more: drop it.",
    "cluster.rollout_workers=2": "cluster.rollout_workers is 2, but it is only used when cluster.layout=separate",
    "cluster.backend=local cluster.ranks=2": "cluster.ranks is 2, but it is only used when cluster.backend=ray",
    "cluster.zero=3 cluster.sleep=true": "cluster.sleep is True, but it is only used when cluster.backend=ray, and",
}


@pytest.mark.parametrize("settings", list(CASES))
def test_a_layout_that_contradicts_itself_is_named_with_what_to_do(settings):
    assert CASES[settings] in message(TrainConfig, settings)
