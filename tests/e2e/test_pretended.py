"""Runs on a pretended accelerator: nothing mixes devices, and the weights are those of the CPU, bit for bit."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.e2e.pretended import Far
from tests.e2e.runs import metrics, run, weights
from tests.e2e.test_mixed import args
from tests.e2e.test_stages import stage

pytestmark = [pytest.mark.slow]
COUNTED = """
import json, torch
from tests.e2e.pretended import install, looks
install()
from rollout.text import denoise
from tests.tiny import IDS, SUPPORT, tiny_model
from unigrpo.config import SamplingSection

model = tiny_model().to("cuda")

def counted(steps, **more):
    settings = SamplingSection(gen_length=16, block_length=8, steps=steps, early_stop=False, **more)
    prompts, keys = torch.zeros(2, 3, dtype=torch.long, device="cuda"), torch.arange(2, device="cuda")
    looks.clear()
    denoise(model, prompts, torch.ones_like(prompts, dtype=torch.bool), keys, settings, IDS.mask, SUPPORT)
    return looks.total()

kinds = {}, {"guidance": 1.0}, {"cache": "dual", "cache_check": 0.0}
print(json.dumps([[counted(8, **more), counted(16, **more)] for more in kinds]))
"""
"""How often the host waits while 16 tokens are sampled in 8 and in 16 steps."""


def pretended(*words: str) -> str:
    """What another process prints, which must end well."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def verb(words: list[str]) -> None:
    """Runs a verb there whose words name the CPU."""
    pretended("-m", "tests.e2e.pretended", *(word.replace("model.device=cpu", "model.device=cuda") for word in words))


def stages(folder: Path, *settings: str) -> tuple[Path, Path]:
    """The smallest stage 2.2 on the CPU and there."""
    short = ("steps=2", "optim.warmup_steps=1", "checkpoint.every=2", *settings)
    run(stage("2.2", *short, f"output={folder}/here"))
    verb(stage("2.2", *short, f"output={folder}/there"))
    return folder / "here", folder / "there"


def test_a_run_of_all_tasks_goes_on_there_and_ends_as_on_the_cpu(tmp_path, vq):
    fast = ["tasks.sums.rollout.cache=dual", "tasks.sums.rollout.cache_check=0.5", "tasks.ask.rollout.threshold=0.3"]
    words = args(tmp_path, vq, tmp_path / "run", "cluster.backend=local", *fast)
    run(words)
    before = weights(tmp_path / "run")
    for left in ("model", "checkpoint-4"):
        shutil.rmtree(tmp_path / "run" / left)
    verb([*words, "--resume"])
    assert weights(tmp_path / "run") == before
    evaluated = ["limit=2", "model.device=cpu", "cluster.threads=1"]
    for name, runs in (("here", run), ("there", verb)):
        runs(["eval", str(tmp_path / "run"), *evaluated, f"output={tmp_path / name}"])
    here, there = (json.loads((tmp_path / name / "metrics.json").read_text())["metrics"] for name in ("here", "there"))
    assert here == there


def test_a_stage_there_ends_as_on_the_cpu(tmp_path):
    memory = ("sft.ema=0.9", "optim.states=int8", "model.lora.rank=2", "model.gradient_checkpointing=true")
    here, there = stages(tmp_path, *memory)
    assert weights(there) == weights(here)


@pytest.mark.parametrize(
    "settings", [pytest.param("optim.offload=true", marks=pytest.mark.long), "optim.bfloat16=rounded"]
)
def test_a_stage_in_bfloat16_learns_there_as_on_the_cpu_but_for_the_order_of_sums(tmp_path, settings):
    here, there = stages(tmp_path, "model.dtype=bfloat16", settings)
    for ours, theirs in zip(metrics(there), metrics(here), strict=True):
        assert ours == pytest.approx(theirs, rel=0.02)


def test_no_step_of_a_sampler_waits_for_the_device():
    found = json.loads(pretended("-c", COUNTED))
    assert [short for short, _ in found] == [long for _, long in found]
    assert max(short for short, _ in found) < 16


def test_the_accelerator_of_these_tests_is_strict():
    far, near = Far(torch.ones(2)), torch.ones(2)
    assert (far + 1).device.type == "cuda"
    assert float((far * 2).sum()) == 4
    for mixed in (lambda: far + near, lambda: torch.cat([near, far]), lambda: near.add_(far)):
        with pytest.raises(RuntimeError, match="to be on the same device"):
            mixed()
    for taken in (far.numpy, lambda: np.asarray(far)):
        with pytest.raises(TypeError, match="can't convert cuda:0"):
            taken()
