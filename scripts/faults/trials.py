"""Kills parts of short runs at random moments, and looks at what the runs end with.

    python scripts/faults/trials.py --trials 20 --out /tmp/faults

The cluster is a real one: a head without room for workers and two nodes, each with a raylet of its own, on this
machine. Every run must end by itself (one whose driver was killed, when it is started again), with the weights of the
run that nobody disturbed, bit for bit. Writes trials.jsonl, and a table.
"""

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from ray._private.node import Node
from ray.cluster_utils import Cluster

REWARD = """
def digits(response):
    return sum(character.isdigit() for character in response) / 4
"""
RUN = """
    model.preset=tiny model.vocab_size=268 model.device=cpu cluster.threads=1 steps=24 optim.lr=1e-3
    data.source=arithmetic data.template=plain data.size=40
    rollout.prompts_per_step=3 rollout.group_size=4 rollout.gen_length=4 rollout.block_length=2
    checkpoint.every=4 checkpoint.keep=2 tracking.rollouts_every=0
    cluster.timeout=120 cluster.watchdog=120 cluster.max_restarts=3
""".split()  # noqa: SIM905
ALONE = ["cluster.layout=separate"]
RANKS = ["cluster.ranks=2", "cluster.zero=2"]
KINDS = {
    "driver": ALONE,
    "policy rank": RANKS,
    "reward actor": ALONE,
    "rollout actor": ALONE,
    "raylet of a node": RANKS,
    "stopped rank": [*RANKS, "cluster.watchdog=15"],
}
DEFAULT = list(KINDS)[:5]
TITLES = {
    "policy rank": "ray::PolicyRank",
    "stopped rank": "ray::PolicyRank",
    "reward actor": "ray::RewardWorker",
    "rollout actor": "ray::RolloutWorker",
}
COLUMNS = (
    "killed",
    "trials",
    "hit a part of the run",
    "ended",
    "same weights",
    "restarts of all",
    "seconds, undisturbed",
    "seconds, median",
)
LIMIT_SECONDS = 300
TRIES = 3
"""Trials at most, for each that is to hit; a moment may lie before a node is used, or after the run has ended."""
NODE_CPUS = 8


def start(out: Path, name: str, address: str, settings: list[str]) -> subprocess.Popen:
    """A run, as a process of its own."""
    (out / "mine.py").write_text(REWARD)
    reward = f"rewards.digits.path={out / 'mine.py'}:digits"
    words = ["train", *RUN, reward, f"output={out / name}", f"cluster.address={address}", *settings]
    with (out / f"{name}.log").open("a") as log:
        return subprocess.Popen([sys.executable, "-m", "unigrpo", *words], stdout=log, stderr=log, cwd=out)


