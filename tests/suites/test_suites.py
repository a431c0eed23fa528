import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.e2e.runs import ONE, run
from tests.suites.conftest import SMALL
from unigrpo.cli.main import main
from unigrpo.cli.suites import shipped
from unigrpo.config import EvalConfig
from unigrpo.config.check import check_eval
from unigrpo.config.files import shipped_configs
from unigrpo.config.load import load_config

GSM8K = [{"question": f"{n}+{n}=", "answer": f"so\n#### {2 * n}"} for n in range(5)]
QUESTIONS = [
    {
        "question": f"{n}+1=",
        "choices": [str(n), str(n + 1), "7", "a cat"],
        "answer": 1,
        "subject": ("even", "odd")[n % 2],
    }
    for n in range(2, 8)
]


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_suite_can_be_used_and_says_where_its_data_are(name):
    file = shipped_configs() / "suites" / f"{name}.yaml"
    config = load_config(EvalConfig, [str(file), "model.path=m"])
    draws = config.data.task != "text"
    check_eval(load_config(EvalConfig, [str(file), "model.path=m", *["model.image_tokenizer.path=v"] * draws]))
    assert config.protocol == name
    assert config.get
    assert file.read_text().startswith(f"# unigrpo eval MODEL --suite {name} ")


def test_a_suite_runs_on_a_local_file_and_tells_what_was_changed(evaluated, written, capsys):
    path = written("gsm8k/test.jsonl", *GSM8K)
    found, rows = evaluated("--suite", "gsm8k", f"data_root={path.parents[1]}", "limit=4", *SMALL)
    assert found["protocol"]["protocol"] == "gsm8k"
    assert found["protocol"]["changed"] == {
        "limit": 4, "rollout.gen_length": 4, "rollout.block_length": 4, "rollout.steps": 2
    }  # fmt: skip
    assert found["protocol"]["data"]["instruction"] == "think"
    assert [row["answer"] for row in rows] == ["0", "2", "4", "6"]
    assert set(found["intervals"]) == set(found["metrics"])
    assert "image" not in found["protocol"]
    said, shown = capsys.readouterr()
    assert f"Evaluation 4/4  eval/accuracy {found['metrics']['eval/accuracy']:.4g}" in shown
    assert "| eval/accuracy |" in said
    assert '| protocol | "gsm8k" |' in said
    assert '| data.instruction | "think" |' in said


def test_several_suites_have_a_folder_each_and_one_table(sft, written, tmp_path, capsys):
    root = written("gsm8k/test.jsonl", *GSM8K).parents[1]
    written("countdown/countdown_cd3_test.jsonl", {"input": "1,2,3", "output": "6"})
    own = ["gsm8k.limit=4", "--countdown.samples=2", "countdown.rollout.temperature=1"]
    args = [
        "eval",
        str(sft),
        "--suite=gsm8k,countdown",
        f"data_root={root}",
        *SMALL,
        *own,
        f"output={tmp_path / 'out'}",
    ]
    run(args)
    table = capsys.readouterr().out.rpartition("| suite |")[2]
    assert "| gsm8k | 4 | eval/accuracy |" in table
    assert "| limit, rollout.gen_length, rollout.block_length, rollout.steps |" in table
    assert "| countdown | 1 | eval/accuracy |" in table
    assert (tmp_path / "out/suites.md").read_text() in f"| suite |{table}"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"gsm8k", "countdown", "suites.md"}
    assert main(args) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_a_suite_that_names_a_model_of_its_own_is_answered_by_it(sft, written, tmp_path):
    path = written("sums.jsonl", *({"prompt": f"{n}+1=", "answer": str(n + 1)} for n in range(4)))
    other = shutil.copytree(sft / "model", tmp_path / "other")
    weights = load_file(other / "model.safetensors")
    save_file({name: tensor.flip(0) for name, tensor in weights.items()}, other / "model.safetensors", {"format": "pt"})
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"protocol: {name}\ndata: {{path: {path}, template: plain}}\n")
    files = [str(tmp_path / f"{name}.yaml") for name in ("one", "two")]
    run(
        ["eval", str(sft), "--suite", ",".join(files), f"two.model.path={other}", *SMALL, f"output={tmp_path / 'both'}"]
    )
    run(["eval", "--suite", files[1], f"model.path={other}", *SMALL, f"output={tmp_path / 'alone'}"])
    answered = (tmp_path / "both/two/samples.jsonl").read_bytes()
    assert answered == (tmp_path / "alone/samples.jsonl").read_bytes()
    assert answered != (tmp_path / "both/one/samples.jsonl").read_bytes()


