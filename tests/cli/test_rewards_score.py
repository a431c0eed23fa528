import json

import numpy as np
import pytest
from PIL import Image

from rewards import Scorer
from unigrpo.cli.main import main
from unigrpo.config import EvalConfig, TrackingSection, TrainConfig
from unigrpo.config.load import load_config, save_config
from unigrpo.tracking import Tracker
from unigrpo.types import Prompt, Rollout, Sampling

REWARDS = ["rewards.countdown.weight=2.0", "rewards.exact_match.weight=0.5"]
OUTPUTS = ["3+4", "3", "(3+4)", "4+3+3", "3*4"]


def rollout(output, number=0, **prompt):
    asked = {"id": f"p:{number}", "task": "text", "text": "Make 7 of 3, 4:", "answer": "3+4"} | prompt
    return Rollout(
        id=f"5/{asked['id']}/0",
        prompt=Prompt(tokens=np.arange(3), **asked),
        tokens=np.arange(4),
        commit_step=np.arange(4),
        output=output,
        sampling=Sampling(temperature=1.0, guidance=0.0, gen_length=4, block_length=4),
        truncated=False,
    )


@pytest.fixture
def run(tmp_path):
    """The folder of a run with rollouts, as training leaves it, and what their rewards were."""
    folder = tmp_path / "run"
    folder.mkdir()
    config = load_config(TrainConfig, [*REWARDS, "data.source=countdown", "model.preset=tiny"])
    save_config(config, folder / "config.yaml")
    metadata = {"numbers": [3, 4], "target": 7, "picture": b"not for JSON"}
    items = [rollout(output, number, metadata=metadata) for number, output in enumerate(OUTPUTS)]
    scored = Scorer(config.rewards).score(items)
    Tracker(folder, TrackingSection(rollouts_every=1), "run", {}).log_rollouts(1, scored)
    return folder


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def score(capsys, *words):
    assert main(["rewards", "score", *map(str, words), "--markdown"]) == 0
    return capsys.readouterr().out


def test_the_same_rewards_give_the_same_values(capsys, run):
    out = score(capsys, run / "rollouts.jsonl")
    before, after = rows(run / "rollouts.jsonl"), rows(run / "rescored.jsonl")
    assert [row["reward"] for row in after] == [row["reward"] for row in before] == [2.5, 0.2, 2.0, 0.0, 0.2]
    assert [row.pop("before") for row in after] == [{"reward": b["reward"], "parts": b["parts"]} for b in before]
    assert after == before
    assert before[0]["columns"] == {"numbers": [3, 4], "target": 7}
    assert "the reward of 0 of 5 rows changed" in out
    assert "| countdown | 0.44 | 0.44 | 5 | 0 |" in out


def test_other_settings_give_what_training_with_them_would(capsys, run):
    out = score(
        capsys, run / "rollouts.jsonl", "rewards.countdown.args.partial=0.3", "output=" + str(run / "new.jsonl")
    )
    assert [row["reward"] for row in rows(run / "new.jsonl")] == pytest.approx([2.5, 0.6, 2.0, 0.0, 0.6])
    assert "the reward of 2 of 5 rows changed" in out
    assert "| rollouts.jsonl line 2 | 5/p:1/0 | 3 | 3+4 | 0.2 | 0.6 | countdown 0.1 -> 0.3 |" in out
    assert not (run / "rescored.jsonl").exists()


def test_nothing_is_replaced_unless_asked(capsys, run):
    score(capsys, run / "rollouts.jsonl")
    old = (run / "rescored.jsonl").read_text()
    assert main(["rewards", "score", f"{run}/rollouts.jsonl", "rewards.countdown.weight=9"]) == 2
    assert "is there already: add --overwrite to replace it" in capsys.readouterr().err
    assert (run / "rescored.jsonl").read_text() == old
    assert main(["rewards", "score", f"{run}/rollouts.jsonl", f"output={run}/rollouts.jsonl", "--overwrite"]) == 2
    assert "which is what is read" in capsys.readouterr().err
    score(capsys, run / "rollouts.jsonl", "rewards.countdown.weight=9", "--overwrite")
    assert rows(run / "rescored.jsonl")[0]["reward"] == 9.5


