"""A verb as a job: its options, its mistakes, and what is said of it."""

import functools
import http.server
import socket
import threading

import pytest

from actors import jobs
from tests.cli.submit.jobs import MINE, TINY, upload
from unigrpo.cli import submit
from unigrpo.cli.main import main
from unigrpo.cli.submit_paths import Places
from unigrpo.cli.verbs import JOBS, STAGES, VERBS
from unigrpo.config.load import flatten


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["tarin", "a.yaml"], "tarin is no verb. Did you mean: train?"),
        (["doctor"], f"doctor is no verb. The verbs are {', '.join(JOBS)}."),
        (["data", *TINY], "data needs the word check: unigrpo submit data check CONFIG."),
        (["export"], "source is not set: name a run or a model"),
        (["init-mmada", "--from", "nowhere"], "source is 'nowhere', and there is no /"),
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
    for verb in JOBS:
        assert verb in shown


@pytest.mark.parametrize(
    ("args", "words", "setting"),
    [
        (TINY + MINE, ["train"], "model.preset"),
        (["sft", *TINY], ["sft"], "model.preset"),
        (["export", "a", "b", "--merge-lora"], ["export"], "merge_lora"),
        (["init-mmada", "--from", "a"], ["init-mmada"], "source"),
        (["tokenize-images", "data.path=a", "image_tokenizer.path=b"], ["tokenize-images"], "data.path"),
        (["curate", "data.path=a", "teacher.model=m", "rewards.math.weight=1"], ["curate"], "teacher.model"),
        (["pipeline", "configs/pipelines/mmada.yaml", "--from", "rl"], ["pipeline"], "start"),
        (["data", "check", "--limit=3", *TINY], ["data", "check", "--limit=3", "sft"], "model.preset"),
        (
            ["data", "check", "train", "--markdown", *TINY, *MINE],
            ["data", "check", "--markdown", "train"],
            "data.source",
        ),
    ],
)
def test_a_job_calls_its_verb_with_the_settings_that_were_checked(args, words, setting):
    found, config = submit.job_of(args)
    assert found == words
    assert dict(flatten(config))[setting] != dict(flatten(type(config)()))[setting]


def test_a_stopped_job_goes_on_as_its_verb_does():
    said = {verb: submit._again(verb, VERBS[verb].config_type()()) for verb in STAGES}
    assert {verb for verb, text in said.items() if text.endswith("resume=true")} == {"train", "sft", "tokenizer"}
    assert {verb for verb, text in said.items() if text.endswith("overwrite=true")} == {"eval", "clip"}
