"""What `test_train.py` shows of one process, with Ray workers."""

import pytest

from tests.e2e.cut import check_equal, check_stopped, killed
from tests.e2e.runs import PICKY, run, train_args
from unigrpo.cli.main import main

pytestmark = [pytest.mark.ray, pytest.mark.slow]
RAY = "cluster.backend=ray"


def test_workers_give_the_metrics_and_the_weights_of_one_process_bit_for_bit(whole, tmp_path):
    run(train_args(tmp_path, tmp_path / "run", RAY))
    check_equal(tmp_path / "run", whole)


@pytest.mark.long
def test_workers_train_adapters_as_one_process_does_bit_for_bit(tmp_path):
    for backend in ("local", "ray"):
        run(train_args(tmp_path, tmp_path / backend, f"cluster.backend={backend}", "model.lora.rank=2"))
    check_equal(tmp_path / "ray", tmp_path / "local")


def test_a_run_that_was_killed_goes_on_to_the_same_end(whole, tmp_path):
    check_equal(killed(tmp_path, RAY), whole)


def test_a_run_that_is_told_to_end_saves_what_it_has_and_goes_on_to_the_same_end(tmp_path):
    check_stopped(tmp_path, RAY)


def test_an_error_of_the_users_in_a_worker_is_the_same_one_line(tmp_path, capsys):
    args = train_args(tmp_path, tmp_path / "run")
    (tmp_path / "mine.py").write_text(PICKY)
    assert main(args) == 2
    assert "rewards.digits returned inf for rollout eval/" in capsys.readouterr().err