def test_samples_of_an_evaluation_of_several_tasks_are_scored_by_the_rewards_of_theirs(capsys, tmp_path):
    sums = {"data": {"source": "arithmetic"}, "rewards": {"exact_match": {}}}
    words = {"data": {"source": "arithmetic"}, "rewards": {"exact_match": {"weight": 3.0}}}
    (tmp_path / "config.yaml").write_text(
        f"# unigrpo eval config.yaml\n{json.dumps({'model': {'path': 'm'}, 'tasks': {'sums': sums, 'words': words}})}"
    )
    assert load_config(EvalConfig, [str(tmp_path / "config.yaml")]).tasks
    row = {"prompt": "?", "output": "7", "answer": "7"}
    samples = [row | {"id": f"eval/{task}/0", "task": task} for task in ("sums", "words")]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in samples))
    assert "2 rows" in score(capsys, tmp_path / "samples.jsonl")
    assert [row["reward"] for row in rows(tmp_path / "rescored.jsonl")] == [1.0, 3.0]


def test_any_rows_with_prompt_and_response_are_scored(capsys, tmp_path):
    row = {"prompt": "Make 7.", "response": "3+4", "answer": 7, "numbers": "3,4", "target": 7}
    (tmp_path / "mine.jsonl").write_text(json.dumps(row) + "\n")
    score(capsys, tmp_path / "mine.jsonl", "rewards.countdown.weight=1")
    [new] = rows(tmp_path / "rescored.jsonl")
    assert new == row | {"reward": 1.0, "parts": {"countdown": 1.0}}


def test_a_reward_that_looks_at_tokens_keeps_what_it_said(capsys, run, tmp_path):
    (tmp_path / "own.py").write_text("def count(tokens):\n    return len(tokens)\n")
    own = [f"rewards.count.path={tmp_path}/own.py:count", "rewards.count.weight=10"]
    assert main(["rewards", "score", f"{run}/rollouts.jsonl", *own]) == 2
    assert "rewards.count looks at tokens, which " in capsys.readouterr().err
    old = [row | {"parts": row["parts"] | {"count": 4.0}} for row in rows(run / "rollouts.jsonl")]
    (run / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in old))
    out = score(capsys, run / "rollouts.jsonl", *own)
    assert "count looks at tokens, which the file does not keep: its old values stay." in out
    assert rows(run / "rescored.jsonl")[0]["reward"] == 42.5


def test_pictures_are_read_where_rows_point_to_them(capsys, tmp_path):
    (tmp_path / "own.py").write_text("def light(image):\n    return float(image.mean() / 255)\n")
    own = [f"rewards.light.path={tmp_path}/own.py:light", "data.source=shapes", "data.task=image"]
    words = ["rewards", "score", f"{tmp_path}/drawn.jsonl", *own, "model.image_tokenizer.path=none-yet"]
    row = {"prompt": "something white", "output": ""}
    (tmp_path / "drawn.jsonl").write_text(json.dumps(row) + "\n")
    assert main(words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "rewards.light looks at pictures, and" in error
    assert "points to none: give rows an `image`" in error
    Image.fromarray(np.full((8, 8, 3), 255, dtype=np.uint8)).save(tmp_path / "white.png")
    (tmp_path / "drawn.jsonl").write_text(json.dumps(row | {"image": "white.png"}) + "\n")
    assert main(words) == 0
    assert rows(tmp_path / "rescored.jsonl")[0]["reward"] == 1.0


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "a", "output": "b"}, "rewards.countdown needs `numbers`, which"),
        ({"prompt": "a", "output": "b"}, "it has no `columns`, in which runs keep those of their data"),
        ({"output": "b"}, "there is no text in `prompt`"),
        ({"prompt": "a"}, "there is no text in `output` or `response`"),
        ({"prompt": "a", "output": "b", "answer": ["c"]}, "`answer` is ['c'], but an answer is text."),
    ],
)
def test_a_row_that_cannot_be_scored_is_one_line(capsys, tmp_path, row, said):
    (tmp_path / "mine.jsonl").write_text(json.dumps(row) + "\n")
    assert main(["rewards", "score", f"{tmp_path}/mine.jsonl", "rewards.countdown.weight=1"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.splitlines()[-1].startswith("unigrpo: error: ")
    assert not (tmp_path / "rescored.jsonl").exists()


def test_a_file_outside_of_a_run_needs_a_config(capsys, tmp_path):
    (tmp_path / "mine.jsonl").write_text("{}\n")
    assert main(["rewards", "score", f"{tmp_path}/mine.jsonl"]) == 2
    assert "is in no folder of a run: name the config whose rewards are meant" in capsys.readouterr().err


def test_normalisation_is_left_out_and_said_so(capsys, run):
    out = score(capsys, run / "rollouts.jsonl", "rewards.countdown.normalize=group")
    assert "countdown is normalised over groups in training, and is not here" in out
    assert rows(run / "rescored.jsonl")[0]["reward"] == 2.5
