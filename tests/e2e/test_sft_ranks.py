"""Whole stages on several ranks, through the command line."""

import os
import shutil
import signal

import pytest

from tests.e2e.cut import started, worker
from tests.e2e.runs import metrics, run, weights
from tests.e2e.test_stages import stage

pytestmark = [pytest.mark.ray, pytest.mark.slow]
SIZES = ("steps=6", "checkpoint.every=2", "checkpoint.keep=9", "sft.ema=0.9")
STREAMED = ("stand_ins.image.data.streaming=true", "stand_ins.image.data.buffer=24")
LONG = (*SIZES, *STREAMED)
RANKS = ("cluster.backend=ray", "cluster.ranks=2")
MEAN = "model-ema/model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Stage 2.2 in this process."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(stage("2.2", *LONG, f"output={folder}"))
    return folder


def ended(folder) -> tuple:
    """All that a run leaves, without what depends on the machine."""
    return weights(folder), weights(folder, MEAN), metrics(folder)


def test_a_stage_whose_rank_is_killed_has_the_losses_of_one_process(whole, tmp_path):
    args = stage("2.2", *LONG, *RANKS, "cluster.zero=2", f"output={tmp_path}/cut")
    process = started(args, tmp_path / "cut/checkpoint-2")
    os.kill(worker(process, "policy"), signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert "Going on from the last checkpoint (1 of cluster.max_restarts=3)" in err
    for ours, theirs in zip(metrics(tmp_path / "cut"), metrics(whole), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


@pytest.mark.long
def test_ranks_go_on_bit_for_bit_and_in_another_layout(whole, tmp_path, capfd):
    run(stage("2.2", *LONG, *RANKS, "cluster.zero=3", f"output={tmp_path}/run"))
    before = ended(tmp_path / "run")
    for layout in ((*RANKS, "cluster.zero=3"), ()):
        for left in ("model", "model-ema", "checkpoint-4", "checkpoint-6"):
            shutil.rmtree(tmp_path / "run" / left)
        run([*stage("2.2", *LONG, *layout, f"output={tmp_path}/run"), "--resume"])
        assert (ended(tmp_path / "run") == before) == bool(layout)
    assert "cluster.ranks was 2 and is 1, cluster.zero was 3 and is 0: weights, optimiser" in capfd.readouterr().err
    for ours, theirs in zip(metrics(tmp_path / "run"), metrics(whole), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)


@pytest.mark.long
def test_one_worker_on_a_cluster_gives_the_run_of_this_process_bit_for_bit(whole, tmp_path):
    run(stage("2.2", *LONG, "cluster.backend=ray", f"output={tmp_path}/run"))
    assert ended(tmp_path / "run") == ended(whole)
