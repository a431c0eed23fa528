"""The quickstart's UniGRPO in every layout of the cluster, against one process: losses, learning, and what Ray costs.

    python scripts/bench/layouts.py --out /tmp/layouts [--steps 100] [--layouts local ray ...]

All runs start from one supervised model, which is made first if it is not there; each worker has one thread. `overhead`
is the share of a step that is spent outside of sampling, scoring and learning: the step's time less the time that the
workers, which keep their own clocks, have worked.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

LAYOUTS = {
    "local": ["cluster.backend=local"],
    "ray": [],
    "separate": ["cluster.layout=separate"],
    "ranks=2": ["cluster.ranks=2"],
    "ranks=2 zero=1": ["cluster.ranks=2", "cluster.zero=1"],
    "ranks=2 zero=2": ["cluster.ranks=2", "cluster.zero=2"],
    "ranks=2 zero=3": ["cluster.ranks=2", "cluster.zero=3"],
    "separate, one batch ahead": ["cluster.layout=separate", "rollout.max_staleness=1"],
}
COMPARED_STEPS = 20
CONFIG = "configs/quickstart/rl.yaml"
THREADS = "cluster.threads=1"


def unigrpo(*words: str) -> float:
    """Runs a verb; returns its seconds."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "unigrpo", *words], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def rows(run: Path) -> list[dict]:
    """The metrics of a run."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def largest_difference(run: list[dict], other: list[dict], name: str, steps: int) -> float:
    """Largest relative difference of a metric over the first steps."""
    ours, theirs = ([row[name] for row in found if name in row][:steps] for found in (run, other))
    return max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))


def same_until(run: list[dict], other: list[dict]) -> int:
    """The last step before the first whose rewards differ."""
    ours, theirs = ([row["reward/mean"] for row in found if "reward/mean" in row] for found in (run, other))
    differ = [step for step, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    return differ[0] if differ else len(ours)


def overhead(run: list[dict]) -> str:
    """Share of the steps' time in which no worker worked, after the first steps; of no meaning where work overlaps."""
    steps = [row for row in run if "time/step" in row][3:]
    if any(row["rollout/staleness"] for row in steps):
        return "-"
    if "time/busy_policy" not in steps[0]:
        busy = [row["time/sample"] + row["time/score"] + row["time/learn"] for row in steps]
    else:
        # A colocated policy samples too; what the reference does, the policy waits for and so counts.
        names = ("time/busy_policy", "time/busy_rollout", "time/busy_reward")
        busy = [sum(row.get(name, 0.0) for name in names) for row in steps]
    return f"{1 - sum(busy) / sum(row['time/step'] for row in steps):.1%}"


def main() -> None:
    """Runs the layouts and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--layouts", nargs="+", choices=list(LAYOUTS), default=list(LAYOUTS))
    args = parser.parse_args()
    model = args.out / "sft/model"
    if not model.exists():
        unigrpo("sft", "configs/quickstart/sft.yaml", f"output={args.out / 'sft'}", "overwrite=true", THREADS)
    print(
        "| layout | accuracy | log p | gradient | same rewards until step | seconds a step | overhead | all seconds |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    first: list[dict] = []
    for layout in args.layouts:
        run = args.out / layout.replace(" ", "_").replace(",", "")
        length = [f"steps={args.steps}", f"eval.every={args.steps}"]
        settings = [f"model.path={model}", f"output={run}", "overwrite=true", THREADS, *length, *LAYOUTS[layout]]
        seconds = unigrpo("train", CONFIG, *settings)
        found = rows(run)
        first = first or found
        accuracy = [row["eval/accuracy"] for row in found if "eval/accuracy" in row]
        differences = [
            f"{largest_difference(found, first, name, COMPARED_STEPS):.1e}"
            for name in ("policy/logprob", "optim/grad_norm")
        ]
        differences.append(str(same_until(found, first)))
        step = statistics.median(row["time/step"] for row in found if "time/step" in row)
        cells = [
            f"{accuracy[0]:.1%} -> {accuracy[-1]:.1%}",
            *differences,
            f"{step:.2f}",
            overhead(found),
            f"{seconds:.0f}",
        ]
        print(f"| {layout} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
