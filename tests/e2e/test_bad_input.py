"""Every bad input is one line that says what, where and what to do; nothing is written, nothing is changed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.e2e.bad_files import FILES
from tests.e2e.runs import EVAL, ONE, PICKY, SFT, TRAIN, metrics, reward_file, run, train_args, weights
from unigrpo.cli.main import main

LOCAL = "cluster.backend=local"
MODEL = ["model.preset=null", "model.vocab_size=512"]


def of_file(name: str, *more: str) -> list[str]:
    return ["data.source=file", "data.size=800", f"data.path={{dir}}/{name}", *more]


def of_reward(spec: str) -> list[str]:
    return [f"rewards.mine.path={{dir}}/{spec}"]


TRAIN_CASES = {
    "key": (["optim.lrr=1"], ["Key 'lrr' not in", "Did you mean: 'lr'?"]),
    "key in yaml": (["{dir}/typo.yaml"], ["optim.lrr", "Did you mean: 'lr'?", "typo.yaml, line 2"]),
    "no yaml": (["{dir}/tyop.yaml"], ["tyop.yaml: no such file", "Did you mean: {dir}/typo.yaml?"]),
    "broken yaml": (["{dir}/broken.yaml"], ["broken.yaml, line", "not valid YAML"]),
    "garbage yaml": (["{dir}/garbage.yaml"], ["garbage.yaml cannot be read"]),
    "type": (["steps=many"], ["steps", "many"]),
    "no data": (of_file("goood.jsonl"), ["goood.jsonl does not exist", "Did you mean {dir}/good.jsonl?"]),
    "no column": (
        of_file("columns.jsonl"),
        ["columns.jsonl line 1", "no column `prompt`", "data.columns.prompt=COLUMN"],
    ),
    "no answer": (of_file("unanswered.jsonl"), ["unanswered.jsonl line 2: `answer` is empty"]),
    "no rows": (of_file("empty.jsonl"), ["empty.jsonl has no rows"]),
    "broken row": (of_file("broken.jsonl"), ["broken.jsonl line 2: broken JSON at column 20"]),
    "row of a list": (of_file("list.jsonl"), ["list.jsonl line 1: found [1, 2] (list)"]),
    "garbage rows": (of_file("garbage.jsonl"), ["garbage.jsonl line 1: not UTF-8 at byte 1"]),
    "garbage parquet": (of_file("garbage.parquet"), ["garbage.parquet: cannot be read as parquet"]),
    "folder of no dataset": (of_file("folder"), ["folder that `datasets` did not save", "Give a file"]),
    "long prompt": (of_file("long.jsonl"), ["long.jsonl line 1: the prompt has 6", "data.max_prompt_length is 512"]),
    "few prompts": (["data.size=2"], ["rollout.prompts_per_step is 3, but the data has 2 prompts"]),
    "group of one": (["rollout.group_size=1"], ["rollout.group_size is 1", "set it to 2 or more"]),
    "steps": (["rollout.steps=3"], ["rollout.steps is 3, no multiple of the 2 blocks"]),
    "blocks": (["rollout.block_length=3"], ["rollout.gen_length is 4, which rollout.block_length=3 does not divide"]),
    "no reward": (["rewards.exactmatch.weight=1"], ["exactmatch is not a reward. Did you mean `exact_match`?"]),
    "no reward file": (of_reward("od.py:nan"), ["there is no file {dir}/od.py. Did you mean {dir}/odd.py?"]),
    "no reward function": (of_reward("odd.py:nam"), ["has no function `nam`. Did you mean `nan`?"]),
    "reward of no syntax": (of_reward("syntax.py:mine"), ["raised SyntaxError", "syntax.py:1"]),
    "reward not importable": (of_reward("importing.py:mine"), ["ModuleNotFoundError", "importing.py:1"]),
    "reward that leaves": (of_reward("leaving.py:mine"), ["raised SystemExit: 3", "leaving.py:2"]),
    "reward raises": (of_reward("odd.py:raises"), ["rewards.mine raised KeyError: 'score' at {dir}/odd.py:3"]),
    "reward is nan": (
        of_reward("odd.py:nan"),
        ["rewards.mine failed on the gold answer of the first prompt, arithmetic-train:1", "its value is nan"],
    ),
    "reward is a list": (of_reward("odd.py:many"), ["rewards.mine returned 2 values (list)", "return one number"]),
    "reward column": (of_reward("odd.py:level"), ["rewards.mine needs `difficulty`", "rewards.mine.args.difficulty"]),
    "no model": ([*MODEL, "model.path={dir}/nowhere"], ["{dir}/nowhere: no such folder. Set model.path"]),
    "folder of no model": ([*MODEL, "model.path={dir}/model"], ["{dir}/model/config.json: no such file"]),
    "tracker": (["tracking.to=[tensorbord]"], ["tracking.to holds 'tensorbord'", "Did you mean: 'tensorboard'?"]),
    "output is a file": (["output={dir}/odd.py"], ["output={dir}/odd.py cannot be written: File exists"]),
    "output in a file": (["output={dir}/odd.py/x"], ["odd.py/x cannot be written: Not a directory"]),
    "output is taken": (["output={dir}/folder"], ["{dir}/folder is not empty and holds no run of ours"]),
    "ray without an address": (["cluster.backend=ray", "cluster.address=nonsense"], ["Ray at nonsense cannot be used"]),
}
SFT_CASES = {
    "no response": (of_file("unanswered.jsonl"), ["unanswered.jsonl line 1: there is no column `response`"]),
    "few rows": (["data.size=7"], ["sft.batch_size is 8, but the data has 7 examples", "set it to 7 or less"]),
    "garbage rows": (of_file("garbage.jsonl"), ["garbage.jsonl line 1: not UTF-8"]),
    "no model": ([*MODEL, "model.path={dir}/nowhere"], ["{dir}/nowhere: no such folder"]),
    "output is a file": (["output={dir}/odd.py"], ["cannot be written: File exists"]),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run, never changed; the settings that made it are `train_args` of its folder."""
    folder = tmp_path_factory.mktemp("trained")
    run(train_args(folder, folder / "run", LOCAL, "steps=2"))
    return folder


