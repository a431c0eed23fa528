import io
import json
import sys

import numpy as np
import pytest
from rich.console import Console

from unigrpo import progress as progress_module
from unigrpo import tracking
from unigrpo.config import TrackingSection
from unigrpo.errors import MissingExtraError
from unigrpo.progress import describe, progress
from unigrpo.tracking import Tracker
from unigrpo.types import Prompt, Rollout, Sampling, Scored


def make(folder, **settings) -> Tracker:
    return Tracker(folder, TrackingSection(**settings), "run", {"steps": 3})


def rows(folder, name="metrics.jsonl") -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").split("\n")[:-1]]


def scored(index: int, output: str = "out", reward: float = 1.0) -> Scored:
    prompt = Prompt(id=f"p{index}", task="text", text=f"question {index}", tokens=np.arange(3), answer="42")
    sampling = Sampling(temperature=1.0, guidance=0.0, gen_length=4, block_length=4)
    rollout = Rollout(
        id=f"0/p{index}/0",
        prompt=prompt,
        tokens=np.arange(4),
        commit_step=np.arange(4),
        output=output,
        sampling=sampling,
        truncated=False,
    )
    return Scored(rollout=rollout, reward=reward, parts={"math": reward})


@pytest.fixture
def terminal(monkeypatch):
    """A terminal that is written to memory, for the bar and the tables."""
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    for module in (tracking, progress_module):
        monkeypatch.setattr(module, "console", screen)
    return screen.file


def test_each_step_is_one_line_that_is_readable_at_once(tmp_path):
    tracker = make(tmp_path)
    tracker.log(1, {"reward/mean": np.float32(0.5), "n": 3})
    assert rows(tmp_path) == [{"step": 1, "reward/mean": 0.5, "n": 3.0}]
    tracker.log(2, {"reward/mean": 1.0})
    assert [row["step"] for row in rows(tmp_path)] == [1, 2]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_null(tmp_path, value):
    make(tmp_path).log(1, {"a": value, "b": 1.0})
    assert rows(tmp_path) == [{"step": 1, "a": None, "b": 1.0}]


def test_rewind_drops_later_steps_and_a_line_cut_short(tmp_path):
    tracker = make(tmp_path, rollouts_every=1)
    for step in range(5):
        tracker.log(step, {"a": float(step)})
        tracker.log_rollouts(step, [scored(step)])
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 1, "a"')
    tracker.rewind(2)
    tracker.log(3, {"a": 30.0})
    assert [(row["step"], row["a"]) for row in rows(tmp_path)] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 30.0)]
    assert [row["step"] for row in rows(tmp_path, "rollouts.jsonl")] == [0, 1, 2]


def test_rewind_of_a_new_run_changes_nothing(tmp_path):
    make(tmp_path).rewind(0)
    assert list(tmp_path.iterdir()) == []


def test_rollouts_are_written_every_so_many_steps_and_spread_over_the_prompts(tmp_path):
    tracker = make(tmp_path, rollouts_every=2, rollouts_rows=3)
    for step in range(4):
        tracker.log_rollouts(step, [scored(index) for index in range(9)])
    written = rows(tmp_path, "rollouts.jsonl")
    assert [(row["step"], row["id"]) for row in written] == [
        (step, f"0/p{index}/0") for step in (0, 2) for index in (0, 3, 6)
    ]
    assert written[0] == {
        "step": 0,
        "id": "0/p0/0",
        "prompt": "question 0",
        "output": "out",
        "answer": "42",
        "reward": 1.0,
        "parts": {"math": 1.0},
    }


def test_what_a_rollout_is_there_for_is_written_and_of_the_extremes_how_they_were_denoised(tmp_path):
    section = TrackingSection(rollouts_every=1, rollouts_rows=2)
    tracker = Tracker(tmp_path, section, "run", {}, piece=lambda tokens: "".join(f"<{token}>" for token in tokens))
    tracker.log_rollouts(1, [scored(index, reward=reward) for index, reward in enumerate((0.5, 0.0, 0.25, 1.0))])
    written = rows(tmp_path, "rollouts.jsonl")
    assert [row.get("chosen") for row in written] == [None, "worst", "median", "best"]
    replay = {"pieces": ["<0>", "<1>", "<2>", "<3>"], "commit": [0, 1, 2, 3]}
    assert [row.get("replay") for row in written] == [None, replay, replay, replay]


