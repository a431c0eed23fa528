"""Runs of several tasks at once, images among them, through the command line."""

import json

import pytest

from tests.e2e.runs import ONE, metrics, run, weights
from unigrpo.cli.main import main

REWARDS = '''
def bright(image):
    """The share of white in what was drawn: something that a policy from scratch can vary in."""
    return float(image.mean()) / 255

def brief(response):
    """More spaces and letters apart, whatever is said."""
    return len(set(response)) / 8
'''
COMMON = """
    model.preset=tiny model.vocab_size=300 model.device=cpu model.image_tokenizer.resolution=32 cluster.threads=1
""".split()  # noqa: SIM905
TASKS = {
    "sums": "data={source: arithmetic, template: plain, size: 12}, rollout={gen_length: 4, block_length: 4}",
    "ask": "data={task: understand, source: shapes, template: plain, size: 12}, "
    "rollout={gen_length: 4, block_length: 4}",
    "draw": "data={task: image, source: shapes, size: 12}, rollout={image: {steps: 3, guidance: 1.0}}",
    "think": "data={task: think_image, source: shapes, template: plain, size: 12}, "
    "rollout={gen_length: 8, block_length: 4, image: {steps: 3}}",
}
HELD_OUT = "{source: shapes, split: test, size: 3, "


def args(folder, vq, output, *settings, tasks=TASKS):
    (folder / "mine.py").write_text(REWARDS)
    found = [*COMMON, f"model.image_tokenizer.path={vq}", "rollout.prompts_per_step=4", "rollout.group_size=3"]
    found += ["steps=4", "optim.lr=1e-3", "checkpoint.every=2", "checkpoint.keep=9", "eval.every=2"]
    for name in tasks:
        reward = "bright" if name in ("draw", "think") else "brief"
        data, rollout = TASKS[name].split(", rollout=")
        found += [f"tasks.{name}.{data}", f"tasks.{name}.rollout={rollout}"]
        found.append(f"tasks.{name}.rewards.{reward}.path={folder / 'mine.py'}:{reward}")
    if "draw" in tasks:
        found.append(f"tasks.draw.eval={HELD_OUT}task: image}}")
        found.append(f"tasks.ask.eval={HELD_OUT}task: understand, template: plain}}")
    return ["train", *found, f"output={output}", *settings]


def test_one_run_trains_text_understanding_drawing_and_thinking_first(tmp_path, vq):
    run(args(tmp_path, vq, tmp_path / "a", "cluster.backend=local"))
    rows = metrics(tmp_path / "a")
    trained = [row for row in rows if "policy/loss" in row]
    for name in TASKS:
        assert all(f"reward/{name}/mean" in row for row in trained)
    assert {"eval/draw/accuracy", "eval/ask/accuracy", "eval/accuracy"} <= rows[0].keys()
    drawn = json.loads((tmp_path / "a/pictures/step-000004/index.json").read_text())
    assert len(drawn) == 3
    assert (tmp_path / "a/before_after.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_mixed_run_that_goes_on_ends_where_an_uninterrupted_one_does(tmp_path, vq):
    run(args(tmp_path, vq, tmp_path / "a", "cluster.backend=local"))
    run(args(tmp_path, vq, tmp_path / "b", "cluster.backend=local", "steps=2"))
    run(args(tmp_path, vq, tmp_path / "b", "cluster.backend=local", "resume=true"))
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_an_evaluation_of_a_mixed_run_takes_all_its_tasks(tmp_path, vq):
    run(args(tmp_path, vq, tmp_path / "a", "cluster.backend=local", "steps=1"))
    run(["eval", str(tmp_path / "a"), f"output={tmp_path / 'e'}", "limit=3", "model.device=cpu", ONE])
    found = json.loads((tmp_path / "e/metrics.json").read_text())["metrics"]
    for name in TASKS:
        assert f"eval/{name}/accuracy" in found
    assert len((tmp_path / "e/samples.jsonl").read_text().splitlines()) == 12


BROKEN = {
    "tasks.draw.rewards={}": "tasks.draw.rewards is empty",
    "tasks.draw.rollout.image.temperature=0": "tasks.draw.rollout.image.temperature is 0",
    "tasks.draw.rollout.gen_length=64": "tasks.draw.rollout.gen_length is for text",
    "tasks.sums.rollout.image.steps=7": "tasks.sums.rollout.image.steps is for drawings",
    "tasks.think.rollout.guidance=1": "tasks.think.rollout.guidance is 1.0, but a thought is not guided",
    "tasks.draw.solved=nothing": "tasks.draw.solved is 'nothing', which is not among the rewards: bright",
    "tasks.sums.weight=0": "tasks.sums.weight is 0.0: set it to a number above 0",
    "rewards.math.weight=1": "rewards is set, but this run has tasks",
    "rollout.gen_length=64": "rollout.gen_length is set, but this run has tasks",
    "data.source=arithmetic": "data.source is set, but this run has tasks",
    "eval.solved=bright": "eval.solved is set, but this run has tasks",
    "model.image_tokenizer.path=null": "tasks.ask.data.task is understand, which needs an image tokenizer",
    "model.image_tokenizer.resolution=36": "resolution is 36",
    "tasks.draw.rewards.math.weight=1": "tasks.draw: rewards.math judges text and understand",
    "tasks.ask.rewards.picky.path=nowhere.py:picky": "tasks.ask: rewards.picky.path: there is no file nowhere.py",
}


@pytest.mark.parametrize("setting", BROKEN)
def test_a_task_that_cannot_work_stops_the_run_before_it_starts(tmp_path, vq, capsys, setting):
    given = args(tmp_path, vq, tmp_path / "a", "cluster.backend=local")
    if setting == "tasks.draw.rewards={}":
        given = [word for word in given if not word.startswith("tasks.draw.rewards")]
        setting = "steps=1"
        wanted = BROKEN["tasks.draw.rewards={}"]
    else:
        wanted = BROKEN[setting]
    assert main([*given, setting]) == 2
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_a_reward_that_fails_on_one_task_stops_the_run_and_names_it(tmp_path, vq, capsys):
    given = args(tmp_path, vq, tmp_path / "a", "cluster.backend=local")
    (tmp_path / "bad.py").write_text(
        "def bad(rollout):\n    return 1.0 if rollout.id.startswith(('gold', 'trial')) else 1 / 0\n"
    )
    stops = "scoring.max_failed_steps=0"
    assert main([*given, stops, f"tasks.draw.rewards.bad.path={tmp_path / 'bad.py'}:bad"]) == 2
    message = capsys.readouterr().err
    assert "tasks.draw: rewards.bad raised ZeroDivisionError" in message
