"""The scripts, manifests and pages about clusters show what works."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cli.submit.jobs import write
from unigrpo.cli import packages, submit
from unigrpo.cli.submit_files import DEFAULT_EXCLUDES
from unigrpo.cli.verbs import VERBS

SCRIPTS = packages.HOME / "scripts/ray"


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
        args = args if any(arg.endswith(".yaml") for arg in args) else [*args, "my.yaml"]
        assert submit.job_of(args)
        return
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