def test_the_first_metrics_come_with_what_the_run_was_made_with(tmp_path):
    tracker = make(tmp_path)
    assert not (tmp_path / "environment.json").exists()
    tracker.log(1, {"a": 1.0})
    assert json.loads((tmp_path / "environment.json").read_text())[0]["torch"]


def test_no_rollouts_are_written_when_the_interval_is_zero(tmp_path):
    make(tmp_path, rollouts_every=0).log_rollouts(0, [scored(0)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", ["é 漢 \u2028 end", "lone \ud800 surrogate", 'quote " and \\ and \n line'])
def test_any_output_comes_back_as_it_was(tmp_path, output):
    make(tmp_path, rollouts_every=1).log_rollouts(0, [scored(0, output)])
    assert rows(tmp_path, "rollouts.jsonl")[0]["output"] == output


def test_a_terminal_shows_rollouts_without_obeying_them(tmp_path, terminal):
    make(tmp_path, rollouts_every=1).log_rollouts(0, [scored(0, "[red]a[/red]\x1b[2Jb", 0.25)])
    shown = terminal.getvalue()
    assert "[red]a[/red]\N{REPLACEMENT CHARACTER}[2Jb" in shown
    assert "\x1b[2J" not in shown
    assert "0.25" in shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wandb", "tracking.to holds 'wandb', which is not installed: pip install wandb."),
        ("tensorboard", "tracking.to holds 'tensorboard', which is not installed: pip install 'unigrpo[tensorboard]'."),
    ],
)
def test_a_missing_tracker_is_one_line(tmp_path, monkeypatch, name, expected):
    for module in [key for key in sys.modules if key.split(".")[0] == name or key == "torch.utils.tensorboard"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError) as caught:
        make(tmp_path, to=[name])
    assert str(caught.value) == expected


def test_tensorboard_holds_what_was_logged_and_forgets_what_was_rewound(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracker = make(tmp_path, to=["tensorboard"])
    for step in (1, 2, 3):
        tracker.log(step, {"a": float(step), "b": float("nan")})
    tracker.rewind(1)
    tracker.log(2, {"a": 20.0})
    tracker.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("a")] == [(1, 1.0), (2, 20.0)]
    assert events.Tags()["scalars"] == ["a"]


def test_wandb_without_a_key_is_offline_and_keeps_its_id(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_ERROR_REPORTING", raising=False)
    monkeypatch.setenv("WANDB_MODE", "online")
    for _ in range(2):
        tracker = make(tmp_path, to=["wandb"])
        tracker.log(1, {"a": 1.0, "b": float("nan")})
        (service,) = tracker.services
        assert service.run.settings.mode == "offline"
        assert service.run.id == (tmp_path / "wandb_id.txt").read_text()
        assert dict(service.run.config) == {"steps": 3}
        assert dict(service.run.summary)["a"] == 1.0
        tracker.close()
    identity = (tmp_path / "wandb_id.txt").read_text()
    assert list((tmp_path / "wandb").glob(f"offline-run-*-{identity}/run-{identity}.wandb"))


def test_without_a_terminal_progress_is_plain_lines(capsys):
    with progress("UniGRPO", total=4, start=2, interval=0.0) as bar:
        bar.update({"reward/mean": 0.5, "other": 1.0})
        bar.update({"eval/accuracy": 0.25})
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("UniGRPO 3/4  reward/mean 0.5  0:00:0")
    assert last == "UniGRPO 4/4  reward/mean 0.5  eval/accuracy 0.25  0:00:00 left"


def test_lines_are_rate_limited_but_the_last_is_always_there(capsys):
    with progress("x", total=100, interval=60.0) as bar:
        for _ in range(100):
            bar.update({})
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["x 1/100", "x 100/100"]


def test_on_a_terminal_progress_is_a_bar_that_starts_where_the_run_does(terminal):
    with progress("[UniGRPO]", total=10, start=4) as bar:
        bar.update({"reward/mean": 0.5})
    assert "[UniGRPO]" in terminal.getvalue()
    assert " 5/10" in terminal.getvalue()
    assert "reward/mean 0.5" in terminal.getvalue()


def test_metrics_are_described_in_the_order_asked_for():
    assert describe({"b": 1.0, "a": 123456.0, "c": 2.0}, ("a", "b", "x")) == "a 1.235e+05  b 1"