def test_tasks_of_files_are_told_apart(evaluated, written, tmp_path):
    sums = written("sums.jsonl", *({"prompt": f"{n}+1=", "answer": str(n + 1), "subject": "sum"} for n in range(4)))
    picked = written("picked.jsonl", *QUESTIONS)
    (tmp_path / "both.yaml").write_text(f"""
tasks:
  sums: {{data: {{path: {sums}, template: plain}}, rewards: {{exact_match: {{}}}}, categories: [subject],
    rollout: {{gen_length: 4, block_length: 4}}}}
  pick: {{data: {{path: {picked}, template: plain, layout: choices}}, categories: [subject],
    likelihood: {{samples: 2}}}}
""")
    found, rows = evaluated("--suite", str(tmp_path / "both.yaml"), ONE)
    assert [row["task"] for row in rows] == ["sums"] * 4 + ["pick"] * 6
    accuracies = [found["metrics"][f"eval/{name}accuracy"] for name in ("sums/", "pick/", "")]
    assert accuracies[2] == pytest.approx((accuracies[0] + accuracies[1]) / 2)
    table = (tmp_path / "eval/table.md").read_text()
    assert "| sums/subject | prompts |" in table
    assert "| pick/subject | prompts |" in table


def test_suites_that_would_be_in_one_folder_are_refused(sft, written, tmp_path, capsys):
    path = written("sums.jsonl", {"prompt": "1+1=", "answer": "2"})
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"protocol: same\ndata: {{path: {path}, template: plain}}\n")
    files = ",".join(str(tmp_path / f"{name}.yaml") for name in ("one", "two"))
    assert main(["eval", str(sft), "--suite", files, *SMALL, f"output={tmp_path / 'out'}"]) == 2
    assert f"--suite names several that would be in {tmp_path / 'out/same'}" in capsys.readouterr().err


def test_an_own_yaml_is_a_suite_too(evaluated, written, tmp_path):
    path = written("rows.jsonl", {"prompt": "1+1=", "answer": "2"})
    (tmp_path / "mine.yaml").write_text(f"protocol: mine\ndata: {{path: {path}, template: plain}}\n")
    (tmp_path / "own.py").write_text("def any(response):\n    return 1\n")
    own = f"rewards.any.path={tmp_path / 'own.py'}:any"
    found, _ = evaluated("--suite", str(tmp_path / "mine.yaml"), *SMALL, own, f"data.path={path}")
    assert found["protocol"]["protocol"] == "mine"
    assert "rewards.any.path" in found["protocol"]["changed"]
    assert "data.path" not in found["protocol"]["changed"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--suite", "gsmk"], "--suite gsmk is not there. Did you mean: gsm8k? There are arc, clevr,"),
        (["--suite"], "--suite names none: there are arc,"),
        (["--suite", "gsm8k"], "gsm8k/test.jsonl does not exist, which the suite gsm8k reads. It is test.jsonl of g"),
        (["--suite", "gsm8k"], "data.subset=main. Set data.path=FILE, or data_root=FOLDER."),
        (["--suite", "gsm8k,arc", "--arc.limit", "3"], "--arc.limit is of one suite: write it as arc.limit=VALUE."),
        (["data_root=x"], "data_root is 'x', but it is where --suite NAME finds its data: set data.path instead."),
        (["--suite", "mmlu", "samples=2"], "samples is 2, but likelihood has one answer for each prompt"),
        (["--suite", "mmlu", "rollout.threshold=0.9"], "rollout.threshold is set, but likelihood compares choices"),
        (["--suite", "mmlu", "rewards.math.weight=1"], "rewards is set, but likelihood compares choices"),
        (["--suite", "gsm8k", "drawings=wise"], "drawings is wise, but data.task=text draws nothing"),
        (["--suite", "mmlu", "solved=math"], "solved is 'math', which is not among the rewards: likelihood, likeli"),
        (["--suite", "gsm8k", "data.delimiter=x"], "data.delimiter is 'x', but it is only used with data.shots and"),
        (["--suite", "math500", "categories=[level,level]"], "categories names a column twice: level, level."),
    ],
)  # fmt: skip
def test_a_wrong_call_says_what_to_do(args, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["eval", *args, "model.path=m"]) == 2
    assert words in capsys.readouterr().err


