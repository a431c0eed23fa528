"""Pipelines: stages in order, each where an earlier call left it."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml

from unigrpo.cli.main import main
from unigrpo.cli.pipeline_stages import stages_of
from unigrpo.cli.verbs import STAGES as STAGE_VERBS
from unigrpo.cli.verbs import VERBS

SFT = {
    "steps": 2,
    "model": {"preset": "tiny", "vocab_size": 268, "device": "cpu"},
    "data": {"source": "arithmetic", "template": "plain", "size": 16},
    "sft": {"batch_size": 8, "micro_batch": 8, "pad_to": 4},
    "cluster": {"threads": 1},
}
EVAL = {
    "model": {"path": "{first}/model", "device": "cpu"},
    "data": {"source": "arithmetic", "template": "plain", "size": 4, "split": "test"},
    "rollout": {"gen_length": 4, "block_length": 4},
    "rewards": {"exact_match": {"weight": 1.0}},
    "cluster": {"threads": 1},
}
STAGES = {"first": ("sft", SFT), "second": ("eval", EVAL)}


def write(folder: Path, stages=STAGES, name="stages.yaml", **changed) -> str:
    """A pipeline; changed settings are given as `first__optim__lr=1`."""
    plain = {
        name: {"verb": verb, "settings": json.loads(json.dumps(settings))} for name, (verb, settings) in stages.items()
    }
    for path, value in changed.items():
        stage, *keys, last = path.split("__")
        place = plain[stage]["settings"]
        for key in keys:
            place = place.setdefault(key, {})
        place[last] = value
    file = folder / name
    file.write_text(yaml.safe_dump({"output": str(folder / "out"), "stages": plain}, sort_keys=False))
    return str(file)


def pipeline(*args: str) -> None:
    assert main(["pipeline", *args]) == 0


def files(folder: Path, *below: str) -> dict[str, tuple]:
    """What tells that a file was not touched, of every file."""
    places = [folder / name for name in below] or [folder]
    found = [file for place in places for file in place.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.stat().st_ino) for file in found}


def touched(folder: Path, before: dict[str, tuple]) -> set[str]:
    after = files(folder)
    return {name for name in before | after if before.get(name) != after.get(name)}


def records(folder: Path) -> dict:
    return json.loads((folder / "out/stages.json").read_text())


def test_a_second_call_does_nothing_and_touches_no_file_but_the_report(tmp_path, capsys):
    file = write(tmp_path)
    pipeline(file)
    assert (tmp_path / "out/second/table.md").exists()
    assert "| second | eval |" in capsys.readouterr().out
    before, page = files(tmp_path), (tmp_path / "out/report.html").read_bytes()
    pipeline(file)
    assert capsys.readouterr().err.count("done before, unchanged") == 2
    assert touched(tmp_path, before) == {"out/report.html"}
    assert (tmp_path / "out/report.html").read_bytes() == page


def test_a_changed_value_runs_its_stage_and_those_after_it_and_no_other(tmp_path, capsys):
    third = EVAL | {"model": {"path": "{other}/model", "device": "cpu"}}
    stages = {"other": ("sft", SFT | {"seed": 7}), **STAGES, "third": ("eval", third)}
    pipeline(write(tmp_path, stages))
    before = files(tmp_path / "out")
    capsys.readouterr()
    pipeline(write(tmp_path, stages), "stages.first.settings.optim.lr=1e-3")
    said = capsys.readouterr().err
    assert "first: sft -> " in said
    assert "(optim.lr 5e-05 -> 0.001)" in said
    assert "(first made something else)" in said
    changed = {name.split("/")[0] for name in touched(tmp_path / "out", before)}
    assert changed == {"first", "first.yaml", "second", "second.yaml", "stages.json", "report.html"}
    assert records(tmp_path)["first"]["why"] == ["optim.lr 5e-05 -> 0.001"]


def test_a_changed_last_stage_alone_is_run_again(tmp_path):
    pipeline(write(tmp_path))
    before = files(tmp_path / "out", "first")
    pipeline(write(tmp_path, second__limit=3))
    assert files(tmp_path / "out", "first") == before
    assert len((tmp_path / "out/second/samples.jsonl").read_text().splitlines()) == 3


def test_what_changes_nothing_of_the_result_runs_nothing(tmp_path, capsys):
    """Order of keys, comments, where a file lies, and settings on which the weights do not depend."""
    file = write(tmp_path)
    pipeline(file)
    text = Path(file).read_text()
    plain = yaml.safe_load(text)
    for stage in plain["stages"].values():
        stage["settings"] = dict(reversed(stage["settings"].items()))
        stage["settings"]["cluster"] = {"threads": 2}
    plain["stages"]["first"]["settings"]["checkpoint"] = {"keep": 1}
    moved = tmp_path / "moved.yaml"
    moved.write_text("# a comment\n" + yaml.safe_dump(plain, sort_keys=True))
    capsys.readouterr()
    pipeline(str(moved))
    said = capsys.readouterr().err
    assert said.count("done before, unchanged") == 2
    assert "checkpoint.keep 2 -> 1 changes nothing that it makes" in said


def test_a_pipeline_that_was_moved_is_still_done(tmp_path, capsys):
    file = write(tmp_path)
    pipeline(file)
    shutil.copytree(tmp_path / "out", tmp_path / "there")
    capsys.readouterr()
    pipeline(file, f"output={tmp_path / 'there'}")
    assert capsys.readouterr().err.count("done before, unchanged") == 2


def rows(folder: Path, answer: str) -> Path:
    file = folder / "rows.jsonl"
    file.write_text(
        "".join(json.dumps({"prompt": f"{n}+1=", "response": answer, "answer": answer}) + "\n" for n in range(16))
    )
    return file


def test_changed_data_run_the_stage_again_and_data_that_were_only_copied_do_not(tmp_path, capsys):
    data = rows(tmp_path, "1")
    file = write(tmp_path, first__data={"path": str(data), "template": "plain"})
    pipeline(file)
    os.utime(data, (1, 1))
    capsys.readouterr()
    pipeline(file)
    assert capsys.readouterr().err.count("done before, unchanged") == 2
    rows(tmp_path, "2")
    os.utime(data, (1, 1))
    pipeline(file)
    assert "first: sft -> " in (said := capsys.readouterr().err)
    assert "(data.path: the files have changed)" in said


@pytest.mark.parametrize("lost", ["model/model.safetensors", "model", ""])
def test_what_was_deleted_by_hand_is_made_again_and_what_reads_it_is_not(tmp_path, capsys, lost):
    file = write(tmp_path)
    pipeline(file)
    weights = (tmp_path / "out/first/model/model.safetensors").read_bytes()
    place = tmp_path / "out/first" / lost
    place.unlink() if place.is_file() else shutil.rmtree(place)
    capsys.readouterr()
    pipeline(file)
    said = capsys.readouterr().err
    assert "is gone" in said
    assert "second: done before, unchanged" in said
    assert (tmp_path / "out/first/model/model.safetensors").read_bytes() == weights


def test_a_plan_says_what_would_run_and_why_and_does_nothing(tmp_path, capsys):
    file = write(tmp_path)
    pipeline(file, "--plan")
    assert "| first | sft | run | not run before |" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    pipeline(file)
    before = files(tmp_path)
    capsys.readouterr()
    pipeline(file, "stages.first.settings.optim.lr=2e-4", "--plan")
    said = capsys.readouterr().out
    assert "| first | sft | start over | optim.lr 5e-05 -> 0.0002 |" in said
    assert "| second | eval | start over | reads first, which runs |" in said
    pipeline(file, "stages.second.settings.limit=2", "plan=true")
    said = capsys.readouterr().out
    assert "| first | sft | done before | unchanged |" in said
    assert "| second | eval | start over | limit null -> 2 |" in said
    assert touched(tmp_path, before) == set()


def test_stages_can_be_chosen(tmp_path, capsys):
    file = write(tmp_path)
    pipeline(file, "--until", "first")
    assert not (tmp_path / "out/second").exists()
    before = files(tmp_path / "out", "first")
    pipeline(file, "--from=second", "stages.first.settings.seed=3")
    assert (tmp_path / "out/second/table.md").exists()
    assert files(tmp_path / "out", "first") == before
    pipeline(file, "only=[second]", "overwrite=true")
    assert records(tmp_path)["second"]["why"] == ["overwrite=true"]
    assert files(tmp_path / "out", "first") == before
    assert main(["pipeline", file, "--until", "frist"]) == 2
    assert "until names 'frist', which is no stage: those are first, second." in capsys.readouterr().err
    assert main(["pipeline", file, "--until", "first", "--from", "second"]) == 2
    assert "start, until and only leave no stage" in capsys.readouterr().err


def test_an_overlay_adds_a_stage_that_comes_first_and_leaves_one_out(tmp_path, capsys):
    stages = {"second": ("eval", EVAL), "gone": ("sft", SFT)}
    first = {"verb": "sft", "settings": SFT}
    overlay = tmp_path / "more.yaml"
    overlay.write_text(yaml.safe_dump({"stages": {"first": first, "gone": {"skip": True}}}))
    pipeline(write(tmp_path, stages), str(overlay))
    said = capsys.readouterr().err
    assert said.index("first: sft") < said.index("second: eval")
    assert "gone: leave out, skip=true" in said
    assert not (tmp_path / "out/gone").exists()


def test_a_stage_that_was_made_without_a_record_goes_on(tmp_path):
    pipeline(write(tmp_path))
    (tmp_path / "out/stages.json").unlink()
    pipeline(write(tmp_path))
    assert len((tmp_path / "out/first/metrics.jsonl").read_text().splitlines()) == 2


def test_a_stage_that_fails_leaves_word_of_how_to_go_on(tmp_path, capsys):
    data = rows(tmp_path, "1")
    data.write_text(data.read_text() + "{broken\n")
    file = write(tmp_path, second__data={"path": str(data), "template": "plain"})
    assert main(["pipeline", file]) == 2
    said = capsys.readouterr().err
    assert "Stopped in second, stage 2 of 2. What is done stays; the same command runs it again:" in said
    assert f"  unigrpo pipeline {file}\n" in said
    assert '<span class="state cut">cut</span>' in (tmp_path / "out/report.html").read_text()
    rows(tmp_path, "1")
    before = files(tmp_path / "out", "first")
    pipeline(file)
    assert files(tmp_path / "out", "first") == before


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"second__model__path": "{frist}/model"},
            "stages.second refers to {frist}, which is no other stage: those are first.",
        ),
        ({"second__model__path": "{second}/model"}, "stages.second refers to {second}, which is no other stage"),
        ({"first__model__path": "{second}"}, "stages first, second need each other, so that none can be the first."),
        ({"second__data__size": 0}, "stages.second: data.size is 0"),
        ({"second__date": {}}, "stages.second: date: Key 'date' not in 'EvalConfig'"),
        ({"second__output": "here"}, "stages.second.settings holds output, resume or overwrite"),
        ({"second__data": {"path": "no.jsonl"}}, "stages.second.settings.data.path=no.jsonl does not exist"),
    ],
)
def test_a_stage_that_cannot_work_stops_all_before_the_first(tmp_path, capsys, changed, expected):
    assert main(["pipeline", write(tmp_path, **changed)]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_stage_is_given_its_text_and_its_folder_as_they_are_written(tmp_path):
    text = "Say \U0001f600: 'x' # \u2028 \\"
    file = write(tmp_path, {"first": ("sft", SFT)}, first__data__instruction=text)
    config = VERBS["pipeline"].checked([file, f'output="{tmp_path}/a #b: c"'])
    stage = stages_of(config)["first"]
    assert (stage.config.data.instruction, stage.folder) == (text, tmp_path / "a #b: c" / "first")


def test_a_verb_that_is_none_or_no_stage_is_refused(tmp_path, capsys):
    for verb, expected in (("trian", "Did you mean: train?"), ("doctor", f"The verbs are {', '.join(STAGE_VERBS)}.")):
        assert main(["pipeline", write(tmp_path, {"one": (verb, {})})]) == 2
        assert f"stages.one: {verb} is no verb. {expected}" in capsys.readouterr().err
    assert main(["pipeline"]) == 2
    assert "stages is empty" in capsys.readouterr().err
