"""How the time of a step grows with prompts, group size and rollout workers.

    python scripts/bench/scaling.py --out /tmp/scaling [--steps 6]

All runs start from one supervised model, which is made first if it is not there, answer with 64 tokens, and have one
thread for each worker. `of linear`
is the time divided by what the first row's would be in proportion to its rollouts; 1.00 is linear growth.
"""

import argparse
import statistics
from pathlib import Path

import paired
from layouts import CONFIG, THREADS, rows, unigrpo

LONGER = [
    THREADS,
    "rollout.gen_length=64",
    "rollout.block_length=32",
    "rollout.early_stop=false",
    "eval.every=100",
    "eval.limit=8",
]
SIZES = [(8, 4), (16, 4), (32, 4), (64, 4), (8, 8), (8, 16), (8, 32)]
"""Prompts of a step, and rollouts of each."""
WARM_UP = 2


def timed(out: Path, name: str, steps: int, settings: list[str]) -> dict[str, float]:
    """Median seconds of a step of a run, in all and by part, after the first steps."""
    run = out / name
    if not (run / "model").exists():
        unigrpo(
            *("train", CONFIG, f"model.path={out}/sft/model", f"output={run}", f"steps={steps}", "overwrite=true"),
            *("checkpoint.every=1000000", "tracking.rollouts_every=0", *LONGER, *settings),
        )
    found = [row for row in rows(run) if "time/step" in row][WARM_UP:]
    return {name: statistics.median(row[f"time/{name}"] for row in found) for name in ("step", "sample", "learn")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    if not (args.out / "sft" / "model").exists():
        unigrpo("sft", "configs/quickstart/sft.yaml", f"output={args.out}/sft", THREADS)
    grown = []
    for prompts, group in SIZES:
        size = [f"rollout.prompts_per_step={prompts}", f"rollout.group_size={group}"]
        took = timed(args.out, f"size_{prompts}_{group}", args.steps, ["cluster.backend=local", *size])
        grown.append({"prompts": prompts, "group": group, **took})
    first = grown[0]
    shown = []
    for row in grown:
        times = row["prompts"] * row["group"] / (first["prompts"] * first["group"])
        parts = {name: f"{row[name]:.2f} s, {row[name] / first[name] / times:.2f}" for name in ("sample", "learn")}
        shown.append({"prompts": row["prompts"], "group size": row["group"]} | parts)
    print("seconds, and of linear\n\n" + paired.table(shown))

    base = ["cluster.layout=separate", "rollout.prompts_per_step=64", "rollout.group_size=4", "rollout.batch_size=64"]
    workers = [
        {
            "workers": count,
            **timed(args.out, f"workers_{count}", args.steps, [*base, f"cluster.rollout_workers={count}"]),
        }
        for count in args.workers
    ]
    table = [
        {
            "rollout workers": row["workers"],
            "sampling": f"{row['sample']:.2f} s",
            "times faster": f"{workers[0]['sample'] / row['sample']:.2f}",
        }
        for row in workers
    ]
    print("\n" + paired.table(table))
    bars = {f"{row['workers']} rollout workers": workers[0]["sample"] / row["sample"] for row in workers}
    paired.write(
        args.out, "scaling", {"sizes": grown, "workers": workers}, bars, "Sampling, times faster than one worker"
    )


if __name__ == "__main__":
    main()
