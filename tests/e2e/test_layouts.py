"""Whole runs in other layouts than one process."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.cut import check_equal, started, told_to_end, worker
from tests.e2e.runs import metrics, run, train_args, weights
from unigrpo.cli.main import main

pytestmark = [pytest.mark.ray, pytest.mark.slow]
SEPARATE = ["cluster.layout=separate", "cluster.rollout_workers=2", "cluster.reward_workers=2", "cluster.sleep=true"]
ZERO_2 = ["cluster.ranks=2", "cluster.zero=2"]
ZERO_3 = ["cluster.ranks=2", "cluster.zero=3", "cluster.layout=separate", "model.lora.rank=2"]
LOSSES = ("policy/loss", "policy/kl", "policy/logprob", "optim/grad_norm", "reward/mean", "eval/reward")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """A run on two ranks, from whose checkpoints others go on."""
    folder = tmp_path_factory.mktemp("ranks")
    run(train_args(folder, folder / "run", *ZERO_2))
    return folder / "run"


def test_workers_that_only_sample_and_a_pool_of_scorers_give_the_run_of_one_process_bit_for_bit(whole, tmp_path):
    run(train_args(tmp_path, tmp_path / "run", *SEPARATE))
    check_equal(tmp_path / "run", whole)


def check_losses(folder: Path, whole: Path, rel: float) -> None:
    """Asserts that the losses of two runs are close: each step adds to what sums in another order began."""
    for ours, theirs in zip(metrics(folder), metrics(whole), strict=True):
        for name in set(LOSSES) & theirs.keys():
            assert ours[name] == pytest.approx(theirs[name], rel=rel, abs=rel), name


def check_going_on(folder: Path, *layout: str) -> None:
    """Asserts that a run ends as it has ended when its second half is made again."""
    ended = weights(folder), metrics(folder)
    for left in ("model", "checkpoint-4"):
        shutil.rmtree(folder / left)
    run([*train_args(folder.parent, folder, *layout), "--resume"])
    assert (weights(folder), metrics(folder)) == ended


def test_ranks_give_the_losses_of_one_process_and_go_on_bit_for_bit(whole, ranks):
    check_losses(ranks, whole, 1e-4)
    check_going_on(ranks, *ZERO_2)


def test_ranks_with_all_in_pieces_and_adapters_give_the_losses_of_one_process(tmp_path):
    run(train_args(tmp_path, tmp_path / "whole", "cluster.backend=local", "model.lora.rank=2"))
    run(train_args(tmp_path, tmp_path / "run", *ZERO_3))
    check_losses(tmp_path / "run", tmp_path / "whole", 1e-4)


@pytest.mark.long
def test_ranks_with_all_in_pieces_and_adapters_go_on_bit_for_bit(tmp_path):
    run(train_args(tmp_path, tmp_path / "run", *ZERO_3))
    check_going_on(tmp_path / "run", *ZERO_3)


def test_a_run_goes_on_in_another_layout_and_says_what_differs(whole, ranks, tmp_path, capfd):
    shutil.copytree(ranks, tmp_path / "run", ignore=shutil.ignore_patterns("model", "checkpoint-4"))
    run([*train_args(ranks.parent, tmp_path / "run", "cluster.backend=local"), "--resume"])
    assert "cluster.ranks was 2 and is 1, cluster.zero was 2 and is 0: weights, optimiser" in capfd.readouterr().err
    check_losses(tmp_path / "run", whole, 1e-4)


def test_sampling_ahead_uses_weights_that_are_one_batch_old_and_repeats_itself(tmp_path):
    for name in ("one", "other"):
        ahead = [*SEPARATE, "rollout.max_staleness=1", "cluster.rollout_workers=1", "cluster.reward_workers=1"]
        run(train_args(tmp_path, tmp_path / name, *ahead))
    rows = [row for row in metrics(tmp_path / "one") if "policy/ratio" in row]
    assert [row["rollout/staleness"] for row in rows] == [0, 1, 1, 1]
    assert weights(tmp_path / "one") == weights(tmp_path / "other")


def test_a_run_that_samples_ahead_ends_at_once_when_it_is_told_to(tmp_path):
    ahead = ["cluster.layout=separate", "rollout.max_staleness=1", "steps=400", "checkpoint.every=400"]
    args = train_args(tmp_path, tmp_path / "run", *ahead, "eval.every=1000")
    process = started(args, tmp_path / "run/metrics.jsonl", rows=2)
    assert "and is saved" in told_to_end(process, 300)


@pytest.mark.parametrize("role", ["policy", "reward", pytest.param("reference", marks=pytest.mark.long)])
def test_a_run_whose_worker_is_killed_ends_with_the_same_weights(tmp_path, role):
    long = ("steps=16", "checkpoint.every=5", "eval.every=100")
    args = train_args(tmp_path, tmp_path / "run", *long)
    process = started(args, tmp_path / "run/checkpoint-5")
    os.kill(worker(process, role), signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert ("Going on from the last checkpoint (1 of cluster.max_restarts=3)" in err) == (role == "policy")
    run(train_args(tmp_path, tmp_path / "whole", "cluster.backend=local", *long))
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    assert [row["step"] for row in metrics(tmp_path / "run")] == [row["step"] for row in metrics(tmp_path / "whole")]


def test_a_cluster_that_is_too_small_is_one_line_with_what_is_needed(tmp_path, capfd):
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        small = [f"cluster.address={cluster.address}", "cluster.timeout=2", "cluster.ranks=2", "cluster.zero=1"]
        assert main(train_args(tmp_path, tmp_path / "run", *small)) == 2
    finally:
        cluster.shutdown()
    shown = capfd.readouterr().err
    assert "is too small: the run needs 5 CPU, the cluster has 2" in shown.splitlines()[-1]
    assert "reference" in shown
    assert not (tmp_path / "run").exists()
