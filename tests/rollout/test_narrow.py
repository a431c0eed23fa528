"""Sampling on devices without float64, such as Apple's: nothing of it asks for one."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.rollout.test_drawing import SETTINGS, asked, guided, sampler
from unigrpo.algo import random
from unigrpo.config import SamplingSection

SAMPLED = {
    "text": SamplingSection(gen_length=8, block_length=4),
    "guided": SamplingSection(gen_length=8, block_length=4, guidance=1.0, temperature=0.7, confidence="margin"),
    "threshold": SamplingSection(gen_length=8, block_length=4, threshold=0.5),
    "entropy": SamplingSection(gen_length=8, block_length=4, entropy_bound=0.5, confidence="entropy"),
    "cached": SamplingSection(gen_length=8, block_length=4, cache="dual", cache_check=1.0, confidence="random"),
    "image": guided(2.0, schedule="sigmoid", choice_schedule="compound"),
    "think_image": replace(guided(1.0, cache="prefix", cache_check=1.0), cache="prefix"),
}


class WithoutFloat64(TorchDispatchMode):
    """Refuses what such a device refuses."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        made = {one.dtype for one in tree_leaves(found) if isinstance(one, torch.Tensor)}
        assert torch.float64 not in made, f"{func} makes float64"
        return found


@pytest.mark.parametrize("kind", SAMPLED)
def test_no_step_needs_float64_where_there_is_none(kind, monkeypatch):
    monkeypatch.setitem(random.WIDEST, "cpu", torch.float32)
    task = kind if kind in ("image", "think_image") else "text"
    with WithoutFloat64():
        found = sampler(SAMPLED[kind]).sample(asked(task, 0, 1), 2, 0)
    assert len(found) == 4


def test_the_mode_of_these_tests_sees_float64():
    with pytest.raises(AssertionError, match="makes float64"), WithoutFloat64():
        sampler(SETTINGS).sample(asked("image", 0), 1, 0)
