import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.heads import head_script, until
from tests.e2e.runs import EVAL, REWARD, TRAIN, metrics, run, train_args, weights
from unigrpo import checkpoint

pytestmark = [pytest.mark.ray, pytest.mark.slow]
TOKEN = "0123456789abcdef" * 4
SETTINGS = [*TRAIN, EVAL, "rewards.digits.path=mine.py:digits", "output=runs/job"]
LONG = ["steps=20", "checkpoint.every=20"]


class Head(NamedTuple):
    """A head of our own."""

    address: str
    env: dict[str, str]

    def jobs(self) -> list[dict]:
        """All jobs it has ever had."""
        request = urllib.request.Request(f"{self.address}/api/jobs/", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            return json.load(reply)

    def submit(self, folder: Path, *args: str, **env: str) -> subprocess.Popen:
        """Starts `unigrpo submit` in a folder."""
        command = [sys.executable, "-m", "unigrpo", "submit", *args, "--address", self.address]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        # What a shell starts in the background ignores Ctrl-C, the tests and all they start included.
        listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(command, cwd=folder, env=self.env | env, preexec_fn=listen, **pipes)


def alive(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/api/version", timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def head():
    """One that wants a token, leaves no trace in the home folder, and kills jobs at once but for their own time."""
    with head_script(RAY_AUTH_TOKEN=TOKEN, STOP_SECONDS="0") as (_, dashboard, folder):
        address = f"http://127.0.0.1:{dashboard}"
        until(lambda: alive(address))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        yield Head(address, os.environ | {"PATH": path, "RAY_AUTH_TOKEN": TOKEN, "RAY_TMPDIR": f"{folder}"})


@pytest.fixture
def folder(tmp_path):
    """A working folder with a reward."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work/mine.py").write_text(REWARD)
    return tmp_path / "work"


def test_a_run_is_submitted_followed_and_written_where_it_was_asked_for(head, folder, tmp_path):
    (folder / "weights.safetensors").write_bytes(b"0" * 10_000_000)
    process = head.submit(folder, *SETTINGS, "--env", "A_KEY_OF_MINE", A_KEY_OF_MINE="not to be seen")
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert "uploads 1 files" in err
    assert "without weights.safetensors" in err
    assert "job 4/4  reward/mean" in out
    assert out.splitlines()[-1].startswith(f"{folder}/runs/job  ")
    assert "not to be seen" not in out + err
    assert [row for row in metrics(folder / "runs/job") if "reward/digits" in row]
    run(train_args(tmp_path, tmp_path / "whole", "cluster.backend=local"))
    assert weights(folder / "runs/job") == weights(tmp_path / "whole")
    [job] = [job for job in head.jobs() if job["submission_id"] in err]
    assert job["runtime_env"]["env_vars"]["A_KEY_OF_MINE"] == "not to be seen"
    assert job["driver_exit_code"] == 0


def test_an_error_of_the_users_is_found_before_anything_is_uploaded_or_has_status_2(head, folder):
    before = len(head.jobs())
    process = head.submit(folder, *SETTINGS, "rollout.group_size=1")
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert err.startswith("unigrpo: error: rollout.group_size is 1")
    assert len(head.jobs()) == before
    (folder / "rows.jsonl").write_text("no json\n")
    process = head.submit(folder, *SETTINGS, "data={source: file, path: rows.jsonl, size: 800}")
    out, err = process.communicate()
    assert process.returncode == 2, out + err
    assert "unigrpo: error: rows.jsonl" in out
    assert err.splitlines()[-1].endswith("ended with exit status 2.")
    assert not (folder / "runs/job").exists()


def test_a_job_that_is_stopped_saves_and_is_gone_on_with_to_the_same_end(head, folder, tmp_path):
    slow = REWARD.replace("    return", "    time.sleep(0.1)\n    return")
    (folder / "mine.py").write_text(f"import time\n{slow}")  # still under way when it is told to stop
    first = head.submit(folder, *SETTINGS, *LONG)
    assert first.stdout is not None
    while "/20  reward/mean" not in (line := first.stdout.readline()):
        assert line, first.communicate()
    assert not (folder / "runs/job/model").exists()
    job = next(job["submission_id"] for job in head.jobs() if job["status"] == "RUNNING")
    stop = ["ray", "job", "stop", job, "--address", head.address]
    subprocess.run(stop, env=head.env | {"RAY_AUTH_MODE": "token"}, check=True, capture_output=True)
    out, err = first.communicate()
    assert first.returncode == 143, out + err
    found = checkpoint.latest(folder / "runs/job")
    assert found is not None
    step = found[1]["step"]
    assert 0 < step < 20
    assert f"{folder}/runs/job was stopped after step {step} and is saved" in out
    assert not (folder / "runs/job/model").exists()

    (folder / "mine.py").write_text(REWARD)
    second = head.submit(folder, *SETTINGS, *LONG, "resume=true")
    assert second.stderr is not None
    while " is at " not in (line := second.stderr.readline()):
        assert line, second.communicate()
    time.sleep(1)  # it follows now, and the job takes longer to start
    second.send_signal(signal.SIGINT)
    out, err = second.communicate()
    assert second.returncode == 130, out + err
    assert re.search(r"job (\S+) goes on\.\n.*ray job logs --follow \1 .*\n.*ray job stop \1 ", err)
    until(lambda: all(job["status"] in ("SUCCEEDED", "FAILED", "STOPPED") for job in head.jobs()))
    run(train_args(tmp_path, tmp_path / "whole", "cluster.backend=local", *LONG))
    assert weights(folder / "runs/job") == weights(tmp_path / "whole")
    assert metrics(folder / "runs/job") == metrics(tmp_path / "whole")
