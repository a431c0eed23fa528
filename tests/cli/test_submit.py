import functools
import http.server
import os
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest
import yaml

from actors import jobs
from unigrpo.cli import packages, submit, submit_files
from unigrpo.cli.main import main
from unigrpo.cli.submit_files import DEFAULT_EXCLUDES, gather, stage
from unigrpo.cli.submit_paths import Places, for_job
from unigrpo.cli.verbs import VERBS
from unigrpo.config.load import load_config, to_yaml

SCRIPTS = packages.HOME / "scripts/ray"
TINY = ["model.preset=tiny", "data.source=arithmetic"]
MINE = ["rewards.mine.path=mine.py:mine"]
REWARD = "def mine(response, scale=1):\n    return float(len(response))\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder with a reward, beside a folder that does not travel."""
    root = tmp_path / "work"
    write(root / "mine.py", REWARD)
    write(tmp_path / "elsewhere/data.jsonl", "{}\n")
    monkeypatch.chdir(root)
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return root


def write(path: Path, content: str | int = 1) -> Path:
    """A text file, or one of so many bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"0" * content if isinstance(content, int) else content.encode())
    return path


def upload(folder, *excludes, output="runs/train"):
    return gather(folder, excludes, folder / output)


def job_config(folder, verb, *args):
    """The settings that a job would get, and what the user is told of them."""
    config = VERBS[verb].checked(list(args))
    places = Places(upload(folder, output=config.output))
    return for_job(config, places), list(places.notes.values())


def test_what_can_be_made_again_weights_and_keys_stay_behind(folder):
    kept = ["a.py", "data/rows.jsonl", "data/small.parquet", "pkg/runs/of_mine.py"]
    left = [
        *(".git/HEAD", ".venv/bin/python", "pkg/__pycache__/a.pyc", "wandb/x/log", "runs/a/metrics.jsonl"),
        *("model/model.safetensors", "w.pt", "w.bin", "old/checkpoint-2/x.json", ".env", ".ruff_cache/x"),
    ]
    for name in kept + left:
        write(folder / name)
    write(folder / "data/large.parquet", submit_files.LARGE_TABLE + 1)
    found = upload(folder)
    assert sorted(found.files) == sorted([*kept, "mine.py"])
    assert {"data/large.parquet", "runs/", ".git/", ".env"} <= set(found.left_out)
    assert found.summary().startswith(f"5 files, {sum(found.files.values()) / 1e6:.3g} MB, of {folder}, without ")


def test_ignore_files_and_patterns_leave_out_and_take_back_as_git_reads_them(folder):
    for name in ("a/keep.txt", "a/drop.txt", "b/drop.txt", "secret.txt", "small.pt", "out/of/run.txt"):
        write(folder / name)
    write(folder / ".gitignore", "secret.txt\n")
    write(folder / "a/.rayignore", "/drop.txt\n")
    names = set(upload(folder, "!small.pt", "/b/", output="out/of").files)
    assert names == {"mine.py", "a/keep.txt", "small.pt"}


def test_what_is_staged_is_what_was_counted_and_links_bring_what_they_lead_to(folder, tmp_path):
    write(folder / "w.pt")
    write(folder / "pkg/a.py", "x = 1\n")
    write(folder / ".gitignore", "*.py\n!mine.py\n!a.py\n")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "pkg/round").symlink_to(folder)
    found = upload(folder)
    staged = tmp_path / "staged"
    staged.mkdir()
    stage(found, staged, {"job.yaml": "steps: 1\n"})
    files = {path.relative_to(staged).as_posix(): path.read_text() for path in staged.rglob("*") if path.is_file()}
    expected = {"mine.py": REWARD, "pkg/a.py": "x = 1\n", "linked/data.jsonl": "{}\n", "job.yaml": "steps: 1\n"}
    assert files == expected
    assert set(found.files) | {"job.yaml"} == set(files)


def test_too_much_names_the_three_largest_files(folder, monkeypatch):
    monkeypatch.setattr(submit_files, "MAX_BYTES", 5000)
    for index, size in enumerate((1000, 4000, 3000, 2000)):
        write(folder / f"f{index}", size)
    with pytest.raises(ValueError, match=r"The largest are f1 \(0\.0 MB\), f2 \(0\.0 MB\), f3 \(0\.0 MB\): leave"):
        upload(folder).check()
    upload(folder, "/f1", "/f2").check()


def test_a_home_folder_is_refused_before_it_is_walked_to_the_end(folder, monkeypatch):
    monkeypatch.setattr(submit_files, "MAX_FILES", 3)
    for index in range(9):
        write(folder / str(index))
    with pytest.raises(ValueError, match="holds more than 3 files to upload: name a smaller --working-dir"):
        upload(folder)


@pytest.mark.parametrize("name", ["rewards.py", "actors/__init__.py", "unigrpo.py"])
def test_a_file_that_would_hide_a_package_on_the_cluster_is_refused(folder, name):
    write(folder / name)
    with pytest.raises(ValueError, match=f"{name} would hide the package '{name.split('.')[0].split('/')[0]}'"):
        upload(folder).check()
    top = name.split("/")[0]
    upload(folder, f"/{top}").check()


def test_a_checkout_of_unigrpo_travels_whole_so_that_the_job_runs_its_code(folder):
    for name in ("unigrpo", *packages.PACKAGES):
        write(folder / name / "__init__.py", "")
    found = upload(folder)
    found.check()
    assert found.is_checkout
    assert not upload(folder, "/rewards/").is_checkout


def test_paths_that_travel_stay_relative_and_others_become_absolute_with_a_note(folder, tmp_path):
    write(folder / "data/rows.jsonl")
    write(folder / "model/config.json")
    write(folder / "model/model.safetensors")
    write(folder / "clip/config.json")
    config, notes = job_config(
        folder,
        "train",
        "model.path=model",
        f"data.path={folder}/data/rows.jsonl",
        "eval.data.path=../elsewhere/data.jsonl",
        *MINE,
        "rewards.clip.args.model=clip",
        "rewards.clip.args.device=cpu",
        "output=runs/x",
    )
    elsewhere = f"{tmp_path}/elsewhere/data.jsonl"
    assert config.output == f"{folder}/runs/x"
    assert config.model.path == f"{folder}/model"
    assert config.data.path == "data/rows.jsonl"
    assert config.eval.data.path == elsewhere
    assert config.rewards["mine"].path == "mine.py:mine"
    assert config.rewards["clip"].args == {"model": "clip", "device": "cpu"}
    assert notes == [
        f"model.path is not uploaded: the cluster must have it at {folder}/model",
        f"eval.data.path is not uploaded: the cluster must have it at {elsewhere}",
    ]


def test_paths_are_those_of_where_one_is_and_not_of_the_folder_that_travels(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, notes = job_config(folder, "train", *TINY, "rewards.mine.path=work/mine.py:mine", "output=out")
    assert config.rewards["mine"].path == "mine.py:mine"
    assert config.output == f"{tmp_path}/out"
    assert notes == []


def test_every_task_and_the_picture_settings_are_moved(folder, tmp_path):
    task = (
        "{data: {task: image, path: ../elsewhere/data.jsonl, image_root: pics}, rewards: {mine: {path: mine.py:mine}}}"
    )
    write(folder / "pics/a.png")
    config, notes = job_config(
        folder, "train", "model.path=/on/the/cluster", f"tasks={{draw: {task}}}", "model.image_tokenizer.path=/vq"
    )
    assert config.tasks["draw"].data.path == f"{tmp_path}/elsewhere/data.jsonl"
    assert config.tasks["draw"].data.image_root == "pics"
    assert [note.split()[0] for note in notes] == ["model.path", "model.image_tokenizer.path", "tasks.draw.data.path"]


def test_the_settings_that_are_sent_are_read_back_as_they_were(folder):
    config, _ = job_config(folder, "train", *TINY, *MINE, "data.instruction=${x} 'y' \"z\"".replace("${x}", "a: b #"))
    (folder / "sent.yaml").write_text(to_yaml(config))
    assert load_config(type(config), ["sent.yaml"]) == config


def pipeline_file(folder, path):
    stages = {
        "sft": {"verb": "sft", "settings": {"model": {"preset": "tiny"}, "data": {"path": path}}},
        "rl": {
            "verb": "train",
            "files": ["rl.yaml"],
            "settings": {"model": {"path": "{sft}/model"}, "data": {"source": "arithmetic"}},
        },
    }
    (folder / "rl.yaml").write_text("rewards: {mine: {path: 'mine.py:mine'}}\n")
    (folder / "p.yaml").write_text(yaml.safe_dump({"output": "runs/p", "stages": stages}, sort_keys=False))


def test_a_pipeline_travels_as_it_is_written_with_an_absolute_output(folder):
    write(folder / "rows.jsonl")
    pipeline_file(folder, "rows.jsonl")
    config, notes = job_config(folder, "pipeline", "p.yaml")
    assert config.output == f"{folder}/runs/p"
    assert config.stages == VERBS["pipeline"].checked(["p.yaml"]).stages
    assert notes == []


def test_a_path_of_a_stage_that_the_job_would_not_find_is_refused(folder, tmp_path):
    pipeline_file(folder, "../elsewhere/data.jsonl")
    with pytest.raises(ValueError, match=f"stages.sft.data.path is .* write '{tmp_path}/elsewhere/data.jsonl'"):
        job_config(folder, "pipeline", "p.yaml")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["tarin", "a.yaml"], "tarin is no verb. Did you mean: train?"),
        (["generate"], "generate is no verb. The verbs are train, sft, eval, tokenizer, clip, pipeline."),
        (["--adress", "x"], "--adress is no option of submit. Did you mean: --address?"),
        (["sft", "--nowait"], "--nowait is no option of submit. Did you mean: --no-wait?"),
        (["--address"], "--address has no value: write --address=VALUE."),
        (["--no-wait=yes"], "--no-wait=yes: --no-wait takes no value."),
        (["--entrypoint-cpus=-1"], "--entrypoint-cpus is '-1': write a number of 0 or more."),
        (["--stop-seconds", "soon"], "--stop-seconds is 'soon': write a number of 0 or more."),
        ([*TINY, "stepz=3"], "stepz: Key 'stepz' not in 'TrainConfig'. Did you mean: 'steps'?"),
        ([*TINY, "rewards.maths.weight=1"], "rewards.maths is not a reward. Did you mean `math`?"),
        ([*TINY, "rewards.mine.path=mine.py:mime"], "rewards.mine.path: mine.py has no function `mime`. Did you mean"),
        (
            [*TINY, "rewards.mine.path=mime.py:mine"],
            "rewards.mine.path: there is no file mime.py. Did you mean",
        ),
        ([*TINY, *MINE, "rewards.mine.args.scael=2"], "rewards.mine.args.scael: `mine` takes no `scael`. Did you mean"),
        (
            [*TINY, *MINE, "cluster.address=h:1"],
            "cluster.address is 'h:1', but a job uses the cluster it is submitted to",
        ),
        (["model.path=nowhere", "data.source=arithmetic", *MINE], "model.path is 'nowhere', and there is no /"),
        ([*TINY[:1], "data.path=rows.jsonl", *MINE], "data.path is 'rows.jsonl', and there is no /"),
        ([*TINY, *MINE, "--working-dir=nowhere"], "--working-dir is"),
        ([*TINY, *MINE, "--env", "NO_SUCH_KEY"], "--env NO_SUCH_KEY is not set here: export it first"),
        ([*TINY, *MINE, "--address", "127.0.0.1:8265"], "--address is '127.0.0.1:8265': write http://HOST:8265"),
        ([*TINY, *MINE, "--address=http://127.0.0.1:1"], "http://127.0.0.1:1 does not answer ("),
    ],
)
def test_a_mistake_is_one_line_and_2_and_nothing_is_uploaded(capsys, args, expected):
    assert main(["submit", *args]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith(f"unigrpo: error: {expected}"), found.err
    assert found.err.count("\n") == 1


@pytest.fixture
def other_server(folder):
    """A web server that is not Ray's; what it was asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code="-", size="-"):
            asked.append((self.command, self.path))

        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_another_server_is_asked_what_it_is_and_gets_nothing(other_server, capsys):
    address, asked = other_server
    assert main(["submit", *TINY, *MINE, "--address", address]) == 2
    assert f"{address} answers, but not as Ray's job server does" in capsys.readouterr().err
    assert asked == [("GET", "/api/version")]


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch, capsys):
    monkeypatch.setattr(jobs, "KNOCK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert main(["submit", *TINY, *MINE, "--address", address]) == 2
    assert f"{address} does not answer (timed out)" in capsys.readouterr().err


def test_options_are_taken_out_from_between_the_settings_of_the_verb():
    words = [
        "--address",
        "http://a:1/",
        "sft",
        "a.yaml",
        "--env=A",
        "--optim.lr",
        "1",
        "--no-wait",
        "--env",
        "B",
        "steps=3",
    ]
    options, rest = submit.parse(words)
    assert rest == ["sft", "a.yaml", "--optim.lr", "1", "steps=3"]
    assert (options.address, options.env, options.no_wait) == ("http://a:1", ["A", "B"], True)


def test_the_address_comes_from_where_rays_own_commands_take_it(monkeypatch):
    assert submit.parse([])[0].address == "http://127.0.0.1:8265"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert submit.parse([])[0].address == "http://127.0.0.1:8265"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://10.0.0.1:8265")
    assert submit.parse([])[0].address == "http://10.0.0.1:8265"
    assert submit.parse(["--address=http://b:2"])[0].address == "http://b:2"


def test_only_named_variables_travel(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "hidden")
    monkeypatch.setenv("HF_TOKEN", "hidden too")
    assert submit._variables(submit.parse([])[0]) == {"RAY_JOB_STOP_WAIT_TIME_S": "120"}
    found = submit._variables(submit.parse(["--env", "HF_TOKEN", "--stop-seconds=9"])[0])
    assert found == {"RAY_JOB_STOP_WAIT_TIME_S": "9", "HF_TOKEN": "hidden too"}


@pytest.mark.parametrize(
    ("status", "code", "expected", "said"),
    [
        ("SUCCEEDED", 0, 0, ""),
        ("FAILED", 2, 2, "job j ended with exit status 2."),
        ("FAILED", -9, 137, "job j ended with exit status 137."),
        ("FAILED", 127, 127, "job j found no `python` on the head: start Ray from unigrpo's environment."),
        ("FAILED", None, 1, "job j failed before it ran or was lost: a reason"),
        ("STOPPED", None, 143, "job j was stopped; the end of its log says whether the run is saved."),
    ],
)
def test_the_exit_status_is_the_runs(status, code, expected, said):
    from ray.job_submission import JobDetails

    details = JobDetails(  # pyright: ignore[reportCallIssue] - pydantic's defaults
        type="SUBMISSION", submission_id="j", status=status, entrypoint="", driver_exit_code=code, message="a\nreason"
    )
    assert jobs.ending(details) == (expected, said)


@pytest.mark.parametrize(
    ("host", "warned"),
    [("127.0.0.1", False), ("localhost", False), ("[::1]", False), ("10.0.0.5", True), ("head.example", True)],
)
def test_an_address_that_others_reach_too_is_warned_about(folder, capsys, host, warned):
    options = submit.Options(address=f"http://{host}:8265")
    submit._tell(options, VERBS["train"].checked([*TINY, *MINE]), "", Places(upload(folder)), "")
    assert ("warning: whoever reaches http://" in capsys.readouterr().err) == warned


def test_a_key_that_wandb_would_miss_is_mentioned(folder, capsys):
    config = VERBS["train"].checked([*TINY, *MINE, "tracking.to=[wandb]"])
    for options, noted in ((submit.Options(), True), (submit.Options(env=["WANDB_API_KEY"]), False)):
        submit._tell(options, config, "", Places(upload(folder)), "")
        assert ("wandb is offline unless the cluster has a key" in capsys.readouterr().err) == noted


def test_help_explains_every_option(capsys):
    assert main(["submit", "--help"]) == 0
    shown = capsys.readouterr().out
    for option in submit.OPTIONS:
        assert f"  {option} " in shown
    for verb in submit.JOBS:
        assert verb in shown


@pytest.mark.parametrize("name", ["head.sh", "worker.sh", "submit.sh", "slurm.sbatch"])
def test_scripts_are_valid_shell(name):
    assert subprocess.run(["bash", "-n", SCRIPTS / name], capture_output=True, text=True).stderr == ""


def test_the_example_of_a_runtime_environment_leaves_out_only_what_submit_does_too():
    found = yaml.safe_load((SCRIPTS / "runtime_env.yaml").read_text())
    assert set(found["excludes"]) - {"*.parquet"} <= set(DEFAULT_EXCLUDES)
    assert found["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"] == str(submit.Options().stop_seconds)


def test_the_kubernetes_manifest_is_a_job_that_ends_runs_unprivileged_and_keeps_its_run():
    job, *others = yaml.safe_load_all((SCRIPTS / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert [other["kind"] for other in others] == ["PersistentVolumeClaim", "NetworkPolicy"]
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert cluster["authOptions"] == {"mode": "token"}
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    for pod in (*pods, spec["submitterPodTemplate"]["spec"]):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {"requests", "limits"} == set(pod["containers"][0]["resources"])
    for pod in pods:
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == others[0]["metadata"]["name"]
        assert spec["entrypoint"].split("output=")[1].startswith(pod["containers"][0]["volumeMounts"][0]["mountPath"])


COMMAND = re.compile(r"(?:python -m )?unigrpo (train|sft|eval|submit|doctor)\b([^\n`|;#()]*)")


def commands():
    """Every command of ours that a script, a manifest or the page about clusters shows."""
    for path in [*SCRIPTS.iterdir(), packages.HOME / "docs/cluster.md"]:
        text = path.read_text().replace("\\\n", " ")
        for verb, rest in COMMAND.findall(text):
            if verb != "doctor" and "--help" not in rest:
                yield pytest.param(verb, rest, id=f"{path.name}: {verb}{rest}"[:70])


@pytest.mark.parametrize(("verb", "words"), list(commands()))
def test_every_command_that_is_shown_is_one_that_the_command_line_takes(folder, verb, words):
    write(folder / "my.yaml", "model: {preset: tiny}\ndata: {source: arithmetic}\nrewards: {math: {}}\n")
    write(folder / "run.yaml", (folder / "my.yaml").read_text())
    plain = re.sub(r"\$(\{[^}]*\}|\w+)", "X", words.replace('"$@"', "")).replace('"', "")
    shown = [word for word in plain.partition(" &")[0].split() if not re.search(r"[\[\]]|\.\.\.", word)]
    args = [Path(word).name if word.startswith("/") else word for word in shown]
    if verb == "submit":
        args = submit.parse(args)[1]
        verb, args = submit._verb(args)
    if not any(arg.endswith(".yaml") for arg in args):
        args = ["my.yaml", *args]
    assert VERBS[verb].checked(args) is not None


def test_the_image_has_the_user_that_the_manifest_runs_as_and_copies_what_there_is():
    text = (SCRIPTS / "Dockerfile").read_text()
    assert "USER ray" in text
    assert "--uid 1000" in text
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (packages.HOME / name).exists()


def test_a_worker_says_at_once_that_there_is_no_head(tmp_path):
    found = subprocess.run(
        [SCRIPTS / "worker.sh", "127.0.0.1:1"], env=os.environ | {"WAIT_SECONDS": "1"}, capture_output=True, text=True
    )
    assert found.returncode == 2
    assert found.stderr.startswith("worker.sh: 127.0.0.1:1 does not answer: is head.sh running there")