@pytest.fixture
def files(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path


@pytest.fixture
def refused(capsys):
    """Runs a verb that must fail as an error of the user's does, and returns its one line."""

    def call(args: list[str], *phrases: str) -> None:
        capsys.readouterr()
        assert main(args) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("unigrpo: error: ")
        assert err.count("\n") == 1
        for phrase in phrases:
            assert phrase in err

    return call


def contents(folder) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def filled(texts: list[str], folder) -> list[str]:
    return [text.replace("{dir}", str(folder)) for text in texts]


@pytest.mark.parametrize("case", TRAIN_CASES)
def test_bad_input_of_train_is_one_line_and_writes_nothing(files, refused, case):
    settings, phrases = TRAIN_CASES[case]
    args = train_args(files, files / "out/run", LOCAL, *filled(settings, files))
    before = contents(files)
    refused(args, *filled(phrases, files))
    assert contents(files) == before
    assert not (files / "out").exists()


@pytest.mark.parametrize("case", SFT_CASES)
def test_bad_input_of_sft_is_one_line_and_writes_nothing(files, refused, case):
    settings, phrases = SFT_CASES[case]
    before = contents(files)
    refused(["sft", *SFT, f"output={files / 'out/run'}", *filled(settings, files)], *filled(phrases, files))
    assert contents(files) == before
    assert not (files / "out").exists()


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "phrase"),
    [
        (cut, "model.safetensors: truncated or corrupt"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "model.safetensors: truncated or corrupt"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json: no such file"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer.json: cannot be read"),
        (lambda folder: (folder / "config.json").write_bytes(b"\xff{"), "config.json: not valid JSON"),
    ],
    ids=["truncated", "emptied", "no tokenizer", "broken tokenizer", "broken config"],
)
@pytest.mark.parametrize("verb", ["train", "sft", "eval", "generate"])
def test_a_damaged_model_is_one_line_and_writes_nothing(trained, tmp_path, refused, verb, damage, phrase):
    shutil.copytree(trained / "run/model", tmp_path / "model")
    damage(tmp_path / "model")
    model, output = [*MODEL, "model.device=cpu", f"model.path={tmp_path / 'model'}"], f"output={tmp_path / 'out'}"
    data = ["data.source=arithmetic", "data.template=plain", "data.size=4"]
    args = {
        "train": train_args(tmp_path, tmp_path / "out", LOCAL, *model),
        "sft": ["sft", *SFT, output, *model],
        "eval": ["eval", output, *model, *data],
        "generate": ["generate", "prompt=1+1=", *model],
    }
    refused(args[verb], str(tmp_path / "model"), phrase)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["eval", "generate"])
