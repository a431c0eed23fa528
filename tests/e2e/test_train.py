import shutil

import pytest

from tests.e2e.cut import check_equal, check_stopped, killed, started, told_to_end
from tests.e2e.runs import ONE, SFT, metrics, run, train_args, weights
from unigrpo.cli.main import main

LORA = ["model.lora.rank=2"]


def test_a_run_leaves_all_that_is_promised(whole):
    names = {path.name for path in whole.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "rollouts.jsonl", "curve.png", "model", "checkpoint-2"} <= names
    rows = metrics(whole)
    assert [row["step"] for row in rows if "reward/mean" in row] == [1, 2, 3, 4]
    assert [row["step"] for row in rows if "eval/accuracy" in row] == [0, 2, 4]
    for name in ("policy/kl", "policy/clip_fraction", "reward/digits", "reward/zero_std", "optim/grad_norm"):
        assert name in rows[1]


@pytest.mark.parametrize("extra", [[], LORA, ["algo.dynamic_sampling=2"]], ids=["full", "lora", "refill"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, extra):
    for name, stops in (("whole", [4]), ("cut", [2, 4])):
        for steps in stops:
            args = train_args(tmp_path, tmp_path / name, "cluster.backend=local", f"steps={steps}", *extra)
            run([*args, *(["--resume"] if steps != stops[0] else [])])
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    by_step = [{(row["step"], "eval/accuracy" in row): row for row in metrics(tmp_path / n)} for n in ("cut", "whole")]
    assert by_step[0] == by_step[1]


def test_the_saved_config_repeats_the_run(whole, tmp_path):
    run(["train", str(whole / "config.yaml"), f"output={tmp_path / 'again'}"])
    check_equal(tmp_path / "again", whole)


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_to_the_same_end(whole, tmp_path):
    check_equal(killed(tmp_path, "cluster.backend=local"), whole)


@pytest.mark.slow
def test_a_run_that_is_told_to_end_saves_what_it_has_and_goes_on_to_the_same_end(tmp_path):
    check_stopped(tmp_path, "cluster.backend=local")


def test_a_damaged_checkpoint_is_passed_over_and_the_run_ends_the_same(whole, tmp_path, capfd):
    args = train_args(tmp_path, tmp_path / "run", "cluster.backend=local")
    run([*args, "checkpoint.every=1", "checkpoint.keep=9"])
    shutil.rmtree(tmp_path / "run/model")
    for step in (3, 4):
        (tmp_path / f"run/checkpoint-{step}/optimizer.safetensors").write_bytes(b"x")
    run([*args, "--resume"])
    check_equal(tmp_path / "run", whole)
    shown = capfd.readouterr().err
    for step in (3, 4):
        assert f"Passed over: {tmp_path / 'run'}/checkpoint-{step}/optimizer.safetensors is not the file" in shown


@pytest.mark.slow
def test_sft_that_is_told_to_end_goes_on_to_the_same_end(tmp_path):
    def args(name):
        return ["sft", *SFT, f"output={tmp_path / name}", "steps=200", "checkpoint.every=200"]

    told_to_end(started(args("cut"), tmp_path / "cut/metrics.jsonl", rows=2))
    assert not (tmp_path / "cut/model").exists()
    run([*args("cut"), "--resume"])
    run(args("whole"))
    check_equal(tmp_path / "cut", tmp_path / "whole")


def test_sft_resumes_bit_for_bit_and_its_model_is_where_training_starts(tmp_path):
    for name, stops in (("whole", [6]), ("cut", [4, 6])):
        for steps in stops:
            args = ["sft", *SFT, f"output={tmp_path / name}", f"steps={steps}", "optim.schedule=constant"]
            run([*args, *(["--resume"] if steps != stops[0] else [])])
    check_equal(tmp_path / "cut", tmp_path / "whole")
    settings = [f"model.path={tmp_path / 'cut/model'}", "model.preset=null", "model.vocab_size=512", "steps=1"]
    run(train_args(tmp_path, tmp_path / "rl", "cluster.backend=local", *settings))


def test_sft_stops_early_at_a_validation_loss_and_stays_stopped(tmp_path):
    held_out = "held_out={source: arithmetic, template: plain, split: test, size: 16}"
    args = ["sft", *SFT, held_out, "held_out_every=2", "stop_below=1e9", f"output={tmp_path / 'run'}"]
    for extra in ([], ["--resume"]):
        run([*args, *extra])
        assert [row["step"] for row in metrics(tmp_path / "run")] == [1, 2]
        assert (tmp_path / "run/model/model.safetensors").exists()


def test_sft_that_goes_on_between_two_measurements_stops_where_an_uninterrupted_run_would(tmp_path):
    held_out = "held_out={source: arithmetic, template: plain, split: test, size: 16}"
    args = [
        "sft",
        *SFT,
        held_out,
        "held_out_every=3",
        "stop_below=1e9",
        "optim.schedule=constant",
        f"output={tmp_path / 'run'}",
    ]
    run([*args, "steps=2"])
    run([*args, "--resume"])
    assert [row["step"] for row in metrics(tmp_path / "run")] == [1, 2, 3]


def test_eval_and_generate_take_a_run_and_its_settings(whole, tmp_path, capsys):
    run(["eval", str(whole), f"output={tmp_path / 'eval'}", "samples=2", "rollout.temperature=1.0", ONE])
    found = capsys.readouterr().out
    assert "| eval/pass@2 |" in found
    assert len((tmp_path / "eval/samples.jsonl").read_text().splitlines()) == 8
    run(["generate", str(whole), ONE, "--prompt", "12+34=", "--show-steps"])
    shown = capsys.readouterr().out.splitlines()
    assert "░" in shown[0]
    assert len(shown) == 5


@pytest.mark.parametrize("size", ["1", "5"])
def test_an_evaluation_does_not_depend_on_its_batch_size(whole, tmp_path, size):
    for name, batch in (("a", "256"), ("b", size)):
        run(["eval", str(whole), f"output={tmp_path / name}", f"rollout.batch_size={batch}", ONE])
    assert (tmp_path / "a/samples.jsonl").read_text() == (tmp_path / "b/samples.jsonl").read_text()


def test_a_reward_that_always_fails_stops_the_run_after_some_steps_and_says_why(tmp_path, capsys):
    args = train_args(tmp_path, tmp_path / "run", "cluster.backend=local", "scoring.max_failed_steps=1")
    (tmp_path / "mine.py").write_text("def digits(response, answer):\n    return 1 if response == answer else 1 / 0\n")
    assert main(args) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "have no reward, and too many had none in 2 steps in a row (scoring.max_failed=0.1): rewards.digi" in said
    assert "rewards.digits raised ZeroDivisionError: division by zero at " in said
    assert "run/failed holds the weights, the optimiser and the rollouts of step 2." in said
    assert [row["reward/failed"] for row in metrics(tmp_path / "run") if "reward/failed" in row] == [1.0]