def test_the_likeliest_choice_is_the_answer_and_categories_are_told_apart(evaluated, written, tmp_path):
    path = written("mmlu/test.jsonl", *QUESTIONS)
    written("mmlu/dev.jsonl", *QUESTIONS, *QUESTIONS)
    args = ["--suite", "mmlu", f"data_root={path.parents[1]}", "data.shots.count=1", "likelihood.samples=4", ONE]
    found, rows = evaluated(*args)
    assert [row["answer"] for row in rows] == ["B"] * 6
    for row in rows:
        said = row["notes"]["likelihood"].split()
        values = dict(zip(said[::2], map(float, said[1::2]), strict=True))
        assert row["output"] == max(values, key=values.__getitem__)
        assert row["parts"]["likelihood"] == (row["output"] == "B")
    even, odd = found["categories"]["subject"]
    assert (even["subject"], even["prompts"], odd["subject"], odd["prompts"]) == ("even", 3, "odd", 3)
    assert found["metrics"]["eval/accuracy"] == pytest.approx((even["accuracy"] + odd["accuracy"]) / 2)
    assert found["protocol"]["likelihood"]["of"] == "letter"
    assert (tmp_path / "eval/table.png").stat().st_size > 1000
    assert "| subject | prompts | accuracy | accuracy from | accuracy to |" in (tmp_path / "eval/table.md").read_text()


def test_an_evaluation_by_likelihood_depends_on_the_seed_and_not_on_its_batches(evaluated, written):
    path = written("arc/test.jsonl", *QUESTIONS)
    args = ["--suite", "arc", f"data.path={path}", "likelihood.samples=6", ONE]
    _, rows = evaluated(*args)
    for name, setting in (("b", "likelihood.batch_size=5"), ("c", "likelihood.batch_size=1000")):
        assert [row["output"] for row in evaluated(*args, setting, name=name)[1]] == [row["output"] for row in rows]
    _, other = evaluated(*args, "seed=1", name="d")
    assert [row["notes"] for row in other] != [row["notes"] for row in rows]
    assert [row["notes"] for row in evaluated(*args, name="e")[1]] == [row["notes"] for row in rows]


def test_a_category_that_is_no_column_is_named(sft, written, capsys, tmp_path):
    path = written("rows.jsonl", {"prompt": "1+1=", "answer": "2", "level": 3})
    args = [f"data.path={path}", "data.template=plain", "categories=[topic]", *SMALL]
    assert main(["eval", f"model.path={sft / 'model'}", *args, f"output={tmp_path / 'x'}"]) == 2
    assert "rows:1: categories names 'topic', but its other columns are: level" in capsys.readouterr().err


def test_a_config_of_a_finished_suite_repeats_it(evaluated, written, tmp_path):
    path = written("gsm8k/test.jsonl", *GSM8K)
    found, rows = evaluated("--suite", "gsm8k", f"data.path={path}", *SMALL)
    run(["eval", str(tmp_path / "eval/config.yaml"), f"output={tmp_path / 'again'}"])
    assert (tmp_path / "again/samples.jsonl").read_bytes() == (tmp_path / "eval/samples.jsonl").read_bytes()
    again = json.loads((tmp_path / "again/metrics.json").read_text())
    assert again["intervals"] == found["intervals"]
    assert Path(tmp_path / "again/table.md").exists()
    assert rows


def test_an_empty_choice_is_found_before_any_is_compared(sft, written, tmp_path, capsys):
    row = QUESTIONS[0]
    path = written("arc.jsonl", *[row] * 20, row | {"choices": ["3", "", "5", "6"]})
    args = ["--suite", "arc", f"data.path={path}", "likelihood.samples=1", ONE, f"output={tmp_path / 'out'}"]
    assert main(["eval", str(sft), *args]) == 2
    said = capsys.readouterr().err
    assert "arc:21: a choice is empty: ['3', '', '5', '6']. Fill it, or remove the row." in said
    assert "Evaluation" not in said