@pytest.mark.parametrize("word", ["{dir}/nowhere", "{dir}/empty"])
def test_eval_and_generate_without_a_model_are_one_line(tmp_path, refused, verb, word):
    (tmp_path / "empty").mkdir()
    refused([verb, word.replace("{dir}", str(tmp_path)), *([f"output={tmp_path / 'out'}"] if verb == "eval" else [])])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("damage", "phrase"),
    [
        (cut, "model.safetensors is not the file that was saved"),
        (lambda folder: (folder / "optimizer.safetensors").unlink(), "optimizer.safetensors is missing"),
        (lambda folder: (folder / "state.json").write_text("{"), "state.json is not the file that was saved"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff"), "manifest.json cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "manifest.json cannot be read"),
    ],
    ids=["weights", "optimizer", "state", "manifest", "empty manifest"],
)
def test_a_corrupt_checkpoint_is_one_line_and_changes_nothing(trained, refused, tmp_path, damage, phrase):
    shutil.copytree(trained / "run", tmp_path / "run")
    damage(tmp_path / "run/checkpoint-2")
    before = contents(tmp_path / "run")
    refused(train_args(trained, tmp_path / "run", LOCAL, "steps=4", "--resume"), phrase, "overwrite=true")
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("settings", "phrases"),
    [
        ([], ["already holds a run", "resume=true", "overwrite=true"]),
        (["--resume", "optim.lr=1e-4"], ["cannot go on with other settings: optim.lr was 0.001 and is 0.0001"]),
        (["--resume", "--overwrite"], ["resume and overwrite are both set"]),
        (["--overwrite", "rollout.prompts_per_step=99"], ["rollout.prompts_per_step is 99"]),
        (["--overwrite", "model.path={dir}", *MODEL], ["config.json: no such file"]),
    ],
    ids=["in use", "changed", "both", "overwrite with bad data", "overwrite with a bad model"],
)
def test_an_earlier_run_is_left_as_it_was(trained, tmp_path, refused, settings, phrases):
    before = contents(trained / "run")
    refused(train_args(trained, trained / "run", LOCAL, "steps=2", *filled(settings, tmp_path)), *phrases)
    assert contents(trained / "run") == before


def test_an_evaluation_replaces_no_other_and_appears_whole(trained, tmp_path, refused):
    args = ["eval", str(trained / "run"), f"output={tmp_path / 'eval'}", ONE]
    (tmp_path / "mine.py").write_text(PICKY)
    picky = f"rewards.picky.path={tmp_path / 'mine.py'}:digits"
    refused([*args, picky], "rewards.picky returned inf for rollout eval/")
    assert not (tmp_path / "eval").exists()
    run(args)
    before = contents(tmp_path / "eval")
    refused(args, "already holds a run: add overwrite=true")
    assert contents(tmp_path / "eval") == before


def test_a_reward_that_fails_later_leaves_a_run_that_goes_on(tmp_path, refused):
    args = train_args(tmp_path, tmp_path / "run", LOCAL, "steps=2")
    good = (tmp_path / "mine.py").read_text()
    (tmp_path / "mine.py").write_text(PICKY)
    refused(args, "rewards.digits returned inf for rollout eval/")
    refused(args, "already holds a run: add resume=true")
    (tmp_path / "mine.py").write_text(good)
    # This process has loaded the file, and would not see it corrected.
    subprocess.run([sys.executable, "-m", "unigrpo", *args, "--resume"], check=True, capture_output=True)
    assert (tmp_path / "run/model").is_dir()