def finish(process: subprocess.Popen) -> int | None:
    """The exit status of a run, None if it never came to an end."""
    try:
        return process.wait(LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


class Trials:
    """A cluster, and runs on it."""

    def __init__(self, out: Path, seed: int):
        self.out, self.random = out, random.Random(seed)
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.nodes = [self.cluster.add_node(num_cpus=NODE_CPUS) for _ in range(2)]
        self.expected: dict[str, tuple[bytes, float]] = {}

    def undisturbed(self, settings: list[str]) -> tuple[bytes, float]:
        """The weights and the seconds of a run that nobody disturbs."""
        key = "-".join(settings)
        if key not in self.expected:
            name, started = f"whole-{key}".replace("=", "_"), time.monotonic()
            status = finish(start(self.out, name, self.cluster.address, settings))
            assert status == 0, (self.out / f"{name}.log").read_text()
            self.expected[key] = (self.weights(name), time.monotonic() - started)
        return self.expected[key]

    def weights(self, name: str) -> bytes:
        """The weights that a run ended with."""
        file = self.out / name / "model/model.safetensors"
        return file.read_bytes() if file.exists() else b""

    def raylets(self) -> dict[int, Node]:
        """The nodes by the process id of their raylet."""
        return {node.all_processes["raylet"][0].process.pid: node for node in self.nodes}

    def victims(self, kind: str) -> list[psutil.Process]:
        """Actors of a kind on this cluster: there may be others on the machine."""
        found = []
        for process in psutil.process_iter(["cmdline", "ppid"]):
            words = process.info["cmdline"] or [""]
            if words[0].startswith(TITLES[kind]) and process.info["ppid"] in self.raylets():
                found.append(process)
        return found

    def kill_actor(self, kind: str) -> bool:
        """Kills one of the actors of a kind, or stops it so that it hangs, if there is one."""
        found = self.victims(kind)
        if found:
            chosen = self.random.choice(found)
            (chosen.suspend if kind == "stopped rank" else chosen.kill)()
        return bool(found)

    def kill_node(self) -> bool:
        """Kills the raylet of a node, of one that the policy is on if it is on any; another node joins then."""
        busy, raylets = {process.ppid() for process in self.victims("policy rank")}, self.raylets()
        chosen = self.random.choice(sorted(busy & raylets.keys()) or sorted(raylets))
        raylet = raylets[chosen].all_processes["raylet"][0].process
        raylet.kill()
        raylet.wait()  # its workers end when it is gone, and not while it is a child that nobody has buried
        self.nodes.remove(raylets[chosen])
        self.nodes.append(self.cluster.add_node(num_cpus=NODE_CPUS))
        return chosen in busy

    def trial(self, kind: str, index: int) -> dict:
        """One run, disturbed once at a random moment."""
        settings = KINDS[kind]
        weights, seconds = self.undisturbed(settings)
        name = f"{kind.replace(' ', '_')}-{index}"
        started = time.monotonic()
        process = start(self.out, name, self.cluster.address, settings)
        while kind in TITLES and not self.victims(kind) and process.poll() is None:
            time.sleep(0.05)
        moment = self.random.uniform(time.monotonic() - started, seconds)
        time.sleep(max(0.0, started + moment - time.monotonic()))
        kills: dict[str, Callable[[], bool]] = {
            "driver": lambda: process.poll() is None and (process.kill() or True),
            "raylet of a node": self.kill_node,
        }
        hit = kills.get(kind, lambda: self.kill_actor(kind))()
        status = finish(process)
        if kind == "driver":
            status = finish(start(self.out, name, self.cluster.address, [*settings, "resume=true"]))
        log = (self.out / f"{name}.log").read_text()
        found = {
            "kind": kind,
            "at": round(moment, 2),
            "hit": bool(hit),
            "status": status,
            "equal": self.weights(name) == weights,
            "restarts": log.count("of cluster.max_restarts="),
            "seconds": round(time.monotonic() - started, 1),
            "undisturbed": round(seconds, 1),
        }
        if status == 0 and found["equal"]:
            shutil.rmtree(self.out / name)
        if not hit:  # it has told how long a run takes now
            self.expected["-".join(settings)] = (weights, min(seconds, found["seconds"]))
        return found


def table(rows: list[dict]) -> str:
    """The trials, by what was killed."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" + "|---:" * (len(COLUMNS) - 1) + "|"]
    for kind in dict.fromkeys(row["kind"] for row in rows):
        own = [row for row in rows if row["kind"] == kind]
        sums = (
            sum(row["hit"] for row in own),
            sum(row["status"] == 0 for row in own),
            sum(row["equal"] for row in own),
        )
        restarts, median = sum(row["restarts"] for row in own), statistics.median(row["seconds"] for row in own)
        cells = [kind, len(own), *sums, restarts, own[0]["undisturbed"], round(median, 1)]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    """Runs the trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20, help="of each kind that hit a part of the run")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=DEFAULT)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    trials, rows = Trials(args.out.resolve(), args.seed), []
    for index in range(TRIES * args.trials):
        hits = {kind: sum(row["hit"] for row in rows if row["kind"] == kind) for kind in args.kinds}
        for kind in (kind for kind in args.kinds if hits[kind] < args.trials):
            rows.append(trials.trial(kind, index))
            print(json.dumps(rows[-1]), flush=True)
            with (args.out / "trials.jsonl").open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    print(table(rows))
    trials.cluster.shutdown()
    sys.exit(any(row["status"] != 0 or not row["equal"] for row in rows))


if __name__ == "__main__":
    main()
