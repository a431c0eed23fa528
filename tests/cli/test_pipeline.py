"""Pipelines: stages in order, each where an earlier call left it."""

import json

import pytest

from unigrpo.cli.main import main

SFT = """
    steps: 2
    model: {preset: tiny, vocab_size: 268, device: cpu}
    data: {source: arithmetic, template: plain, size: 16}
    sft: {batch_size: 8, micro_batch: 8, pad_to: 4}
    cluster: {threads: 1}
"""
EVAL = """
    model: {path: "{first}/model", device: cpu}
    data: {source: arithmetic, template: plain, size: 4, split: test}
    rollout: {gen_length: 4, block_length: 4}
    cluster: {threads: 1}
"""


def write(folder, first=SFT, second=EVAL, name="first"):
    path = folder / "stages.yaml"
    stages = "\n".join(
        f"  {stage}:\n    verb: {verb}\n    settings: {{{', '.join(filter(None, map(str.strip, text.splitlines())))}}}"
        for stage, verb, text in ((name, "sft", first), ("second", "eval", second))
    )
    path.write_text(f"output: {folder / 'out'}\nstages:\n{stages}\n")
    return str(path)


def done(folder):
    return json.loads((folder / "out/stages.json").read_text())


def test_each_stage_reads_what_an_earlier_one_wrote_and_is_not_done_twice(tmp_path, capsys):
    file = write(tmp_path)
    assert main(["pipeline", file]) == 0
    assert (tmp_path / "out/second/table.md").exists()
    first = done(tmp_path)
    assert "| second | eval |" in capsys.readouterr().out
    assert main(["pipeline", file]) == 0
    assert capsys.readouterr().err.count("done before, unchanged") == 2
    assert done(tmp_path) == first


def test_a_changed_stage_and_those_that_read_it_are_done_again(tmp_path, capsys):
    main(["pipeline", write(tmp_path)])
    before = done(tmp_path)
    capsys.readouterr()
    main(["pipeline", write(tmp_path, second=EVAL.replace("size: 4", "size: 5"))])
    assert capsys.readouterr().err.count("done before, unchanged") == 1
    main(["pipeline", write(tmp_path, first=SFT.replace("steps: 2", "steps: 3"))])
    after = done(tmp_path)
    assert all(before[name]["digest"] != after[name]["digest"] for name in ("first", "second"))
    assert len((tmp_path / "out/first/metrics.jsonl").read_text().splitlines()) == 3


def test_a_stage_that_was_cut_goes_on(tmp_path, capsys):
    assert main(["pipeline", write(tmp_path)]) == 0
    (tmp_path / "out/stages.json").unlink()
    assert main(["pipeline", write(tmp_path)]) == 0
    assert len((tmp_path / "out/first/metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (
            EVAL.replace("{first}", "{frist}"),
            "stages.second refers to {frist}, which is no earlier stage: those are first",
        ),
        (EVAL.replace("{first}", "{second}"), "stages.second refers to {second}, which is no earlier stage"),
        (EVAL.replace("size: 4", "size: 0"), "stages.second: data.size is 0"),
        (EVAL.replace("data:", "date:"), "stages.second: date: Key 'date' not in 'EvalConfig'"),
        (EVAL + "    output: here\n", "stages.second.settings holds output, resume or overwrite"),
    ],
)
def test_a_stage_that_cannot_work_stops_all_before_the_first(tmp_path, capsys, second, expected):
    assert main(["pipeline", write(tmp_path, second=second)]) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_verb_that_is_none_is_refused(tmp_path, capsys):
    path = tmp_path / "p.yaml"
    path.write_text("stages: {one: {verb: trian}}\n")
    assert main(["pipeline", str(path)]) == 2
    assert "stages.one: trian is no verb. Did you mean: train?" in capsys.readouterr().err
    assert main(["pipeline"]) == 2
    assert "stages is empty" in capsys.readouterr().err
