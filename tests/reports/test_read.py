"""What is read in the folder of a run."""

import json

import numpy as np
import pytest

from tests.test_report import run
from unigrpo.cli.verbs import STAGES
from unigrpo.reports.read import tell
from unigrpo.reports.tables import of_metrics
from unigrpo.reports.told import Told
from unigrpo.reports.warn import of_curation


def facts(told) -> dict:
    return {fact.name: (fact.first, fact.last) for fact in told.facts}


def rows(key: str, values, **more) -> list[dict]:
    return [{"step": step + 1, key: value} | more for step, value in enumerate(values)]


@pytest.mark.parametrize("verb", STAGES)
def test_a_stage_that_was_not_begun_tells_nothing(tmp_path, verb):
    assert tell(verb, tmp_path / "none") == Told()
    (tmp_path / "empty").mkdir()
    assert not tell(verb, tmp_path / "empty").charts


def test_losses_are_means_of_a_few_steps_and_measurements_are_as_they_were(tmp_path):
    values = [4.0] * 5 + [3.0] * 10 + [2.0] * 5
    made = rows("sft/loss", values)
    made[0]["sft/held_out_loss"], made[-1]["sft/held_out_loss"] = 5.0, 1.5
    told = tell("sft", run(tmp_path / "a", made))
    assert facts(told) == {"sft/loss": ("4", "2"), "sft/held_out_loss": ("5", "1.5"), "steps": (None, "20")}
    assert [chart.title for chart in told.charts] == ["Loss", "Held-out loss"]
    assert told.warnings == []


def test_accuracies_come_first_for_each_task_and_in_percent(tmp_path):
    made = [{"step": 0, "eval/accuracy": 0.25, "eval/ask/accuracy": 0.5}]
    made += [{"step": 1, "reward/mean": 0.1}, {"step": 2, "eval/accuracy": 0.5, "eval/ask/accuracy": 0.75}]
    told = tell("train", run(tmp_path / "a", made))
    assert [fact.name for fact in told.facts][:2] == ["eval/accuracy", "eval/ask/accuracy"]
    assert facts(told)["eval/ask/accuracy"] == ("50.0%", "75.0%")
    assert facts(told)["reward/mean"] == (None, "0.1")


def test_an_evaluation_a_curation_codes_and_a_model_tell_their_own(tmp_path):
    found = {"metrics": {"eval/reward": 0.3, "eval/accuracy": 0.5, "eval/failed": 0.2}, "protocol": {"prompts": 9}}
    (tmp_path / "metrics.json").write_text(json.dumps(found))
    told = tell("eval", tmp_path)
    assert told.facts[0].last == "50.0%"
    assert facts(told)["prompts"] == (None, "9")
    assert [it.what for it in told.warnings] == ["20% of the responses have no reward, because one failed."]
    counts = {"prompts": 5, "wanted": 10, "answers": 9, "right": 4, "kept": 3, "tokens_in": 1, "tokens_out": 1234}
    curation = counts | {"cost": 0.5, "keep_rate": 1 / 3, "rejected": {"below_math": 5, "unanswered": 1}}
    (tmp_path / "curation.json").write_text(json.dumps(curation))
    told = tell("curate", tmp_path)
    assert facts(told)["kept, share of the answers"] == (None, "33.3%")
    assert facts(told)["tokens out"] == (None, "1,234")
    assert [it.what for it in told.warnings] == ["1 answers are unanswered."]
    assert of_curation(curation | {"keep_rate": 0.01})[-1].what == "Only 1.0% of the answers were kept."
    np.save(tmp_path / "index.npy", np.zeros(1500))
    assert facts(tell("tokenize-images", tmp_path))["pictures"] == (None, "1,500")
    (tmp_path / "config.json").write_text('{"model_type": "mmada", "vocab_size": 134656}')
    assert facts(tell("init-mmada", tmp_path))["model type"] == (None, "mmada")


def test_metrics_that_are_broken_are_said_and_stop_nothing(tmp_path):
    told = tell("sft", run(tmp_path / "a", [{"step": 1}], tail="{broken\n"))
    assert "holds a line that is not JSON" in told.warnings[0].what


def test_the_best_of_an_error_is_the_lowest_and_of_a_likeness_the_highest():
    down, up = ([1, 2, 3], [0.5, 0.1, 0.3]), ([1, 2, 3], [0.3, 0.5, 0.1])
    keys = {"tokenizer/l1": down, "tokenizer/l2": down, "clip/unmatched": down, "clip/matched": up, "clip/accuracy": up}
    found = {**keys, "clip/chance": up}
    rows = [row for verb in ("tokenizer", "clip") for row in of_metrics(verb, found)[0].rows]
    best = {key: told for key, _, told, _ in rows}
    assert {key for key, told in best.items() if told.endswith("(step 2)")} == set(keys)
    assert best["clip/chance"] == ""
