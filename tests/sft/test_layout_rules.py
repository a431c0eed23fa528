"""What may be set of the workers of supervised fine-tuning."""

from pathlib import Path

import pytest

from actors.sft import plan
from unigrpo.config import SFTConfig
from unigrpo.config.check import check_sft
from unigrpo.config.load import load_config
from unigrpo.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs/sft"
BASE = ["model.preset=tiny", "data.source=arithmetic"]
RANKS = ["cluster.backend=ray", "cluster.ranks=2"]


def checked(*settings: str) -> SFTConfig:
    config = load_config(SFTConfig, [*BASE, *settings])
    check_sft(config)
    return config


@pytest.mark.parametrize(
    "settings",
    [
        ["cluster.backend=ray"],
        [*RANKS],
        [*RANKS, "cluster.zero=3", "cluster.offload=true", "sft.ema=0.9", "model.dtype=bfloat16"],
        ["optim.states=int8", "optim.offload=true"],
        ["optim.states=int8", "optim.bfloat16=rounded", "model.dtype=bfloat16"],
    ],
    ids=str,
)
def test_what_goes_together_passes(settings):
    checked(*settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["cluster.ranks=2"], "cluster.ranks is 2, but it is only used when cluster.backend=ray: drop it."),
        (
            [*RANKS, "cluster.layout=separate"],
            "cluster.layout is separate, but it is only used by `unigrpo train`: drop",
        ),
        ([*RANKS, "cluster.reward_workers=2"], "cluster.reward_workers is 2, but it is only used by `unigrpo train`: "),
        ([*RANKS, "cluster.sleep=true"], "cluster.sleep is True, but it is only used by `unigrpo train`: drop it."),
        (
            [*RANKS, "model.dtype=bfloat16"],
            "cluster.zero is 0, but several ranks train bfloat16 weights only with ZeRO",
        ),
        ([*RANKS, "optim.offload=true"], "optim.offload is true, but it is for one process: set cluster.offload with"),
        ([*RANKS, "optim.states=int8"], "optim.states is int8, but it is for one process: drop it"),
    ],
    ids=str,
)
def test_what_would_be_ignored_or_cannot_be_is_an_error(settings, expected):
    with pytest.raises(ConfigError) as caught:
        checked(*settings)
    assert str(caught.value).startswith(expected)


def test_the_published_stages_are_for_64_gpus():
    found = plan(load_config(SFTConfig, [str(CONFIGS / "stage2.2.yaml")]), gpus=True)
    assert found.bundles() == [{"CPU": 1, "GPU": 1}] * 64
    assert plan(checked(*RANKS), gpus=False).bundles() == [{"CPU": 1}] * 2
