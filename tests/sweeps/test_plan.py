"""The trials of a sweep, and which of them run."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import ray
import yaml

from unigrpo.cli.main import main
from unigrpo.cli.pipeline_records import alone
from unigrpo.cli.sweep import tell
from unigrpo.cli.sweep_plan import plan_of, record_of
from unigrpo.cli.sweep_supply import Trials
from unigrpo.cli.sweep_trials import all_of, before_of, check_axes, examples_of, trial_of
from unigrpo.cli.verbs import VERBS
from unigrpo.sweeps.points import points_of
from unigrpo.sweeps.records import TrialRecords

TRAIN = {
    "steps": 2,
    "model": {"preset": "tiny", "vocab_size": 268, "device": "cpu"},
    "data": {"source": "arithmetic", "template": "plain", "size": 16},
    "rollout": {"prompts_per_step": 2, "group_size": 2, "gen_length": 4, "block_length": 4},
    "rewards": {"math": {"weight": 1.0}},
    "eval": {"data": {"source": "arithmetic", "template": "plain", "split": "test", "size": 4}, "every": 1},
}
AXES = {"mu": {"key": "algo.mu", "values": [1, 2]}}


def write(folder: Path, **changed) -> str:
    """A sweep in a folder."""
    file = folder / "sweep.yaml"
    plain = {"output": str(folder / "out"), "settings": TRAIN, "axes": AXES, "seeds": [0, 1]} | changed
    file.write_text(yaml.safe_dump(plain, sort_keys=False))
    return str(file)


def checked(folder: Path, *args: str, **changed):
    return VERBS["sweep"].checked([write(folder, **changed), *args])


def done(config, trial):
    """The record of a trial that is done, with the model that it made."""
    result = trial.stage.result
    result.mkdir(parents=True)
    (result / "weights").write_text("1")
    return replace(record_of(plan_of(config, trial, None)), state="done", files={"weights": 1})


def refused(capsys, *args: str) -> str:
    assert main(["sweep", *args]) == 2
    return capsys.readouterr().err


def test_each_trial_has_its_choice_its_seed_and_a_folder_of_its_own(tmp_path):
    config = checked(tmp_path)
    trials = all_of(config, points_of(config))
    made = [(one.name, one.stage.config.algo.mu, one.stage.config.seed) for one in trials]
    assert made == [("mu-1/seed-0", 1, 0), ("mu-2/seed-0", 2, 0), ("mu-1/seed-1", 1, 1), ("mu-2/seed-1", 2, 1)]
    assert len({one.stage.folder for one in trials}) == 4


def test_a_trial_runs_here_with_as_many_threads_as_it_has_cores(tmp_path):
    for args, backend, address in (([], "local", None), (["backend=ray"], "ray", "local")):
        config = checked(tmp_path, "resources.cpus=3", *args)
        cluster = trial_of(config, points_of(config)[0], 0).stage.config.cluster
        assert (cluster.backend, cluster.address, cluster.threads) == (backend, address, 3)


def test_overlays_are_merged_over_the_files_of_the_sweep(tmp_path):
    overlays = {"plain": [], "full": ["configs/ablations/full_mask.yaml"]}
    config = checked(tmp_path, axes={"how": {"overlays": overlays}})
    rules = [one.stage.config.algo.noise.rule for one in all_of(config, points_of(config))[:2]]
    assert rules == ["formula", "full"]


def test_trials_of_a_seed_start_from_what_was_made_with_that_seed(tmp_path):
    sft = {"verb": "sft", "settings": {"steps": 1, "model": {"preset": "tiny"}, "data": {"source": "arithmetic"}}}
    settings = TRAIN | {"model": {"path": "{sft}/model"}}
    config = checked(tmp_path, before={"sft": sft}, settings=settings)
    for trial in all_of(config, points_of(config)):
        assert trial.stage.config.model.path == f"{tmp_path}/out/before/seed-{trial.seed}/sft/model"
        assert before_of(config, trial.seed).stages["sft"].settings["seed"] == trial.seed


def test_a_trial_that_is_done_is_not_run_again(tmp_path):
    config = checked(tmp_path)
    trial = trial_of(config, points_of(config)[0], 0)
    record = done(config, trial)
    assert plan_of(config, trial, None).action == "run"
    assert plan_of(config, trial, record).action == "done before"
    assert plan_of(config, trial, replace(record, state="begun")).action == "go on"
    assert plan_of(config, trial, replace(record, state="failed", why="x")).action == "go on"
    (trial.stage.result / "weights").unlink()
    assert plan_of(config, trial, record).action == "go on"


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("settings.optim.lr=1e-3", "optim.lr 1e-06 -> 0.001"),
        ("settings.eval.every=2", "eval.every 1 -> 2"),
        ("settings.steps=3", "steps 2 -> 3"),
        ("settings.tracking.rollouts_every=5", None),
        ("resources.cpus=2", None),
    ],
)
def test_a_trial_is_run_again_for_what_its_result_depends_on(tmp_path, setting, why):
    config = checked(tmp_path)
    record = done(config, trial_of(config, points_of(config)[0], 0))
    changed = checked(tmp_path, setting)
    plan = plan_of(changed, trial_of(changed, points_of(changed)[0], 0), record)
    assert (plan.action, plan.why[0] if why else None) == ("start over" if why else "done before", why)
    assert plan.replaces == bool(why)


def test_a_trial_that_fell_behind_goes_on_once_nothing_ends_it(tmp_path):
    config = checked(tmp_path, early_stop={"grace": 1})
    trial = trial_of(config, points_of(config)[0], 0)
    record = replace(done(config, trial), state="stopped")
    assert plan_of(config, trial, record).action == "done before"
    assert plan_of(replace(config, early_stop=None), trial, record).action == "go on"


def test_finished_trials_are_not_replaced_unasked(tmp_path, capsys):
    config = checked(tmp_path)
    trial = trial_of(config, points_of(config)[0], 0)
    TrialRecords(tmp_path / "out").put(trial.name, done(config, trial))
    said = refused(capsys, write(tmp_path), "settings.steps=3")
    assert (
        "out has 1 finished trials with other settings, such as mu-1/seed-0 (steps 2 -> 3): add overwrite=true" in said
    )
    assert (trial.stage.result / "weights").exists()


def test_a_plan_says_what_would_be_done_and_does_nothing(tmp_path, capsys):
    config = checked(tmp_path)
    trial = trial_of(config, points_of(config)[0], 0)
    TrialRecords(tmp_path / "out").put(trial.name, done(config, trial))
    before = sorted(tmp_path.rglob("*"))
    assert main(["sweep", write(tmp_path), "--plan"]) == 0
    shown = capsys.readouterr().out
    assert "| mu-1/seed-0 | done before | unchanged |" in shown
    assert "| mu-2/seed-0 | run | not run before |" in shown
    assert sorted(tmp_path.rglob("*")) == before


def test_the_time_of_a_trial_is_that_of_its_processes_and_not_of_its_waiting_for_a_core(tmp_path):
    config, output = checked(tmp_path, seeds=[0]), tmp_path / "out"
    for seconds, end in ((5.0, {"status": 143, "cut": True}), (7.0, {"status": 2, "cut": False, "line": "no"})):
        trials = Trials(config, TrialRecords(output), {})
        trials.take()
        trials.take()
        trials.ended("mu-1/seed-0", {"ended": True, "seconds": seconds, **end})
    assert TrialRecords(output).all["mu-1/seed-0"].seconds == 12.0
    assert TrialRecords(output).all["mu-2/seed-0"].seconds == 0.0


def test_optuna_goes_on_where_an_earlier_call_was_cut(tmp_path):
    axes = {"lr": {"key": "optim.lr", "low": 1e-5, "high": 1e-3, "log": True}}
    config = checked(tmp_path, axes=axes, search={"method": "optuna", "trials": 3})
    first = Trials(config, TrialRecords(tmp_path / "out"), {})
    (tmp_path / "out").mkdir()
    jobs = [first.take() for _ in range(2)]
    assert [job.name for job in jobs if job] == ["point-000/seed-0", "point-000/seed-1"]
    first.ended("point-000/seed-0", {"ended": True, "status": 143, "cut": True, "line": ""})
    again = Trials(config, TrialRecords(tmp_path / "out"), {})
    assert again.count() == 2 * 3
    assert again.points == first.points
    job = again.take()
    assert job is not None
    assert (job.name, job.words[-1]) == ("point-000/seed-0", "resume=true")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["axes.mu.values=[1,1]"], "axes.mu.values holds a value twice"),
        (["axes.mu.values=[0]"], "Trial mu-0/seed-0: algo.mu is 0: set it to 1 or more."),
        (["axes.mu.key=algo.nu"], "algo.nu: Key 'nu' not in 'AlgoSection'."),
        (["axes.mu.key=seed"], "axes.mu.key is seed, but the sweep sets seed: use seeds."),
        (["axes.mu.key=cluster"], "axes.mu.key is cluster, but the sweep sets cluster.backend: use backend."),
        (["axes.mu.low=1"], "axes.mu has values and low and high: give it one of"),
        (["axes.mu.points=2"], "axes.mu.points is 2, but it is only used with low and high: drop it."),
        (["settings.algo.mu=4"], "axes.mu sets algo.mu, and settings sets algo.mu: one would be ignored."),
        (["settings.cluster.backend=ray"], "settings holds cluster.backend, which the sweep sets: use backend."),
        (["axes.n={key: algo.beta, values: [0.1, 0.2]}"], "axes holds the name n, which is a column of the tables"),
        (['settings={"cluster.backend": ray}'], "settings holds cluster.backend, which the sweep sets: use backend."),
        (["seeds=[0,0]"], "seeds is [0, 0]: name one or more, each once"),
        (["search.trials=3"], "search.trials is set, but a grid has as many points as its axes make"),
        (["search.method=random"], "search.method is random, but search.trials is not set"),
        (["more_metrics=[eval/accuracy]"], "more_metrics holds eval/accuracy, which is the metric already"),
        (["settings.eval.data=null"], "metric is eval/accuracy, but trials have no evaluation"),
        (
            ["search.method=optuna", "search.trials=2", "early_stop.grace=1"],
            "early_stop ends single trials, but search.method=optuna learns from means over seeds",
        ),
        (
            ['settings.rewards.math.path="{sft}/x.py:x"'],
            "refers to {sft}, which is no other stage",
        ),
    ],
)
def test_a_sweep_that_cannot_mean_what_it_says_is_refused(tmp_path, capsys, args, said):
    assert said in refused(capsys, write(tmp_path), *args)
    assert not (tmp_path / "out").exists()


SHIPPED = sorted(path.stem for path in Path("configs/sweeps").glob("*.yaml") if path.stem != "tiny")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sweeps_can_be_planned_also_at_the_smallest_size(tmp_path, capsys, name):
    file, output = f"configs/sweeps/{name}.yaml", f"output={tmp_path}/out"
    assert main(["sweep", file, "configs/sweeps/tiny.yaml", output, "seeds=[0]", "--plan"]) == 0
    assert "before seed 0: sft" in capsys.readouterr().out
    config = VERBS["sweep"].checked([file, output])
    check_axes(config)
    assert all(trial.stage.config.steps == 50 for trial in examples_of(config))


def test_files_that_trials_read_are_missed_before_any_runs(tmp_path, capsys):
    axes = {"start": {"key": "model.path", "values": ["/nowhere", "{sft}/model"]}}
    sft = {key: TRAIN[key] for key in ("steps", "model", "data")}
    changed = {"settings": TRAIN | {"model": {"device": "cpu"}}, "before": {"sft": {"verb": "sft", "settings": sft}}}
    said = refused(capsys, write(tmp_path, axes=axes, **changed))
    assert "model.path=/nowhere of trial start-nowhere/seed-0 does not exist: correct it, or put it there" in said
    assert main(["sweep", write(tmp_path, axes=axes, **changed), "--plan"]) == 0
    assert capsys.readouterr().out.count("missing: ") == 1
    search = {"method": "optuna", "trials": 1}
    assert "model.path=/nowhere of trial" in refused(capsys, write(tmp_path, axes=axes, search=search, **changed))
    assert not (tmp_path / "out").exists()


def test_a_trial_that_never_began_is_told_without_a_log(tmp_path, capsys):
    config = checked(tmp_path)
    trials = Trials(config, TrialRecords(tmp_path / "out"), {0: "before/seed-0: no", 1: "before/seed-1: no"})
    (tmp_path / "out/trials/mu-2").mkdir(parents=True)
    (tmp_path / "out/trials/mu-2/seed-1.log").touch()
    tell(config, trials.outcomes())
    shown = capsys.readouterr().out
    assert "failed: mu-1, seed 0: before/seed-0: no\n" in shown
    assert f"failed: mu-2, seed 1: before/seed-1: no ({tmp_path}/out/trials/mu-2/seed-1.log)\n" in shown


def test_what_is_not_installed_is_said_before_anything_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = refused(capsys, write(tmp_path), "search.method=optuna", "search.trials=2")
    assert "search.method is optuna, which is not installed: pip install 'unigrpo[sweep]'" in said
    monkeypatch.setitem(sys.modules, "ray.tune", None)
    monkeypatch.delattr(ray, "tune", raising=False)
    monkeypatch.delitem(sys.modules, "actors.tune", raising=False)
    assert "A sweep needs Ray Tune, which is not installed" in refused(capsys, write(tmp_path))
    assert not (tmp_path / "out").exists()


def test_one_sweep_at_a_time_writes_to_a_folder(tmp_path, capsys):
    with alone(tmp_path / "out"):
        said = refused(capsys, write(tmp_path))
    assert "out is being written by another sweep: wait, or name another output=" in said