@pytest.mark.slow
def test_an_interrupted_run_says_so_in_one_line_and_goes_on_to_the_same_end(trained, tmp_path):
    args = train_args(trained, tmp_path / "run", LOCAL, "steps=30", "checkpoint.every=1")
    # A shell that starts us in the background has interrupts ignored, and children inherit that.
    process = subprocess.Popen(
        [sys.executable, "-m", "unigrpo", *args],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (tmp_path / "run/checkpoint-2").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "unigrpo: interrupted"
    assert "Traceback" not in err
    run(train_args(trained, tmp_path / "run", LOCAL, "steps=30", "checkpoint.every=30", "--resume"))
    run(train_args(trained, tmp_path / "whole", LOCAL, "steps=30", "checkpoint.every=30"))
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_weights_that_explode_stop_the_run_and_leave_what_it_takes_to_see_why(trained, tmp_path, capsys):
    args = train_args(trained, tmp_path / "run", LOCAL, "steps=9", "optim.lr=1e30", "optim.max_skipped=2")
    assert main(args) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "are not finite, nor were those of the 2 before it (optim.max_skipped=2)" in last
    assert f"{tmp_path / 'run/failed'} holds the weights" in last
    left = {path.name for path in (tmp_path / "run/failed").iterdir()}
    assert {"model.safetensors", "optimizer.safetensors", "rollouts.jsonl"} <= left
    step = metrics(tmp_path / "run")[-1]["step"] + 1
    rows = [json.loads(line) for line in (tmp_path / "run/failed/rollouts.jsonl").read_text().splitlines()]
    assert {row["step"] for row in rows} == {step}
    assert not (tmp_path / "run/model").exists()


@pytest.mark.parametrize("name", ["wandb", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_found_before_the_run_exists(tmp_path, name):
    args = train_args(tmp_path, tmp_path / "run", LOCAL, f"tracking.to=[{name}]")
    code = f"import sys; sys.modules[{name!r}] = None; from unigrpo.cli.main import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"tracking.to holds '{name}', which is not installed: pip install" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everywhere")
def test_files_without_permission_are_one_line(files, refused):
    (files / "good.jsonl").chmod(0)
    (files / "folder").chmod(0o500)
    settings = filled(of_file("good.jsonl"), files)
    refused(train_args(files, files / "out", LOCAL, *settings), "good.jsonl cannot be read: permission denied")
    refused(train_args(files, files / "folder/out", LOCAL), "cannot be written: Permission denied")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host:6379", "ray://127.0.0.1:1"])
def test_a_ray_cluster_that_does_not_answer_is_one_line_soon(tmp_path, refused, address):
    args = ["train", *TRAIN, EVAL, reward_file(tmp_path), f"output={tmp_path / 'run'}", f"cluster.address={address}"]
    refused(args, f"Ray at {address} cannot be used", "correct cluster.address, or set cluster.backend=local")
    assert not (tmp_path / "run").exists()


FULL = """
import resource, sys
from unigrpo.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
sys.exit(main(sys.argv[1:]))
"""
"""A process whose disk takes no file above 2 MB."""


@pytest.mark.slow
@pytest.mark.parametrize("background", ["true", "false"])
def test_a_disk_that_is_full_is_one_line_and_what_was_saved_before_is_whole(tmp_path, background):
    settings = ("cluster.backend=local", "steps=6", f"checkpoint.background={background}")
    run(train_args(tmp_path, tmp_path / "run", *settings, "steps=2"))
    shutil.rmtree(tmp_path / "run/model")
    args = [*train_args(tmp_path, tmp_path / "run", *settings), "--resume", "auto"]
    ended = subprocess.run([sys.executable, "-c", FULL, *args], capture_output=True, text=True)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"unigrpo: error: {tmp_path / 'run'}/checkpoint-4.tmp cannot be written: ")
    assert last.endswith("What was saved before is whole: make room, and go on with resume=true.")
    assert sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*")) == ["checkpoint-2"]
    run(args)
    run(train_args(tmp_path, tmp_path / "whole", *settings))
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
